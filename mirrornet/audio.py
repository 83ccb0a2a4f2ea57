"""Sounds in and out: the only reader and writer of sound files, and the only resampler.

Every sound that enters is checked here once, so the rest may rely on it: one channel of finite
float32 samples, at the rate asked for, at least 0.1 s long, and not silent. Levels are kept: +-1
is full scale, and a float file may go beyond it.

Sounds are decoded in blocks, mixed down and resampled as they come. A header is believed only
where it makes a sound be refused; it never decides how much memory is taken.
"""

import io
import math
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import soxr
from jaxtyping import Float, Shaped
from numpy.typing import ArrayLike

from .decoding import BLOCK_FRAMES, FFmpeg, Libsndfile, UndecodableError
from .errors import AudioError, OutputError
from .storage import write_atomically

LOWEST_RATE_HZ = 8000
HIGHEST_RATE_HZ = 192000
SHORTEST_S = 0.1
MOST_CHANNELS = 64
SILENCE = 10 ** (-90 / 20)  # 1 is full scale
# No integer format reaches further, so what does is not sound (and would overflow when squared).
LARGEST_SAMPLE = 2.0**31
# One of 64 channels leaves 1/64 of itself in the average; only opposite phases leave less.
CANCELLED = 0.01
OFFSET = 0.01  # of the peak: less can neither be heard nor mistaken for a note
QUIET_FRAMES, QUIETEST = 1024, 0.05  # length of a part, and the share of those that are quiet
TOLERANCE_S = 0.05  # by which a header may be wrong, since codecs fill up their last frame

Sound = str | Path | tuple[ArrayLike, float]


def resample(
    audio: Float[np.ndarray, " sample"], sample_rate_hz: int, to_hz: int
) -> Float[np.ndarray, " resampled"]:
    """soxr at high quality: aliases below -140 dB. The same samples as `load_audio` makes."""
    return soxr.resample(audio, sample_rate_hz, to_hz, quality="HQ")


def load_audio(
    path: str | Path, sample_rate_hz: int = 8000, longest_s: float = 600.0
) -> Float[np.ndarray, " sample"]:
    """A sound file as mono float32 at `sample_rate_hz`.

    Reads what libsndfile or FFmpeg do (WAV, FLAC, OGG, MP3, M4A and most others, and the sound of
    videos), 8 to 192 kHz, up to 64 channels. Channels are averaged; where that cancels them
    (opposite phases, the mix 40 dB below the loudest channel), the loudest channel is taken alone.
    A constant offset is removed. A file that is cut short gives what it still holds, as far as its
    format can be decoded without its end.

    Raises AudioError for a file that is missing, unreadable, no sound or damaged; for samples that
    are not finite or beyond 2**31; for a sound shorter than 0.1 s, longer than `longest_s`, silent
    (below -90 dB of full scale), or without anything below half of `sample_rate_hz`.
    """
    return take_sound(path, sample_rate_hz, longest_s)[0]


def take_sound(
    sound: Sound, sample_rate_hz: int = 8000, longest_s: float = 600.0
) -> tuple[Float[np.ndarray, " sample"], list[str]]:
    """A sound file as `load_audio` gives it, or `(samples, sample_rate_hz)` as `from_samples` does;
    and what to know of it, in sentences: that the file is cut.
    """
    match sound:
        case str() | Path():
            return _load(Path(sound), sample_rate_hz, longest_s)
        case (samples, rate_hz):
            return from_samples(samples, rate_hz, sample_rate_hz, longest_s), []
        case _:
            raise AudioError("give the path of a sound file, or (samples, sample_rate_hz).")


