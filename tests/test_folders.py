"""A folder of recordings: all that can be used are matched, whatever the others are."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from threading import Event, Thread

import numpy as np
import pytest
import soundfile
from encoding import encoded, film

from mirrornet.app import batch as folders
from mirrornet.app.batch import match_folder
from mirrornet.app.cli import main
from mirrornet.errors import AudioError, OutputError
from mirrornet.plants.vital import Vital
from tests.test_patch import a_note

RATE_HZ = 16000
ANSWER = json.dumps(
    {
        "plant": "vital",
        "notes": [{}],
        "controls_0_to_1": [],
        "distances": {"spectrogram_error": 0.1},
        "warnings": [],
    }
)


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    folder = tmp_path / "sounds"
    (folder / "inside").mkdir(parents=True)
    vital = Vital("patch", RATE_HZ)
    soundfile.write(folder / "a note.wav", vital.play([a_note(60)], 0.6), RATE_HZ)
    soundfile.write(folder / "inside" / "b.flac", vital.play([a_note(67)], 0.6), RATE_HZ)
    (folder / "broken.wav").write_bytes(b"RIFFnonsense")
    soundfile.write(folder / "silent.wav", np.zeros(RATE_HZ), RATE_HZ)
    (folder / "notes.txt").write_text("no sound")
    soundfile.write(folder / ".hidden.wav", vital.play([a_note(60)], 0.6), RATE_HZ)
    return folder


@pytest.mark.slow
def test_a_folder_is_matched_and_goes_on_where_it_stopped(sounds, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    assert main(["match", str(sounds), "--out", str(out)]) == 1
    said = capsys.readouterr()
    assert "2 sounds matched, 2 not" in said.out
    assert "broken.wav: " in said.err
    rows = list(csv.DictReader((out / "summary.csv").open()))
    assert {row["file"]: row["notes"] for row in rows} == {
        "a note.wav": "1",
        "broken.wav": "",
        str(Path("inside/b.flac")): "1",
        "silent.wav": "",
    }
    problems = {row["file"]: row["problem"] for row in rows}
    assert "damaged" in problems["broken.wav"]
    assert "silent" in problems["silent.wav"]
    page = (out / "index.html").read_text()
    assert 'href="a%20note.wav/report.html"' in page
    assert (out / "a note.wav" / "match.vital").is_file()
    assert not (out / "broken.wav").exists()

    before = {path: path.stat().st_mtime_ns for path in out.rglob("*/*")}
    started = []
    popen = folders.subprocess.Popen
    monkeypatch.setattr(
        folders.subprocess, "Popen", lambda *a, **k: started.append(a) or popen(*a, **k)
    )
    assert main(["match", str(sounds), "--out", str(out)]) == 1
    assert len(started) == 2  # those that failed are tried again
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*/*")} == before


@pytest.mark.slow
def test_a_process_that_crashes_costs_its_file_only(sounds, tmp_path, monkeypatch):
    popen = folders.subprocess.Popen

    def crash(command, **options):
        if command[5].endswith("b.flac"):
            command = [command[0], "-c", "import os; os.abort()"]
        return popen(command, **options)

    monkeypatch.setattr(folders.subprocess, "Popen", crash)
    found = match_folder(sounds, tmp_path / "out", [], 2)
    problems = {one.file.name: one.problem for one in found}
    assert problems["a note.wav"] == ""
    assert "its process ended" in problems["b.flac"]


@pytest.mark.slow
def test_ctrl_c_keeps_what_is_done_and_says_so(sounds, tmp_path, monkeypatch, capsys):
    out = tmp_path / "out"
    popen = folders.subprocess.Popen

    def endless(command, **options):
        if command[5].endswith("b.flac"):
            (tmp_path / "ready").touch()
            command = [command[0], "-c", "import time; time.sleep(600)"]
        return popen(command, **options)

    def interrupt():
        while not (tmp_path / "ready").exists() or not (out / "a note.wav").exists():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(folders.subprocess, "Popen", endless)
    Thread(target=interrupt).start()
    assert main(["match", str(sounds), "--out", str(out)]) == 130
    assert "keeps what is done; the same command goes on from there" in capsys.readouterr().err
    rows = list(csv.DictReader((out / "summary.csv").open()))
    assert "a note.wav" in {row["file"] for row in rows}
    assert str(Path("inside/b.flac")) not in {row["file"] for row in rows}
    assert not (out / "inside" / "b.flac").exists()
    monkeypatch.setattr(folders.subprocess, "Popen", popen)
    assert main(["match", str(sounds), "--out", str(out)]) == 1
    assert (out / "inside" / "b.flac" / "match.vital").is_file()


@pytest.mark.slow
def test_what_phones_record_is_matched_and_what_is_cut_is_said_to_be(tmp_path):
    (tmp_path / "sounds").mkdir()
    note = Vital("patch", RATE_HZ).play([a_note(60)], 0.6)
    memo = encoded(note, RATE_HZ, "mp4", "aac", movflags="frag_keyframe+empty_moov")
    (tmp_path / "sounds" / "cut.m4a").write_bytes(memo[: len(memo) * 9 // 10])
    (tmp_path / "sounds" / "memo.M4A").write_bytes(memo)
    (tmp_path / "sounds" / "silent.mov").write_bytes(film(1, "mov"))
    found = match_folder(tmp_path / "sounds", tmp_path / "out", [], 1)
    assert [one.file.name for one in found] == ["cut.m4a", "memo.M4A", "silent.mov"]
    cut, memo, silent = found
    assert "is cut short or damaged" in cut.facts["problem"]
    assert (cut.facts["notes"], memo.facts["notes"]) == ("1", "1")
    assert memo.facts["problem"] == cut.problem == memo.problem == ""
    assert "holds no sound" in silent.problem


def test_a_folder_without_sounds_is_said_to_be(tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(AudioError, match="no sound files"):
        match_folder(tmp_path / "empty", tmp_path / "out", [], 1)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_results_are_those_of_one_folder_and_of_one_way_to_match(sounds, tmp_path):
    out = tmp_path / "out"
    (sounds / "inside" / "b.flac").unlink()
    match_folder(sounds, out, ["--refine", "1"], 1)
    with pytest.raises(OutputError, match="another folder, or made with other options"):
        match_folder(sounds, out, ["--refine", "2"], 1)
    with pytest.raises(OutputError, match="another folder, or made with other options"):
        match_folder(sounds, out, ["--refine", "1"], 1, "other weights")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a note.wav").write_bytes((sounds / "a note.wav").read_bytes())
    with pytest.raises(OutputError, match="another folder, or made with other options"):
        match_folder(tmp_path / "other", out, ["--refine", "1"], 1)


def test_options_may_change_until_something_is_matched(sounds, tmp_path, monkeypatch):
    popen = folders.subprocess.Popen
    monkeypatch.setattr(
        folders.subprocess, "Popen", lambda command, **how: popen([command[0], "-c", "1/0"], **how)
    )
    match_folder(sounds, tmp_path / "out", ["--refine", "1"], 1)
    match_folder(sounds, tmp_path / "out", ["--refine", "2"], 1)
    with pytest.raises(OutputError, match="holds the sounds themselves"):
        match_folder(sounds, tmp_path, [], 1)


@pytest.mark.parametrize(
    ("at_interrupt", "problem"),
    [("save()", ""), ("None", "it took longer than 0 s; spend fewer renders.")],
)
def test_what_takes_too_long_is_asked_to_end_and_then_ended(
    sounds, tmp_path, monkeypatch, at_interrupt, problem
):
    script = f"""
