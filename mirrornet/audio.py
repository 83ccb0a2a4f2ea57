"""Sounds in and out: the only reader and writer of sound files, and the only resampler.

Every sound that enters is checked here once, so the rest may rely on it: one channel of finite
float32 samples, at the rate asked for, at least 0.1 s long, and not silent. Levels are kept: +-1
is full scale, and a float file may go beyond it.

Sounds are read in blocks, mixed down and resampled as they come. A header is believed only where
it makes a sound be refused; it never decides how much memory is taken.
"""

import io
import stat
from collections.abc import Callable, Iterable, Iterator
from numbers import Real
from pathlib import Path

import numpy as np
import soundfile
import soxr
from jaxtyping import Float, Shaped
from numpy.typing import ArrayLike

from .errors import AudioError, OutputError
from .files import write_atomically

LOWEST_RATE_HZ = 8000
HIGHEST_RATE_HZ = 192000
SHORTEST_S = 0.1
MOST_CHANNELS = 64
SILENCE = 10 ** (-90 / 20)  # 1 is full scale
# No integer format reaches further, so what does is not sound (and would overflow when squared).
LARGEST_SAMPLE = 2.0**31
# One of 64 channels leaves 1/64 of itself in the average; only opposite phases leave less.
CANCELLED = 0.01
BLOCK_FRAMES = 65536


def resample(
    audio: Float[np.ndarray, " sample"], sample_rate_hz: int, to_hz: int
) -> Float[np.ndarray, " resampled"]:
    """soxr at high quality: aliases below -140 dB. The same samples as `load_audio` makes."""
    return soxr.resample(audio, sample_rate_hz, to_hz, quality="HQ")


def load_audio(
    path: str | Path, sample_rate_hz: int = 8000, longest_s: float = 600.0
) -> Float[np.ndarray, " sample"]:
    """A sound file as mono float32 at `sample_rate_hz`.

    Reads what libsndfile does (WAV, FLAC, OGG, AIFF, MP3 and more), 8 to 192 kHz, up to 64
    channels. Channels are averaged; where that cancels them (opposite phases, the mix 40 dB below
    the loudest channel), the loudest channel is taken alone. A file that is cut short gives what
    it still holds, as far as its format can be decoded without its end.

    Raises AudioError for a file that is missing, unreadable, no sound or damaged; for samples that
    are not finite or beyond 2**31; for a sound shorter than 0.1 s, longer than `longest_s`, silent
    (below -90 dB of full scale), or without anything below half of `sample_rate_hz`.
    """
    path = Path(path)
    _check_file(path)
    try:
        with soundfile.SoundFile(path) as file:
            # A FLAC made in a pipe does not know its length: libsndfile says 2**63 - 1 frames.
            if file.frames > longest_s * file.samplerate:
                raise AudioError(
                    f"{path} is longer than {longest_s:g} s or does not say how long it is; cut "
                    f"out the part you want and save it as WAV."
                )

            # soundfile seeks after every read, and an MP3 clicks where it was seeked: one read.
            frames = file.frames if file.format == "MP3" else BLOCK_FRAMES

            def blocks() -> Iterator[Float[np.ndarray, "frame channel"]]:
                file.seek(0)
                while len(read := file.read(frames, dtype="float32", always_2d=True)):
                    yield from _blocks(read)

            return _one_channel(
                blocks, file.channels, file.samplerate, sample_rate_hz, longest_s, str(path)
            )
    except UnicodeEncodeError as error:
        raise AudioError(f"the name {str(path)!r} is not valid text; rename the file.") from error
    except soundfile.LibsndfileError as error:
        reason = error.error_string.strip(". ")
        raise AudioError(
            f"{path} is damaged, or no sound file of a known kind ({reason}); save it again as "
            f"WAV, FLAC, OGG, AIFF or MP3 (of an M4A or a video: ffmpeg -i FILE sound.wav)."
        ) from error


