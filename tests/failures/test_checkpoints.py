"""Checkpoints that are missing, damaged, hostile or of something else are refused in a sentence."""

import contextlib
import hashlib
import json
import os
import pickle
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from permissions import ordinary_user, visible_folder
from safetensors.torch import save

import mirrornet
from mirrornet.controls import ControlSpace
from mirrornet.errors import CheckpointError
from mirrornet.matching.match import match
from mirrornet.models.checkpoints import load_checkpoint, save_checkpoint
from mirrornet.models.mirrornet import MirrorNet, load_model, shipped, ships
from mirrornet.plants import load_plant
from mirrornet.plants.vital import PATCH, SET1, SET2

MELODY = Path(mirrornet.__file__).parent / "data" / "demo-melody.flac"


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    MirrorNet("vital", SET1).save(folder / "model.json", {})
    return folder


@pytest.fixture
def path(tmp_path: Path, whole: Path) -> Path:
    """A sound model, to be spoiled."""
    shutil.copytree(whole, tmp_path / "run")
    return tmp_path / "run" / "model.json"


def weights_of(path: Path) -> Path:
    return path.with_name(json.loads(path.read_text())["weights"])


def change(path: Path, **values: Any) -> None:
    """Change fields of the card; None takes one away."""
    card = json.loads(path.read_text()) | values
    path.write_text(json.dumps({name: v for name, v in card.items() if v is not None}))


def replace_weights(path: Path, data: bytes) -> None:
    """Other weights, with a card that vouches for them."""
    weights_of(path).write_bytes(data)
    change(path, sha256=hashlib.sha256(data).hexdigest())


def refused(path: Path, words: str) -> None:
    with pytest.raises(CheckpointError, match=words) as caught:
        load_model(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.endswith(".")


def test_the_model_is_sound_before_it_is_spoiled(path):
    assert load_model(path).controls == load_model(path.parent).controls == SET1


# Missing


def test_no_card(path):
    refused(path.with_name("other.json"), "there is no checkpoint at .*other.json; give the path")
    path.unlink()
    refused(path.parent, "there is no checkpoint at .*model.json")


def test_no_weights(path):
    weights_of(path).unlink()
    refused(path, r"model\.json has lost its weights 'model-\w+\.safetensors'; copy both files")


@pytest.mark.parametrize(
    "name", ["", ".", "..", "/", "a/b", "../run/model.json", "/etc/hostname", "\0"]
)
def test_weights_elsewhere(path, name):
    change(path, weights=name)
    refused(path, r"model\.json has lost its weights .*; copy both files")


@pytest.mark.skipif(os.name != "posix", reason="permissions work otherwise on Windows")
@pytest.mark.parametrize("which", ["card", "weights"])
def test_without_permission(whole, which):
    with visible_folder() as folder:
        for file in whole.iterdir():
            shutil.copy(file, folder)
        path = folder / "model.json"
        (path if which == "card" else weights_of(path)).chmod(0)
        with ordinary_user():
            refused(path, r"cannot be read \(Permission denied\); check its permissions")


# Damaged


@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 0.999])
def test_weights_cut_short(path, share):
    weights = weights_of(path)
    os.truncate(weights, int(share * weights.stat().st_size))
    refused(path, r"safetensors is damaged \(its sha256 is not the one in model\.json\); copy it")


@pytest.mark.parametrize("place", [0, 8, 100, 0.5, 1.0])
def test_one_bit_flipped(path, place):
    data = bytearray(weights_of(path).read_bytes())
    at = place if isinstance(place, int) else int(place * (len(data) - 1))
    data[at] ^= 1
    weights_of(path).write_bytes(data)
    refused(path, "is damaged")


