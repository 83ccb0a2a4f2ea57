"""Decoding sound files to blocks of samples, by libsndfile, or by FFmpeg what libsndfile cannot.

Files are read to their end, whatever their headers say; the lengths in headers only serve to detect
truncated files. FFmpeg is given one open file and tries `FORMATS` only: none of these refers to
other files, as playlists do.
"""

import io
import math
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import soundfile
from jaxtyping import Float

from .errors import AudioError

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream
    from av.container import InputContainer

BLOCK_FRAMES = 65536
# The header of a file that was written to a pipe holds no length, but the largest possible one.
UNKNOWN_BYTES = 2**31 - 2**25
# libsndfile's log on a truncated file: "data : 640000 (should be 383982)". Comments in a file are
# logged on lines that begin with other words.
CUT = re.compile(
    r"^ *(?:RIFF|riff|Riff size|data|FORM|SSND|BODY|Data Size) *: (\d+) \(should be (\d+)\)$", re.M
)
LONGEST_OGG_PAGE = 27 + 255 + 255 * 255
FORMATS = (
    "aac,ac3,aiff,amr,amrnb,amrwb,ape,asf,au,avi,caf,dsf,dts,eac3,flac,flv,loas,matroska,mov,mp3,"
    "mpc,mpc8,mpeg,mpegts,ogg,tak,tta,voc,w64,wav,wv,xwma"
)

Block = Float[np.ndarray, "frame channel"]


class UndecodableError(Exception):
    """A decoder cannot decode a file; another one may. The message is the reason."""


class Libsndfile:
    """A file decoded by libsndfile. Raises UndecodableError, also while decoding.

    `held_s` is the length that is certainly present, 0 if unknown; `promised_s` the length that the
    header gives, infinite if that is unknown and the file is truncated.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            start = file.read(18)
            last_page = _last_ogg_page(file) if start.startswith(b"OggS") else b""
        # libsndfile reads an MP3 only as far as its header says, even if several are joined, with
        # clicks at seeks and warnings on stderr; of joined Ogg streams, it reads the first.
        if path.suffix.lower() == ".mp3" or re.match(rb"ID3|\xff[\xe0-\xff]", start):
            raise UndecodableError("it is MP3")
        if last_page and last_page[14:18] != start[14:18]:
            raise UndecodableError("it holds several streams")
        with self._opened() as sound:
            if sound.subtype.startswith("MPEG"):
                raise UndecodableError("there is MP3 in it")
            if not sound.frames:
                raise UndecodableError("its header was not finished, or it is empty")
            self.channels, self.sample_rate_hz = sound.channels, sound.samplerate
            length_s = sound.frames / sound.samplerate
            self.held_s = 0.0 if sound.format == "FLAC" else length_s
            sizes = CUT.findall(sound.extra_info)
        cut = [int(size) / max(int(held), 1) for size, held in sizes if int(size) < UNKNOWN_BYTES]
        self.promised_s = length_s * max(cut, default=1.0)
        if last_page and _is_cut(last_page):
            self.promised_s = math.inf

    def blocks(self) -> Iterator[Block]:
        """Decode all samples, from the beginning."""
        with self._opened() as sound:
            while len(block := sound.read(BLOCK_FRAMES, dtype="float32", always_2d=True)):
                yield block

    @contextmanager
    def _opened(self) -> Iterator[soundfile.SoundFile]:
        try:
            with soundfile.SoundFile(self.path) as sound:
                yield sound
        except soundfile.LibsndfileError as error:
            raise UndecodableError(error.error_string.strip(". ")) from error


class FFmpeg:
    """A file decoded by FFmpeg, which omits what it cannot decode. Raises UndecodableError, and
    AudioError for a file without audio and for joined files of different rates or channels."""

    held_s = 0.0

    def __init__(self, path: Path) -> None:
        self.path, self.promised_s = path, 0.0
        with self._opened() as (container, stream):
            first = next(self._frames(container, stream), None)
            if first is None:
                raise _no_sound(path)
            self.channels, self.sample_rate_hz = first.layout.nb_channels, first.sample_rate
            self.promised_s = _promised_s(container, stream, self.sample_rate_hz)

    def blocks(self) -> Iterator[Block]:
        """Decode all samples, from the beginning."""
        from av import AudioResampler

        # Converts samples to floats, and the codec's frames to large blocks. (`to_ndarray` of a
        # frame crashes with 8 channels.)
        floats = AudioResampler(format="flt", frame_size=BLOCK_FRAMES)
        with self._opened() as (container, stream):
            for frame in chain(self._frames(container, stream), [None]):  # None: flush
                try:
                    parts = floats.resample(frame)
                except ValueError as error:
                    raise AudioError(
                        f"{self.path} changes its sample rate or its channels part way, as joined "
                        "files do; give one part at a time."
                    ) from error
                for part in parts:
                    yield part.to_ndarray().reshape(-1, self.channels)

    @contextmanager
    def _opened(self) -> Iterator[tuple["InputContainer", "AudioStream"]]:
        import av  # loads libraries that are rarely needed
        from av.error import FFmpegError

        options = {"format_whitelist": FORMATS, "protocol_whitelist": "none"}
        try:
            with (
                _File(self.path) as file,
                av.open(file, "r", options=options, metadata_errors="replace") as container,
            ):
                stream = container.streams.best("audio")
                if not isinstance(stream, av.AudioStream):
                    raise _no_sound(self.path)
                yield container, stream
        except (OSError, FFmpegError) as error:
            raise UndecodableError(error.strerror) from error

    def _frames(self, container: "InputContainer", stream: "AudioStream") -> Iterator["AudioFrame"]:
        """All frames that can be decoded. A damaged end makes an unknown `promised_s` infinite."""
        from av.error import FFmpegError

        cut = False
        try:
            for packet in container.demux(stream):
                cut = cut and not packet.size  # the last one is empty and flushes the decoder
                try:
                    yield from packet.decode()
                except FFmpegError:  # not audio: data between joined files, or a partial packet
                    cut = True
        except (FFmpegError, IndexError):  # PyAV miscounts streams that begin part way
            cut = True
        if cut and not self.promised_s:
            self.promised_s = math.inf


class _File(io.FileIO):
    """Failed seeks, which damaged files cause, return -1: PyAV would print the error."""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return super().seek(offset, whence)
        except OSError:
            return -1


def _no_sound(path: Path) -> AudioError:
    return AudioError(f"{path} holds no sound that can be decoded; record or export it again.")


def _promised_s(container: "InputContainer", stream: "AudioStream", sample_rate_hz: int) -> float:
    """The length of a stream in its header; 0 if there is none."""
    if stream.duration is None or stream.time_base is None:
        # Matroska stores the length of the whole, which in a video may be that of its pictures.
        return (container.duration or 0) / 1e6 if len(container.streams) == 1 else 0.0
    length_s = stream.duration * stream.time_base
    # A length that FFmpeg estimated from a bit rate is not a whole number of samples.
    return float(length_s) if (length_s * sample_rate_hz).denominator == 1 else 0.0


def _last_ogg_page(file: BinaryIO) -> bytes:
    file.seek(max(0, file.seek(0, os.SEEK_END) - LONGEST_OGG_PAGE))
    end = file.read()
    return end[max(0, end.rfind(b"OggS")) :]


def _is_cut(page: bytes) -> bool:
    """Whether an Ogg page, whose header gives the lengths of its segments, is incomplete."""
    lengths = page[27 : 27 + page[26]] if len(page) > 26 else b""
    return not lengths or len(page) < 27 + len(lengths) + sum(lengths)
