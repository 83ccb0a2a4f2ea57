"""Whatever a folder of sounds holds, and whatever becomes of it: what can be matched is, all else
is said, and no answer is taken for that of another sound."""

import csv
import os
from pathlib import Path

import pytest
from permissions import ordinary_user, visible_folder

from mirrornet.app import batch as folders
from mirrornet.app.batch import match_folder, sound_files
from mirrornet.app.cli import main
from mirrornet.app.console import Console
from mirrornet.errors import AudioError, OutputError
from tests.test_folders import ANSWER

# In place of a match: `broken` sounds fail, all others have an answer at once.
QUICK = """
import pathlib, sys
sound, out = map(pathlib.Path, sys.argv[1:])
if not sound.exists() or b"broken" in sound.read_bytes():
    sys.exit("mirrornet: it is broken.")
out.mkdir(parents=True)
(out / "controls.json").write_text({ANSWER!r})
"""


@pytest.fixture(autouse=True)
def started(monkeypatch) -> list[str]:
    """The sounds that a process was started for."""
    popen, sounds = folders.subprocess.Popen, []

    def quick(command, **how):
        sound, out = command[command.index("match") + 1], command[command.index("--out") + 1]
        sounds.append(Path(sound).name)
        program = QUICK.replace("{ANSWER!r}", repr(ANSWER))
        return popen([command[0], "-I", "-S", "-c", program, sound, out], **how)

    monkeypatch.setattr(folders.subprocess, "Popen", quick)
    return sounds


@pytest.fixture
def sounds(tmp_path: Path) -> Path:
    folder = tmp_path / "sounds"
    (folder / "inside").mkdir(parents=True)
    for name in ("a.wav", "b.wav", "inside/c.wav"):
        (folder / name).write_text(name)
    return folder


def problems(folder: Path, out: Path) -> dict[str, str]:
    found = match_folder(folder, out, [], 2, progress=Console().progress)
    return {one.file.relative_to(folder).as_posix(): one.problem for one in found}


WELL = {"a.wav": "", "b.wav": "", "inside/c.wav": ""}


# Sounds that change


def test_a_sound_that_was_replaced_by_an_older_one_is_seen(sounds, tmp_path, started):
    out = tmp_path / "out"
    assert problems(sounds, out) == WELL
    (sounds / "a.wav").write_text("another")
    os.utime(sounds / "a.wav", (0, 0))
    os.utime(sounds / "b.wav", (2e9, 2e9))  # touched, but the same
    started.clear()
    assert problems(sounds, out) == WELL | {"a.wav": f"it changed since; delete {out / 'a.wav'}."}
    assert started == []


def test_an_answer_that_does_not_say_its_sound_is_taken_if_it_is_younger(sounds, tmp_path):
    """As those of earlier versions."""
    out = tmp_path / "out"
    problems(sounds, out)
    for note in out.rglob("sound.sha256"):
        note.unlink()
    os.utime(sounds / "b.wav", (2e9, 2e9))
    assert problems(sounds, out) == WELL | {"b.wav": f"it changed since; delete {out / 'b.wav'}."}


def test_a_file_that_vanishes_costs_itself(sounds, tmp_path, monkeypatch):
    out = tmp_path / "out"
    problems(sounds, out)
    listed = sound_files(sounds, out)
    monkeypatch.setattr(folders, "sound_files", lambda *_: listed)
    (sounds / "a.wav").unlink()
    (sounds / "new.wav").write_text("new")
    listed[0].append(sounds / "new.wav")
    (sounds / "new.wav").unlink()
    found = problems(sounds, out)
    assert found["a.wav"]
    assert found["new.wav"]
    assert (found["b.wav"], found["inside/c.wav"]) == ("", "")


# Results


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{",
        "[]",
        "null",
        "7",
        "{}",
        '{"notes": []}',
        ANSWER.replace("0.1", '"much"'),
        ANSWER.replace("0.1", "1" + "0" * 400),
        ANSWER.replace('"warnings": []', '"warnings": [1]'),
        ANSWER.replace("[{}]", "7"),
        "[" * 100_000,
        b"\xff\xfe\x00",
    ],
    ids=range(13),
)
def test_damaged_results_cost_their_row(sounds, tmp_path, content, capsys):
    out = tmp_path / "out"
    problems(sounds, out)
    card = out / "a.wav" / "controls.json"
    card.write_bytes(content if isinstance(content, bytes) else content.encode())
    damaged = f"its results are damaged; delete {out / 'a.wav'}."
    assert problems(sounds, out) == WELL | {"a.wav": damaged}
    assert f"a.wav: {damaged}" in capsys.readouterr().err
    rows = list(csv.DictReader((out / "summary.csv").open()))
    assert [row["difference"] for row in rows] == ["", "10 %", "10 %"]
    assert rows[0]["problem"] == damaged


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("options.json", '{"theme": "dark"}'),
        ("options.json", "{"),
        ("run.json", "{}"),
        ("controls.json", '{"volume": 11}'),
        ("controls.json", "[" * 100_000),
        ("controls.json", b"\xff"),
    ],
)
def test_sounds_beside_a_file_of_somebody_else(sounds, tmp_path, name, content):
    file = sounds / "inside" / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    assert problems(sounds, tmp_path / "out") == WELL


