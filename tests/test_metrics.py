"""Metrics: known answers, invariants, and what must not be scored."""

import numpy as np
import pytest

from mirrornet.babbling import random_melodies
from mirrornet.metrics import (
    control_errors,
    duration_error_ms,
    notes_right,
    onset_error_ms,
    spectrogram_error,
)
from mirrornet.plants.vital import SET1

TRUE = random_melodies(SET1, "babble", 6, seed=5)
SPECTROGRAM = np.random.default_rng(0).random((3, 128, 250))


def changed(name: str, value) -> np.ndarray:
    other = TRUE.copy()
    other[:, SET1.row(name)] = value
    return other


def test_the_truth_scores_perfectly():
    assert spectrogram_error(SPECTROGRAM, SPECTROGRAM) == 0
    assert notes_right(TRUE, TRUE, SET1) == 1
    assert onset_error_ms(TRUE, TRUE, SET1) == duration_error_ms(TRUE, TRUE, SET1) == 0
    assert all(e["r2"] == 1 and e["mae"] == 0 for e in control_errors(TRUE, TRUE, SET1).values())


def test_the_mean_explains_nothing():
    mean = np.full_like(SPECTROGRAM, SPECTROGRAM.mean())
    assert spectrogram_error(SPECTROGRAM, mean) == pytest.approx(1)
    cutoff = TRUE[:, SET1.row("cutoff")].mean()
    assert control_errors(TRUE, changed("cutoff", cutoff), SET1)["cutoff"]["r2"] == pytest.approx(0)


def test_pitches_count_once_rounded():
    pitch = TRUE[:, 0]
    assert notes_right(TRUE, changed("pitch", np.clip(pitch + 0.04, 0, 1)), SET1) == 1
    one_wrong = TRUE.copy()
    one_wrong[0, 0, 0] = (one_wrong[0, 0, 0] + 0.5) % 1
    assert notes_right(TRUE, one_wrong, SET1) == pytest.approx(29 / 30)


def test_a_common_factor_of_durations_is_not_scored():
    row = SET1.row("duration")
    shares = 0.5 * (0.4 + 0.2 * TRUE[:, row]) + 0.4
    first, second = (
        changed("duration", (shares - 0.4) / 0.5),
        changed("duration", (1.2 * shares - 0.4) / 0.5),
    )
    assert duration_error_ms(first, second, SET1) == pytest.approx(0, abs=1e-9)


def test_times_are_in_milliseconds():
    a, b = np.full((1, 7, 2), 0.5), np.full((1, 7, 2), 0.5)
    b[0, 1] = [0.0, 1.0]  # shares 0.4 and 0.9 of 2 s: 615.4 and 1384.6 ms
    assert duration_error_ms(a, b, SET1) == pytest.approx(384.615, abs=1e-3)
    assert onset_error_ms(a, b, SET1) == pytest.approx(384.615, abs=1e-3)


def test_a_common_gain_is_not_scored():
    levels = 0.3 + 0.4 * TRUE[:, 2]
    softer = control_errors(changed("level", levels), changed("level", levels + 0.25), SET1)
    assert softer["level"]["mae_physical"] == pytest.approx(0, abs=1e-9)
    assert softer["level"]["r2"] == pytest.approx(1)


def test_errors_have_the_controls_units():
    half = control_errors(changed("cutoff", 0.5), changed("cutoff", 0.75), SET1)["cutoff"]
    assert half["mae"] == pytest.approx(0.25)
    assert half["mae_physical"] == pytest.approx(800)  # 800 Hz and 1600 Hz


@pytest.mark.parametrize("other", [SPECTROGRAM[:2], SPECTROGRAM * np.nan])
def test_what_cannot_be_compared_is_refused(other):
    with pytest.raises(ValueError, match="both must"):
        spectrogram_error(SPECTROGRAM, other)
