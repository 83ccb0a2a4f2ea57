"""Any timbre: the harmonics and noise of a recording as controls, found by additive sound, and
played by Vital's wavetables."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.signal import hilbert
from vita import Synth  # pyright: ignore[reportPrivateImportUsage]
from vital_rules import problems

from mirrornet import match
from mirrornet.budget import Budget
from mirrornet.controls import Value
from mirrornet.errors import ControlError
from mirrornet.export.match import Match
from mirrornet.export.playing import play, read_score
from mirrornet.features import hear_recording, hear_wide
from mirrornet.matching import timbre
from mirrornet.metrics import spectrogram_error
from mirrornet.models.additive import AdditiveSound, Timbre
from mirrornet.models.mirrornet import load_model
from mirrornet.plants import Plant, load_plant
from mirrornet.plants.timbre import BANDS_HZ, HARMONICS, PARTIALS, TIMES_S, between
from mirrornet.plants.vital import Vital
from mirrornet.score import Note, Score

RATE_HZ = 44100
TUNE = (55, 60, 64, 62, 67)
SILENT = -30.0  # log amplitude
# No partials beside the harmonics, and an end that is nearly exponential, as `Timbre` has them.
PLAIN = torch.zeros(len(TIMES_S), 0), torch.tensor(0.6).log(), torch.tensor(6.0).log()


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


@pytest.mark.parametrize(("pitch", "limit"), [(60, 0.01), (72, 0.005), (84, 0.005)])
def test_additive_sound_is_predicted_as_the_cochlea_hears_it(pitch: int, limit: float):
    generator = np.random.default_rng(pitch)
    amplitudes = 10 ** (generator.uniform(-6, 6, len(HARMONICS)) / 20) / np.array(HARMONICS)
    every = between(np.arange(1.0, HARMONICS[-1] + 1), HARMONICS) @ amplitudes
    pitch_hz, t_s = 440 * 2 ** ((pitch - 69) / 12), np.arange(RATE_HZ) / RATE_HZ
    partials = [
        every[n - 1] * np.cos(2 * np.pi * (n * pitch_hz * t_s + generator.random()))
        for n in range(1, len(every) + 1)
        if n * pitch_hz < 15000
    ]
    heard = hear_wide(np.sum(partials, 0).astype(np.float32), RATE_HZ)[:, 50:100]
    sound = AdditiveSound([pitch], [0.0], [1.0], 125, (pitch, pitch + 12))
    sung = Timbre(
        torch.tensor(np.log(amplitudes)).float().expand(2, len(TIMES_S), -1),
        torch.full((len(TIMES_S), len(BANDS_HZ)), SILENT),
        *PLAIN,
    )
    predicted = sound.spectrogram(sung, torch.zeros(1))[:, 50:100].numpy()
    loud, expected = (np.log1p(4 * S / heard.mean()) / 4 for S in (heard, predicted))
    assert spectrogram_error(loud, expected) < limit


def test_noise_is_predicted_as_the_cochlea_hears_it():
    white = np.random.default_rng(0).standard_normal(2 * RATE_HZ).astype(np.float32)
    heard = hear_wide(white, RATE_HZ)[:, 50:].mean(1)
    level = 0.5 * np.log(4 * 100 / RATE_HZ)  # its power in 100 Hz, as of a sinusoid
    sung = Timbre(
        torch.full((2, len(TIMES_S), len(HARMONICS)), SILENT),
        torch.full((len(TIMES_S), len(BANDS_HZ)), level),
        *PLAIN,
    )
    sound = AdditiveSound([60], [0.0], [2.0], 250, (60, 72))
    predicted = sound.spectrogram(sung, torch.zeros(1))[:, 50:].mean(1).numpy()
    means = [S[16:].reshape(-1, 16).mean(1) for S in (predicted, heard)]  # over 16 channels
    np.testing.assert_allclose(*means, rtol=0.1)


def saw() -> Timbre:
    """Of 20 harmonics, steady and without noise."""
    falling = -np.log(np.array(HARMONICS, float))
    table = torch.from_numpy(np.where(np.array(HARMONICS) <= 20, falling, SILENT)).float()
    return Timbre(
        table.expand(2, len(TIMES_S), -1),
        torch.full((len(TIMES_S), len(BANDS_HZ)), SILENT),
        *PLAIN,
    )


def test_additive_sound_rises_and_falls_as_the_cochlea_hears_it():
    """A tone that starts at once: most of what is heard of it in the first frames is predicted."""
    times_s = np.arange(RATE_HZ) / RATE_HZ
    since_s = times_s - 0.2
    tone = sum(np.sin(2 * np.pi * 262 * h * since_s) / h for h in range(1, 21))
    heard = hear_wide((tone * (since_s >= 0)).astype(np.float32), RATE_HZ)
    sound = saw()
    pitch = 69 + 12 * np.log2(262 / 440)
    predicted = AdditiveSound([pitch], [0.2], [1.0], heard.shape[1], (48, 72))
    rise = predicted.spectrogram(sound, torch.zeros(1)).sum(0).numpy()
    actual = heard.sum(0)
    steady = slice(70, 110)
    rise, actual = rise / rise[steady].mean(), actual / actual[steady].mean()
    np.testing.assert_allclose(rise[25:45], actual[25:45], atol=0.2)
    assert actual[25] < 0.6  # it is not at once


def pure_tone(plant: Plant, bend: Sequence[float] = ()) -> dict[str, Value]:
    """A patch whose notes are sinusoids, at their full level."""
    controls = plant.controls.knobs.from_vector(np.full(len(plant.controls.knobs.rows), 0.5))
    harmonics = np.full((2, len(TIMES_S), len(HARMONICS)), -100.0)
    harmonics[..., 0] = 0
    controls |= {"harmonics": harmonics, "noise": np.full((len(TIMES_S), len(BANDS_HZ)), -100.0)}
    controls |= {"partial_levels": np.full((len(TIMES_S), PARTIALS), -100.0)}
    controls |= {"level": 0.0, "vibrato_depth": 0.0, "tune": 0.0, "release": 0.03}
    return controls | ({"bend": np.array(bend)} if len(bend) else {})


def frequency_hz(audio: np.ndarray, at_s: float) -> float:
    """Of a sinusoid, about a time."""
    part = audio[round((at_s - 0.05) * RATE_HZ) : round((at_s + 0.05) * RATE_HZ)]
    phase = np.unwrap(np.angle(np.asarray(hilbert(part))))
    inner = slice(len(part) // 4, -len(part) // 4)
    return float(np.diff(phase[inner]).mean() * RATE_HZ / (2 * np.pi))


def test_a_glide_is_played_and_the_next_note_stays():
    plant = load_plant("vital", controls="wavetable", sample_rate_hz=RATE_HZ)
    controls = pure_tone(plant)
    glide = ((0.008, -2.0), (0.3, 0.0), (0.6, 3.0))
    notes = [Note(60, 0.0, 0.8, controls), Note(60, 1.0, 1.8, controls, glide=glide)]
    notes.append(Note(60, 2.0, 2.8, controls))
    audio = plant.render(Score(notes, {}, 3.0))
    for at_s in (0.1, 0.3, 0.45, 0.7):
        semitones = float(np.interp(at_s, *np.array(glide).T))
        pitch_hz = 440 * 2 ** ((60 + semitones - 69) / 12)
        assert frequency_hz(audio, 1 + at_s) == pytest.approx(pitch_hz, rel=0.005)
    np.testing.assert_array_equal(audio[:RATE_HZ], audio[2 * RATE_HZ :])


def test_a_bend_of_the_patch_is_played_by_all_notes_and_is_in_the_preset():
    plant = load_plant("vital", controls="wavetable", sample_rate_hz=RATE_HZ)
    bend = np.interp(TIMES_S, (0.0, 0.4, 0.8), (12.0, 12.0, 0.0))
    controls = pure_tone(plant, bend.tolist())
    audio = plant.render(Score([Note(48, 0.0, 1.0, controls), Note(60, 1.2, 2.2, controls)], {}))
    for start_s, key in ((0.0, 48), (1.2, 60)):
        for at_s in (0.2, 0.6, 0.95):
            pitch_hz = 440 * 2 ** ((key + np.interp(at_s, TIMES_S, bend) - 69) / 12)
            assert frequency_hz(audio, start_s + at_s) == pytest.approx(pitch_hz, rel=0.01)
    synth = Synth()
    synth.set_sample_rate(RATE_HZ)
    assert isinstance(plant, Vital)
    text = plant.preset(Note(48, 0.0, 1.0, controls, glide=((0.0, 0.0), (0.5, 0.0))))
    assert problems(text) == []
    assert synth.load_json(text)
    synth.render(60, 1.0, 1.5, 1.5)
    again = synth.render(48, 1.0, 1.0, 1.0)[0]
    assert frequency_hz(again, 0.2) == pytest.approx(440 * 2 ** ((60 - 69) / 12), rel=0.01)


def test_a_saved_glide_is_played_again(tmp_path: Path):
    sound = slide()
    found = match((sound, RATE_HZ), timbre="wavetable")
    assert len(found.notes) == 1
    (note,) = found.score.notes
    assert np.array(note.glide)[:, 1].min() < -1
    assert found.distances["spectrogram_error"] < 0.1
    for at_s in (0.15, 0.7):
        expected_hz = 330 * 2 ** (bent(at_s) / 12)
        assert frequency_hz(found.audio, at_s) == pytest.approx(expected_hz, rel=0.02)
    found.save(tmp_path / "out")
    assert (tmp_path / "out" / "melody-mpe.mid").is_file()
    again = play(read_score(tmp_path / "out" / "controls.json"), None, RATE_HZ)
    least = min(len(again), len(found.audio))
    assert np.corrcoef(again[:least], found.audio[:least])[0, 1] > 0.999


def bent(at_s: Any) -> Any:
    """Semitones: from three below, in half a second."""
    return np.interp(at_s, (0.0, 0.5), (-3.0, 0.0))


def slide() -> np.ndarray:
    times_s = np.arange(round(1.2 * RATE_HZ)) / RATE_HZ
    phase = 2 * np.pi * np.cumsum(330 * 2 ** (bent(times_s) / 12)) / RATE_HZ
    loud = np.minimum(times_s / 0.02, 1) * np.minimum((1.2 - times_s) / 0.05, 1)
    return (0.2 * loud * (np.sin(phase) + 0.1 * np.sin(2 * phase))).astype(np.float32)


@pytest.mark.parametrize("glide", [((0.3, 1.0), (0.1, 0.0)), ((-0.1, 0.0),), ((0.0, np.nan),)])
def test_a_glide_that_makes_no_sense_is_refused(glide):
    plant = load_plant("vital", controls="wavetable", sample_rate_hz=RATE_HZ)
    with pytest.raises(ControlError, match="a glide has points of time"):
        plant.render(Score([Note(60, 0.0, 1.0, pure_tone(plant), glide=glide)], {}, 1.0))


def test_a_glide_of_one_point_moves_the_whole_note():
    plant = load_plant("vital", controls="wavetable", sample_rate_hz=RATE_HZ)
    note = Note(60, 0.0, 1.0, pure_tone(plant), glide=((0.0, 2.0),))
    audio = plant.render(Score([note], {}, 1.0))
    assert frequency_hz(audio, 0.5) == pytest.approx(440 * 2 ** ((62 - 69) / 12), rel=0.005)


def test_additive_sound_follows_a_moving_pitch():
    times_s = np.arange(RATE_HZ) / RATE_HZ
    curve = np.array([0.0, 0.3, 0.7, 1.0]), np.array([0.0, 0.0, 7.0, 7.0])
    at_hz = 262 * 2 ** (np.interp(times_s, *curve) / 12)
    phase = 2 * np.pi * np.cumsum(at_hz) / RATE_HZ
    tone = np.sum([np.sin(h * phase) / h for h in range(1, 21)], axis=0)
    heard = hear_wide(tone.astype(np.float32), RATE_HZ)[:, 10:115]
    sung = saw()
    pitch = 69 + 12 * np.log2(262 / 440)
    errors = []
    for curves in ([], [curve]):
        sound = AdditiveSound([pitch], [0.0], [1.0], 125, (pitch, 72), 0.0, curves)
        predicted = sound.spectrogram(sung, torch.zeros(1))[:, 10:115].numpy()
        loud, expected = (np.log1p(4 * S / heard.mean()) / 4 for S in (heard, predicted))
        errors.append(spectrogram_error(loud, expected))
    assert errors[1] < 0.05
    assert errors[1] < 0.1 * errors[0]


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


def test_a_long_recording_is_fitted_in_an_excerpt():
    sound = reed((*TUNE, *TUNE[::-1], *TUNE, *TUNE[::-1], *TUNE[:2]))
    whole = match((sound, RATE_HZ), timbre="wavetable")
    assert len(whole.notes) == 22
    assert whole.distances["spectrogram_error"] < 0.1


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


@pytest.mark.parametrize("curve", [0.3, 3.0, 8.0])
def test_a_note_ends_as_it_is_predicted(curve: float):
    plant = load_plant("vital", controls="wavetable", sample_rate_hz=RATE_HZ)
    controls = pure_tone(plant) | {"release": 0.4, "release_curve": curve}
    audio = plant.play([Note(72, 0.0, 0.5, controls)])
    share = np.array([0.1, 0.25, 0.5, 0.75])
    places = np.round(RATE_HZ * (0.5 + 0.4 * share)).astype(int)
    held = np.abs(audio[RATE_HZ // 4 : RATE_HZ // 2]).max()
    falls = [np.abs(audio[place - 60 : place + 60]).max() / held for place in places]
    expected = ((np.exp(-curve * share) - np.exp(-curve)) / (1 - np.exp(-curve))) ** 2
    np.testing.assert_allclose(20 * np.log10(falls), 20 * np.log10(expected), atol=1.5)


def test_a_tone_without_noise_is_played_without_noise():
    t_s = np.arange(2 * RATE_HZ) / RATE_HZ
    hull = np.minimum(t_s / 0.02, 1) * np.minimum((2 - t_s) / 0.1, 1)
    tone = sum(np.sin(2 * np.pi * 330 * n * t_s) / n for n in range(1, 9))
    patch = match(((0.2 * hull * tone).astype(np.float32), RATE_HZ), timbre="wavetable").score.patch
    held = slice(5, 12)  # from 65 ms to 0.8 s
    assert np.max(patch["noise"][held]) < np.max(patch["harmonics"][:, held]) - 40


def test_a_repeated_note_sounds_the_same_on_a_used_plant():
    plant = load_plant("vital", controls="wavetable", sample_rate_hz=RATE_HZ)
    controls = pure_tone(plant) | {"release": 3.0}
    notes = [Note(key, 0.0, 0.3, controls) for key in (60, 60, 72, 60, 60)]
    first = plant.play([notes[0]])
    for note in notes[1:]:
        again = plant.play([note])
        if note.pitch_midi == 60:
            np.testing.assert_allclose(again, first, rtol=0, atol=1e-6)
