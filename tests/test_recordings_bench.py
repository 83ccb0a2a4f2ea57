"""The benchmark of recordings: what it plays, and how it scores."""

from itertools import pairwise

import numpy as np
import pytest

pytest.importorskip("mir_eval")
pytest.importorskip("librosa")

from mirrornet.experiments.recordings import (
    INSTRUMENTS,
    RATE_HZ,
    SOUND_S,
    TUNED_ON,
    instrument_phrases,
    note_scores,
    plant_phrases,
    read_with_pyin,
)
from mirrornet.melody import Note

PLAYED = [Note(60, 0.0, 0.4), Note(64, 0.5, 0.9), Note(67, 1.0, 1.8), Note(67, 2.0, 2.4)]


def test_scores_are_those_of_mir_eval():
    assert note_scores(PLAYED, PLAYED) == {"onset_f1": 1, "note_f1": 1, "note_offset_f1": 1}
    assert set(note_scores(PLAYED, []).values()) == {0.0}
    other = [
        Note(60, 0.04, 0.4),  # right
        Note(65, 0.5, 0.9),  # another pitch
        Note(67, 1.0, 1.2),  # ends too soon
        Note(67, 2.06, 2.4),  # 60 ms late
    ]
    scores = note_scores(PLAYED, other)
    assert scores["onset_f1"] == pytest.approx(3 / 4)
    assert scores["note_f1"] == pytest.approx(2 / 4)
    assert scores["note_offset_f1"] == pytest.approx(1 / 4)


def test_no_instrument_is_scored_that_was_tuned_on():
    assert not set(INSTRUMENTS) & set(TUNED_ON)


def test_the_same_seed_gives_the_same_phrases():
    pytest.importorskip("tinysoundfont")
    notes, sound = next(instrument_phrases(73, 0))
    again, other = next(instrument_phrases(73, 1))
    assert notes == next(instrument_phrases(73, 0))[0]
    assert notes != again
    assert len(sound) == len(other) == round(SOUND_S * RATE_HZ)
    assert all(a.offset_s <= b.onset_s + 1e-9 for a, b in pairwise(notes))
    assert np.abs(next(plant_phrases(0))[1]).max() > 1e-3


def test_pyin_reads_a_plain_tune():
    late = [Note(n.pitch_midi, n.onset_s + 0.3, n.offset_s + 0.3) for n in PLAYED]
    times_s = np.arange(3 * RATE_HZ) / RATE_HZ
    sound = np.zeros_like(times_s)
    for note in late:
        own = (times_s >= note.onset_s) & (times_s < note.offset_s)
        hz, since_s = 440 * 2 ** ((note.pitch_midi - 69) / 12), times_s[own] - note.onset_s
        tone = sum(np.sin(2 * np.pi * k * hz * since_s) / k for k in range(1, 6))
        sound[own] = 0.3 * tone * np.exp(-4 * since_s) * (1 - (since_s / since_s[-1]) ** 8)
    read = read_with_pyin(sound.astype(np.float32))
    assert note_scores(late, read)["note_f1"] >= 0.85