import pathlib, signal, sys, time

def save():
    out = pathlib.Path({str(tmp_path / "out")!r})
    out.mkdir()
    (out / "controls.json").write_text({ANSWER!r})
    sys.exit(0)

signal.signal(signal.SIGINT, lambda *_: {at_interrupt})
open({str(tmp_path / "ready")!r}, "w").close()
while True:
    time.sleep(0.05)
"""
    popen = folders.subprocess.Popen

    def slow(command, **how):
        process = popen([command[0], "-c", script], **how)
        while not (tmp_path / "ready").is_file():
            time.sleep(0.01)
        return process

    monkeypatch.setattr(folders.subprocess, "Popen", slow)
    monkeypatch.setattr(folders, "LONGEST_S", 0)
    monkeypatch.setattr(folders, "GRACE_S", 0.3)
    one = folders._match_file(sounds / "a note.wav", tmp_path / "out", [], Event())
    assert one.problem == problem


SCRIPT = """
import sys
from pathlib import Path
from mirrornet.app import batch as folders

# The life of a process is as it is, but that it matches for ever.
folders._program = lambda: f'''
from mirrornet.app import one_sound
def main():
    with open({sys.argv[3]!r}, "w") as fifo:
        fifo.write("up")
        fifo.flush()
        import time
        while True:
            try:
                time.sleep(600)
            except KeyboardInterrupt:  # as native code that takes its time
                pass
one_sound.main = main
one_sound.match_one()
'''
folders.match_folder(Path(sys.argv[1]), Path(sys.argv[2]), [], 1)
"""


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX's")
@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGHUP, signal.SIGKILL])
def test_no_process_outlives_the_one_that_started_it(sounds, tmp_path, ending):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    paths = os.pathsep.join(sys.path)
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(sounds), str(tmp_path / "out"), str(fifo)],
        env=os.environ | {"PYTHONPATH": paths},
        stderr=subprocess.DEVNULL,
    ) as process:
        with fifo.open() as other_end:
            assert other_end.read(2) == "up"
            process.send_signal(ending)
            assert other_end.read() == ""  # once nobody holds it
        process.kill()
