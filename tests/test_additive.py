"""Additive sound is predicted as the cochlea hears it."""

import numpy as np
import pytest
import torch

from mirrornet.features import hear_wide
from mirrornet.metrics import spectrogram_error
from mirrornet.models.additive import AdditiveSound, Timbre
from mirrornet.plants.timbre import BANDS_HZ, HARMONICS, TIMES_S, between

RATE_HZ = 44100
SILENT = -30.0  # log amplitude
# No partials beside the harmonics, and an end that is nearly exponential, as `Timbre` has them.
PLAIN = torch.zeros(len(TIMES_S), 0), torch.tensor(0.6).log(), torch.tensor(6.0).log()


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
