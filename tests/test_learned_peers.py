"""Learned peers: what they promise by construction, and that they learn and resume."""

import json

import numpy as np
import pytest
import torch

from mirrornet.errors import CheckpointError, ControlError, MirrorNetError, OutputError
from mirrornet.events import Progress
from mirrornet.experiments.baselines.ast import AstRegressor
from mirrornet.experiments.baselines.cnn import CnnRegressor
from mirrornet.experiments.baselines.supervised import (
    Regressor,
    SupervisedRecipe,
    load_supervised,
    train_supervised,
)
from mirrornet.score import note_spans
from mirrornet.training import trainer
from mirrornet.training.augment import partly_augmented

PEERS = pytest.mark.parametrize("peer", [CnnRegressor, AstRegressor])
FRAMES = 90  # with fewer, a convolution in bfloat16 reads stray memory on some processors
TINY = SupervisedRecipe(epochs=2, batch=8, lr=1e-3)


def babble(melodies: int, notes: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Controls, and spectrograms that say all of them plainly: a line at the pitch and one for
    each knob, as long as the note lasts."""
    controls = np.random.default_rng(0).random((melodies, 7, notes)).astype(np.float32)
    controls[:, 0] = np.rint(12 * controls[:, 0]) / 12
    ends = note_spans(controls[:, 1], FRAMES).cumsum(-1)
    note = (np.arange(1, FRAMES + 1)[:, None] > ends[:, None, :-1]).sum(-1)
    heard = np.full((melodies, 128, FRAMES), 0.05, np.float16)
    for melody, frame in np.ndindex(note.shape):
        now = controls[melody, :, note[melody, frame]]
        heard[melody, 20 + 2 * round(12 * now[0]), frame] = 1
        heard[melody, 60 : 60 + 12 * 5 : 12, frame] = now[2:]
    return controls, heard


def loss(model: Regressor, heard: torch.Tensor, controls: torch.Tensor) -> torch.Tensor:
    sound, plain = partly_augmented(heard, torch.Generator().manual_seed(0))
    return model.babble_loss(sound, controls, plain)


@PEERS
def test_answers_are_controls_a_plant_can_play(peer):
    model = peer(controls=7, notes=3, frames=FRAMES)
    for learning in (True, False):
        controls = model.train(learning)(5 * torch.rand(4, 128, FRAMES), 3)
        assert controls.shape == (4, 7, 3)
        assert controls.min() >= 0
        assert controls.max() <= 1
        semitones = 12 * controls[:, 0]
        torch.testing.assert_close(semitones, semitones.round())


@PEERS
def test_other_notes_and_frames_are_refused(peer):
    model = peer(controls=7).eval()
    with torch.inference_mode():
        assert model(torch.rand(1, 128, 250)).shape == (1, 7, 5)
    with pytest.raises(ControlError, match="built for 5 notes in 250 frames, not 4 in 250"):
        model(torch.rand(1, 128, 250), 4)
    with pytest.raises(ControlError, match="not 5 in 251"):
        model(torch.rand(1, 128, 251))


@PEERS
def test_gradients_reach_every_weight(peer):
    controls, heard = (torch.from_numpy(x).float() for x in babble(8))
    model = peer(controls=7, notes=3, frames=FRAMES)
    loss(model, heard, controls).backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name
        assert weight.grad.abs().sum() > 0, name


@PEERS
def test_all_is_scored_but_the_knobs_of_augmented_melodies(peer):
    torch.manual_seed(1)
    controls, heard = (torch.from_numpy(x).float() for x in babble(8))
    model = peer(controls=7, notes=3, frames=FRAMES).eval()

    for row in range(7):
        for melody in (5, 6):
            other = controls.clone()
            other[melody, row, 0] = (other[melody, row, 0] + 0.5) % 1
            scored = (loss(model, heard, other) - loss(model, heard, controls)).abs() > 1e-4
            assert scored == (row < 2 or melody < 6), (row, melody)


@PEERS
def test_a_short_last_batch_is_learned_from(peer):
    controls, heard = (torch.from_numpy(x).float() for x in babble(2))
    assert loss(peer(controls=7, notes=3, frames=FRAMES), heard, controls).isfinite()


@pytest.mark.slow
@PEERS
def test_learning_lowers_the_loss(peer, tmp_path):
    recipe = SupervisedRecipe(epochs=25, batch=8, lr=1e-3)
    train_supervised(peer, recipe, *babble(8), tmp_path / "run")
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    losses = [json.loads(line)["read_back"] for line in lines]
    assert losses[-1] < 0.9 * losses[0]


class Killed(BaseException):
    pass


@pytest.mark.slow
@PEERS
@pytest.mark.parametrize("saving", [0.0, 1e9], ids=["saved each step", "never saved"])
def test_a_killed_run_resumes_to_the_same_weights(peer, tmp_path, monkeypatch, saving):
    controls, heard = babble(16)
    whole = train_supervised(peer, TINY, controls, heard, tmp_path / "whole")
    monkeypatch.setattr(trainer, "SAVE_EVERY_S", saving)

    def kill(event):
        if (event.kind, event.done) == ("advance", 2):
            raise Killed

    with pytest.raises(Killed):
        train_supervised(peer, TINY, controls, heard, tmp_path / "killed", progress=Progress(kill))
    torch.manual_seed(99)  # whatever chance the new process begins with
    again = train_supervised(peer, TINY, controls, heard, tmp_path / "killed", resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_a_run_knows_its_peer_babble_and_recipe(tmp_path):
    controls, heard = babble(8)
    train_supervised(CnnRegressor, TINY, controls, heard, tmp_path)
    for peer, recipe, sound in (
        (AstRegressor, TINY, heard),
        (CnnRegressor, SupervisedRecipe(epochs=3, batch=8, lr=1e-3), heard),
        (CnnRegressor, TINY, heard[::-1]),
    ):
        with pytest.raises(OutputError, match="another run"):
            train_supervised(peer, recipe, controls, sound, tmp_path, resume=True)


def test_learning_leaves_the_random_numbers_of_others_alone(tmp_path):
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    train_supervised(CnnRegressor, TINY, *babble(8), tmp_path)
    assert torch.equal(torch.rand(3), expected)


def test_learning_that_goes_astray_is_stopped_with_a_sentence(tmp_path):
    controls, heard = babble(8)
    with pytest.raises(MirrorNetError, match="astray at step 0"):
        train_supervised(CnnRegressor, TINY, controls, np.nan * heard, tmp_path)


@PEERS
def test_what_was_learned_is_loaded_again(peer, tmp_path):
    controls, heard = babble(8)
    learned = train_supervised(peer, TINY, controls, heard, tmp_path)
    sound = torch.from_numpy(heard).float()
    with torch.inference_mode():
        again = load_supervised(peer, tmp_path)
        torch.testing.assert_close(again(sound, 3), learned(sound, 3), rtol=0, atol=1e-6)
    for name, weight in learned.state_dict().items():
        assert torch.equal(again.state_dict()[name], weight), name


def test_a_model_of_another_peer_is_refused(tmp_path):
    train_supervised(CnnRegressor, TINY, *babble(8), tmp_path)
    with pytest.raises(CheckpointError, match="AstRegressor"):
        load_supervised(AstRegressor, tmp_path)
