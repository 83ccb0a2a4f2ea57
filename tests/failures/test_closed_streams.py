"""Whoever stops to listen to what is printed loses nothing of the work."""

import os
import subprocess
import sys
from pathlib import Path
from threading import Barrier, Thread

import pytest
import rich.console
from rich.errors import LiveError

from mirrornet.app.console import Console
from mirrornet.budget import budgeted
from mirrornet.models import mirrornet as mirror
from mirrornet.models.mirrornet import MirrorNet
from mirrornet.plants.vital import SET1

MELODY = Path(mirror.__file__).parents[1] / "data" / "demo-melody.flac"
MATCH = f'"{sys.executable}" -m mirrornet match "{MELODY}" --model model.json --out out'
FILES = {"compare.png", "controls.csv", "controls.json", "match.wav", "melody.mid", "presets"} | {
    "report.html",
    "target.wav",
}


def shell(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess:
    """A command line of a POSIX shell, run in a folder with a model that learned nothing."""
    MirrorNet("vital", SET1).save(folder / "model.json", {})
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        cwd=folder,
        env=os.environ | variables,
        capture_output=True,
        check=False,
    )


posix = pytest.mark.skipif(os.name != "posix", reason="needs a POSIX shell")


@pytest.mark.slow
@posix
@pytest.mark.parametrize(
    "output", [">&-", ">&- 2>&-", ">&- 2>&- <&-", "| true", "2>&1 | head -c1", ">/dev/full 2>&1"]
)
def test_a_match_is_saved_though_nobody_listens(tmp_path, output):
    said = shell(f"{MATCH} --refine 2 {output}", tmp_path)
    assert (said.returncode, b"Traceback" in said.stderr) == (0, False)
    assert {file.name for file in (tmp_path / "out").iterdir()} == FILES


@pytest.mark.slow
@posix
@pytest.mark.parametrize("command", ["plants", "--help", "--version"])
@pytest.mark.parametrize("output", [">&-", ">&- 2>&- <&-", "| true"])
def test_a_closed_stream_is_no_error(tmp_path, command, output):
    said = shell(f'"{sys.executable}" -m mirrornet {command} {output}', tmp_path)
    assert (said.returncode, said.stderr) == (0, b"")


@pytest.mark.slow
@posix
def test_terminals_that_know_few_letters(tmp_path):
    ascii = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii:strict"}
    (tmp_path / "C♯–…").mkdir()
    said = shell(f"{MATCH}/C♯–… --refine 2".replace("out/", ""), tmp_path, **ascii)
    assert (said.returncode, b"Error" in said.stderr) == (0, False)
    assert rb"In C\u266f\u2013\u2026:" in said.stdout


class Broken:
    """A stream that nobody reads."""

    def write(self, *_: str) -> int:
        raise BrokenPipeError(32, "Broken pipe")

    flush = write


@pytest.mark.parametrize("stream", [None, Broken()])
def test_what_is_allowed_is_spent_though_nobody_reads_the_bar(monkeypatch, stream):
    monkeypatch.setattr(sys, "stderr", stream)
    with budgeted(Console().progress, 2, None) as budget:
        while budget.left:
            budget.spend(0.5)
    assert budget.spent == 2


@pytest.fixture
def one_display(monkeypatch):
    """rich allowed one display at a time until 14.1."""
    began, ended = rich.console.Console.set_live, rich.console.Console.clear_live
    shown = []

    def set_live(self, live):
        if shown:
            raise LiveError("Only one live display may be active at once")
        shown.append(live)
        return began(self, live)

    def clear_live(self):
        shown.clear()
        ended(self)

    monkeypatch.setattr(rich.console.Console, "set_live", set_live)
    monkeypatch.setattr(rich.console.Console, "clear_live", clear_live)


def test_a_bar_inside_another(one_display, capsys):
    stage = Console().progress.stage
    with stage("Outer", 2) as outer, stage("Inner", 3) as inner:
        inner.at(3, "near")
        outer.at(2, "far")
    said = capsys.readouterr().err.splitlines()
    assert [line.split()[0] for line in said if line] == ["Inner", "Outer"]
    assert "3/3" in said[0]
    assert "2/2" in said[1]


def test_bars_of_threads_at_once(one_display, capsys):
    together, faults = Barrier(3), []

    def work(number: int) -> None:
        try:
            with Console().progress.stage(f"Thread{number}", 5) as stage:
                together.wait()
                stage.at(5)
        except LiveError as fault:
            faults.append(fault)
            together.abort()

    threads = [Thread(target=work, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said = capsys.readouterr().err
    assert not faults
    assert all(said.count(f"Thread{number}") == 1 for number in range(3))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is full")
def test_a_program_around_keeps_its_output():
    script = """
import os, sys
from mirrornet.app.cli import main
os.dup2(os.open("/dev/full", os.O_WRONLY), 1)
main(["--version"])
sys.exit(os.readlink("/proc/self/fd/1") != "/dev/full")
"""
    assert subprocess.run([sys.executable, "-c", script]).returncode in (0, 120)


def test_a_name_is_no_picture(one_display, capsys):
    with Console().progress.stage("Matching", 1) as stage:
        stage.say("song:bomb:take.wav")
    assert "song:bomb:take.wav" in capsys.readouterr().err
