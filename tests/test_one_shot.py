"""Drums and other short sounds are played by one note; others are not."""

from pathlib import Path

import numpy as np
import pytest

import mirrornet as mn
from mirrornet.budget import Budget
from mirrornet.features import hear_recording
from mirrornet.matching.one_shot import ONE_SHOT, PITCH_MIDI, drum, may_be_one_shot, one_shots
from mirrornet.matching.timbre import TimbreMatch
from mirrornet.plants import load_plant
from mirrornet.plants.timbre import TIMES_S

RATE_HZ = 44100


def kick(lowest_hz: float = 50.0, falls_s: float = 0.04) -> np.ndarray:
    """A tone that falls by two octaves."""
    times_s = np.arange(round(0.4 * RATE_HZ)) / RATE_HZ
    at_hz = lowest_hz * 2 ** (2 * np.exp(-times_s / falls_s))
    tone = np.sin(2 * np.pi * np.cumsum(at_hz) / RATE_HZ)
    return (0.5 * tone * np.exp(-8 * times_s)).astype(np.float32)


def snare(duration_s: float = 0.5) -> np.ndarray:
    """A burst of noise that fades."""
    times_s = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    noise = np.random.default_rng(0).standard_normal(len(times_s))
    return (0.2 * noise * np.exp(-12 * times_s)).astype(np.float32)


@pytest.fixture(scope="module")
def found() -> mn.Match:
    return mn.match((snare(), RATE_HZ))


def test_a_snare_is_one_note_with_its_noise(found: mn.Match, tmp_path: Path):
    (note,) = found.notes
    assert note.pitch_midi == PITCH_MIDI
    assert note.onset_s < 0.02
    assert found.warnings == [ONE_SHOT]
    assert found.distances["spectrogram_error"] < 0.3
    noise = np.asarray(found.score.patch["noise"])
    assert noise[2].max() > noise[12].max() + 10  # dB: it fades
    found.save(tmp_path / "out")
    assert (tmp_path / "out" / "match.vital").stat().st_size > 10_000


def test_knobs_alone_do_not_play_it():
    try:
        said = mn.match((snare(), RATE_HZ), timbre="knobs").warnings
    except mn.AudioError as error:
        said = [str(error)]
    assert ONE_SHOT not in said
    assert said


def test_hits_that_come_again_and_long_sounds_are_no_one_shots():
    hit = hear_recording(snare(), RATE_HZ)
    assert may_be_one_shot(hit)
    assert not may_be_one_shot(np.tile(hit, 2))
    assert not may_be_one_shot(hear_recording(snare(4.5), RATE_HZ))
    assert not may_be_one_shot(np.zeros((176, 50), np.float32))


def test_a_short_note_with_a_pitch_keeps_it():
    times_s = np.arange(RATE_HZ // 2) / RATE_HZ
    pluck = sum(np.sin(2 * np.pi * 330 * h * times_s) / h for h in range(1, 9))
    found = mn.match(((0.1 * pluck * np.exp(-6 * times_s)).astype(np.float32), RATE_HZ))
    assert [note.pitch_midi for note in found.notes] == [64]
    assert ONE_SHOT not in found.warnings


def test_the_pitch_of_a_drum_falls():
    plant = load_plant("vital", controls="wavetable", sample_rate_hz=RATE_HZ)
    for lowest_hz in (50.0, 90.0):
        sound = kick(lowest_hz)
        score = drum(plant, sound, hear_recording(sound, RATE_HZ), 0.4)
        assert score is not None
        (note,) = score.notes
        pitch = note.pitch_midi + note.controls["tune"] / 100
        assert pitch == pytest.approx(69 + 12 * np.log2(lowest_hz / 440), abs=0.5)
        bend = np.asarray(score.patch["bend"])
        expected = 24 * np.exp(-np.array(TIMES_S) / 0.04)
        np.testing.assert_allclose(bend[2:], expected[2:], atol=2)
    assert drum(plant, snare(), hear_recording(snare(), RATE_HZ), 0.5) is None


def test_a_kick_is_one_note_and_its_fall_is_played():
    found = mn.match((kick(), RATE_HZ))
    assert len(found.notes) == 1
    assert found.distances["spectrogram_error"] < 0.15
    plant, heard = found.plant, found.target_heard
    low, falling = one_shots(plant, found.target, heard, 0.4)
    assert not low.patch
    played = TimbreMatch(plant, falling, found.target, heard).play(Budget(2))
    assert played.error < 0.15
    crossings = np.diff(np.signbit(played.audio).astype(int)) != 0
    counts = [crossings[round(s * RATE_HZ) : round((s + 0.1) * RATE_HZ)].sum() for s in (0.02, 0.2)]
    assert counts[0] > 1.3 * counts[1]
    assert counts[1] == pytest.approx(10, abs=3)  # 50 Hz, and some noise


def test_a_sweep_beyond_what_can_be_bent_is_matched():
    """More than four octaves."""
    times_s = np.arange(round(0.5 * RATE_HZ)) / RATE_HZ
    at_hz = 40 * 2 ** (6 * np.exp(-times_s / 0.05))
    zap = np.sin(2 * np.pi * np.cumsum(at_hz) / RATE_HZ) * np.exp(-5 * times_s)
    assert mn.match(((0.5 * zap).astype(np.float32), RATE_HZ)).notes


def test_a_click_is_matched():
    times_s = np.arange(round(0.03 * RATE_HZ)) / RATE_HZ
    noise = np.random.default_rng(1).standard_normal(len(times_s))
    found = mn.match(((0.3 * noise * np.exp(-200 * times_s)).astype(np.float32), RATE_HZ))
    assert len(found.notes) == 1
    assert found.distances["spectrogram_error"] < 0.4
