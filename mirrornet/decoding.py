"""Sound files as blocks of samples: libsndfile decodes, and FFmpeg what libsndfile cannot.

Files are read to their end, whatever their headers say; what headers promise only tells whether
files were cut. FFmpeg is given one open file, and looks for `FORMATS` only: none of these leads to
another file, as playlists do.
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
# What is written to a pipe cannot say how long it became, and claims the most that it can.
UNKNOWN_BYTES = 2**31 - 2**25
# libsndfile's note on a file that was cut: "data : 640000 (should be 383982)". A comment in a file
# stands on a line that begins with other words.
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
    """Why a decoder cannot decode a file; another one may."""


class Libsndfile:
    """A file that libsndfile decodes. Raises UndecodableError, also while it does.

    Its `held_s` are sure to be there, and 0 if that is unknown; `promised_s` by its header.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with path.open("rb") as file:
            start = file.read(18)
            last_page = _last_ogg_page(file) if start.startswith(b"OggS") else b""
        # An MP3 would be read as far as its header says, even if several are joined, with clicks
        # where it is seeked, and warnings on stderr; of joined Ogg streams, the first.
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
        """All samples; decodes from the beginning."""
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
    """The same by FFmpeg, which leaves out what it cannot decode. Raises AudioError, too: of a file
    without sound, and of joined files of several kinds."""

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
        """All samples; decodes from the beginning."""
        from av import AudioResampler

        # Makes floats of samples, and large blocks of a codec's frames. (A frame's own `to_ndarray`
        # crashes with 8 channels.)
        floats = AudioResampler(format="flt", frame_size=BLOCK_FRAMES)
        with self._opened() as (container, stream):
            for frame in chain(self._frames(container, stream), [None]):  # in the end, the rest
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
        import av  # loads libraries that few sounds need
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
        """What can be decoded."""
        from av.error import FFmpegError

        cut = False
        try:
            for packet in container.demux(stream):
                cut = cut and not packet.size  # the last is empty, to flush the decoder
                try:
                    yield from packet.decode()
                except FFmpegError:  # that is no sound: what lies between joined files, or a part
                    cut = True
        except (FFmpegError, IndexError):  # PyAV miscounts streams that turn up part way
            cut = True
        if cut and not self.promised_s:
            self.promised_s = math.inf


class _File(io.FileIO):
    """PyAV prints the error that it would get where FFmpeg, led by damage, seeks out of a file."""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        try:
            return super().seek(offset, whence)
        except OSError:
            return -1


def _no_sound(path: Path) -> AudioError:
    return AudioError(f"{path} holds no sound that can be decoded; record or export it again.")


def _promised_s(container: "InputContainer", stream: "AudioStream", sample_rate_hz: int) -> float:
    """The length of a stream as its header has it; 0 if there is none."""
    if stream.duration is None or stream.time_base is None:
        # Matroska knows the length of the whole, which in a video may be that of its pictures.
        return (container.duration or 0) / 1e6 if len(container.streams) == 1 else 0.0
    length_s = stream.duration * stream.time_base
    # What FFmpeg estimates from a bit rate is no whole number of samples.
    return float(length_s) if (length_s * sample_rate_hz).denominator == 1 else 0.0


def _last_ogg_page(file: BinaryIO) -> bytes:
    file.seek(max(0, file.seek(0, os.SEEK_END) - LONGEST_OGG_PAGE))
    end = file.read()
    return end[max(0, end.rfind(b"OggS")) :]


def _is_cut(page: bytes) -> bool:
    """Whether an Ogg page, which says how long its parts are, is not all there."""
    lengths = page[27 : 27 + page[26]] if len(page) > 26 else b""
    return not lengths or len(page) < 27 + len(lengths) + sum(lengths)
