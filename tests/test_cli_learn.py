"""`mirrornet learn` and `experiment` on the command line."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mirrornet.app.cli import main
from mirrornet.app.commands import learn as learn_commands
from mirrornet.models import mirrornet as mirror
from mirrornet.plants.vital import SET2
from mirrornet.training import melodies, trainer

MELODY = Path(mirror.__file__).parents[1] / "data" / "demo-melody.flac"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch) -> Path:
    """Each test works in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


@pytest.fixture
def tiny(monkeypatch):
    """Learning that ends within seconds."""
    plan = melodies.MirrorRecipe(babble=4, epochs=2, batch=2, batch_e_c=2, rounds=1, round_steps=1)
    monkeypatch.setitem(melodies.RECIPES["mirror"], "quick", plan)
    monkeypatch.setattr(learn_commands, "SEED_TARGETS", 3)
    monkeypatch.setattr(trainer, "usable_cores", lambda: 1)


@pytest.mark.slow
def test_learn_from_a_seed_then_match(capsys, here, tiny):
    assert main(["learn", "--targets", "7", "--seed", "1"]) == 0
    said = capsys.readouterr().out
    assert "vital babbles 4 melodies; learning takes about" in said
    run = "runs/vital-set1-mirror-quick"
    assert f"mirrornet match SOUND --model {run}" in said
    card = json.loads((here / run / "run.json").read_text())
    assert card["targets"] == "3 melodies of the plant, seed 7"
    assert card["seed"] == 1
    assert main(["match", str(MELODY), "--model", run]) == 0
    learned = contents(here / run)
    assert main(["learn", "--targets", "7", "--seed", "1"]) == 2
    assert "add --resume" in capsys.readouterr().err
    assert contents(here / run) == learned


@pytest.mark.slow
def test_learn_from_a_folder_with_other_controls(here, tiny):
    (here / "sounds").mkdir()
    (here / "sounds" / "a.flac").write_bytes(MELODY.read_bytes())
    options = ["learn", "--targets", "sounds", "--controls", "set2", "--device", "cpu"]
    assert main([*options, "--out", "mine"]) == 0
    assert json.loads((here / "mine" / "run.json").read_text())["targets"] == "1 sounds from sounds"
    assert mirror.load_model("mine").controls == SET2
    assert main([*options, "--out", "mine", "--resume"]) == 0


def test_another_plant_is_learned_and_then_played(capsys, here, tiny):
    pytest.importorskip("tinysoundfont")
    assert main(["learn", "--plant", "soundfont-40", "--targets", "7"]) == 0
    options = ["--model", "runs/soundfont-40-melody-mirror-quick", "--refine", "3"]
    assert main(["match", str(MELODY), "--plant", "soundfont-40", *options]) == 0
    card = json.loads((here / "demo-melody-match" / "controls.json").read_text())
    assert card["plant"] == "soundfont"
    assert card["plant_options"]["program"] == 40
    assert len(card["notes"]) == 5
    assert main(["render", "demo-melody-match/controls.json"]) == 0
    capsys.readouterr()
    assert main(["match", str(MELODY), "--plant", "soundfont", *options, "--out", "other"]) == 2
    said = capsys.readouterr().err
    assert "the model plays soundfont-40, not soundfont" in said
    assert "`mirrornet learn --plant soundfont`" in said


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals to a group of processes are POSIX's")
def test_ctrl_c_says_how_to_go_on(here):
    (here / "sounds").mkdir()
    (here / "sounds" / "a.flac").write_bytes(MELODY.read_bytes())
    command = [sys.executable, "-m", "mirrornet", "learn", "--targets", "sounds"]
    command += ["--controls", "set1"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    run_card = here / "runs" / "vital-set1-mirror-quick" / "run.json"
    while not run_card.exists() and process.poll() is None:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)  # a terminal sends it to the workers, too
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said.endswith(
        "\nmirrornet: stopped. To go on where it stopped, add --resume to the same command.\n"
    )
    assert "Traceback" not in said


def test_experiment_passes_its_options_on(capsys, monkeypatch):
    from mirrornet.experiments import run
    from mirrornet.experiments.settings import find_setting

    given = []
    knob = {"mae_physical": 123.0, "r2": 0.75}
    scores = {"encoder": {"notes_right": 0.875, "controls": {"cutoff": knob}}}
    Path("results").mkdir()
    Path("results/experiment-1.json").write_text(
        json.dumps({"scores": scores, "units": {"cutoff": "Hz"}})
    )

    def run_experiment(*arguments, progress, **options):
        given.append((*arguments, options))
        return Path("results/experiment-1.json")

    monkeypatch.setattr(run, "run_experiment", run_experiment)
    options = [
        "--recipe",
        "paper",
        "--budget",
        "full",
        "--seed",
        "9",
        "--resume",
        "--device",
        "cpu",
        "--pool",
        "ray",
    ]
    assert main(["experiment", "1", *options]) == 0
    expected = {"resume": True, "device": "cpu", "where": "ray"}
    assert given == [(find_setting(1), "paper", "full", None, 9, expected)]
    said = capsys.readouterr().out
    assert "about 3 hours" in said
    assert all(re.search(line, said) for line in ("notes right.* 87.5", r"cutoff \(Hz\).* 123"))
    assert main(["experiment", "3", "--variant", "flute", "--start", "shipped"]) == 0
    expected = {"resume": False, "device": "auto", "where": "local"}
    assert given[1:] == [(find_setting(3, "flute"), "mirror", "quick", "shipped", 0, expected)]
    assert "about 4 minutes" in capsys.readouterr().out
    assert main(["experiment", "3", "--variant", "kazoo"]) == 2
    assert "variants rhodes, strings, flute" in capsys.readouterr().err
    assert "results/experiment-1.json" in said
