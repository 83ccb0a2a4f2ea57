"""Auditory spectrograms as the networks' input, with the overall gain removed.

Targets and plants share one resampler and one front end. The gain is removed in one of two ways:

- `loudness`, for the default networks: the spectrogram is divided by its mean and compressed.
- `unit-sequence`, as in the paper: the spectrogram of the sound at zero mean and unit variance, not
  compressed.

`linear` is the spectrogram itself, with its gain.

Spectrograms of recordings extend two octaves higher (`hear_wide`). Recordings may be mostly
silence, so their gain is measured on the parts that sound (`hear_recording`).
"""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float

from .audio import resample
from .cochlea import CHANNELS, Cochlea, loudness_compress, unit_sequence
from .runtime import own_settings

Hearing = Literal["loudness", "unit-sequence", "linear"]
HEARING_RATE_HZ = 8000
RECORDING_RATE_HZ = 32000  # the sample rate that covers all channels of recordings
HIGHER = 48  # channels of recordings above those at 8 kHz: 24 per octave, up to 14.5 kHz
RECORDING_CHANNELS = CHANNELS + HIGHER

FRAME_S = 0.008
SOUNDING_MEAN = 2.4


def frequencies_hz(channels: int) -> Float[np.ndarray, " channel"]:
    """Characteristic frequencies of the channels: 128 of most sounds, 176 of recordings."""
    return 220 * 2 ** ((np.arange(channels) - 31) / 24)


def frame_times_s(frames: int) -> Float[np.ndarray, " frame"]:
    """The time of each frame: NSL's `wav2aud` samples at a frame's end."""
    return FRAME_S * np.arange(1, frames + 1)


@own_settings()
@torch.inference_mode()
def hear(
    audio: Float[np.ndarray, "*batch sample"], sample_rate_hz: int, hearing: Hearing = "loudness"
) -> Float[np.ndarray, "*batch channel=128 frame"]:
    """Compute auditory spectrograms of sounds at any rate, as the networks' input; float32."""
    batch, samples = audio.shape[:-1], audio.shape[-1]
    wanted = round(samples * HEARING_RATE_HZ / sample_rate_hz)
    sounds = [
        _resampled(sound, sample_rate_hz, HEARING_RATE_HZ, wanted)
        for sound in audio.reshape(-1, samples)
    ]
    cochlea = Cochlea(sample_rate_hz=HEARING_RATE_HZ)
    tensor = torch.from_numpy(np.array(sounds, np.float32).reshape(len(sounds), wanted))
    if hearing == "unit-sequence":
        S = cochlea(unit_sequence(tensor))
    else:
        S = cochlea(tensor)
        if hearing == "loudness":
            S = loudness_compress(S)
    return S.reshape(*batch, *S.shape[-2:]).numpy()


def _resampled(
    sound: Float[np.ndarray, " sample"], rate_hz: int, wanted_hz: int, wanted: int
) -> Float[np.ndarray, " wanted"]:
    """The sound at another rate, cut or zero-padded to `wanted` samples; float32."""
    resampled = resample(np.asarray(sound, np.float32), rate_hz, wanted_hz)[:wanted]
    return np.pad(resampled, (0, wanted - len(resampled)))


@own_settings()
@torch.inference_mode()
def hear_wide(
    audio: Float[np.ndarray, " sample"], sample_rate_hz: int
) -> Float[np.ndarray, "channel=176 frame"]:
    """Compute the auditory spectrogram of a sound up to 14.5 kHz, not compressed; float32.

    The upper 48 channels are the same filters at four times the sample rate: two octaves higher.
    """
    low = hear(audio, sample_rate_hz, "linear")
    faster = RECORDING_RATE_HZ // HEARING_RATE_HZ
    wanted = faster * round(len(audio) * HEARING_RATE_HZ / sample_rate_hz)
    sound = _resampled(audio, sample_rate_hz, RECORDING_RATE_HZ, wanted)
    cochlea = Cochlea(sample_rate_hz=RECORDING_RATE_HZ, lowest_channel=CHANNELS - HIGHER)
    # The spectrogram is a sum over samples, of which there are more.
    return np.concatenate([low, cochlea(torch.from_numpy(sound)).numpy() / faster])


@own_settings()
def hear_recording(
    audio: Float[np.ndarray, " sample"], sample_rate_hz: int
) -> Float[np.ndarray, "channel=176 frame"]:
    """Compute a recording's loudness-compressed auditory spectrogram; float32.

    The mean that it is divided by is `sounding_mean`, on which silence and faint noise, however
    long, have no effect. Babbled phrases, on which the networks were trained, are scaled to a mean
    of 1, silences included; their `sounding_mean` is then about `SOUNDING_MEAN`.
    """
    return compressed(hear_wide(audio, sample_rate_hz))


def compressed(
    S: Float[np.ndarray, "channel=176 frame"], mean: float | None = None
) -> Float[np.ndarray, "channel=176 frame"]:
    """Compress a spectrogram of `hear_wide` as in `hear_recording`. It is divided by its
    `sounding_mean`, or by that of another sound."""
    mean = sounding_mean(S) if mean is None else mean
    return np.log1p(S * np.float32(4 * SOUNDING_MEAN / mean)) / 4


def sounding_mean(S: Float[np.ndarray, "channel=176 frame"]) -> float:
    """The mean loudness below 4 kHz, frames weighted by their own loudness; 1 for silence."""
    loudness = S[:CHANNELS].mean(0, dtype=np.float64)
    mean = np.square(loudness).sum() / (loudness.sum() or 1.0)
    return float(mean) or 1.0


def uncompressed(heard: Float[np.ndarray, "channel frame"]) -> Float[np.ndarray, "channel frame"]:
    """Invert `loudness_compress`: the spectrogram as a multiple of the mean it was divided by."""
    return np.expm1(4 * heard) / 4
