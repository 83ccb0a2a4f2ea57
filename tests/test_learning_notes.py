"""Learning to find notes: it learns, and goes on where it was stopped."""

import json
import shutil

import numpy as np
import pytest
import torch

from mirrornet.errors import CancelledError
from mirrornet.events import Progress
from mirrornet.training import trainer
from mirrornet.training.notes import NoteRecipe, hear_performances, train_notes

TINY = NoteRecipe(phrases=6, epochs=4, batch=3)


@pytest.fixture(autouse=True)
def _one_core(monkeypatch):
    monkeypatch.setattr(trainer, "usable_cores", lambda: 1)


@pytest.mark.slow
def test_performances_are_the_seeds_own_and_not_made_again(tmp_path):
    heard = hear_performances(4, 7, tmp_path, Progress())
    assert heard.heard.shape == (4, 176, 500)
    assert np.isfinite(heard.heard.astype(np.float32)).all()
    assert (~np.isnan(heard.onsets_s)).any(1).all()
    (shard,) = tmp_path.iterdir()
    written = shard.stat().st_mtime_ns
    again = hear_performances(4, 7, tmp_path, Progress())
    assert shard.stat().st_mtime_ns == written
    np.testing.assert_array_equal(again.heard, heard.heard)
    other = hear_performances(2, 8, tmp_path / "other", Progress())
    assert not np.array_equal(other.heard, heard.heard[:2])


@pytest.mark.slow
def test_it_learns_and_a_stopped_learning_goes_on_to_the_same_weights(tmp_path):
    whole = train_notes(TINY, tmp_path / "whole")
    losses = [
        json.loads(line)["notes"]
        for line in (tmp_path / "whole" / "log.jsonl").read_text().splitlines()
    ]
    assert losses[-1] < 0.8 * losses[0]

    def stop(event):
        if (event.stage, event.done) == ("Learning", 5):
            progress.cancel()

    progress = Progress(stop)
    stopped = tmp_path / "stopped"
    shutil.copytree(tmp_path / "whole" / "performances", stopped / "performances")
    shutil.copy(tmp_path / "whole" / "run.json", stopped / "run.json")
    with pytest.raises(CancelledError):
        train_notes(TINY, stopped, resume=True, progress=progress)
    again = train_notes(TINY, stopped, resume=True)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
