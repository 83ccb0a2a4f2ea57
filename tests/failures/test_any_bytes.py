"""Any bytes, rates and levels at all: a sound, or one sentence that refuses them."""

import io

import numpy as np
import pytest
import soundfile
from encoding import encoded
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mirrornet.audio import from_samples, load_audio
from mirrornet.errors import AudioError

RATE_HZ = 16000
SOUND = (0.5 * np.sin(0.2 * np.arange(RATE_HZ // 4))).astype(np.float32)


def written(kind, subtype, channels=1):
    """A real file of a quarter of a second, as bytes."""
    file = io.BytesIO()
    sound = np.tile(SOUND[:, None], channels)
    soundfile.write(file, sound, RATE_HZ, format=kind, subtype=subtype)
    return file.getvalue()


REAL_FILES = [
    written("WAV", "PCM_16"),
    written("WAV", "FLOAT", 2),
    written("WAV", "IMA_ADPCM"),
    written("WAVEX", "PCM_24", 2),
    written("FLAC", "PCM_16"),
    written("FLAC", "PCM_24", 2),
    written("AIFF", "PCM_16", 2),
    written("CAF", "FLOAT"),
    written("AU", "DOUBLE"),
    written("OGG", "VORBIS"),
    written("OGG", "OPUS", 2),
    written("MP3", "MPEG_LAYER_III"),
    written("MP3", "MPEG_LAYER_III") + written("MP3", "MPEG_LAYER_III", 2),
    encoded(SOUND, RATE_HZ, "mp4", "aac"),
    encoded(SOUND, RATE_HZ, "mp4", "alac", "stereo"),
    encoded(SOUND, RATE_HZ, "mov", "pcm_s16le", pictures=True),
    encoded(SOUND, RATE_HZ, "adts", "aac"),
    encoded(SOUND, RATE_HZ, "webm", "libopus"),
    encoded(SOUND, RATE_HZ, "matroska", "flac", "7.1"),
    encoded(SOUND, RATE_HZ, "asf", "wmav2"),
    encoded(SOUND, RATE_HZ, "flv", "aac"),
    encoded(SOUND, RATE_HZ, "avi", "mp2"),
    encoded(SOUND, RATE_HZ, "mpegts", "aac"),
    encoded(SOUND, RATE_HZ, "wv", "wavpack", "stereo"),
    encoded(SOUND, RATE_HZ, "tta", "tta"),
]
SUFFIXES = st.sampled_from(
    ["", ".wav", ".flac", ".mp3", ".aif", ".au", ".vox", ".gsm", ".sd2", ".m4a"]
)


def valid_or_refused(path):
    try:
        audio = load_audio(path, longest_s=30.0)
    except AudioError:
        return
    finally:
        path.unlink()
    assert audio.dtype == np.float32
    assert audio.ndim == 1
    assert len(audio) >= 1
    assert np.isfinite(audio).all()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("bytes")


@settings(max_examples=200, deadline=None)
@given(content=st.binary(max_size=3000), suffix=SUFFIXES)
@example(content=b"\xff\xfb\x90\x00" * 200, suffix=".mp3")
@example(content=b"OggS" + bytes(200), suffix="")
@example(content=b"fLaC" + bytes(200), suffix=".flac")
def test_any_bytes_are_a_sound_or_refused(folder, content, suffix):
    path = folder / f"any{suffix}"
    path.write_bytes(content)
    valid_or_refused(path)


@st.composite
def damaged_files(draw):
    """A real file with some bytes changed, mostly in its header, and perhaps its end cut off."""
    content = bytearray(draw(st.sampled_from(REAL_FILES)))
    places = st.integers(0, 63) | st.integers(0, 300) | st.integers(0, len(content) - 4)
    for at in draw(st.lists(places, min_size=1, max_size=6)):
        new = draw(
            st.binary(min_size=1, max_size=1)
            | st.sampled_from([b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", bytes(4), b"\x80\0\0\0"])
        )
        content[at : at + len(new)] = new
    if draw(st.booleans()):
        del content[draw(st.integers(0, len(content))) :]
    return bytes(content)


@settings(max_examples=400, deadline=None)
@given(content=damaged_files(), suffix=SUFFIXES)
def test_damaged_files_are_a_sound_or_refused(folder, content, suffix):
    path = folder / f"damaged{suffix}"
    path.write_bytes(content)
    valid_or_refused(path)


@settings(max_examples=300, deadline=None)
@given(
    rate_hz=st.integers(8000, 192000),
    to_hz=st.integers(8000, 192000),
    samples=st.integers(1, 4000),
    amplitude=st.floats(0, 2.0**33),
)
def test_any_rates_length_and_level_are_a_sound_or_refused(rate_hz, to_hz, samples, amplitude):
    sound = amplitude * np.sin(0.2 * np.arange(samples))
    try:
        audio = from_samples(sound, rate_hz, to_hz)
    except AudioError:
        assert (
            samples < 0.01 * rate_hz
            or amplitude < 1e-4
            or amplitude > 2**31
            or to_hz < rate_hz / 14
        )
    else:
        assert audio.dtype == np.float32
        assert len(audio) == pytest.approx(max(samples / rate_hz, 0.1) * to_hz, abs=1)
        assert np.isfinite(audio).all()
