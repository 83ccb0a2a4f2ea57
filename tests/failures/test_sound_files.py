"""Sounds that are missing, broken or hostile: one sentence, never a crash, never garbage."""

import os
import struct
import sys
import tracemalloc
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import soundfile
from permissions import ordinary_user, visible_folder
from refusing import refused

from mirrornet.audio import from_samples, load_audio, save_audio
from mirrornet.errors import AudioError

RATE_HZ = 16000
SOUND = (0.5 * np.sin(0.2 * np.arange(RATE_HZ // 4))).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sound.wav"


# Files that are not there, or no files


def test_missing(path):
    refused(path, "No such file or directory.*check the path")


def test_below_a_file(path):
    path.write_bytes(b"x")
    refused(path / "sound.wav", "Not a directory")


def test_name_too_long(tmp_path):
    refused(tmp_path / ("x" * 300 + ".wav"), "name too long")


def test_folder(tmp_path):
    refused(tmp_path, "is a folder; give the path of one sound file")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs named pipes")
def test_pipe_is_refused_without_waiting_for_it(path):
    os.mkfifo(path)
    refused(path, "not an ordinary file")


def test_link_to_itself(path):
    path.symlink_to(path)
    refused(path, "cannot be opened")


@pytest.mark.skipif(os.name != "posix", reason="permissions work otherwise on Windows")
def test_without_permission():
    with visible_folder() as folder:
        path = folder / "sound.wav"
        soundfile.write(path, SOUND, RATE_HZ)
        path.chmod(0)
        with ordinary_user():
            assert path.exists()
            refused(path, "Permission denied.*check the path and its permissions")


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")
def test_name_that_is_no_text(tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.wav")
    path.write_bytes(b"RIFF")
    with pytest.raises(AudioError, match="is not valid text; rename the file"):
        load_audio(path)


# Files that hold no sound, or not the whole


def test_empty(path):
    path.touch()
    refused(path, "is empty; record or export it again")


def test_header_only(path):
    soundfile.write(path, SOUND[:0], RATE_HZ)
    refused(path, "holds no sound that can be decoded; record or export it again")


@pytest.mark.parametrize("content", [b"x", b"RIFF", b"RIFF\x24\0\0\0WAVEfmt ", b"# Notes\n" * 99])
def test_no_sound_file(path, content):
    path.write_bytes(content)
    refused(path, "damaged, or no sound file of a known kind; save it again as WAV, FLAC")


def test_raw_samples(tmp_path):
    path = tmp_path / "sound.raw"
    path.write_bytes(SOUND.tobytes())
    refused(path, "has no header that tells its format")


# Sounds that are of no use


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30])
@pytest.mark.parametrize("channels", [1, 2])
def test_not_finite(path, value, channels):
    sound = np.tile(SOUND[:, None], (50, channels))
    sound[-1, -1] = value
    soundfile.write(path, sound, RATE_HZ, subtype="FLOAT")
    refused(path, "NaN, infinite or far too large")


@pytest.mark.filterwarnings("error")
def test_beyond_float32(path):
    soundfile.write(path, 1e300 * SOUND.astype(np.float64), RATE_HZ, subtype="DOUBLE")
    refused(path, "NaN, infinite or far too large")


@pytest.mark.parametrize(
    "sound",
    [
        0 * SOUND,
        1e-5 * SOUND,
        0.5 + 0 * SOUND,
        np.stack([0 * SOUND, 0 * SOUND], axis=1),
        np.hanning(len(SOUND)) * np.sin(3.0 * np.arange(len(SOUND))),
    ],
    ids=["zeros", "-106 dB", "constant", "stereo", "7.6 kHz only"],
)
def test_silent(path, sound):
    soundfile.write(path, sound, RATE_HZ, subtype="FLOAT")
    refused(path, "is silent: below 4000 Hz.*give a louder sound")


@pytest.mark.parametrize("samples", [1, 2, 159])
def test_too_short(path, samples):
    soundfile.write(path, SOUND[:samples], RATE_HZ)
    refused(path, f"holds only {samples} samples at 16000 Hz, less than 0.01 s")


@pytest.mark.parametrize("samples", [160, 300, 1000])
def test_short_sounds_are_followed_by_silence(path, samples):
    click = 0.5 * np.hanning(samples) * np.sin(0.5 * np.arange(samples))
    soundfile.write(path, click, RATE_HZ, subtype="FLOAT")
    audio = load_audio(path, RATE_HZ)
    assert len(audio) == 0.1 * RATE_HZ
    np.testing.assert_allclose(audio[:samples], click, atol=1e-4)
    assert not audio[samples:].any()


@pytest.mark.parametrize("rate_hz", [1, 4000, 7999, 192001, 384000, 2**31 - 1])
def test_sample_rate_out_of_range(path, rate_hz):
    soundfile.write(path, SOUND, rate_hz)
    refused(path, r"sample rate of .* whole number in 8000\.\.192000 Hz", longest_s=1e9)


def test_target_rate_out_of_range(path):
    soundfile.write(path, SOUND, RATE_HZ)
    with pytest.raises(AudioError, match="sample rate of the result"):
        load_audio(path, sample_rate_hz=0)


def test_too_many_channels(path):
    soundfile.write(path, np.tile(SOUND[:, None], 65), RATE_HZ)
    refused(path, "65 channels, but 1 to 64")


# Too long, and headers that lie about it


def sparse_wav(path, seconds, rate_hz=8000, channels=1):
    """A WAV file full of zeros that takes no room on the disk."""
    size = seconds * rate_hz * channels * 2
    pcm = struct.pack("<HHIIHH", 1, channels, rate_hz, rate_hz * channels * 2, channels * 2, 16)
    header = b"RIFF" + struct.pack("<I", 36 + size) + b"WAVE"
    header += b"fmt " + struct.pack("<I", 16) + pcm + b"data" + struct.pack("<I", size)
    path.write_bytes(header)
    os.truncate(path, len(header) + size)


@contextmanager
def memory_below(limit_bytes):
    tracemalloc.start()
    try:
        yield
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < limit_bytes


def test_three_hours_are_refused_from_the_header(path, monkeypatch):
    sparse_wav(path, 3 * 3600)

    def read(*_, **__):
        raise AssertionError("a sound that is refused by its length must not be read")

    monkeypatch.setattr(soundfile.SoundFile, "read", read)
    refused(path, "longer than 600 s.*cut out the part you want")


def test_longest_s_is_the_callers(path):
    soundfile.write(path, np.tile(SOUND, 8), RATE_HZ)
    assert len(load_audio(path, longest_s=2.0)) == 2 * 8000
    refused(path, "longer than 1.99 s", longest_s=1.99)


@pytest.mark.parametrize("frames", [2**31 - 1, 2**31, 2**32 - 1, 60 * RATE_HZ])
@pytest.mark.parametrize("kind", ["WAV", "RF64", "AIFF", "AU", "CAF", "FLAC", "W64"])
def test_a_header_that_promises_more_takes_no_memory(path, kind, frames):
    """Every number in the header that could be a length becomes a huge one."""
    soundfile.write(path, SOUND, RATE_HZ, format=kind)
    content = bytearray(path.read_bytes())
    size = len(content)
    for true in {size, size - 8, len(SOUND), 2 * len(SOUND), 2 * len(SOUND) + 4}:
        for order in "<>":
            written = struct.pack(f"{order}I", true)
            if (at := content.find(written)) >= 0:
                content[at : at + 4] = struct.pack(f"{order}I", frames)
    assert content != path.read_bytes()
    path.write_bytes(content)
    with memory_below(20e6):
        try:
            audio = load_audio(path, RATE_HZ)
        except AudioError:
            return
    np.testing.assert_allclose(audio, SOUND, atol=1e-4)


def test_an_mp3_that_promises_more_is_read_as_far_as_it_goes(path):
    soundfile.write(path, SOUND, RATE_HZ, format="MP3")
    content = bytearray(path.read_bytes())
    at = max(content.find(b"Xing"), content.find(b"Info")) + 8
    content[at : at + 4] = struct.pack(">I", 590 * RATE_HZ // 576)
    honest = load_audio(path, RATE_HZ)
    path.write_bytes(content)
    with memory_below(100e6):  # not much more than a sound of 600 s may take
        lying = load_audio(path, RATE_HZ)
    assert len(honest) <= len(lying) < len(honest) + 2000


def test_memory_is_bounded_by_blocks_not_by_the_file(path):
    sparse_wav(path, 60, channels=64)  # 123 MB as float32
    with memory_below(60e6):
        refused(path, "silent")


# Samples that a user hands over


@pytest.mark.parametrize(
    ("samples", "words"),
    [
        (None, "must hold integers or floats, not object"),
        ("sound.wav", "must hold integers or floats"),
        ([[1.0], [1.0, 2.0]], "is no array of samples"),
        (np.ones(4000, complex), "must hold integers or floats, not complex128"),
        (np.ones(4000, bool), "must hold integers or floats, not bool"),
        (np.float32(1.0), r"must have the shape .* got \(\)"),
        (np.ones((2, 4000, 2)), r"must have the shape .* got \(2, 4000, 2\)"),
        (np.ones((2, 4000)), "4000 channels.*transpose it"),
        (np.ones((4000, 0)), "0 channels"),
        (np.ones((0, 2)), "holds only 0 samples"),
        ([], "holds only 0 samples"),
        (np.zeros(4000), "is silent"),
        (np.full(4000, np.nan), "NaN"),
        (np.full(4000, 1e300), "far too large"),
        (np.full(4000, 128, np.uint8), "is silent"),
        (np.tile([100, -100], 2000), "is silent"),
        (np.tile(SOUND, 3000), "longer than 600 s"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_samples_that_are_no_sound(samples, words):
    with pytest.raises(AudioError, match=f"^my sound.*{words}"):
        from_samples(samples, RATE_HZ, name="my sound")


@pytest.mark.parametrize(
    "rate_hz", [0, -8000, 7999, 192001, 44100.5, np.nan, np.inf, None, "8000", 1j]
)
def test_rates_that_are_none(path, rate_hz: Any):
    with pytest.raises(AudioError, match="whole number in"):
        from_samples(SOUND, rate_hz)
    with pytest.raises(AudioError, match="whole number in"):
        from_samples(SOUND, RATE_HZ, to_hz=rate_hz)
    with pytest.raises(AudioError, match="whole number in"):
        save_audio(path, SOUND, rate_hz)