@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_a_card_with_any_damage(whole, tmp_path_factory, data):
    """Some bytes of the card changed, cut out or doubled."""
    folder = tmp_path_factory.getbasetemp() / "damaged-card"
    if not folder.exists():
        shutil.copytree(whole, folder)
    card = bytearray((whole / "model.json").read_bytes())
    start = data.draw(st.integers(0, len(card) - 1))
    end = data.draw(st.integers(start, min(len(card), start + 40)))
    card[start:end] = data.draw(st.binary(max_size=5) | st.just(bytes(card[start:end]) * 2))
    (folder / "model.json").write_bytes(card)
    with contextlib.suppress(CheckpointError):
        assert load_model(folder).plant


# Something else


@pytest.mark.parametrize(
    "text", ["", "{", "null", "[]", '"model"', "{}", '{"format": 1}', "[" * 100_000, "\x00\xff"]
)
def test_no_card_of_ours(path, text):
    path.write_text(text)
    refused(path, "is not the card of a mirrornet checkpoint; give the .json file")


class Trap:
    """Unpickled, it would leave a file behind."""

    def __init__(self, proof: Path):
        self.proof = proof

    def __reduce__(self):
        return (Path.touch, (self.proof,))


@pytest.mark.parametrize("as_card", [True, False], ids=["as the card", "as the weights"])
@pytest.mark.parametrize("writer", [pickle.dumps, None], ids=["pickle", "torch.save"])
def test_a_pickle_is_never_opened(path, tmp_path, as_card, writer):
    proof = tmp_path / "opened"
    if writer:
        data = writer(Trap(proof))
    else:
        torch.save(Trap(proof), tmp_path / "trap.pt")
        data = (tmp_path / "trap.pt").read_bytes()
    if as_card:
        path.write_bytes(data)
        refused(path, "is not the card of a mirrornet checkpoint")
    else:
        replace_weights(path, data)
        refused(path, "is not a safetensors file")
    assert not proof.exists()


@pytest.mark.parametrize("data", [b"", b"x", b"\xff" * 100, (2**60).to_bytes(8, "little") + b"{}"])
def test_weights_that_are_no_safetensors(path, data):
    replace_weights(path, data)
    refused(path, "is not a safetensors file")


@pytest.mark.parametrize(
    "changes",
    [
        {"plant": None},
        {"controls": None},
        {"controls": 7},
        {"controls": [{"name": "pitch"}]},
        {"controls": [{"colour": "blue"}]},
        {"controls": ["pitch"]},
        {"control_set": None},
        {"control_set": ["set1"]},
        {"control_set": {"name": "set1"}},
        {"plant": ["vital"]},
        {"architecture": None},
        {"architecture": "transformer"},
        {"architecture": ["melody"]},
        {"architecture": {}},
        {"architecture": "paper"},
        {"architecture": "recording"},
    ],
)
def test_a_card_of_another_version(path, changes):
    change(path, **changes)
    refused(path, "is a checkpoint, but not of a model this version knows; use the version in its")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": ["pitch"]},
        {"unit": None},
        {"low": "62"},
        {"low": True},
        {"low": float("nan")},
        {"high": 1e999},
        {"high": 10**400},
        {"low": 99.0},
        {"curve": "bent"},
        {"curve": ["linear"]},
        {"scope": "world"},
        {"low": 0.0, "curve": "exponential"},
        {"kind": "knob"},
        {"kind": ["integer"]},
        {"kind": "choice"},
        {"choices": ["on", "off"]},
        {"choices": 2},
        {"shape": [0]},
        {"shape": "wide"},
        {"role": 7},
        {"meaning": None},
        {"colour": "blue"},
    ],
)
@pytest.mark.parametrize("controls", ["set1", "patch", "of this version"])
def test_a_card_with_a_control_that_is_none(tmp_path, controls, wrong):
    card = tmp_path / f"vital-{controls}.json"
    if controls == "of this version":
        MirrorNet("vital", PATCH, "recording").save(card, {})
    for file in shipped(controls).parent.glob(f"vital-{controls}*"):
        shutil.copy(file, tmp_path)
    listed = json.loads(card.read_text())["controls"]
    change(card, controls=[listed[0] | wrong, *listed[1:]])
    with pytest.raises(CheckpointError, match="not of a model this version knows"):
        load_model(card)


