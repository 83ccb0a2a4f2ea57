"""Files of a match appear all together or not at all, and never over something else."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from mirrornet.errors import OutputError
from mirrornet.export import files as export
from mirrornet.export import plots
from mirrornet.export.files import save_match
from mirrornet.matching.match import Match
from mirrornet.storage import check_place, write_arrays


def everything(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*"))


def test_a_folder_with_files_is_left_alone(match: Match, tmp_path: Path):
    (tmp_path / "song.txt").write_text("mine")
    with pytest.raises(OutputError, match="already holds files; choose a new or empty folder"):
        save_match(match, tmp_path)
    assert everything(tmp_path) == [tmp_path / "song.txt"]
    assert (tmp_path / "song.txt").read_text() == "mine"


def test_a_file_in_the_way(match: Match, tmp_path: Path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="not a folder; choose another name"):
        save_match(match, tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_a_link_to_nowhere_in_the_way(match: Match, tmp_path: Path):
    (tmp_path / "out").symlink_to(tmp_path / "gone")
    with pytest.raises(OutputError):
        save_match(match, tmp_path / "out")
    assert everything(tmp_path) == [tmp_path / "out"]


def test_a_parent_that_is_a_file(match: Match, tmp_path: Path):
    (tmp_path / "song.wav").write_text("mine")
    with pytest.raises(OutputError, match="choose another folder"):
        save_match(match, tmp_path / "song.wav" / "out")
    assert everything(tmp_path) == [tmp_path / "song.wav"]


def test_a_name_too_long(match: Match, tmp_path: Path):
    with pytest.raises(OutputError):
        save_match(match, tmp_path / ("x" * 300))
    assert not everything(tmp_path)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do all")
def test_no_permission(match: Match, tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        save_match(match, tmp_path / "out")
    tmp_path.chmod(0o700)
    assert not everything(tmp_path)


@pytest.mark.parametrize("place", ["new", "new/and/deep", "empty"])
@pytest.mark.parametrize("step", [1, 9])
@pytest.mark.parametrize(
    ("fault", "seen"),
    [
        (KeyboardInterrupt, KeyboardInterrupt),
        (lambda: OSError(errno.ENOSPC, "No space left on device"), OutputError),
        (ZeroDivisionError, ZeroDivisionError),
    ],
    ids=["ctrl-c", "full disk", "bug"],
)
def test_an_interrupted_save_leaves_nothing(
    match: Match, tmp_path: Path, monkeypatch, place: str, step: int, fault, seen
):
    (tmp_path / "empty").mkdir()
    before, steps = everything(tmp_path), []

    def write(path: Path, content: bytes) -> None:
        steps.append(path)
        if len(steps) == step:
            raise fault()
        path.write_bytes(content)

    monkeypatch.setattr(export, "_write", write)
    monkeypatch.setattr(plots, "compare", lambda match: Figure())  # drawing takes a second
    with pytest.raises(seen):
        save_match(match, tmp_path / place)
    assert len(steps) == step
    assert everything(tmp_path) == before


def test_an_interrupt_while_files_move_into_place(match: Match, tmp_path: Path, monkeypatch):
    rename, moves = Path.rename, []

    def interrupted(self: Path, to: Path) -> Path:
        if moves.append(to) or len(moves) == 7:  # after the folder of presets has moved
            raise KeyboardInterrupt
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save_match(match, tmp_path)
    assert not everything(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="limits of this kind are POSIX's")
@pytest.mark.parametrize("limit_bytes", [100_000, 400_000], ids=["at a sound", "at the picture"])
def test_a_disk_that_takes_no_more(match: Match, tmp_path: Path, limit_bytes: int):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
    try:
        with pytest.raises(OutputError, match="choose another"):
            save_match(match, tmp_path / "out")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not everything(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="limits of this kind are POSIX's")
def test_arrays_for_which_there_is_no_room(tmp_path: Path):
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))
    try:
        with pytest.raises(OSError, match="large"):
            write_arrays(tmp_path / "babble.safetensors", {"heard": np.zeros(1000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not everything(tmp_path)


def test_a_place_is_tried_without_a_trace(tmp_path: Path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    check_place(Path("missing/../../new/deep"))
    assert [path.name for path in tmp_path.rglob("*")] == ["here"]
