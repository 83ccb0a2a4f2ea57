"""Sounds that cannot be saved, or not there: one sentence, and nothing half written."""

import os

import numpy as np
import pytest
from permissions import ordinary_user

from mirrornet.audio import save_audio
from mirrornet.errors import AudioError, OutputError

RATE_HZ = 16000
SOUND = (0.5 * np.sin(0.2 * np.arange(RATE_HZ // 4))).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sound.wav"


def files(folder):
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_not_saved(tmp_path, value):
    with pytest.raises(AudioError, match="1 samples that are not finite"):
        save_audio(tmp_path / "a.wav", np.array([0.0, value, 0.5]), RATE_HZ)
    assert files(tmp_path) == []


@pytest.mark.parametrize(
    "audio", [np.zeros((100, 2)), np.float32(0), np.zeros(9, complex), "a.wav"]
)
def test_what_is_no_mono_sound_is_not_saved(tmp_path, audio):
    with pytest.raises(AudioError):
        save_audio(tmp_path / "a.wav", audio, RATE_HZ)
    assert files(tmp_path) == []


def test_only_wav_is_written(tmp_path):
    with pytest.raises(OutputError, match=r"must end in \.wav"):
        save_audio(tmp_path / "a.flac", SOUND, RATE_HZ)
    assert files(tmp_path) == []


def test_no_such_folder(tmp_path):
    with pytest.raises(OutputError, match=r"No such file or directory.*choose another"):
        save_audio(tmp_path / "missing" / "a.wav", SOUND, RATE_HZ)


def test_a_folder_in_the_way(path):
    path.mkdir()
    with pytest.raises(OutputError, match="choose another place"):
        save_audio(path, SOUND, RATE_HZ)
    assert files(path.parent) == ["sound.wav"]


@pytest.mark.skipif(os.name != "posix", reason="permissions work otherwise on Windows")
def test_a_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o555)
    try:
        with ordinary_user(), pytest.raises(OutputError, match="Permission denied"):
            save_audio(tmp_path / "a.wav", SOUND, RATE_HZ)
    finally:
        tmp_path.chmod(0o755)
    assert files(tmp_path) == []


def test_a_full_disk_leaves_the_older_file_whole(path):
    resource = pytest.importorskip("resource", reason="needs a limit on the size of files")
    save_audio(path, SOUND, RATE_HZ)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.raises(OutputError, match="cannot be written"):
            save_audio(path, 0.5 * SOUND, RATE_HZ)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert files(path.parent) == ["sound.wav"]