def from_samples(
    samples: ArrayLike,
    sample_rate_hz: float,
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


def _load(
    path: Path, sample_rate_hz: int, longest_s: float
) -> tuple[Float[np.ndarray, " sample"], list[str]]:
    _check_file(path)
    with suppress(UndecodableError):
        return _decode(Libsndfile(path), sample_rate_hz, longest_s)
    try:
        return _decode(FFmpeg(path), sample_rate_hz, longest_s)
    except UndecodableError as error:
        raise AudioError(
            f"{path} is damaged, or no sound file of a known kind; save it again as WAV, FLAC, "
            "OGG, MP3 or M4A."
        ) from error


def _decode(
    file: Libsndfile | FFmpeg, sample_rate_hz: int, longest_s: float
) -> tuple[Float[np.ndarray, " sample"], list[str]]:
    name = str(file.path)
    if file.held_s > longest_s:
        raise _too_long(name, longest_s)
    audio = _one_channel(
        file.blocks, file.channels, file.sample_rate_hz, sample_rate_hz, longest_s, name
    )
    read_s = len(audio) / sample_rate_hz
    if file.promised_s - read_s < TOLERANCE_S:
        return audio, []
    return audio, [f"{name} is cut short or damaged: {read_s:.1f} s of it could be read."]


def _too_long(name: str, longest_s: float) -> AudioError:
    return AudioError(f"{name} is longer than {longest_s:g} s; cut out the part you want.")


def _check_file(path: Path) -> None:
    """AudioError unless `path` is a file that can be opened and holds something."""
    try:
        status = path.stat()
        # Pipes and devices may never end, and opening them may never return.
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not an ordinary file"
            raise AudioError(f"{path} is {kind}; give the path of one sound file.")
        path.open("rb").close()
        str(path).encode()  # or it cannot be said
    except UnicodeEncodeError as error:
        raise AudioError(f"the name {str(path)!r} is not valid text; rename the file.") from error
    except OSError as error:
        raise AudioError(
            f"{path} cannot be opened ({error.strerror}); check the path and its permissions."
        ) from error
    if status.st_size == 0:
        raise AudioError(f"{path} is empty; record or export it again.")
    if path.suffix.lower() == ".raw":
        raise AudioError(f"{path} has no header that tells its format; save it as WAV.")


def _check_rate(sample_rate_hz: float, name: str) -> int:
    if isinstance(sample_rate_hz, np.ndarray) and sample_rate_hz.ndim == 0:
        sample_rate_hz = sample_rate_hz.item()  # as a file of numpy's holds it
    if (
        isinstance(sample_rate_hz, int | float | np.integer | np.floating)
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
    sample_rate_hz: float,
    to_hz: int,
    longest_s: float,
    name: str,
) -> Float[np.ndarray, " sample"]:
    """Average the channels, or take the loudest where they cancel, without a constant offset; each
    pass calls `blocks`."""
    if not 1 <= channels <= MOST_CHANNELS:
        raise AudioError(
            f"{name} has {channels} channels, but 1 to {MOST_CHANNELS} can be used; mix it down, "
            f"or transpose it if it is (channel, sample)."
        )
    rate_hz, to_hz = _check_rate(sample_rate_hz, name), _check_rate(to_hz, "the result")

    def mix(weights: Float[np.ndarray, " channel"], offset: float = 0.0) -> Mix:
        return _mix(blocks(), weights, offset, rate_hz, to_hz, longest_s, name)

    weights = np.full(channels, 1 / channels, np.float32)
    mixed = mix(weights)
    if mixed.peak < CANCELLED * mixed.peaks.max():
        weights = (np.arange(channels) == mixed.peaks.argmax()).astype(np.float32)
        mixed = mix(weights)
    if abs(mixed.offset) > OFFSET * mixed.peak:  # taken away here, or its ends ring when resampled
        mixed = mix(weights, mixed.offset)
    if 0.5 * np.ptp(mixed.audio) < SILENCE:
        raise AudioError(
            f"{name} is silent: below {to_hz // 2} Hz, the part that is used, it stays under -90 "
            f"dB of full scale; give a louder sound."
        )
    return mixed.audio


class Mix(NamedTuple):
    """Channels as one; a peak is half the span from the lowest to the highest sample."""

    audio: Float[np.ndarray, " sample"]
    peak: float
    offset: float
    """Constant in it. As `peak`, before it was resampled, and before an offset was taken away."""
    peaks: Float[np.ndarray, " channel"]


def _mix(
    blocks: Iterable[Float[np.ndarray, "frame channel"]],
    weights: Float[np.ndarray, " channel"],
    offset: float,
    rate_hz: int,
    to_hz: int,
    longest_s: float,
    name: str,
) -> Mix:
    """The weighted sum of the channels, less an offset, at `to_hz`."""
    resampler = soxr.ResampleStream(rate_hz, to_hz, 1, dtype="float32", quality="HQ")
    parts, quiet, frames, total = [], [], 0, 0.0
    low, high = np.full(len(weights) + 1, np.inf), np.full(len(weights) + 1, -np.inf)
    for block in blocks:
        frames += len(block)
        if frames > longest_s * rate_hz:
            raise _too_long(name, longest_s)
        if not np.abs(block).max() <= LARGEST_SAMPLE:  # true for NaN, too
            raise AudioError(
                f"{name} holds samples that are NaN, infinite or far too large; export it again."
            )
        mix = block @ weights
        parts.append(resampler.resample_chunk(mix - np.float32(offset)))
        total += float(mix.sum(dtype=np.float64))
        whole = mix[: len(mix) // QUIET_FRAMES * QUIET_FRAMES].reshape(-1, QUIET_FRAMES)
        quiet.append(np.stack([whole.std(1), whole.mean(1)]))
        low = np.minimum(low, [mix.min(), *block.min(0)])
        high = np.maximum(high, [mix.max(), *block.max(0)])
    if frames < SHORTEST_S * rate_hz:
        raise AudioError(
            f"{name} holds only {frames} samples at {rate_hz} Hz, less than {SHORTEST_S} s; give a "
            f"longer recording."
        )
    parts.append(resampler.resample_chunk(np.zeros(0, np.float32), last=True))
    peaks = 0.5 * (high - low)
    return Mix(np.concatenate(parts), peaks[0], _offset(quiet, total / frames), peaks[1:])


def _offset(quiet: list[Float[np.ndarray, "2 part"]], mean: float) -> float:
    """What a sound and the quietest of its parts, of which spread and mean are given, have in
    common: a deep tone may have a mean in a part, and brass on the whole."""
    spread, means = np.concatenate(quiet, 1)
    quietest = means[np.argsort(spread)[: math.ceil(QUIETEST * len(spread))]]
    own = float(quietest.mean(dtype=np.float64)) if len(quietest) else 0.0
    return min(own, mean, key=abs) if own * mean > 0 else 0.0
