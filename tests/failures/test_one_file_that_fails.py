"""A file that cannot be made costs only itself, and whatever a user set for matplotlib, nothing."""

import dataclasses
import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest

from mirrornet.app.cli import main
from mirrornet.errors import OutputError, PlantError
from mirrornet.experiments.curves import benchmark_curves
from mirrornet.export import files as export
from mirrornet.export import plots
from mirrornet.export.files import save_match
from mirrornet.matching.match import Match
from mirrornet.models import mirrornet as mirror
from mirrornet.models.mirrornet import MirrorNet
from mirrornet.plants.vital import SET1, Vital
from mirrornet.storage import check_place, write_atomically

MELODY = Path(mirror.__file__).parents[1] / "data" / "demo-melody.flac"


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("fault", "facts"),
    [
        (ModuleNotFoundError, ["No module named 'matplotlib_inline'"]),
        (RuntimeError, ["latex was not able to process"]),
        (ValueError, ["Key backend: 'nonsense' is not a valid value"]),
        (PermissionError, [errno.EACCES, "Permission denied", "DejaVuSans.ttf"]),
        (AttributeError, ["_ARRAY_API not found"]),
        (MemoryError, []),
    ],
)
def test_without_its_picture_a_match_is_whole(
    match, saved, tmp_path, monkeypatch, caplog, fault, facts
):
    def draw(*_):
        raise fault(*facts)

    monkeypatch.setattr(plots, "compare", draw)
    written = save_match(match, tmp_path / "out")
    assert names(tmp_path / "out") == names(saved) - {"compare.png"}
    assert tmp_path / "out" / "compare.png" not in written
    said = f"compare.png could not be made ({fault.__name__}: "
    assert said in caplog.text
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert said in page
    assert "<img" not in page
    assert 'href="compare.png"' not in page
    assert page.count("<audio") == 2


@pytest.mark.parametrize(
    ("broken", "file"),
    [
        ("controls_csv", "controls.csv"),
        ("report.render_report", "report.html"),
        ("midi", "melody.mid"),
    ],
)
def test_any_other_file_costs_only_itself(match, saved, tmp_path, monkeypatch, broken, file):
    def fail(*_, **__):
        raise KeyError("tune")

    monkeypatch.setattr(f"mirrornet.export.files.{broken}", fail)
    save_match(match, tmp_path / "out")
    assert names(tmp_path / "out") == names(saved) - {file}


def test_a_preset_costs_only_itself(match: Match, saved, tmp_path, monkeypatch):
    assert isinstance(match.plant, Vital)
    preset = match.plant.preset

    def fail(note):
        if note == match.notes[2]:
            raise PlantError("vital crashed.")
        return preset(note)

    monkeypatch.setattr(match.plant, "preset", fail)
    save_match(match, tmp_path / "out")
    missing = names(saved / "presets") - names(tmp_path / "out" / "presets")
    assert [name[:7] for name in missing] == ["note-3-"]


def test_a_plant_that_can_give_no_files_costs_only_those(match, saved, tmp_path, monkeypatch):
    def fail(score):
        raise KeyError("osc_1_level")

    monkeypatch.setattr(match.plant, "artifacts", fail)
    save_match(match, tmp_path / "out")
    assert names(tmp_path / "out") == names(saved) - {"presets"}
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "vital could give no files (KeyError" in page


@pytest.mark.slow
def test_the_command_says_what_it_saved_though_the_plant_gives_no_files(
    tmp_path, monkeypatch, capsys
):
    def fail(plant, score):
        raise KeyError("osc_1_level")

    monkeypatch.setattr(Vital, "artifacts", fail)
    MirrorNet("vital", SET1).save(tmp_path / "model.json", {})
    options = ["--model", str(tmp_path / "model.json"), "--out", str(tmp_path / "out")]
    assert main(["match", str(MELODY), *options]) == 0
    assert "report.html" in capsys.readouterr().out
    assert (tmp_path / "out" / "report.html").is_file()


STRANGE: Any = {
    "text.usetex": True,
    "font.family": ["No Such Font"],
    "axes.facecolor": "red",
    "savefig.dpi": 10,
    "savefig.transparent": True,
    "figure.constrained_layout.h_pad": 2.0,
    "image.interpolation": "bilinear",
    "axes.unicode_minus": False,
    "path.sketch": (1, 100, 2),
}


def curves():
    record = {"method": "CMA-ES", "family": "search", "renders": 10, "learning_renders": 9}
    record["scores"] = {"spectrogram_error": 0.1}
    return benchmark_curves({"what": "melodies", "matched": [record], "learned": []})


