"""What the networks hear: any sound as an auditory spectrogram, its overall gain removed.

One resampler, one front end, for targets and plants alike, and two ways to remove the gain:

- `loudness`, for the default networks: the spectrogram divided by its mean, and compressed.
- `unit-sequence`, as in the paper: the spectrogram of the unit-sequence melody, not compressed.

`linear` is the spectrogram itself, gain and all.

Of recordings more is heard, two octaves higher: `hear_wide`. And they may be mostly silence, so
their gain is that of the parts that sound: `hear_recording`.
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
RECORDING_RATE_HZ = 32000  # of sounds that hold all that is heard of recordings
HIGHER = 48  # channels of recordings beyond those heard at 8 kHz: 24 an octave, up to 14.5 kHz
RECORDING_CHANNELS = CHANNELS + HIGHER

FRAME_S = 0.008
SOUNDING_MEAN = 2.4


def frequencies_hz(channels: int) -> Float[np.ndarray, " channel"]:
    """Where the channels lie, 24 to the octave: 128 of most sounds, 176 of recordings."""
    return 220 * 2 ** ((np.arange(channels) - 31) / 24)


def frame_times_s(frames: int) -> Float[np.ndarray, " frame"]:
    """When each frame is heard: NSL's `wav2aud` samples at a frame's end."""
    return FRAME_S * np.arange(1, frames + 1)


@own_settings()
@torch.inference_mode()
def hear(
    audio: Float[np.ndarray, "*batch sample"], sample_rate_hz: int, hearing: Hearing = "loudness"
) -> Float[np.ndarray, "*batch channel=128 frame"]:
    """The auditory spectrogram of sounds at any rate, as the networks learn on it; float32."""
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
    """The sound at another rate, so many samples of it; float32."""
    resampled = resample(np.asarray(sound, np.float32), rate_hz, wanted_hz)[:wanted]
    return np.pad(resampled, (0, wanted - len(resampled)))


@own_settings()
@torch.inference_mode()
def hear_wide(
    audio: Float[np.ndarray, " sample"], sample_rate_hz: int
) -> Float[np.ndarray, "channel=176 frame"]:
    """The auditory spectrogram of a sound up to 14.5 kHz, not compressed; float32.

    A sound four times as fast is heard by the same filters two octaves higher.
    """
    low = hear(audio, sample_rate_hz, "linear")
    faster = RECORDING_RATE_HZ // HEARING_RATE_HZ
    wanted = faster * round(len(audio) * HEARING_RATE_HZ / sample_rate_hz)
    sound = _resampled(audio, sample_rate_hz, RECORDING_RATE_HZ, wanted)
    cochlea = Cochlea(sample_rate_hz=RECORDING_RATE_HZ, lowest_channel=CHANNELS - HIGHER)
    # What is heard is a sum over samples, of which there are more.
    return np.concatenate([low, cochlea(torch.from_numpy(sound)).numpy() / faster])


@own_settings()
def hear_recording(
    audio: Float[np.ndarray, " sample"], sample_rate_hz: int
) -> Float[np.ndarray, "channel=176 frame"]:
    """A recording's loudness-compressed auditory spectrogram; float32.

    Its loudness is the mean of what is heard below 4 kHz, weighted by itself: silence and a little
    noise, however long, do not count. Babbled phrases, which the networks know, have a mean of 1,
    their silences included; weighted so, it is about `SOUNDING_MEAN`.
    """
    S = hear_wide(audio, sample_rate_hz)
    return np.log1p(S * np.float32(4 * SOUNDING_MEAN / sounding_mean(S))) / 4


def sounding_mean(S: Float[np.ndarray, "channel=176 frame"]) -> float:
    """The mean loudness of what sounds below 4 kHz; 1 of silence."""
    loudness = S[:CHANNELS].mean(0, dtype=np.float64)
    mean = np.square(loudness).sum() / (loudness.sum() or 1.0)
    return float(mean) or 1.0


def uncompressed(heard: Float[np.ndarray, "channel frame"]) -> Float[np.ndarray, "channel frame"]:
    """Before `loudness_compress`, as a multiple of what was taken as the mean."""
    return np.expm1(4 * heard) / 4
