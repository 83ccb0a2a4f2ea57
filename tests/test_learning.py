"""Learning: it learns, it resumes to the same weights, and it never overwrites."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from faulty_plant import Witness
from toy_plant import Toy

from mirrornet.errors import CancelledError, MirrorNetError, OutputError
from mirrornet.events import Progress
from mirrornet.models.mirrornet import MirrorNet
from mirrornet.plants.pool import Pool
from mirrornet.training import trainer
from mirrornet.training.dataset import seed_targets
from mirrornet.training.melodies import MirrorRecipe, PaperRecipe, learn
from mirrornet.training.steps import batch_rows

MIRROR = MirrorRecipe(babble=16, epochs=4, batch=8, batch_e_c=4, rounds=2, round_steps=2)
PAPER = PaperRecipe(rounds=2, decoder_epochs=2, encoder_epochs=2, batch=4)
STEPS = {MIRROR: 8 + 4, PAPER: 16}


@pytest.fixture(scope="module")
def pool():
    with Pool(Toy, workers=1) as pool:
        yield pool


@pytest.fixture(scope="module")
def targets(pool) -> np.ndarray:
    return seed_targets(pool, "targets", 8, seed=0)[1]


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    monkeypatch.setattr(trainer, "usable_cores", lambda: 1)


def weights(model: MirrorNet) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


class Killed(BaseException):
    pass


def test_learning_that_goes_astray_is_stopped_with_a_sentence(pool, targets, tmp_path):
    with pytest.raises(MirrorNetError, match="astray"):
        learn(MIRROR, pool, targets * np.nan, tmp_path / "run")


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [MIRROR, PAPER], ids=["mirror", "paper"])
@pytest.mark.parametrize("at", [0, 5, -1], ids=["first", "middle", "last"])
@pytest.mark.parametrize("saving", [0.0, 1e9], ids=["saved each step", "never saved"])
def test_a_killed_run_resumes_to_the_same_weights(
    pool, targets, tmp_path, monkeypatch, recipe, at, saving
):
    whole = learn(recipe, pool, targets, tmp_path / "whole")
    at %= STEPS[recipe] + 1
    monkeypatch.setattr(trainer, "SAVE_EVERY_S", saving)

    def kill(event):
        if (event.kind, event.stage) == ("advance", "Learning") and event.done == at:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(pool, "progress", Progress(kill))
        with pytest.raises(Killed):
            learn(recipe, pool, targets, tmp_path / "killed")
    assert not (tmp_path / "killed" / "model.json").exists()
    again = learn(recipe, pool, targets, tmp_path / "killed", resume=True)
    for name, value in weights(whole).items():
        assert torch.equal(value, weights(again)[name]), name
    log = (tmp_path / "killed" / "log.jsonl").read_text()
    assert log == (tmp_path / "whole" / "log.jsonl").read_text()


@pytest.mark.slow
def test_cancelled_it_saves_and_resumes(pool, targets, tmp_path, monkeypatch):
    whole = learn(MIRROR, pool, targets, tmp_path / "whole")

    def listen(event):
        if event.stage == "Learning" and event.done == 4:
            progress.cancel()

    progress = Progress(listen)
    with monkeypatch.context() as patched:
        patched.setattr(pool, "progress", progress)
        with pytest.raises(CancelledError):
            learn(MIRROR, pool, targets, tmp_path / "stopped")
    card = json.loads((tmp_path / "stopped" / "state.json").read_text())
    assert card["step"] == 4
    again = learn(MIRROR, pool, targets, tmp_path / "stopped", resume=True)
    assert all(torch.equal(v, weights(again)[k]) for k, v in weights(whole).items())


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
from toy_plant import Toy
from mirrornet.training import melodies, trainer
from mirrornet.plants.pool import Pool
from mirrornet.training.dataset import seed_targets
if __name__ == "__main__":
    trainer.usable_cores = lambda: 1
    trainer.SAVE_EVERY_S = 0.0
    recipe = melodies.MirrorRecipe(
        babble=16, epochs=4, batch=8, batch_e_c=4, rounds=2, round_steps=2
    )
    with Pool(Toy, workers=1) as pool:
        targets = seed_targets(pool, "targets", 8, seed=0)[1]
        melodies.learn(recipe, pool, targets, sys.argv[1], resume=True)
"""


@pytest.mark.slow
def test_a_run_killed_by_the_system_resumes_to_the_same_weights(pool, targets, tmp_path):
    """SIGKILL, at whatever step it hits."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(tests=str(Path(__file__).parent)))
    run = tmp_path / "run"
    process = subprocess.Popen([sys.executable, str(script), str(run)], stderr=subprocess.DEVNULL)
    while not (run / "state.json").exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert (run / "state.json").exists()
    assert not (run / "model.json").exists()
    again = learn(MIRROR, pool, targets, run, resume=True)
    whole = learn(MIRROR, pool, targets, tmp_path / "whole")
    assert all(torch.equal(v, weights(again)[k]) for k, v in weights(whole).items())


@pytest.mark.slow
def test_learning_lowers_both_losses(pool, targets, tmp_path):
    recipe = MirrorRecipe(babble=32, epochs=15, batch=8, batch_e_c=8, rounds=1, round_steps=20)
    learn(recipe, pool, targets, tmp_path / "run")
    log = [json.loads(line) for line in (tmp_path / "run" / "log.jsonl").read_text().splitlines()]
    e_c = [line["e_c"] for line in log if "e_c" in line]
    assert log[-1]["e_d"] < 0.5 * log[0]["e_d"]
    assert e_c[-1] < e_c[0]


@pytest.mark.slow
def test_paper_renders_each_guess_once(targets, tmp_path):
    with Pool(Witness, workers=1, folder=str(tmp_path)) as pool:
        learn(PAPER, pool, targets, tmp_path / "run")
    notes = (tmp_path / "notes").read_text().splitlines()
    assert len(notes) == PAPER.rounds * len(targets) * 5


def test_every_row_is_seen_once_an_epoch():
    rows = np.concatenate([batch_rows(step, 8, 20, seed=3) for step in range(3, 6)])
    assert sorted(rows) == list(range(20))
    assert list(batch_rows(4, 8, 20, 3)) == list(batch_rows(4, 8, 20, 3))
    assert list(batch_rows(0, 20, 20, 3)) != list(batch_rows(1, 20, 20, 3))


def test_a_run_is_not_overwritten_and_not_mixed_up(pool, targets, tmp_path):
    learn(MIRROR, pool, targets, tmp_path / "run")
    with pytest.raises(OutputError, match="--resume"):
        learn(MIRROR, pool, targets, tmp_path / "run")
    with pytest.raises(OutputError, match="another run"):
        learn(MIRROR, pool, targets, tmp_path / "run", seed=1, resume=True)
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match="another run"):
        learn(MIRROR, pool, targets[::-1], tmp_path / "run", resume=True)
    card = (tmp_path / "run" / "model.json").read_bytes()
    learn(MIRROR, pool, targets, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "model.json").read_bytes() == card
    with pytest.raises(OutputError, match="in the way"):
        learn(MIRROR, pool, targets, tmp_path / "papers")
    assert (tmp_path / "papers" / "thesis.txt").read_text() == "mine"
