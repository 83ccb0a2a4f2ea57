"""What the networks hear: any sound as a loudness-compressed auditory spectrogram.

One resampler, one front end, one compression, for targets and plants alike.
"""

import numpy as np
import soxr
import torch
from jaxtyping import Float
from torch import Tensor

from .cochlea import Cochlea, loudness_compress

HEARING_RATE_HZ = 8000
CHANNELS = 128
FRAME_S = 0.008


def resample(
    audio: Float[np.ndarray, " sample"], sample_rate_hz: int, to_hz: int
) -> Float[np.ndarray, " resampled"]:
    """soxr at high quality: aliases below -140 dB. The only resampler of the package."""
    return soxr.resample(audio, sample_rate_hz, to_hz, quality="HQ")


def spectrogram(
    audio: Float[np.ndarray, "*batch sample"], sample_rate_hz: int
) -> Float[Tensor, "*batch channel=128 frame"]:
    """The auditory spectrogram of sounds at any rate, without compression."""
    batch, samples = audio.shape[:-1], audio.shape[-1]
    sounds = audio.reshape(-1, samples).astype(np.float32)
    wanted = round(samples * HEARING_RATE_HZ / sample_rate_hz)
    heard = np.zeros((len(sounds), wanted), np.float32)
    for row, sound in zip(heard, sounds, strict=True):
        resampled = resample(sound, sample_rate_hz, HEARING_RATE_HZ)[:wanted]
        row[: len(resampled)] = resampled
    with torch.inference_mode():
        S = Cochlea(sample_rate_hz=HEARING_RATE_HZ)(torch.from_numpy(heard))
    return S.reshape(*batch, *S.shape[-2:])


def hear(
    audio: Float[np.ndarray, "*batch sample"], sample_rate_hz: int
) -> Float[Tensor, "*batch channel=128 frame"]:
    """The compressed auditory spectrogram of sounds at any rate: what the networks learn on."""
    return loudness_compress(spectrogram(audio, sample_rate_hz))
