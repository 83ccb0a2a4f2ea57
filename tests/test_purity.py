"""The contract of a plant, for each that ships: the same score gives the same sound in any order
and process. 200 random patches each, half of them of the plant's prior, half uniform."""

import importlib.util
import multiprocessing
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from mirrornet.plants import Plant, find_plant, make_plant
from mirrornet.plants.faust import shipped_programs
from mirrornet.plants.prior import random_score
from mirrornet.score import Score

PATCHES = 200
RATE_HZ = 32000
INSTALLED = {
    "amsynth-pure": Path("/usr/lib/vst/amsynth_vst.so").exists(),
    "nekobi": any(
        (place / "Nekobi.vst3").exists()
        for place in (Path("~/.vst3").expanduser(), Path("/usr/local/lib/vst3"))
    ),
}
HOSTED = importlib.util.find_spec("dawdreamer") is not None
PLANTS = [
    *("vital", "vital-patch", "vital-48", "vital-wavetable", "soundfont", "dx7", "dx7-pair"),
    *(
        pytest.param(name, marks=pytest.mark.skipif(not (HOSTED and there), reason="not installed"))
        for name, there in (INSTALLED | dict.fromkeys(shipped_programs(), True)).items()
    ),
]


def score_of(plant: Plant, seed: int) -> Score:
    """A random patch, and two of its notes."""
    generator = np.random.default_rng((seed, 7))
    if seed % 2:
        score = plant.sample(generator)
    else:
        score = random_score(plant.controls, range(36, 85), generator)
    first, *rest = score.resolved[:2]
    later = [replace(note, onset_s=0.3, offset_s=0.5) for note in rest]
    return Score([replace(first, onset_s=0.0, offset_s=0.25), *later], {}, 0.8)


def sounds(name: str, order: list[int]) -> dict[int, np.ndarray]:
    """Random patches, played by a new plant in an order."""
    plant = make_plant(name, sample_rate_hz=find_plant(name).own_rate_hz or RATE_HZ)
    return {seed: plant.render(score_of(plant, seed)) for seed in order}


@pytest.mark.slow
@pytest.mark.parametrize("name", PLANTS)
def test_a_plant_plays_the_same_in_any_order_and_process(name: str):
    forwards = [*range(PATCHES)]
    shuffled = [int(seed) for seed in np.random.default_rng(0).permutation(PATCHES)]
    with multiprocessing.get_context("spawn").Pool(3) as workers:
        orders = [forwards, forwards[::-1], shuffled]
        first, *others = workers.map(partial(sounds, name), orders, chunksize=1)
    loud = sum(bool(np.abs(sound).max() > 1e-3) for sound in first.values())
    assert loud > 0.7 * PATCHES
    for seed, sound in first.items():
        for other in others:
            np.testing.assert_allclose(other[seed], sound, rtol=0, atol=1e-6, err_msg=str(seed))
