"""What is heard of recordings, beyond what is heard of melodies."""

from pathlib import Path

import numpy as np
import pytest

from mirrornet.cochlea import CHANNELS
from mirrornet.features import (
    HIGHER,
    RECORDING_CHANNELS,
    frequencies_hz,
    hear_recording,
    hear_wide,
)

# Sounds, and their spectrograms by the original NSL toolbox run in Octave, float64.
GOLDEN = np.load(Path(__file__).parent / "golden" / "auditory_spectrogram.npz")
RATE_HZ = 44100
TIMES_S = np.arange(RATE_HZ) / RATE_HZ


def tone(frequency_hz: float) -> np.ndarray:
    return np.sin(2 * np.pi * frequency_hz * TIMES_S).astype(np.float32)


@pytest.mark.parametrize("sound", ["noise", "chirp", "tone"])
def test_below_4_khz_recordings_are_heard_as_by_the_toolbox(sound):
    wide, expected = hear_wide(GOLDEN[f"x_{sound}"], 8000), GOLDEN[f"{sound}_linear"]
    assert wide.shape == (RECORDING_CHANNELS, 250)
    # The toolbox drops the last sample of a sound of whole frames.
    np.testing.assert_allclose(
        wide[:CHANNELS, :-1], expected[:, :-1], rtol=0, atol=2e-6 * expected.max()
    )


@pytest.mark.parametrize("frequency_hz", [300.0, 3000.0, 5000.0, 9000.0, 11000.0])
def test_a_tone_is_heard_at_its_frequency_and_as_loud_wherever_that_is(frequency_hz):
    heard = hear_wide(tone(frequency_hz), RATE_HZ)[:, 60]
    centres_hz = frequencies_hz(RECORDING_CHANNELS)
    assert abs(np.log2(centres_hz[heard.argmax()] / frequency_hz)) < 2 / 24
    assert heard.sum() == pytest.approx(hear_wide(tone(1000.0), RATE_HZ)[:, 60].sum(), rel=0.15)


def test_two_octaves_higher_the_same_is_heard_48_channels_up():
    low, high = (hear_wide(tone(hz), RATE_HZ)[:, 60] for hz in (2500.0, 10000.0))
    np.testing.assert_allclose(high[HIGHER + 20 :], low[20:CHANNELS], atol=0.02 * low.max())


def test_a_sound_with_nothing_above_4_khz_differs_from_one_that_has():
    dull = tone(440.0)
    bright = dull + 0.2 * tone(8000.0)
    a, b = (hear_recording(sound, RATE_HZ) for sound in (dull, bright))
    np.testing.assert_allclose(a[:120], b[:120], atol=0.03)
    assert (b - a)[CHANNELS:].max() > 0.1
