"""Reading, writing and resampling audio; no other module does.

Every input sound is checked here once, so other modules may assume one channel of finite float32
samples at the requested rate, at least 0.1 s long and not silent. Levels are kept: full scale is
+-1, and a float file may exceed it.

Sounds are decoded, mixed down and resampled block by block. A header can only cause a sound to be
refused; it never decides how much memory is allocated.
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
SHORTEST_S = 0.01
PADDED_S = 0.1  # shorter sounds are followed by silence up to this length
MOST_CHANNELS = 64
SILENCE = 10 ** (-90 / 20)  # full scale is 1
# No integer format exceeds this, so larger samples are not audio (and overflow when squared).
LARGEST_SAMPLE = 2.0**31
# The average of 64 channels keeps 1/64 of a single one; only opposite phases leave less.
CANCELLED = 0.01
OFFSET = 0.01  # of the peak; a smaller offset is inaudible and not mistaken for a note
QUIET_FRAMES, QUIETEST = 1024, 0.05  # length of a part; share of the parts taken as quietest
TOLERANCE_S = 0.05  # error allowed in a header's length, as codecs pad their last frame

Sound = str | Path | tuple[ArrayLike, float]


def resample(
    audio: Float[np.ndarray, " sample"], sample_rate_hz: int, to_hz: int
) -> Float[np.ndarray, " resampled"]:
    """Resample with soxr at high quality (aliases below -140 dB), exactly as `load_audio` does."""
    return soxr.resample(audio, sample_rate_hz, to_hz, quality="HQ")


def load_audio(
    path: str | Path, sample_rate_hz: int = 8000, longest_s: float = 600.0
) -> Float[np.ndarray, " sample"]:
    """Read a sound file as mono float32 samples at `sample_rate_hz`.

    Reads WAV, FLAC, OGG, MP3, M4A, most other formats and the audio of videos, by libsndfile or
    FFmpeg; 8 to 192 kHz, up to 64 channels. Channels are averaged; where that cancels them
    (opposite phases: the mix is 40 dB below the loudest channel), the loudest channel is used.
    A DC offset is removed. A truncated file gives what it still holds, as far as its format can be
    decoded without its end.

    Raises AudioError for a file that is missing, unreadable, damaged or not audio; for samples that
    are not finite or beyond 2**31; for a sound shorter than 0.01 s, longer than `longest_s`, silent
    (below -90 dB of full scale), or without content below half of `sample_rate_hz`.
    """
    return take_sound(path, sample_rate_hz, longest_s)[0]


def take_sound(
    sound: Sound, sample_rate_hz: int = 8000, longest_s: float = 600.0
) -> tuple[Float[np.ndarray, " sample"], list[str]]:
    """Read a path as `load_audio` does, or `(samples, sample_rate_hz)` as `from_samples` does.

    Returns the samples, and warnings for the user: a sentence if the file is truncated. Raises
    AudioError as these functions do, and for any other argument.
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
    """Check and convert samples in memory as `load_audio` does those of a file.

    `samples` has the shape `(sample,)` or `(sample, channel)`. Floats are not scaled; integers are
    scaled by the full range of their type, unsigned ones around its middle. Error messages call
    the sound `name`.

    Raises AudioError as `load_audio` does, and for any other shape or data type.

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
    """The largest magnitude; 0 for no samples. (`np.abs` would copy up to ten minutes of audio.)"""
    return max(float(audio.max(initial=0.0)), -float(audio.min(initial=0.0)))


def save_audio(path: str | Path, audio: Float[np.ndarray, " sample"], sample_rate_hz: int) -> Path:
    """Write mono `audio` atomically as a 24-bit WAV file and return its path.

    Nothing is clipped: a sound beyond full scale is scaled to a peak of 0.99. An existing file at
    `path` is replaced.

    Raises AudioError for samples that are not finite or not of the shape `(sample,)` and for an
    invalid sample rate; OutputError if `path` cannot be written or does not end in `.wav`.
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
    """Raise OutputError unless the name of `path` ends in `.wav`."""
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
    """Raise AudioError unless `path` is a readable, non-empty regular file, and not .raw."""
    try:
        status = path.stat()
        # Pipes and devices may never end, and opening one may block forever.
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "not an ordinary file"
            raise AudioError(f"{path} is {kind}; give the path of one sound file.")
        path.open("rb").close()
        str(path).encode()  # or error messages cannot be encoded
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
        sample_rate_hz = sample_rate_hz.item()  # as read from an .npz file
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
    """Convert arrays, lists or tensors of real numbers; AudioError for anything else."""
    try:
        array = np.asarray(samples)
    except (TypeError, ValueError, RuntimeError) as error:
        raise AudioError(f"{name} is no array of samples ({error}).") from error
    if array.dtype.kind not in "iuf":
        raise AudioError(f"{name} must hold integers or floats, not {array.dtype}.")
    return array


def _as_floats(samples: Shaped[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Convert to float32, integers scaled to +-1; values beyond float32 become infinite."""
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
    """Mix down to one channel at `to_hz`, without DC offset: the average, or the loudest channel
    where the average cancels. Each pass calls `blocks`."""
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
    if abs(mixed.offset) > OFFSET * mixed.peak:  # subtracted before resampling, or the ends ring
        mixed = mix(weights, mixed.offset)
    if 0.5 * np.ptp(mixed.audio) < SILENCE:
        raise AudioError(
            f"{name} is silent: below {to_hz // 2} Hz, the part that is used, it stays under -90 "
            f"dB of full scale; give a louder sound."
        )
    return mixed.audio


class Mix(NamedTuple):
    """Channels mixed to one. A peak is half the span from the lowest to the highest sample."""

    audio: Float[np.ndarray, " sample"]
    peak: float
    offset: float
    """DC offset; as `peak`, measured before resampling and before an offset is subtracted."""
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
    """The weighted sum of the channels, less `offset`, resampled to `to_hz`."""
    resampler = soxr.ResampleStream(rate_hz, to_hz, 1, dtype="float32", quality="HQ")
    parts, quiet, frames, total = [], [], 0, 0.0
    low, high = np.full(len(weights) + 1, np.inf), np.full(len(weights) + 1, -np.inf)
    for block in blocks:
        frames += len(block)
        if frames > longest_s * rate_hz:
            raise _too_long(name, longest_s)
        if not np.abs(block).max() <= LARGEST_SAMPLE:  # also true for NaN
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
    short = round(PADDED_S * to_hz) - sum(map(len, parts))
    parts.append(np.zeros(max(short, 0), np.float32))
    peaks = 0.5 * (high - low)
    return Mix(np.concatenate(parts), peaks[0], _offset(quiet, total / frames), peaks[1:])


def _offset(quiet: list[Float[np.ndarray, "2 part"]], mean: float) -> float:
    """The DC offset that a sound and its quietest parts share, given the sound's mean, and the
    standard deviation and mean of each part. A low tone has a mean in a part, brass on the whole.
    """
    spread, means = np.concatenate(quiet, 1)
    quietest = means[np.argsort(spread)[: math.ceil(QUIETEST * len(spread))]]
    own = float(quietest.mean(dtype=np.float64)) if len(quietest) else 0.0
    return min(own, mean, key=abs) if own * mean > 0 else 0.0