@pytest.mark.parametrize("kind", ["match", "panels", "curves"])
def test_a_user_s_settings_neither_show_nor_change(match: Match, kind):
    S = np.random.default_rng(0).random((128, 250))
    draw = {
        "match": lambda: plots.compare(match),
        "panels": lambda: plots.panels([(S, S, S, S)], ["one"]),
        "curves": curves,
    }[kind]
    plain = plots.png(draw, dpi=50)
    backend = matplotlib.get_backend()
    with matplotlib.rc_context(STRANGE):
        before = dict(matplotlib.rcParams)
        assert plots.png(draw, dpi=50) == plain
        assert dict(matplotlib.rcParams) == before
    assert matplotlib.get_backend() == backend
    assert plt.get_fignums() == []


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["backend", "file", "no matplotlib"])
def test_the_command_saves_whatever_matplotlib_says(tmp_path, kind):
    MirrorNet("vital", SET1).save(tmp_path / "model.json", {})
    variables = {"MPLBACKEND": "module://no.such.backend"}
    if kind == "file":
        (tmp_path / "matplotlibrc").write_text("text.usetex: True\nfont.family: None Such\n?: 1\n")
    if kind == "no matplotlib":
        (tmp_path / "matplotlib.py").write_text("raise ImportError('DLL load failed')")
        variables["PYTHONPATH"] = os.pathsep.join([str(tmp_path), *sys.path])
    command = [sys.executable, "-m", "mirrornet", "match", str(MELODY), "--model", "model.json"]
    said = subprocess.run(
        [*command, "--out", "out"],
        cwd=tmp_path,
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.returncode, "Traceback" in said.stderr) == (0, False)
    drawn = kind != "no matplotlib"
    assert ("compare.png" in names(tmp_path / "out")) == drawn
    assert ("compare.png could not be made (ImportError: DLL load failed)" in said.stderr) != drawn
    assert ("compare.png" in said.stdout) == drawn
    assert {"report.html", "match.wav", "controls.json"} <= names(tmp_path / "out")


def refuse(number: int):
    def refused(*_, **__):
        raise OSError(number, os.strerror(number))

    return refused


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EPERM])
def test_a_file_system_that_cannot_sync_or_set_modes(match, saved, tmp_path, monkeypatch, number):
    for name in ("fsync", "chmod", "fchmod"):
        monkeypatch.setattr(os, name, refuse(number), raising=False)
    monkeypatch.setattr(Path, "chmod", refuse(number))
    save_match(match, tmp_path / "out")
    assert names(tmp_path / "out") == names(saved)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC])
def test_a_sync_that_lost_what_was_written(match, tmp_path, monkeypatch, number):
    monkeypatch.setattr(os, "fsync", refuse(number))
    with pytest.raises(OutputError, match="choose another"):
        save_match(match, tmp_path / "out")
    assert not names(tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such permissions")
@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o002, 0o664)])
def test_files_have_the_permissions_that_a_user_wants(match, tmp_path, umask, mode):
    before = os.umask(umask)
    try:
        write_atomically(tmp_path / "a.txt", lambda path: path.write_text("new"))
        save_match(dataclasses.replace(match, others=[]), tmp_path / "out")
    finally:
        os.umask(before)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o777 for path in files} == {mode}


@pytest.mark.parametrize("broken", ["mkdir", "rename", "replace"])
def test_a_place_where_not_all_can_be_done_is_no_place(tmp_path, monkeypatch, broken):
    monkeypatch.setattr(Path, broken, refuse(errno.EROFS))
    with pytest.raises(OutputError, match="out cannot be written \\(Read-only file system\\)"):
        check_place(tmp_path / "deep" / "out")
    monkeypatch.undo()
    assert not names(tmp_path)


def test_a_place_is_as_before_when_it_was_checked(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("empty")
    for place in ("new", "new/and/deep", "empty", "link"):
        check_place(tmp_path / place)
    assert names(tmp_path) == {"empty", "link"}
    assert not names(tmp_path / "empty")


def test_the_staging_folder_of_an_export_is_hidden_and_gone(match, tmp_path, monkeypatch):
    write = export._write

    def look(path: Path, content: bytes) -> None:
        assert all(name.startswith(".") for name in names(tmp_path))
        write(path, content)

    monkeypatch.setattr(export, "_write", look)
    save_match(match, tmp_path / "out")
    assert names(tmp_path) == {"out"}