def test_results_among_the_sounds_are_no_sounds(sounds):
    assert problems(sounds, sounds / "out") == WELL
    (sounds / "out" / "a.wav" / "target.wav").write_text("a.wav")
    (sounds / "single").mkdir()
    (sounds / "single" / "controls.json").write_text(ANSWER)
    (sounds / "single" / "match.wav").write_text("a.wav")
    assert problems(sounds, sounds / "out") == WELL
    assert problems(sounds, sounds / "other") == WELL


@pytest.mark.parametrize("content", [b"{}", b'{"theme": "dark"}', b"\xff", b"{", b"[]"])
def test_options_of_somebody_else_are_left_alone(sounds, tmp_path, content):
    out = tmp_path / "out"
    out.mkdir()
    (out / "options.json").write_bytes(content)
    with pytest.raises(OutputError, match="holds other files already"):
        match_folder(sounds, out, [], 1)
    assert [file.read_bytes() for file in out.iterdir()] == [content]


@pytest.mark.parametrize("name", ["index.html", "options.json", "summary.csv"])
def test_a_folder_in_the_place_of_the_page_is_seen_before_the_work(sounds, tmp_path, name):
    (sounds / "inside").rename(sounds / name)
    with pytest.raises(
        AudioError, match=f"{name} has the name of a file of the results; rename it"
    ):
        match_folder(sounds, tmp_path / "out", [], 1)
    assert not (tmp_path / "out").exists()


# Links and permissions


def test_linked_folders_are_followed_once(sounds, tmp_path):
    far, out = tmp_path / "far", tmp_path / "out"
    (far / "deep").mkdir(parents=True)
    (far / "deep" / "d.wav").write_text("d")
    links = {
        "far": far,
        "far-again": far / "deep",
        "0-inside": sounds / "inside",  # which comes before the folder that it is a link to
        "inside/round": sounds,
        "up": tmp_path,
        "results": out,
        "link.wav": sounds / "a.wav",
        "folder.wav": far,
    }
    for name, place in links.items():
        (sounds / name).symlink_to(place)
    linked = WELL | {"link.wav": ""}
    found = problems(sounds, out)
    (deep,) = found.keys() - linked.keys()
    assert deep.endswith("d.wav")
    assert found == linked | {deep: ""}
    assert problems(sounds, out) == found


def test_a_link_to_nothing_is_said(sounds, tmp_path):
    (sounds / "gone.wav").symlink_to("nowhere.wav")
    (sounds / "round.wav").symlink_to("round.wav")
    (sounds / "gone").symlink_to("nowhere")
    found = problems(sounds, tmp_path / "out")
    assert found.keys() == WELL.keys() | {"gone.wav", "round.wav"}
    assert found["gone.wav"]
    assert found["round.wav"]


@pytest.mark.skipif(os.name != "posix", reason="permissions work otherwise on Windows")
def test_folders_that_cannot_be_opened():
    with visible_folder() as place:
        sounds, out = place / "sounds", place / "out"
        for name in ("a.wav", "locked/b.wav", "listed/c.wav"):
            (sounds / name).parent.mkdir(parents=True, exist_ok=True)
            (sounds / name).write_text(name)
        problems(sounds, out)  # others may not start what the superuser does
        out.chmod(0o777)
        modes = {"locked": 0o300, "listed": 0o444}  # what is in it may be used, may be listed
        for name, mode in modes.items():
            (sounds / name).chmod(mode)
        with ordinary_user():
            files, closed = sound_files(sounds, out)
            with pytest.raises(AudioError, match=r"locked cannot be opened \(Permission denied\)"):
                sound_files(sounds / "locked", out)
            found = problems(sounds, out)
        for name in modes:
            (sounds / name).chmod(0o700)
    assert files == [sounds / "a.wav"]
    assert closed == {sounds / name: "Permission denied" for name in modes}
    said = "this folder cannot be opened (Permission denied)."
    assert found == {"a.wav": "", "locked": said, "listed": said}


# How it ends


@pytest.mark.parametrize(
    ("broken", "code", "said"),
    [
        ([], 0, "3 sounds matched"),
        (["a.wav"], 1, "2 sounds matched, 1 not"),
        (["a.wav", "b.wav", "inside/c.wav"], 2, "none of the 3 sounds could be matched"),
    ],
)
def test_the_exit_code_tells_whether_all_went_well(sounds, tmp_path, capsys, broken, code, said):
    for name in broken:
        (sounds / name).write_text("broken")
    for _ in range(2):
        assert main(["match", str(sounds), "--out", str(tmp_path / "out")]) == code
        assert said in "".join(capsys.readouterr())


def test_a_machine_that_starts_no_more_processes_costs_rows(sounds, tmp_path, monkeypatch):
    def full(*_: object, **__: object) -> None:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(folders.subprocess, "Popen", full)
    found = match_folder(sounds, tmp_path / "out", [], 2)
    assert {one.problem for one in found} == {
        "it cannot be matched (Resource temporarily unavailable)."
    }
    assert len(found) == 3
    assert (tmp_path / "out" / "summary.csv").is_file()


@pytest.mark.parametrize("options", [["loop.wav"], ["sounds", "--out", "loop.wav"]])
def test_a_link_to_itself_is_one_sentence(sounds, tmp_path, monkeypatch, capsys, options):
    monkeypatch.chdir(tmp_path)
    os.symlink("loop.wav", tmp_path / "loop.wav")
    assert main(["match", *options]) == 2
    error = capsys.readouterr().err
    assert error.startswith("mirrornet: ")
    assert error.count("\n") == 1
