"""The control set `wavetable` of Vital plays what its controls say: bends, glides, ends."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.signal import hilbert
from vita import Synth  # pyright: ignore[reportPrivateImportUsage]
from vital_rules import problems

from mirrornet import match
from mirrornet.controls import Value
from mirrornet.errors import ControlError
from mirrornet.export.playing import play, read_score
from mirrornet.plants import Plant, load_plant, make_plant
from mirrornet.plants.timbre import BANDS_HZ, HARMONICS, PARTIALS, TIMES_S
from mirrornet.plants.vital import Vital
from mirrornet.score import Note, Score

RATE_HZ = 44100


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


@pytest.mark.parametrize("drawn", [False, True])
def test_a_note_sounds_the_same_on_a_used_plant(drawn: bool):
    """Whatever was played before: on the same key or on another, louder or longer."""
    plant = load_plant("vital", controls="wavetable", sample_rate_hz=RATE_HZ)
    chance = np.random.default_rng(0)
    controls = pure_tone(plant) | {"release": 3.0}
    if drawn:
        controls = plant.sample(chance).resolved[0].controls
    notes = [
        Note(key, 0.0, float(chance.uniform(0.05, 0.4)), controls | {"level": level, "tune": tune})
        for key in (60, 60, 72)
        for level, tune in ((0.0, 0.0), (-15.0, 20.0))
    ]
    first = [make_plant("vital-wavetable", sample_rate_hz=RATE_HZ).play([note]) for note in notes]
    for number in (*range(len(notes)), *chance.permutation(len(notes))):
        again = plant.play([notes[number]])
        np.testing.assert_allclose(again, first[number], rtol=0, atol=1e-6)
