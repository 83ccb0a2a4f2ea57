"""The two losses, and what a saved model gives back."""

import numpy as np
import pytest
import torch

from mirrornet.controls import Control, ControlSpace
from mirrornet.matching.transcribe import transcribe
from mirrornet.models.mirrornet import MirrorNet
from mirrornet.plants.vital import SET1, SET2
from mirrornet.training.sampling import random_melodies

ARCHITECTURES = ("melody", "paper")


@pytest.fixture(params=ARCHITECTURES)
def model(request) -> MirrorNet:
    torch.manual_seed(0)
    return MirrorNet("vital", SET1, request.param)


@pytest.fixture
def heard() -> torch.Tensor:
    return torch.rand(4, 128, 250, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def controls() -> torch.Tensor:
    return torch.from_numpy(random_melodies(SET1, "babble", 4, seed=0)).float()


def gradients(network: torch.nn.Module) -> int:
    return sum(p.grad is not None and bool(p.grad.any()) for p in network.parameters())


def test_e_c_teaches_the_encoder_and_freezes_the_decoder(model, heard):
    before = {name: value.clone() for name, value in model.decoder.state_dict().items()}
    model.train()
    model.e_c(heard).backward()
    assert gradients(model.decoder) == 0
    assert gradients(model.encoder) > 0.8 * len(list(model.encoder.parameters()))
    for name, value in model.decoder.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert model.decoder.training


def test_e_c_reaches_onsets_pitches_and_knobs(heard):
    torch.manual_seed(0)
    model = MirrorNet("vital", SET1)
    model.e_c(heard).backward()
    gradients = {k: p.grad for k, p in model.encoder.named_parameters() if p.grad is not None}
    assert gradients["onset.layers.0.weight"].abs().max() > 0
    last = [name for name in gradients if name.startswith("note.") and name.endswith("weight")][-1]
    assert (gradients[last].abs().amax(-1) > 0).all()


def test_e_d_teaches_the_decoder_only(model, heard, controls):
    model.e_d(controls, heard).backward()
    assert gradients(model.encoder) == 0
    assert gradients(model.decoder) > 0


def test_e_d_is_the_mean_squared_error_and_0_for_the_decoders_own_sound(model, controls):
    model.eval()
    with torch.no_grad():
        own = model.decoder(controls)
        assert model.e_d(controls, own) == 0
        assert model.e_d(controls, own + 0.5) == pytest.approx(0.25, rel=1e-5)


def test_guesses_can_be_played_and_do_not_depend_on_the_batch(model, heard):
    model.encoder.train()
    guesses = model.guess(heard)
    assert guesses.shape == (4, 7, 5)
    SET1.check(guesses.numpy())
    assert torch.allclose(model.guess(heard[1:2])[0], guesses[1], atol=1e-5)
    assert model.encoder.training


@pytest.mark.parametrize("notes", [1, 3, 8])
def test_the_default_networks_take_any_number_of_notes(heard, notes):
    model = MirrorNet("vital", SET2)
    controls = model.guess(heard, notes)
    assert controls.shape == (4, 10, notes)
    assert model.decoder(controls).shape == heard.shape


@pytest.mark.parametrize("half", [False, True])
def test_a_saved_model_answers_as_before(model, heard, tmp_path, half):
    model.eval()
    model.save(tmp_path / "model.json", {"seed": 0}, half=half)
    loaded = MirrorNet.load(tmp_path / "model.json")
    assert loaded.controls == SET1
    assert loaded.controls.name == "set1"
    before, after = model.guess(heard), loaded.guess(heard)
    assert (before - after).abs().max() <= (5e-2 if half else 0)
    assert not loaded.training


@pytest.mark.parametrize("kinds", [("choice",), ("switch", "choice"), ()])
def test_a_patch_without_numbers_can_be_trained(kinds):
    """Choices and switches alone, or nothing at all."""
    choices = {"choice": ("a", "b", "c"), "switch": ()}
    space = ControlSpace(
        [Control(kind, kind=kind, scope="patch", choices=choices[kind]) for kind in kinds], "odd"
    )
    torch.manual_seed(0)
    model = MirrorNet("odd", space, "recording")
    S, chance = torch.rand(2, 176, 500), torch.Generator().manual_seed(0)
    notes = torch.tensor([[[60.0, 0.1, 0.5], [64.0, 0.6, 1.0]]] * 2)
    patch = torch.tensor([[0.0] * len(kinds), [1.0] * len(kinds)])
    heard = torch.log1p(4 * S[:, :128]) / 4
    losses = [
        model.encoder.patch_loss(heard, notes, patch, 0.008, chance),
        model.e_d((notes, patch), S, chance),
        model.e_c(S, notes, torch.tensor([400.0, 500.0]), chance),
    ]
    assert all(loss.isfinite() for loss in losses)
    torch.stack(losses).sum().backward()
    read = transcribe(model, np.random.default_rng(0).random((176, 400), np.float32))
    assert read.knobs.shape == (len(kinds),)