def test_another_number_of_controls(path):
    controls = json.loads(path.read_text())["controls"]
    change(path, controls=controls[:-1])
    refused(path, "not of a model this version knows")


def test_weights_of_something_else(path):
    replace_weights(path, save({"song": torch.zeros(3)}))
    refused(path, "not of a model this version knows")


def test_the_state_of_a_run_is_no_model(tmp_path):
    save_checkpoint(tmp_path / "state.json", {"model.a": torch.zeros(3)}, {"step": 7})
    assert load_checkpoint(tmp_path / "state.json")[1]["step"] == 7
    refused(tmp_path / "state.json", "not of a model this version knows")


def test_a_model_of_another_plant(path):
    change(path, plant="moog")
    with pytest.raises(CheckpointError, match="the model plays moog, not vital; choose that plant"):
        match(MELODY, "vital", path)


def test_a_model_of_other_controls(path):
    words = (
        r"the controls of vital are not those that the model plays \(vibrato_depth is added; "
        r"vibrato_phase is added; vibrato_rate is added\); choose the plant it learned on\."
    )
    with pytest.raises(CheckpointError, match=words):
        match(MELODY, load_plant("vital", controls="set2", sample_rate_hz=44100), path)
    MirrorNet("vital", SET2).save(path, {})
    assert load_model(path).controls == SET2  # replaced as a whole
    assert len(list(path.parent.iterdir())) == 2


def test_a_control_set_that_no_weights_ship_for_is_told_from_those_that_have_some():
    with pytest.raises(
        CheckpointError, match="sets 48, patch, set1, set2, not for theremin; learn some"
    ):
        load_model(controls="theremin")


def test_weights_in_bytes_take_half_the_room_and_are_off_by_half_a_step(tmp_path):
    torch.manual_seed(0)
    model = MirrorNet("vital", PATCH, "recording")
    half = model.save(tmp_path / "half.json", {}, half=True)
    coarse = model.save(tmp_path / "coarse.json", {}, half=True, coarse=True)
    sizes = [path.with_name(json.loads(path.read_bytes())["weights"]) for path in (half, coarse)]
    in_bytes = sum(weight.numel() for weight in model.encoder.note.parameters())
    assert sizes[1].stat().st_size < sizes[0].stat().st_size - 0.9 * in_bytes
    known = MirrorNet.load(half).state_dict()
    for key, weight in MirrorNet.load(coarse).state_dict().items():
        if key.startswith("encoder.note.") and weight.dim() > 1:
            step = known[key].abs().flatten(1).amax(1) / 127
            off = (weight - known[key]).abs().flatten(1).amax(1)
            assert (off <= 0.6 * step + 1e-6).all()
        else:
            assert torch.equal(weight, known[key])


def test_weights_of_earlier_versions_that_found_notes_are_left_out(tmp_path):
    """Earlier models for recordings had networks of their own that found notes."""
    model = MirrorNet("vital", PATCH, "recording")
    path = model.save(tmp_path / "model.json", {})
    tensors, card = load_checkpoint(path)
    old = {
        "encoder.frames.0.weight": torch.ones(3),
        "encoder.salience.layers.0.bias": torch.ones(2),
    }
    about = {key: card[key] for key in card if key not in ("format", "weights", "sha256")}
    save_checkpoint(path, tensors | old, about)
    assert MirrorNet.load(path).fingerprint == model.fingerprint


def test_weights_ship_for_just_these_controls():
    patch = PATCH
    assert ships(patch, "vital")
    assert not ships(patch, "moog")
    other = ControlSpace([*patch][:-1], "patch")  # as in a map of a user's, of the same name
    assert not ships(other, "vital")
