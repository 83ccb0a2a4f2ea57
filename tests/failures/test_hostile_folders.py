"""A folder from elsewhere may hold anything: none of its Python files is run, and no name in it is
obeyed by the terminal or by a spreadsheet."""

import csv
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import soundfile

import mirrornet
from mirrornet.app import batch as folders
from mirrornet.app.batch import match_folder
from mirrornet.app.cli import main
from mirrornet.app.terminal import OBEYED

PACKAGE = Path(mirrornet.__file__).parents[1]
RATE_HZ = 16000
TONE = 0.3 * np.sin(2 * np.pi * 440 * np.arange(RATE_HZ // 2) / RATE_HZ)
# What a name may try: to clear the screen, to ring, to begin a line, to turn the text, bytes.
NAME = "a\x1b[2J\x07\r\nmirrornet: fine.\x9b31m\u202e\u2028 .wav"
needs_names = pytest.mark.skipif(os.name != "posix", reason="no such names elsewhere")


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """Files named as modules are, each of which leaves a mark where it is run."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    mark = f"open({str(tmp_path / 'mark')!r}, 'a').write(__name__ + ' ')\n"
    installed = {"mirrornet", "numpy", "rich", "scipy", "soundfile", "torch", "tyro", "vita"}
    for name in sys.stdlib_module_names | installed | {"sitecustomize", "usercustomize"}:
        (folder / f"{name}.py").write_text(mark)
    (folder / "pyvenv.cfg").write_text(f"home = {folder}\n")
    soundfile.write(folder / "a.wav", TONE, RATE_HZ)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "until"),
    [
        ("match a.wav", "Heard: "),
        ("match .", "1 sounds matched"),
        ("learn --controls set1", "learning takes about"),
        ("bench", "Playing targets"),
        ("doctor", "and the same again"),
    ],
)
def test_no_file_of_the_current_folder_is_run(hostile, tmp_path, command, until):
    # Installed commands start Python like this: a script elsewhere, whose folder leads `sys.path`.
    script = tmp_path / "bin" / "mirrornet"
    script.parent.mkdir()
    script.write_text(
        "import sys\nfrom mirrornet.app.cli import main\n"
        "if __name__ == '__main__':\n    sys.exit(main())\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script), *command.split()],
        cwd=hostile,
        env={**os.environ, "PYTHONPATH": str(PACKAGE)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout
        said = []
        for line in process.stdout:
            said.append(line)
            if until in line:
                break
        process.kill()
    assert until in "".join(said)
    assert not (tmp_path / "mark").exists()


@pytest.fixture
def crashing(monkeypatch):
    """Processes that end at once."""
    popen = folders.subprocess.Popen
    monkeypatch.setattr(
        folders.subprocess, "Popen", lambda command, **how: popen([command[0], "-c", "1/0"], **how)
    )


@needs_names
@pytest.mark.parametrize(
    "command",
    [
        ["match", NAME],
        ["match", "gone" + NAME],
        ["match", "x", NAME],
        ["match", "x", "--refine", NAME],
        ["match", "x", f"--{NAME}"],
        ["match", "x", "--model", NAME],
        ["match", "x", "--plant", NAME],
        ["match", "x", "--out", NAME],
        ["match", "in" + NAME],
        ["learn", "--targets", "in" + NAME, "--start", "shipped"],
        ["learn", "--targets", "in" + NAME, "--controls", "set1", "--out", "out" + NAME],
        ["learn", "--targets", "gone" + NAME, "--controls", "set1"],
        ["render", NAME],
        [NAME],
    ],
    ids=lambda words: " ".join(words).encode("unicode_escape").decode()[:32],
)
def test_no_name_acts_in_the_terminal(tmp_path, monkeypatch, capsys, crashing, command):
    monkeypatch.chdir(tmp_path)
    Path(NAME).write_bytes(b"no sound")
    Path("in" + NAME).mkdir()
    Path("in" + NAME, NAME).write_bytes(b"no sound")
    with suppress(SystemExit):
        assert main(command) == 2
    said = capsys.readouterr()
    lines = (said.out + said.err).replace("\n", "")
    assert not OBEYED.search(lines)
    assert "fine." in lines  # the name is said
    assert not any(line.startswith("mirrornet: fine") for line in said.err.splitlines())


@needs_names
def test_no_name_acts_where_all_goes_well(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    soundfile.write("a.wav", TONE, RATE_HZ)
    Path("a.wav").rename(NAME)
    assert main(["match", NAME]) == 0
    said = capsys.readouterr().out
    assert (
        "Listening to a\\x1b[2J\\x07\\r\\nmirrornet: fine.\\x9b31m\\u202e\\u2028 .wav ..." in said
    )
    assert not OBEYED.search(said.replace("\n", ""))


FORMULAS = ["=1+1.wav", "+1.wav", "-1.wav", "@a.wav", "\t=1.wav", "\r=1.wav"]


@needs_names
def test_no_name_is_a_formula_in_the_summary(tmp_path, crashing):
    (tmp_path / "in").mkdir()
    for name in [*FORMULAS, 'a,"=1+1.wav', "'=1.wav", "1-1.wav"]:
        (tmp_path / "in" / name).write_bytes(b"no sound")
    match_folder(tmp_path / "in", tmp_path / "out", [], 2)
    with (tmp_path / "out" / "summary.csv").open(newline="") as file:
        names = {row["file"] for row in csv.DictReader(file)}
    guarded = {f"'{name}" for name in FORMULAS}
    assert names == {*guarded, 'a,"=1+1.wav', "'=1.wav", "1-1.wav"}


@needs_names
def test_names_are_text_in_the_page(tmp_path, crashing):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "<img src=x onerror='alert(1)'>\"&.wav").write_bytes(b"no sound")
    match_folder(tmp_path / "in", tmp_path / "out", [], 1)
    page = (tmp_path / "out" / "index.html").read_text()
    assert "&lt;img src=x onerror=&#x27;alert(1)&#x27;&gt;&quot;&amp;.wav" in page
    assert "<img" not in page
