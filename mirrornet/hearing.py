"""What the networks hear: any sound as an auditory spectrogram, its overall gain removed.

One resampler, one front end, for targets and plants alike, and two ways to remove the gain:

- `loudness`, for the default networks: the spectrogram divided by its mean, and compressed.
- `unit-sequence`, as in the paper: the spectrogram of the unit-sequence melody, not compressed.

`linear` is the spectrogram itself, gain and all.

A recording may be mostly silence, so its gain is that of the parts that sound: `hear_recording`.
"""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float

from .audio import resample
from .cochlea import Cochlea, loudness_compress, unit_sequence

Hearing = Literal["loudness", "unit-sequence", "linear"]
HEARING_RATE_HZ = 8000

FRAME_S = 0.008
SOUNDING_MEAN = 2.4


def frame_times_s(frames: int) -> Float[np.ndarray, " frame"]:
    """When each frame is heard: NSL's `wav2aud` samples at a frame's end."""
    return FRAME_S * np.arange(1, frames + 1)


@torch.inference_mode()
def hear(
    audio: Float[np.ndarray, "*batch sample"], sample_rate_hz: int, hearing: Hearing = "loudness"
) -> Float[np.ndarray, "*batch channel=128 frame"]:
    """The auditory spectrogram of sounds at any rate, as the networks learn on it; float32."""
    batch, samples = audio.shape[:-1], audio.shape[-1]
    wanted = round(samples * HEARING_RATE_HZ / sample_rate_hz)
    sounds = np.zeros((int(np.prod(batch)), wanted), np.float32)
    for row, sound in zip(sounds, audio.reshape(-1, samples), strict=True):
        resampled = resample(sound.astype(np.float32), sample_rate_hz, HEARING_RATE_HZ)[:wanted]
        row[: len(resampled)] = resampled
    cochlea = Cochlea(sample_rate_hz=HEARING_RATE_HZ)
    tensor = torch.from_numpy(sounds)
    if hearing == "unit-sequence":
        S = cochlea(unit_sequence(tensor))
    else:
        S = cochlea(tensor)
        if hearing == "loudness":
            S = loudness_compress(S)
    return S.reshape(*batch, *S.shape[-2:]).numpy()


def hear_recording(
    audio: Float[np.ndarray, " sample"], sample_rate_hz: int
) -> Float[np.ndarray, "channel=128 frame"]:
    """A recording's loudness-compressed auditory spectrogram; float32.

    Its loudness is the mean of what is heard, weighted by itself: silence and a little noise,
    however long, do not count. Babbled phrases, which the networks know, have a mean of 1, their
    silences included; weighted so, it is about `SOUNDING_MEAN`.
    """
    S = hear(audio, sample_rate_hz, "linear")
    loudness = S.mean(0, dtype=np.float64)
    mean = np.square(loudness).sum() / (loudness.sum() or 1.0)
    return np.log1p(S * np.float32(4 * SOUNDING_MEAN / (mean or 1.0))) / 4


def uncompressed(heard: Float[np.ndarray, "channel frame"]) -> Float[np.ndarray, "channel frame"]:
    """Before `loudness_compress`, as a multiple of what was taken as the mean."""
    return np.expm1(4 * heard) / 4
