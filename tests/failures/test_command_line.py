"""Whatever goes wrong, the command line says so in a sentence, exits with 2 and does no harm."""

import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from permissions import ordinary_user, visible_folder

from mirrornet.app import cli
from mirrornet.app.cli import main
from mirrornet.errors import OutputError
from mirrornet.experiments.settings import Setting, find_setting
from mirrornet.export.files import controls_json
from mirrornet.matching import match as matching
from mirrornet.matching.match import Match
from mirrornet.models import mirrornet as mirror
from mirrornet.models.mirrornet import MirrorNet
from mirrornet.plants.vital import SET1

MELODY = str(Path(cli.__file__).parents[1] / "data" / "demo-melody.flac")


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch, match: Match) -> Path:
    """A folder with things to trip over."""
    place = tmp_path / "here"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setattr(mirror, "shipped", lambda controls, plant="vital": place / "model.json")
    monkeypatch.setattr(matching, "ships", lambda controls, plant: plant == "vital")
    MirrorNet("vital", SET1).save("model.json", {})
    tone = 0.5 * np.sin(0.1 * np.arange(88200))
    soundfile.write("silence.wav", 0 * tone, 44100)
    soundfile.write("long.wav", np.tile(tone, 3), 44100)
    (place / "taken").mkdir()
    (place / "taken" / "song.txt").write_text("mine")
    (place / "sounds").mkdir()
    soundfile.write("sounds/a.flac", tone, 44100)
    (place / "notes.txt").write_text("practise more")
    (place / "controls.json").write_text(controls_json(match))
    return place


def contents(folder: Path) -> dict[Path, bytes | None]:
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("mtach x.wav", "there is no command mtach; choose one of demo, match"),
        ("match gone.wav", "gone.wav cannot be opened (No such file or directory); check the path"),
        ("match notes.txt", "notes.txt is damaged, or no sound file of a known kind"),
        ("match taken", "there are no sound files in taken; WAV, FLAC, OGG, MP3, M4A and"),
        ("match silence.wav", "silence.wav is silent"),
        ("match long.wav --controls set1", "the sound lasts 6 s"),
        (f"match {MELODY} --out taken", "taken is taken already; name a new folder with --out."),
        (f"match {MELODY} --out notes.txt", "notes.txt is taken already"),
        (f"match {MELODY} --out notes.txt/a", "notes.txt/a cannot be written (Not a directory)"),
        (f"match {MELODY} --out {'x' * 300}", "cannot be written (File name too long)"),
        (f"match {MELODY} --plant moog", "there is no plant 'moog'"),
        (f"match {MELODY} --plant soundfont", "no weights ship for soundfont (melody); learn some"),
        (f"match {MELODY} --plant dx7-pair", "no weights ship for dx7 (pair)"),
        (f"match {MELODY} --model gone.json", "there is no checkpoint at gone.json"),
        (f"match {MELODY} --model taken", "there is no checkpoint at taken/model.json"),
        (f"match {MELODY} --model notes.txt", "notes.txt is not the card of a mirrornet"),
        (f"match {MELODY} --refine -1", "refine is a number of renders, 0 or more; got -1."),
        ("demo --out taken", "taken is taken already; name a new folder with --out."),
        ("learn --plant moog", "there is no plant 'moog'; choose one of vital"),
        (
            "learn --plant vital-wavetable",
            "nothing needs to be learned to play the timbre",
        ),
        (
            "learn --controls set9",
            "set1, set2, patch, 48, wavetable, not 'set9'.",
        ),
        ("learn --targets gone --controls set1", "the folder gone cannot be opened (No such file"),
        ("learn --targets taken --controls set1", "none of the 1 files in taken can be used"),
        ("learn --targets gone --start shipped", "gone is no folder; give a folder"),
        ("learn --targets taken --start shipped", "is no model that reads recordings"),
        ("learn --targets sounds", "must know the synthesizer: add --start shipped."),
        ("learn --targets sounds --start model.json", "is no model that reads recordings"),
        ("learn --controls patch --start model.json", "from babble a model is learned from the"),
        ("learn --device cuda", "torch finds no CUDA GPU here; leave out --device"),
        ("experiment 1 --device cuda", "torch finds no CUDA GPU here"),
        ("render gone.json", "there is no file gone.json; give a controls.json."),
        ("render taken", "there is no file taken; give a controls.json."),
        ("render notes.txt", "notes.txt is not a controls.json as `mirrornet match` writes it"),
        ("render model.json", "model.json is not a controls.json"),
        ("render controls.json --plant moog", "there is no plant 'moog'"),
        ("render controls.json --out notes.txt", "notes.txt exists already; name another file"),
        ("render controls.json --out a.mp3", "a.mp3 must end in .wav."),
        (f"render controls.json --out {'x' * 300}.wav", "cannot be written (File name too long)"),
        (f"match {MELODY} --out a/{'x' * 300}/b", "cannot be written (File name too long)"),
        ("learn --out notes.txt/a", "notes.txt/a cannot be written (Not a directory); choose"),
        ("render controls.json --out gone/a.wav", "gone/a.wav cannot be written (No such file"),
    ],
)
def test_a_sentence_and_no_harm(here, capsys, monkeypatch, command, words):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    before = contents(here)
    assert main(command.split()) == 2
    said = capsys.readouterr().err
    last = said.splitlines()[-1]
    assert last.startswith("mirrornet: ")
    assert words in last
    assert last.endswith(".")
    assert "Traceback" not in said
    assert contents(here) == before


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("match", "SOUND"),
        (f"match {MELODY} --seed -1", "a seed is a whole number from 0 to 2147483647, not -1."),
        (f"match {MELODY} --seed 2147483648", "a seed is a whole number"),
        (f"match {MELODY} --refine lots", "lots"),
        (f"match {MELODY} --loud", "--loud"),
        ("learn --recipe magic", "mirror"),
        ("experiment", "{1,2,3}"),
        ("experiment 9", "9"),
        ("--loud", "--loud"),
    ],
)
def test_a_command_line_that_is_none(here, capsys, command, words):
    before = contents(here)
    with pytest.raises(SystemExit) as ended:
        main(command.split())
    assert ended.value.code == 2
    assert words in capsys.readouterr().err
    assert contents(here) == before


