"""Learning to read recordings: it learns, and goes on where it was stopped."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from mirrornet.training.phrases import PhraseRecipe, learn_phrases

from mirrornet.plants.pool import Pool
from mirrornet.training import phrases as learning_phrases
from mirrornet.training import trainer as runs

TINY = PhraseRecipe(phrases=6, note_epochs=2, patch_epochs=2, sound_epochs=2, batch=3)


@pytest.fixture(autouse=True)
def _one_core(monkeypatch):
    monkeypatch.setattr(learning_phrases, "usable_cores", lambda: 1)


@pytest.fixture(scope="module")
def pool():
    with Pool("vital", workers=1, controls="patch", sample_rate_hz=32000) as pool:
        yield pool


def test_a_stopped_learning_goes_on_to_the_same_weights(pool, tmp_path, monkeypatch):
    whole = learn_phrases(TINY, pool, tmp_path / "whole")
    rows = learning_phrases.batch_rows
    steps = []

    def stop(step, *given):
        steps.append(step)
        if len(steps) == 6:  # while it learns the second part
            raise KeyboardInterrupt
        return rows(step, *given)

    # Played again, babble may differ in its last bit.
    shutil.copytree(tmp_path / "whole" / "babble", tmp_path / "stopped" / "babble")
    shutil.copy(tmp_path / "whole" / "run.json", tmp_path / "stopped" / "run.json")
    monkeypatch.setattr(runs, "SAVE_EVERY_S", 0.0)
    monkeypatch.setattr(learning_phrases, "batch_rows", stop)
    with pytest.raises(KeyboardInterrupt):
        learn_phrases(TINY, pool, tmp_path / "stopped", resume=True)
    assert json.loads((tmp_path / "stopped" / "state.json").read_text())["step"] == 5
    monkeypatch.setattr(learning_phrases, "batch_rows", rows)
    again = learn_phrases(TINY, pool, tmp_path / "stopped", resume=True)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name


def test_it_learns_the_few_phrases_it_hears(pool, tmp_path):
    few = replace(TINY, note_epochs=40, gain_db=0.0)
    model = learn_phrases(few, pool, tmp_path / "run")
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    losses = [json.loads(line)["notes"] for line in lines if '"notes"' in line]
    assert losses[-1] < 0.5 * losses[0]
    assert model.controls == pool.controls
    heard = np.zeros((176, 200), np.float32)
    assert len(model.transcribe(heard).knobs) == 16
