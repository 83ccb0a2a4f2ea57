"""The command line, as people and scripts use it: what it prints, writes and returns."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import soundfile
from vital_rules import problems

from mirrornet.app import options
from mirrornet.app.cli import COMMANDS, main
from mirrornet.app.commands import learn as learn_commands
from mirrornet.app.commands import match as match_commands
from mirrornet.errors import OutputError
from mirrornet.export.files import controls_json
from mirrornet.matching.match import Match
from mirrornet.models import mirrornet as mirror
from mirrornet.models.mirrornet import MirrorNet
from mirrornet.plants.vital import SET1, SET2
from mirrornet.training import melodies

MELODY = Path(mirror.__file__).parents[1] / "data" / "demo-melody.flac"
FILES = {*match_commands.WHAT_FILES_ARE, "presets"} - {
    "timbre.png",
    "melody-mpe.mid",
}  # with a preset for each note


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """A model that learned nothing: it answers, and that is all these tests need."""
    return MirrorNet("vital", SET1).save(tmp_path_factory.mktemp("model") / "model.json", {})


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """Each test works in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(match_commands, "DEMO_RENDERS", 2)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def run(*arguments: str, **options) -> subprocess.CompletedProcess:
    """`mirrornet` in a process of its own."""
    command = [sys.executable, "-m", "mirrornet", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


# Help


@pytest.mark.parametrize("arguments", [["--help"], []])
def test_help_names_every_command_and_a_first_step(capsys, arguments):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert all(f"• {command} " in said for command in COMMANDS)
    assert "Start with: mirrornet demo" in said


@pytest.mark.parametrize("command", COMMANDS)
def test_each_option_is_explained(capsys, monkeypatch, command):
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    for line in re.findall("│ (--.*)│", capsys.readouterr().out):
        assert re.match(r"--[a-z]+( [A-Z|]+| \{[a-z,]+\})?  +\w", line), line


def test_version():
    said = run("--version")
    assert said.returncode == 0
    assert re.fullmatch(r"mirrornet \d+\.\d+\.\d+\n", said.stdout)


@pytest.mark.parametrize("arguments", [["--help"], ["match", "--help"], ["--version"]])
def test_help_does_not_wait_for_torch_or_a_synthesizer(arguments):
    script = f"""if True:
        import sys
        from mirrornet.app.cli import main
        try:
            main({arguments})
        except SystemExit:
            pass
        print({{"torch", "vita", "scipy", "matplotlib"}} & set(sys.modules), file=sys.stderr)
    """
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert said.stderr == "set()\n"


def test_recipes_and_budgets_are_the_ones_that_exist():
    recipes, budgets = (get_args(get_args(x)[0]) for x in (options.Recipe, options.Budget))
    assert set(recipes) == set(melodies.RECIPES)
    assert all(set(budgets) == set(plans) for plans in melodies.RECIPES.values())
    assert set(learn_commands.ABOUT) == {
        (recipe, budget) for recipe in recipes for budget in budgets
    }


# Match and demo


def test_match_writes_beside_you_and_says_how_close_it_is(capsys, here, model):
    assert main(["match", str(MELODY), "--model", str(model)]) == 0
    said = capsys.readouterr().out
    folder = here / "demo-melody-match"
    assert {file.name for file in folder.iterdir()} == FILES
    error = json.loads((folder / "controls.json").read_text())["distances"]["spectrogram_error"]
    assert f"{100 * error:.0f} % of the spectrogram's variance" in said
    assert "In demo-melody-match:" in said
    assert all(file in said for file in FILES)
    assert re.search(r"Heard:( +[A-G]#?\d){5}\n", said)


@pytest.mark.parametrize("controls", ["set1", "patch"])
def test_a_file_that_is_cut_is_matched_with_a_warning(capsys, here, controls):
    sound, rate_hz = soundfile.read(MELODY)
    soundfile.write("cut.wav", np.tile(sound, 2), rate_hz)
    os.truncate("cut.wav", 2 * len(sound))
    assert main(["match", "cut.wav", "--controls", controls]) == 0
    warning = "cut.wav is cut short or damaged: 2.0 s of it could be read."
    assert f"Beware: {warning}\n" in capsys.readouterr().out
    assert json.loads((here / "cut-match/controls.json").read_text())["warnings"] == [warning]


def test_what_was_heard_is_said_before_files_are_written(capsys, here, monkeypatch):
    def full(match, folder):
        raise OutputError("the disk is full.")

    monkeypatch.setattr(Match, "save", full)
    assert main(["match", str(MELODY)]) == 2
    said = capsys.readouterr()
    assert re.search(r"Heard:( +[A-G]#?\d){5}\n.*variance", said.out)
    assert "In demo-melody-match:" not in said.out
    assert "the disk is full" in said.err
    assert not list(here.iterdir())


def test_matching_does_not_wait_for_what_draws():
    program = "import sys, mirrornet.matching; sys.exit('matplotlib' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.slow
def test_options_of_match_reach_the_matcher(here, model, tmp_path_factory):
    other = tmp_path_factory.mktemp("elsewhere") / "model.json"
    MirrorNet("vital", SET2).save(other, {})
    options = ["match", str(MELODY), "--plant", "vital", "--seed", "3"]
    assert main([*options, "--model", str(other), "--refine", "2", "--out", "deep/a"]) == 0
    assert main([*options, "--model", str(other.parent), "--refine", "2", "--out", "b"]) == 0
    assert main([*options, "--model", str(model), "--out", "c"]) == 0
    a, b, c = (json.loads((here / f / "controls.json").read_text()) for f in ("deep/a", "b", "c"))
    assert a == b
    assert {"vibrato_rate"} <= set(a["notes"][0]["controls"])
    assert set(c["notes"][0]["controls"]) == set(SET1.knobs.names)


def test_demo_twice_keeps_both(capsys, here):
    assert main(["demo"]) == 0
    assert "Played: D4 F4 A4 C5 A4\nHeard:" in capsys.readouterr().out
    first = contents(here / "mirrornet-demo")
    presets = list((here / "mirrornet-demo").rglob("*.vital"))
    assert presets
    assert not any(problems(path.read_text()) for path in presets)
    assert main(["demo"]) == 0
    said = capsys.readouterr().out
    assert "mirrornet-demo holds files already, so this goes to mirrornet-demo-2." in said
    assert "In mirrornet-demo-2:" in said
    assert contents(here / "mirrornet-demo") == first
    assert {Path(file).name for file in contents(here / "mirrornet-demo-2")} >= FILES - {"presets"}


def test_demo_takes_the_next_free_name_and_empty_folders(capsys, here):
    (here / "mirrornet-demo").write_text("mine")
    (here / "mirrornet-demo-2").symlink_to("nowhere")
    (here / "mirrornet-demo-3").mkdir()
    assert main(["demo"]) == 0
    assert "goes to mirrornet-demo-3" in capsys.readouterr().out
    assert (here / "mirrornet-demo-3" / "report.html").is_file()


# Render and plants


def test_render_plays_what_match_wrote(capsys, here, match: Match):
    (here / "mine.json").write_text(controls_json(match))
    assert main(["render", "mine.json"]) == 0
    audio, rate_hz = soundfile.read(here / "mine.wav")
    assert rate_hz == 44100
    np.testing.assert_allclose(audio, match.audio[: len(audio)], atol=1e-5)
    assert np.abs(match.audio[len(audio) :]).max(initial=0) < 1e-3
    assert f"5 notes, {len(audio) / 44100:.2f} s, written to mine.wav." in capsys.readouterr().out


def test_render_plays_edited_notes(here, match: Match):
    card = json.loads(controls_json(match))
    card["notes"] = card["notes"][:1]
    card["notes"][0] |= {"pitch_midi": 40, "onset_s": 1.0, "offset_s": 3.0}
    (here / "mine.json").write_text(json.dumps(card))
    assert main(["render", "mine.json", "--plant", "vital", "--out", "low.wav"]) == 0
    audio, _ = soundfile.read(here / "low.wav")
    assert len(audio) == pytest.approx(3.05 * 44100, abs=1)
    assert not audio[:44100].any()
    spectrum = np.abs(np.fft.rfft(audio[44100:]))
    # All partials of a low E are multiples of 82.4 Hz.
    partial = spectrum.argmax() * 44100 / len(audio[44100:]) / 82.41
    assert partial == pytest.approx(round(partial), abs=0.02)


def test_plants_lists_every_control_with_its_unit_and_sets(capsys):
    assert main(["plants", "--plant", "vital"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Plant vital"
    for control in SET2:
        line = next(line for line in lines if line.startswith(f"{control.name} "))
        assert f"{control.low:g} to {control.high:g} {control.unit}" in line
        assert control.curve in line
        assert ("set1 set2" in line) == (control in SET1)


def test_plants_says_what_ships_and_what_is_missing(capsys):
    assert main(["plants"]) == 0
    lines = [line.split(maxsplit=4) for line in capsys.readouterr().out.splitlines()[1:-1]]
    found = {(line[0], line[1]): line[2:] for line in lines}
    assert found["vital", "patch"] == ["18", "ship"]
    assert found["dx7", "all"][:2] == ["146", "ship"]
    assert found["dx7", "pair"][1] == "-"
    assert found["diva", "set2"] == ["10", "-", "from u-he.com, with a licence"]


def test_plants_lists_the_choices_switches_and_tables_of_one_file(capsys, tmp_path):
    (tmp_path / "mine.py").write_text(
        """from mirrornet.controls import Control, ControlSpace
from mirrornet.plants import NotePlant

class Mine(NotePlant):
    name = "mine"
    control_sets = {"all": ControlSpace((
        Control("wave", kind="choice", choices=("saw", "square")),
        Control("sync", kind="switch"),
        Control("harmonics", "%", 0, 100, shape=(8, 4)),
    ), "all")}

    def note_sound(self, note):
        raise NotImplementedError
"""
    )
    assert main(["plants", "--plant", str(tmp_path / "mine.py")]) == 0
    printed = capsys.readouterr().out
    assert "Plant vital" not in printed
    for text in ("saw, square", "off, on", "0 to 100 %, 8 x 4 values"):
        assert text in printed


# Streams


@pytest.mark.skipif(os.name != "posix", reason="pipes break otherwise elsewhere")
def test_a_reader_that_leaves_is_no_error():
    process = subprocess.Popen(
        [sys.executable, "-m", "mirrornet", "plants"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    process.stdout.close()
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")
