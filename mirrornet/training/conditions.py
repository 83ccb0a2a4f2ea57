"""Recording conditions: rooms, telephones and small speakers, noise, codecs, clipping.

The notes of a recording stay the same in all of them, so a reader of notes must read the same.
"""

import io

import numpy as np
import soundfile
from jaxtyping import Float
from scipy.signal import butter, fftconvolve, sosfilt

from ..audio import resample

Sound = Float[np.ndarray, " sample"]
CODECS = (("MP3", "MPEG_LAYER_III"), ("OGG", "VORBIS"), ("OGG", "OPUS"))


def in_room(
    sound: Sound,
    sample_rate_hz: int,
    decay_s: float,
    direct_db: float,
    generator: np.random.Generator,
) -> Sound:
    """Play a sound in a room.

    Args:
        decay_s: time in which the reverberation falls by 60 dB (RT60).
        direct_db: energy of the direct sound over that of the reverberation.
        generator: of the reflections. High frequencies fall faster, as in air.
    """
    count = round(decay_s * sample_rate_hz)
    times_s = np.arange(count) / sample_rate_hz
    delay_s = generator.uniform(0.002, 0.02)
    early = generator.random(count) < np.minimum(1.0, times_s / 0.05)  # sparse at first
    echoes = generator.standard_normal(count) * early * (times_s > delay_s)
    fall = 10 ** (-3 * times_s / decay_s)
    cutoff_hz = generator.uniform(1500, 6000)
    low = sosfilt(butter(1, cutoff_hz, fs=sample_rate_hz, output="sos"), echoes)
    echoes = low * fall + (echoes - low) * fall ** generator.uniform(1.3, 3)
    echoes *= 10 ** (-direct_db / 20) / np.sqrt(np.square(echoes).sum() or 1.0)
    echoes[0] = 1.0
    return fftconvolve(sound, echoes)[: len(sound)].astype(np.float32)


def in_band(sound: Sound, sample_rate_hz: int, low_hz: float, high_hz: float, order: int) -> Sound:
    """Keep a band of frequencies, as telephones and small speakers do."""
    high_hz = min(high_hz, 0.49 * sample_rate_hz)
    band = butter(order, (low_hz, high_hz), "bandpass", fs=sample_rate_hz, output="sos")
    return np.asarray(sosfilt(band, sound), np.float32)


def mu_law(sound: Sound) -> Sound:
    """Quantise a sound to 8 bits by mu-law (ITU-T G.711), relative to its peak."""
    peak = np.abs(sound).max() or 1.0
    squeezed = np.sign(sound) * np.log1p(255 * np.abs(sound) / peak) / np.log(256)
    steps = np.round(127.5 * squeezed - 0.5) + 0.5
    return (np.sign(steps) * peak * np.expm1(np.abs(steps) / 127.5 * np.log(256)) / 255).astype(
        np.float32
    )


def with_noise(
    sound: Sound,
    sample_rate_hz: int,
    ratio_db: float,
    slope_db: float,
    generator: np.random.Generator,
) -> Sound:
    """Add noise at a signal-to-noise ratio; `slope_db` per octave: 0 white, -3 pink, -6 brown."""
    spectrum = np.fft.rfft(generator.standard_normal(len(sound)))
    hz = np.maximum(np.arange(len(spectrum)) * sample_rate_hz / len(sound), 30)
    noise = np.fft.irfft(spectrum * (hz / 1000) ** (slope_db / 6.02), len(sound))
    noise *= 10 ** (-ratio_db / 20) * np.sqrt(np.square(sound).mean()) / (noise.std() or 1.0)
    return (sound + noise).astype(np.float32)


def through_codec(sound: Sound, sample_rate_hz: int, codec: int, quality: float) -> Sound:
    """Encode a sound, by number of one of the `CODECS`, at a quality of 0..1, and decode it."""
    container, subtype = CODECS[codec]
    rate_hz = 48000 if subtype == "OPUS" else sample_rate_hz
    peak = np.abs(sound).max() or 1.0
    file = io.BytesIO()
    given = resample((0.7 / peak * sound).astype(np.float32), sample_rate_hz, rate_hz)
    soundfile.write(
        file, given, rate_hz, subtype, format=container, compression_level=0.99 * (1 - quality)
    )
    file.seek(0)
    decoded, rate_hz = soundfile.read(file, dtype="float32")
    decoded = resample(decoded, rate_hz, sample_rate_hz)[: len(sound)]
    return np.pad(decoded, (0, len(sound) - len(decoded))) * np.float32(peak / 0.7)


def random_conditions(sound: Sound, sample_rate_hz: int, generator: np.random.Generator) -> Sound:
    """Record a sound under random conditions; a fifth of the sounds stays clean."""
    uniform, chance = generator.uniform, generator.random
    if chance() < 0.2:
        return sound
    if chance() < 0.6:
        decay_s = float(np.exp(uniform(np.log(0.15), np.log(2.0))))
        sound = in_room(sound, sample_rate_hz, decay_s, uniform(-6, 15), generator)
    if chance() < 0.15:
        peak = np.abs(sound).max() or 1.0
        gain = 10 ** (uniform(0, 18) / 20)
        sound = (np.tanh(gain * sound / peak) / gain * peak).astype(np.float32)
    noisy = chance() < 0.4
    if noisy and chance() < 0.5:
        sound = _noisy(sound, sample_rate_hz, generator)
        noisy = False
    if chance() < 0.35:
        low_hz = float(np.exp(uniform(np.log(60), np.log(600))))
        high_hz = float(np.exp(uniform(np.log(2500), np.log(12000))))
        sound = in_band(sound, sample_rate_hz, low_hz, high_hz, int(generator.integers(1, 5)))
        if chance() < 0.4:
            sound = mu_law(sound)
    if noisy:
        sound = _noisy(sound, sample_rate_hz, generator)
    if chance() < 0.2:
        sound = through_codec(sound, sample_rate_hz, int(generator.integers(3)), uniform(0, 0.5))
    return sound


def _noisy(sound: Sound, sample_rate_hz: int, generator: np.random.Generator) -> Sound:
    ratio_db, slope_db = generator.uniform(8, 40), generator.choice([0, 0, -3, -6])
    return with_noise(sound, sample_rate_hz, ratio_db, slope_db, generator)