def from_samples(
    samples: ArrayLike,
    sample_rate_hz: int,
    to_hz: int = 8000,
    longest_s: float = 600.0,
    name: str = "the sound",
) -> Float[np.ndarray, " sample"]:
    """Samples that a user holds, checked and converted as `load_audio` does with a file.

    `samples` has the shape `(sample,)` or `(sample, channel)`. Floats are taken as they are;
    integers are scaled by the full range of their type, unsigned ones around its middle.

    Raises AudioError as `load_audio` does, and for another shape or type; it speaks of `name`.

    >>> from_samples(np.array([0, 16384, 0, -16384] * 200, np.int16), 8000).max()
    np.float32(0.5)
    """
    samples = _as_array(samples, name)
    if samples.ndim == 1:
        samples = samples[:, None]
    if samples.ndim != 2:
        raise AudioError(
            f"{name} must have the shape (sample,) or (sample, channel); got {samples.shape}."
        )
    return _one_channel(
        lambda: map(_as_floats, _blocks(samples)),
        samples.shape[1],
        sample_rate_hz,
        to_hz,
        longest_s,
        name,
    )


def peak(audio: Float[np.ndarray, " sample"]) -> float:
    """The largest magnitude; 0 of no samples. (`np.abs` would copy what may be ten minutes.)"""
    return max(float(audio.max(initial=0.0)), -float(audio.min(initial=0.0)))


def save_audio(path: str | Path, audio: Float[np.ndarray, " sample"], sample_rate_hz: int) -> Path:
    """Write mono `audio` as a 24-bit WAV file, complete or not at all, and return its path.

    Nothing is clipped: a sound that goes beyond full scale is turned down as a whole, to a peak of
    0.99. An older file at `path` is replaced.

    Raises AudioError for samples that are not finite or not `(sample,)`, OutputError for a place
    that cannot be written or a name that does not end in `.wav`.
    """
    path = Path(path)
    check_wav(path)
    rate_hz = _check_rate(sample_rate_hz, str(path))
    audio = _as_floats(_as_array(audio, f"the sound for {path}"))
    if audio.ndim != 1 or not np.isfinite(audio).all():
        raise AudioError(
            f"the sound for {path} must be finite and have the shape (sample,); got {audio.shape} "
            f"with {np.count_nonzero(~np.isfinite(audio))} samples that are not finite."
        )
    if (highest := peak(audio)) > 1:
        audio = audio / highest * 0.99
    # Encoded in memory: libsndfile does not report a full disk as an OSError, Python does.
    wav = io.BytesIO()
    soundfile.write(wav, audio, rate_hz, format="WAV", subtype="PCM_24")
    try:
        return write_atomically(path, lambda temporary: temporary.write_bytes(wav.getbuffer()))
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written ({error.strerror}); choose another place."
        ) from error


def check_wav(path: Path) -> None:
    """OutputError unless the name ends in `.wav`."""
    if path.suffix.lower() != ".wav":
        raise OutputError(f"sounds are written as WAV, so {path} must end in .wav.")


def _check_file(path: Path) -> None:
    """AudioError unless `path` is a file that can be opened and holds something."""
    try:
        status = path.stat()
        # Pipes and devices may never end, and opening them may never return.
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not an ordinary file"
            raise AudioError(f"{path} is {kind}; give the path of one sound file.")
        path.open("rb").close()
    except OSError as error:
        raise AudioError(
            f"{path} cannot be opened ({error.strerror}); check the path and its permissions."
        ) from error
    if status.st_size == 0:
        raise AudioError(f"{path} is empty; record or export it again.")
    if path.suffix.lower() == ".raw":
        raise AudioError(f"{path} has no header that tells its format; save it as WAV.")


def _check_rate(sample_rate_hz: int, name: str) -> int:
    if (
        isinstance(sample_rate_hz, Real)
        and LOWEST_RATE_HZ <= sample_rate_hz <= HIGHEST_RATE_HZ
        and sample_rate_hz == int(sample_rate_hz)
    ):
        return int(sample_rate_hz)
    raise AudioError(
        f"the sample rate of {name} must be a whole number in {LOWEST_RATE_HZ}..{HIGHEST_RATE_HZ} "
        f"Hz, not {sample_rate_hz}; resample it first."
    )


def _blocks(samples: Shaped[np.ndarray, "sample channel"]) -> Iterator[np.ndarray]:
    return (samples[at : at + BLOCK_FRAMES] for at in range(0, len(samples), BLOCK_FRAMES))