@pytest.mark.skipif(os.name != "posix", reason="permissions work otherwise on Windows")
def test_a_place_that_may_not_be_written_is_seen_before_the_work(capsys, monkeypatch):
    monkeypatch.setattr("mirrornet.matching.match.match", None)  # cannot be called
    with visible_folder() as folder:
        # The project's own folder, where sounds and modules lie, may be closed to others.
        sound = shutil.copy(MELODY, folder)
        assert main(["match", str(sound), "--out", str(folder)]) == 2
        assert "is taken already" in capsys.readouterr().err
        with ordinary_user():
            assert main(["match", str(sound), "--out", f"{folder}/mine"]) == 2
    said = capsys.readouterr().err
    assert "mine cannot be written (Permission denied); name another folder with --out." in said


@pytest.mark.parametrize("place", ["mine.wav", "mine.mp3", "gone/mine.wav", f"{'x' * 300}.wav"])
def test_a_place_for_a_sound_is_checked_before_it_is_played(capsys, monkeypatch, place):
    monkeypatch.setattr("mirrornet.export.playing.play", None)  # cannot be called
    if place == "mine.wav":
        monkeypatch.setattr(Path, "mkdir", _no_permission)
    assert main(["render", "controls.json", "--out", place]) == 2
    assert place in capsys.readouterr().err


def _no_permission(*_: object) -> None:
    raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("run", ["run.run_experiment", "benchmark.run_benchmark"])
def test_a_place_for_results_is_checked_before_the_work(here, monkeypatch, run):
    home, _, name = run.partition(".")
    module = importlib.import_module(f"mirrornet.experiments.{home}")
    monkeypatch.setattr(module, "bench_module", lambda package: None)
    monkeypatch.setattr(Setting, "target_pool", None)  # cannot be called
    (here / "results").write_text("mine")
    with pytest.raises(OutputError, match=r"results/.* cannot be written \(Not a directory\)"):
        getattr(module, name)(find_setting(1, None))


def test_a_deleted_folder_is_said(here, capsys, monkeypatch):
    gone = here / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(["match", MELODY]) == 2
    assert "the current folder was deleted; change to another one." in capsys.readouterr().err


def test_a_full_disk_in_the_middle_leaves_nothing(here, capsys):
    resource = pytest.importorskip("resource", reason="needs a limit on the size of files")
    before = contents(here)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        assert main(["match", MELODY, "--out", "mine"]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "mirrornet: " in capsys.readouterr().err
    assert contents(here) == before


def test_a_write_that_fails_anywhere_is_one_sentence(here, capsys, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device", "runs/x/state.json")

    monkeypatch.setattr("mirrornet.experiments.run.run_experiment", full)
    assert main(["experiment", "1"]) == 2
    assert capsys.readouterr().err == "mirrornet: runs/x/state.json: No space left on device.\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_standard_output_that_takes_no_more(here):
    with open("/dev/full", "w") as full:
        said = subprocess.run(
            [sys.executable, "-m", "mirrornet", "plants"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert said.returncode == 2
    assert said.stderr == "mirrornet: standard output: No space left on device.\n"


@pytest.mark.skipif(sys.platform != "linux", reason="file names are bytes on Linux only")
def test_names_that_are_no_text(here):
    """A terminal gets an escaped name, not a UnicodeEncodeError."""
    name = os.fsdecode(b"caf\xe9")
    (here / f"{name}.json").write_bytes((here / "controls.json").read_bytes())
    said = subprocess.run(
        [sys.executable, "-m", "mirrornet", "render", f"{name}.json"],
        capture_output=True,
        check=False,
        env=os.environ | {"PYTHONIOENCODING": "utf-8:strict"},
    )
    assert (said.returncode, said.stderr) == (0, b"")
    assert rb"written to caf\udce9.wav." in said.stdout
