"""Syllables of random singers: where the sound changes, and that no note starts at a joint."""

import numpy as np

from mirrornet.training.additive_voice import play
from mirrornet.training.performance import Performance, Played, pitch_curve
from mirrornet.training.singing import articulate

TIMES_S = 0.008 * np.arange(501)
LONG = Played(60.0, 0.5, 1.5, 0.0)


def test_joints_change_the_sound_within_a_note_at_once():
    """Only voices that are put together have jumps within their vowels."""
    jumps = {True: 0, False: 0}
    vowel = slice(round(0.7 / 0.008), round(1.3 / 0.008))  # between consonants
    for joined in jumps:
        for seed in range(40):
            sung = articulate([LONG], TIMES_S, joined, np.random.default_rng(seed))
            steps = np.abs(np.diff(sung.gain_db[vowel]))
            jumps[joined] += bool(steps.max() > 0.5)
    assert jumps[False] == 0
    assert jumps[True] > 20


def test_fricatives_sound_before_the_voice_and_sonorants_with_it():
    before, after = [], []
    for seed in range(60):
        sung = articulate([LONG], TIMES_S, False, np.random.default_rng(seed))
        start = round(0.5 / 0.008)
        noisy = sung.noise[start - 3 : start].max() > 0.1
        (before if noisy else after).append(sung.gain_db[start + 3])
    assert len(before) > 8
    assert np.mean(np.array(after) < -0.5) > 0.3  # sonorants are less loud than the vowel
    assert np.mean(np.array(before) < -0.5) < 0.1


def test_a_glide_may_come_before_its_note():
    early = Played(62.0, 1.5, 2.0, 0.0, slurred=True, glide_s=0.1, early=1.0)
    times_s, pitch = pitch_curve([LONG, early], np.random.default_rng(0))
    assert np.interp(1.39, times_s, pitch) == 60
    assert np.interp(1.51, times_s, pitch) == 62
    assert 60.5 < np.interp(1.45, times_s, pitch) < 61.5


def test_a_sung_performance_is_labelled_where_its_notes_are():
    notes = [LONG, Played(62.0, 1.5, 2.5, 0.0, slurred=True)]
    sounded = play(Performance("sung", notes), np.random.default_rng(3))
    np.testing.assert_allclose(sounded.onsets_s, [0.5, 1.5])
    held = ~np.isnan(sounded.pitch)
    assert held[round(0.6 / 0.008) : round(2.4 / 0.008)].all()
    assert not held[: round(0.45 / 0.008)].any()
    assert np.abs(sounded.sound).max() > 0.05