def _as_array(samples: ArrayLike, name: str) -> Shaped[np.ndarray, "..."]:
    """Anything numpy understands, lists and tensors too, if it holds real numbers."""
    try:
        array = np.asarray(samples)
    except (TypeError, ValueError, RuntimeError) as error:
        raise AudioError(f"{name} is no array of samples ({error}).") from error
    if array.dtype.kind not in "iuf":
        raise AudioError(f"{name} must hold integers or floats, not {array.dtype}.")
    return array


def _as_floats(samples: Shaped[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """float32, full scale at +-1; what float32 cannot hold becomes infinite."""
    if samples.dtype.kind == "f":
        with np.errstate(over="ignore"):
            return samples.astype(np.float32)
    kind = np.iinfo(samples.dtype)
    full_scale = 2.0 ** (kind.bits - 1)
    middle = 1.0 if kind.min == 0 else 0.0
    return (samples / full_scale - middle).astype(np.float32)


def _one_channel(
    blocks: Callable[[], Iterable[Float[np.ndarray, "frame channel"]]],
    channels: int,
    sample_rate_hz: int,
    to_hz: int,
    longest_s: float,
    name: str,
) -> Float[np.ndarray, " sample"]:
    """Average the channels, or take the loudest where they cancel; each pass calls `blocks`."""
    if not 1 <= channels <= MOST_CHANNELS:
        raise AudioError(
            f"{name} has {channels} channels, but 1 to {MOST_CHANNELS} can be used; mix it down, "
            f"or transpose it if it is (channel, sample)."
        )
    rate_hz, to_hz = _check_rate(sample_rate_hz, name), _check_rate(to_hz, "the result")
    average = np.full(channels, 1 / channels, np.float32)
    audio, mix_peak, peaks = _mix(blocks(), average, rate_hz, to_hz, longest_s, name)
    if mix_peak < CANCELLED * peaks.max():
        loudest = np.zeros(channels, np.float32)
        loudest[peaks.argmax()] = 1
        audio, mix_peak, _ = _mix(blocks(), loudest, rate_hz, to_hz, longest_s, name)
    # Both are needed: a constant shift has no peak, yet rings at its ends when resampled; a tone
    # too high for `to_hz` has one, and is gone.
    if min(mix_peak, 0.5 * np.ptp(audio)) < SILENCE:
        raise AudioError(
            f"{name} is silent: below {to_hz // 2} Hz, the part that is used, it stays under -90 "
            f"dB of full scale; give a louder sound."
        )
    return audio


def _mix(
    blocks: Iterable[Float[np.ndarray, "frame channel"]],
    weights: Float[np.ndarray, " channel"],
    rate_hz: int,
    to_hz: int,
    longest_s: float,
    name: str,
) -> tuple[Float[np.ndarray, " sample"], float, Float[np.ndarray, " channel"]]:
    """The weighted sum of the channels at `to_hz`; its peak before that, and each channel's.

    A peak here is half the span from the lowest to the highest sample.
    """
    resampler = soxr.ResampleStream(rate_hz, to_hz, 1, dtype="float32", quality="HQ")
    parts, frames = [], 0
    low, high = np.full(len(weights) + 1, np.inf), np.full(len(weights) + 1, -np.inf)
    for block in blocks:
        frames += len(block)
        if frames > longest_s * rate_hz:
            raise AudioError(f"{name} is longer than {longest_s:g} s; cut out the part you want.")
        if not np.abs(block).max() <= LARGEST_SAMPLE:  # true for NaN, too
            raise AudioError(
                f"{name} holds samples that are NaN, infinite or far too large; export it again."
            )
        mix = block @ weights
        parts.append(resampler.resample_chunk(mix))
        low = np.minimum(low, [mix.min(), *block.min(0)])
        high = np.maximum(high, [mix.max(), *block.max(0)])
    if frames < SHORTEST_S * rate_hz:
        raise AudioError(
            f"{name} holds only {frames} samples at {rate_hz} Hz, less than {SHORTEST_S} s; give a "
            f"longer recording."
        )
    parts.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    peaks = 0.5 * (high - low)
    return np.concatenate(parts), peaks[0], peaks[1:]
