"""Learning to read recordings: it learns, and goes on where it was stopped."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from mirrornet.errors import CancelledError
from mirrornet.events import Progress
from mirrornet.matching.transcribe import transcribe
from mirrornet.plants.pool import Pool
from mirrornet.training import trainer
from mirrornet.training.babble import PhraseRecipe, train_on_babble

TINY = PhraseRecipe(phrases=6, patch_epochs=2, sound_epochs=2, batch=3)


@pytest.fixture(autouse=True)
def _one_core(monkeypatch):
    monkeypatch.setattr(trainer, "usable_cores", lambda: 1)


@pytest.fixture(scope="module")
def pool():
    with Pool("vital", workers=1, controls="patch", sample_rate_hz=32000) as pool:
        yield pool


@pytest.mark.slow
def test_a_stopped_learning_goes_on_to_the_same_weights(pool, tmp_path, monkeypatch):
    whole = train_on_babble(TINY, pool, tmp_path / "whole")

    def stop(event):
        if (event.stage, event.done) == ("Learning", 5):  # while it learns the second part
            progress.cancel()

    progress = Progress(stop)
    # Played again, babble may differ in its last bit.
    shutil.copytree(tmp_path / "whole" / "babble", tmp_path / "stopped" / "babble")
    shutil.copy(tmp_path / "whole" / "run.json", tmp_path / "stopped" / "run.json")
    with monkeypatch.context() as patched:
        patched.setattr(pool, "progress", progress)
        with pytest.raises(CancelledError):
            train_on_babble(TINY, pool, tmp_path / "stopped", resume=True)
    assert json.loads((tmp_path / "stopped" / "state.json").read_text())["step"] == 5
    again = train_on_babble(TINY, pool, tmp_path / "stopped", resume=True)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


@pytest.mark.slow
def test_it_learns_the_few_phrases_it_hears(pool, tmp_path):
    few = replace(TINY, sound_epochs=60)
    model = train_on_babble(few, pool, tmp_path / "run")
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    losses = [json.loads(line)["sound"] for line in lines if '"sound"' in line]
    assert losses[-1] < 0.5 * losses[0]
    assert model.controls == pool.controls
    heard = np.zeros((176, 200), np.float32)
    assert len(transcribe(model, heard).knobs) == 16
