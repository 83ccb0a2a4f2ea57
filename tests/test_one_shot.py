"""Sounds without a pitch are played by one note; others are not."""

from pathlib import Path

import numpy as np
import pytest

import mirrornet as mn
from mirrornet.features import hear_recording
from mirrornet.matching.one_shot import KEY_MIDI, ONE_SHOT, may_be_one_shot

RATE_HZ = 44100


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
    assert note.pitch_midi == KEY_MIDI
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
