"""Any timbre: the harmonics and noise of a recording as controls, found by additive sound, and
played by wavetables."""

import json
from pathlib import Path

import numpy as np
import pytest
from vita import Synth  # pyright: ignore[reportPrivateImportUsage]
from vital_rules import problems

from mirrornet import match
from mirrornet.budget import Budget
from mirrornet.errors import ControlError
from mirrornet.export.match import Match
from mirrornet.export.playing import play, read_score
from mirrornet.features import hear_recording, hear_wide
from mirrornet.matching import timbre
from mirrornet.metrics import spectrogram_error
from mirrornet.models.mirrornet import load_model
from mirrornet.plants import load_plant
from mirrornet.plants.timbre import HARMONICS, TIMES_S
from mirrornet.score import Note, Score

RATE_HZ = 44100
TUNE = (55, 60, 64, 62, 67)
SILENT = -30.0  # log amplitude


def reed(keys=TUNE, note_s: float = 0.5, seed: int = 0) -> np.ndarray:
    """Notes of an instrument with odd harmonics, a formant at 1.5 kHz, a soft onset and a breath:
    no patch of knobs."""
    generator = np.random.default_rng(seed)
    audio = np.zeros(round(RATE_HZ * (note_s * len(keys) + 0.2)))
    t_s = np.arange(round(RATE_HZ * note_s)) / RATE_HZ
    swell = np.minimum(t_s / 0.04, 1) * np.minimum((note_s - t_s) / 0.05, 1)
    for number, key in enumerate(keys):
        pitch_hz = 440 * 2 ** ((key - 69) / 12)
        tone = 0.02 * generator.standard_normal(len(t_s))
        for n in range(1, int(12000 / pitch_hz)):
            formant = 1 + 8 * np.exp(-((np.log2(n * pitch_hz / 1500) / 0.3) ** 2))
            gain = (1 if n % 2 else 0.05) * formant / n
            tone += gain * np.cos(2 * np.pi * (n * pitch_hz * t_s + generator.random()))
        start = round(number * note_s * RATE_HZ)
        audio[start : start + len(t_s)] += 0.1 * swell * tone
    return audio.astype(np.float32)


@pytest.fixture(scope="module")
def found() -> Match:
    return match((reed(), RATE_HZ), timbre="wavetable")


def test_a_timbre_that_no_knobs_have_is_matched(found: Match):
    knobs = match((reed(), RATE_HZ), timbre="knobs")
    assert [note.pitch_midi for note in found.notes] == list(TUNE)
    error = found.distances["spectrogram_error"]
    assert error < 0.5 * knobs.distances["spectrogram_error"]
    assert error < 0.06
    harmonics = np.asarray(found.score.patch["harmonics"])[:, TIMES_S.index(0.2)]
    assert (harmonics[:, 0] > harmonics[:, 1] + 10).all()  # the second harmonic is missing
    assert found.plant.controls.name == "wavetable"
    assert not found.confidence


@pytest.mark.slow
def test_renders_bring_it_closer(found: Match):
    more = match((reed(), RATE_HZ), timbre="wavetable", refine=6)
    assert more.distances["spectrogram_error"] < 0.95 * found.distances["spectrogram_error"]
    none = match((reed(), RATE_HZ), timbre="wavetable", refine=0)
    np.testing.assert_array_equal(none.audio, found.audio)


def test_the_plant_with_the_timbre_needs_no_weights(found: Match):
    same = match((reed(), RATE_HZ), "vital-wavetable")
    np.testing.assert_array_equal(same.audio, found.audio)


def test_auto_takes_the_closer(found: Match, monkeypatch: pytest.MonkeyPatch):
    best = match((reed(), RATE_HZ))  # it is the default
    np.testing.assert_array_equal(best.audio, found.audio)
    named = match((reed(), RATE_HZ), model=load_model(controls="patch"))
    assert named.plant.controls.name == "patch"  # whose knobs the model reads
    monkeypatch.setattr(timbre.TimbreFit, "fit", lambda *given: None)  # knobs are closer
    assert match((reed(), RATE_HZ), timbre="auto").plant.controls.name == "patch"


def test_a_long_recording_is_fitted_in_an_excerpt(monkeypatch: pytest.MonkeyPatch):
    sound = reed((*TUNE, *TUNE[::-1], *TUNE, *TUNE[::-1], *TUNE[:2]))
    whole = match((sound, RATE_HZ))
    assert len(whole.notes) == 22
    assert whole.plant.controls.name == "wavetable"
    assert whole.distances["spectrogram_error"] < 0.1
    monkeypatch.setattr(timbre.TimbreFit, "fit", lambda *given: None)  # knobs are closer
    knobs = match((sound, RATE_HZ))
    assert len(knobs.notes) == 22
    assert knobs.plant.controls.name == "patch"
    assert len(knobs.audio) == len(sound)


@pytest.mark.parametrize("note_s", [0.02, 0.3])
@pytest.mark.parametrize("pitch", [24, 60, 96])
def test_one_note_of_any_length_and_pitch_is_fitted(note_s: float, pitch: int):
    plant = load_plant("vital-wavetable", sample_rate_hz=RATE_HZ)
    sound = reed((pitch,), note_s)
    score = Score([Note(pitch, 0.0, note_s, {"level": 0.0, "tune": 0.0})], {}, 1.0)
    fit = timbre.TimbreMatch(plant, score, sound, hear_recording(sound, RATE_HZ))
    played = fit.play(Budget(2))
    assert played.error < 0.5
    assert np.isfinite(np.asarray(played.score.patch["harmonics"])).all()


