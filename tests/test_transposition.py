"""What is played is heard: each plant that ships sounds the keys that are played."""

import numpy as np
import pytest

from mirrornet.matching.transposition import heard_transposition
from mirrornet.models.mirrornet import load_model
from mirrornet.plants import find_plant, load_plant
from mirrornet.plants.probe import SCALE
from mirrornet.score import Note, Score

RATE_HZ = 44100
PLANTS = {
    "vital": "patch",
    "dx7": "pair",
    "faust-subtractive": "melody",
    "faust-fm": "melody",
    "faust-string": "melody",
    "amsynth": "melody",
    "nekobi": "patch",
}


def tone(pitch_midi: float) -> np.ndarray:
    times_s = np.arange(RATE_HZ // 2) / RATE_HZ
    hz = 440 * 2 ** ((pitch_midi - 69) / 12)
    harmonics = [np.sin(2 * np.pi * n * hz * times_s) / n for n in range(1, 6)]
    return np.sum(harmonics, axis=0) / 4


@pytest.mark.parametrize("above", [-12, 0, 7])
def test_a_transposition_is_heard(above: int):
    sounds = [tone(key + above).astype(np.float32) for key in SCALE]
    assert heard_transposition(load_model(controls="patch"), sounds, SCALE, RATE_HZ) == above


def test_no_transposition_is_heard_in_silence_or_where_keys_disagree():
    model = load_model(controls="patch")
    silent = [np.zeros(RATE_HZ, np.float32)] * len(SCALE)
    assert heard_transposition(model, silent, SCALE, RATE_HZ) is None
    spread = [tone(key + 3 * n).astype(np.float32) for n, key in enumerate(SCALE)]
    assert heard_transposition(model, spread, SCALE, RATE_HZ) is None


@pytest.mark.slow
@pytest.mark.parametrize("name", list(PLANTS))
def test_a_plant_sounds_the_keys_that_are_played(name: str):
    if missing := find_plant(name).to_install():
        pytest.skip(f"needs {missing}")
    plant = load_plant(name, controls=PLANTS[name], sample_rate_hz=RATE_HZ)
    own = plant.controls.own.from_vector(np.full(len(plant.controls.own.rows), 0.5))
    own = {name: value for name, value in own.items() if name not in ("pitch", "duration")}
    patch = plant.controls.patch.from_vector(np.full(len(plant.controls.patch.rows), 0.5))
    sounds = [plant.render(Score([Note(k, 0.0, 0.5, own)], patch, 0.8)) for k in SCALE]
    heard = heard_transposition(load_model(controls="patch"), sounds, SCALE, RATE_HZ)
    assert heard == plant.transposition
