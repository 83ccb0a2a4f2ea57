"""The weights that ship: small files, for the plants that ship, whose sounds they match."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import mirrornet as mn
from mirrornet.features import hear_recording
from mirrornet.matching.recordings import recall
from mirrornet.matching.surrogate import STEPPED, optimise_patch
from mirrornet.matching.transcribe import transcribe
from mirrornet.models.mirrornet import MirrorNet, controls_of, shipped
from mirrornet.plants import find_plant, load_plant
from mirrornet.plants.prior import PHRASE_S
from mirrornet.score import to_arrays

CARDS = sorted(shipped("").parent.glob("*-*.json"))
CARDS = [card for card in CARDS if "weights" in json.loads(card.read_bytes())]
LARGE = {"vital": "48", "dx7": "all", "amsynth": "pure"}
LARGEST_BYTES = 5_000_000
SEED = 4242  # of phrases that no training used
RATE_HZ = 44100


@pytest.mark.parametrize("card", CARDS, ids=lambda card: card.stem)
def test_they_are_small_and_of_the_plants_controls(card: Path):
    about = json.loads(card.read_bytes())
    assert card.with_name(about["weights"]).stat().st_size <= LARGEST_BYTES
    plant, _, controls = card.stem.partition("-")
    assert controls_of(about) == find_plant(plant).control_sets[controls]
    assert about["made_by"].startswith("mirrornet ")


def phrases(plant, count: int):
    """Sounds of the plant's prior that can be heard."""
    for number in range(count):
        score = plant.sample(np.random.default_rng((SEED, number)))
        sound = plant.render(replace(score, duration_s=PHRASE_S))
        if np.abs(sound).max() > 0.01:
            yield score, sound


@pytest.mark.slow
@pytest.mark.parametrize("name", LARGE)
def test_a_large_patch_is_found_without_a_render(name: str):
    if find_plant(name).to_install():
        pytest.skip(f"{name} is not installed")
    plant = load_plant(name, controls=LARGE[name], sample_rate_hz=RATE_HZ)
    found, guessed = [], []
    for _, sound in phrases(plant, 5):
        found.append(mn.match((sound, RATE_HZ), plant).distances["spectrogram_error"])
        other = plant.sample(np.random.default_rng((SEED, 99))).patch
        guess = mn.match((sound, RATE_HZ), plant, lock=other)
        guessed.append(guess.distances["spectrogram_error"])
    assert len(found) >= 3
    assert np.mean(found) < 0.7
    assert np.mean(found) < 0.6 * np.mean(guessed)


@pytest.mark.slow
def test_numbers_of_few_values_stay_as_they_were_remembered():
    model = MirrorNet.load(shipped("all", "dx7"))
    plant = load_plant("dx7", controls="all", sample_rate_hz=RATE_HZ)
    rows = model.controls.patch.rows
    few = [row.kind == "integer" and row.high - row.low < STEPPED for row in rows]
    assert sum(few) > 20
    score, sound = next(phrases(plant, 3))
    heard = hear_recording(sound, RATE_HZ)
    start = recall(model, transcribe(model, heard, score.notes), heard)[0]
    notes = to_arrays(plant.controls, score)[0]
    better = optimise_patch(model, notes, heard, start)[0]
    assert np.array_equal(better[few], torch.from_numpy(start).float().double().numpy()[few])
    assert not np.array_equal(better, start)