def test_breath_without_a_tone_is_played():
    sound = 0.2 * np.random.default_rng(0).standard_normal(RATE_HZ).astype(np.float32)
    plant = load_plant("vital-wavetable", sample_rate_hz=RATE_HZ)
    score = Score([Note(69, 0.0, 1.0, {"level": 0.0, "tune": 0.0})], {}, 1.0)
    fit = timbre.TimbreMatch(plant, score, sound, hear_recording(sound, RATE_HZ))
    played = fit.play(Budget(2)).audio
    wanted, heard = (hear_wide(one / one.std(), RATE_HZ)[:, 20:100] for one in (sound, played))
    bands = [S.mean(1).reshape(-1, 16).mean(1) for S in (wanted, heard)]
    assert np.abs(20 * np.log10(bands[1] / bands[0])).mean() < 1.5


def test_the_preset_plays_other_notes_in_tune(found: Match):
    (preset,) = found.plant.artifacts(found.score)
    text = preset.make().decode()
    assert problems(text) == []
    assert len(text) < 1_200_000
    synth = Synth()
    synth.set_sample_rate(RATE_HZ)
    assert synth.load_json(text)
    synth.render(60, 1.0, 1.5, 1.5)
    for key in (48, 60, 72, 79):  # some of them an octave beyond the recording's
        sound = synth.render(key, 0.8, 1.0, 1.2)[0][RATE_HZ // 4 : RATE_HZ]
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 2**19))
        pitch_hz = 440 * 2 ** ((key - 69) / 12)
        window = slice(*(round(pitch_hz * f * 2**19 / RATE_HZ) for f in (0.97, 1.03)))
        peak_hz = (window.start + np.argmax(spectrum[window])) * RATE_HZ / 2**19
        assert abs(1200 * np.log2(peak_hz / pitch_hz)) < 5
        assert np.abs(sound).max() > 0.01


@pytest.mark.parametrize(
    ("higher", "slower", "limit"), [(0, 2.0, 0.15), (12, 1.0, 0.3), (12, 2.0, 0.35)]
)
def test_it_is_an_instrument_and_not_a_recording(found: Match, higher, slower, limit):
    """Half as fast and an octave higher, it still sounds as the instrument does."""
    notes = [
        Note(n.pitch_midi + higher, slower * n.onset_s, slower * n.offset_s, n.controls)
        for n in found.score.notes
    ]
    wanted = reed([key + higher for key in TUNE], note_s=0.5 * slower)
    played = found.plant.render(Score(notes, found.score.patch, len(wanted) / RATE_HZ))
    heard = [hear_recording(sound, RATE_HZ) for sound in (wanted, played)]
    assert spectrogram_error(*heard) < limit


def test_a_saved_timbre_is_played_again(found: Match, tmp_path: Path):
    found.save(tmp_path / "out")
    assert (tmp_path / "out" / "timbre.png").stat().st_size > 10_000
    assert (tmp_path / "out" / "controls.json").stat().st_size < 100_000
    assert "The timbre" in (tmp_path / "out" / "report.html").read_text("utf-8")
    again = play(read_score(tmp_path / "out" / "controls.json"), None, RATE_HZ)
    least = min(len(again), len(found.audio))
    assert np.corrcoef(again[:least], found.audio[:least])[0, 1] > 0.9999
    patch = json.loads((tmp_path / "out" / "controls.json").read_text("utf-8"))["patch"]
    assert np.shape(patch["harmonics"]) == (2, len(TIMES_S), len(HARMONICS))


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"timbre": "wavetables"}, "a timbre is"),
        ({"timbre": "auto", "candidates": 2}, "for knobs"),
        ({"timbre": "wavetable", "patch": "per-note"}, "for knobs"),
        ({"timbre": "wavetable", "lock": {"cutoff": 500.0}}, "for knobs"),
        ({"timbre": "wavetable", "plant": "dx7-all"}, "plays no wavetables"),
        ({"timbre": "wavetable", "plant": "vital-set1"}, "plays no wavetables"),
        ({"plant": "vital-wavetable", "candidates": 2}, "for knobs"),
        ({"plant": "vital-wavetable", "patch": "per-note"}, "for knobs"),
    ],
)
def test_what_a_timbre_does_not_go_with_is_refused(how, message):
    with pytest.raises(ControlError, match=message):
        match((reed(TUNE[:2]), RATE_HZ), **how)


def test_a_tone_without_noise_is_played_without_noise():
    t_s = np.arange(2 * RATE_HZ) / RATE_HZ
    hull = np.minimum(t_s / 0.02, 1) * np.minimum((2 - t_s) / 0.1, 1)
    tone = sum(np.sin(2 * np.pi * 330 * n * t_s) / n for n in range(1, 9))
    patch = match(((0.2 * hull * tone).astype(np.float32), RATE_HZ), timbre="wavetable").score.patch
    held = slice(5, 12)  # from 65 ms to 0.8 s
    assert np.max(patch["noise"][held]) < np.max(patch["harmonics"][:, held]) - 40
