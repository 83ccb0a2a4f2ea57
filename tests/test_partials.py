"""Bells and bars: partials beside the harmonics are found, played, and tell notes' pitches."""

from dataclasses import replace

import numpy as np
import pytest

from mirrornet import match
from mirrornet.experiments.material import instrument_phrases
from mirrornet.experiments.reading import ReadNote, note_scores
from mirrornet.features import hear_recording
from mirrornet.matching.partials import alike, find_partials
from mirrornet.matching.timbre import fit_notes, timbre_plant
from mirrornet.plants import Plant, load_plant
from mirrornet.score import Note, Score

RATE_HZ = 44100
BAR = {1.0: 1.0, 2.76: 0.8, 5.4: 0.5, 8.93: 0.25}  # of a bar that is free at both ends
TUNE = (79, 84, 82, 86, 77, 81)
NOTE_S = 0.4


def bar(keys: tuple[int, ...] = TUNE, partials: dict[float, float] = BAR) -> np.ndarray:
    """Struck notes that ring on."""
    audio = np.zeros(round(RATE_HZ * (NOTE_S * len(keys) + 0.6)))
    t_s = np.arange(round(0.9 * RATE_HZ)) / RATE_HZ
    hull = np.minimum(t_s / 0.002, 1) * np.minimum((0.9 - t_s) / 0.2, 1)
    for number, key in enumerate(keys):
        pitch_hz = 440 * 2 ** ((key - 69) / 12)
        tone = sum(
            gain * np.exp(-3 * ratio**0.5 * t_s) * np.sin(2 * np.pi * ratio * pitch_hz * t_s)
            for ratio, gain in partials.items()
        )
        start = round(NOTE_S * number * RATE_HZ)
        audio[start : start + len(t_s)] += 0.1 * hull * tone
    return audio.astype(np.float32)


@pytest.fixture(scope="module")
def plant() -> Plant:
    knobs = load_plant("vital", controls="patch", sample_rate_hz=RATE_HZ)
    found = timbre_plant(knobs)
    assert found is not None
    return found


def notes(keys: tuple[int, ...] = TUNE) -> list[Note]:
    starts_s = NOTE_S * np.arange(len(keys))
    own = {"level": 0.0, "tune": 0.0}
    return [
        Note(key, at_s, at_s + NOTE_S, own)
        for key, at_s in zip(keys, starts_s.tolist(), strict=True)
    ]


def test_the_partials_of_a_bar_are_found_and_those_of_a_string_are_harmonics(plant: Plant):
    found = find_partials(plant, bar(), notes())
    np.testing.assert_allclose(found, (2.76, 5.4), atol=1 / 16)  # 8.93 is as good as harmonic
    string = bar(partials={float(n): 1 / n for n in range(1, 16)})
    mistuned = [replace(note, controls={"level": 0.0, "tune": 20.0}) for note in notes()]
    for tuned in (notes(), mistuned):
        assert find_partials(plant, string, tuned) == []


def test_partials_are_looked_for_in_any_notes(plant: Plant):
    silence = np.zeros(3 * RATE_HZ, np.float32)
    assert find_partials(plant, silence, notes()) == []
    assert find_partials(plant, bar(), []) == []
    moving = [replace(note, glide=((0.0, 0.0), (0.2, 2.0))) for note in notes()]
    assert find_partials(plant, bar(), moving) == []


def test_notes_whose_pitch_was_misread_are_known_from_the_others():
    misread = notes()
    misread[1], misread[4] = (
        replace(misread[n], pitch_midi=misread[n].pitch_midi + interval)
        for n, interval in ((1, -12), (4, 17))
    )
    heard = hear_recording(bar(), RATE_HZ)
    assert [note.pitch_midi for note in alike(heard, misread)] == list(TUNE)
    right = notes()
    assert alike(heard, right) == right
    for few in (right[:1], right[:2], misread[:2]):  # nobody knows which is right
        assert alike(heard, few) == few


def test_a_note_that_was_misread_gets_the_tune_of_the_others(plant: Plant):
    """As of a partial: 17.6 semitones higher, so 43 cents flat."""
    heard, misread = hear_recording(bar(), RATE_HZ), notes()
    wrong = {"level": 0.0, "tune": -43.0}
    misread[3] = replace(misread[3], pitch_midi=misread[3].pitch_midi + 18, controls=wrong)
    fit = fit_notes(plant, Score(misread, {}, 3.0), bar(), heard)
    assert [note.pitch_midi for note in fit.score.notes] == list(TUNE)
    assert fit.score.notes[3].controls["tune"] == 0.0


def test_a_bar_is_played_with_its_partials():
    answer = match((bar(), RATE_HZ), timbre="wavetable")
    assert [note.pitch_midi for note in answer.score.notes] == list(TUNE)
    assert answer.distances["spectrogram_error"] < 0.06
    # In the last note, which rings alone: the second partial, not the harmonic next to it.
    at = round((NOTE_S * (len(TUNE) - 1) + 0.05) * RATE_HZ)
    part = answer.audio[at : at + RATE_HZ // 4]
    spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), RATE_HZ))  # bins of 1 Hz
    pitch_hz = 440 * 2 ** ((TUNE[-1] - 69) / 12)
    strength = {
        ratio: spectrum[round((ratio - 0.06) * pitch_hz) : round((ratio + 0.06) * pitch_hz)].max()
        for ratio in (1.0, 2.76, 3.0)
    }
    assert strength[2.76] > 0.3 * strength[1.0]
    assert strength[3.0] < 0.3 * strength[2.76]


@pytest.mark.parametrize("key", [21, 60, 108])
def test_partials_follow_the_key_and_the_bend(plant: Plant, key: int):
    patch = plant.controls.knobs.from_vector(np.full(len(plant.controls.knobs.rows), 0.5))
    for control in plant.controls.knobs:
        if control.unit == "dB" and control.shape:
            patch[control.name] = np.full(control.shape, control.low)
    patch["partial_levels"] = patch["partial_levels"].copy()
    patch["partial_levels"][:, 0] = 0.0
    patch |= {"partials": np.full(8, 2.75), "bend": np.zeros(17), "vibrato_depth": 0.0, "tune": 0.0}
    steady = Note(key, 0.0, 1.0, patch)
    bent = replace(steady, glide=((0.0, -3.0), (1.0, -3.0)))
    for note, semitones in ((steady, 0), (bent, -3)):
        audio = plant.play([note])[RATE_HZ // 4 : 3 * RATE_HZ // 4]
        spectrum = np.abs(np.fft.rfft(audio * np.hanning(len(audio)), RATE_HZ))
        expected_hz = 2.75 * 440 * 2 ** ((key + semitones - 69) / 12)
        np.testing.assert_allclose(spectrum.argmax(), expected_hz, rtol=0.01, atol=1)


@pytest.mark.slow
def test_tubular_bells_are_read_and_played():
    phrase = next(instrument_phrases(14, 0))
    answer = match((phrase.sound, RATE_HZ), timbre="wavetable")
    assert answer.distances["spectrogram_error"] < 0.08
    read = [ReadNote(note.pitch_midi, note.onset_s, note.offset_s) for note in answer.score.notes]
    assert note_scores(phrase.notes, read)["note_f1"] > 0.8
    assert any("bells" in warning for warning in answer.warnings)
