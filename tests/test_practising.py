"""Refinement with the plant: it listens, it improves, it never spends more than it may."""

import numpy as np
import pytest
import torch

from mirrornet.budget import Budget, budgeted
from mirrornet.cochlea import loudness_compress
from mirrornet.events import Progress
from mirrornet.features import hear
from mirrornet.matching.practising import Practice, compress, practise
from mirrornet.models.mirrornet import load_model
from mirrornet.plants import Plant, load_plant
from mirrornet.training.sampling import random_melodies


@pytest.fixture(scope="module", params=["set1", "set2"])
def plant(request) -> Plant:
    return load_plant("vital", controls=request.param)


def play_out(practice: Practice, plant: Plant) -> tuple[np.ndarray, list[np.ndarray]]:
    """The answer, and all controls that were played."""
    played = []
    try:
        controls = next(practice)
        while True:
            played.append(controls.copy())
            practice_hears = hear(plant.render(controls), plant.sample_rate_hz, "linear")
            controls = practice.send(practice_hears)
    except StopIteration as end:
        return end.value, played


def task(plant: Plant, off: float = 0.03) -> tuple[np.ndarray, np.ndarray]:
    """A target, and controls that are a little off."""
    true = random_melodies(plant.controls, "tuning", 1, seed=3)[0]
    change = np.random.default_rng(1).normal(0, off, true.shape)
    change[plant.controls.row("pitch")] = 0
    return hear(plant.render(true), plant.sample_rate_hz), np.clip(true + change, 0, 1)


def error(plant: Plant, target: np.ndarray, controls: np.ndarray) -> float:
    return float(np.mean((hear(plant.render(controls), plant.sample_rate_hz) - target) ** 2))


@pytest.mark.parametrize("renders", [1, 2, 9, 30])
def test_it_spends_its_renders_and_answers_with_the_best_heard(plant, renders):
    target, start = task(plant)
    answer, played = play_out(practise(plant.controls, target, start, Budget(renders)), plant)
    assert len(played) == renders
    errors = [error(plant, target, controls) for controls in played]
    assert error(plant, target, answer) == pytest.approx(min(errors), rel=1e-6)


def test_cancelled_while_exploring_it_answers_with_the_best_so_far(plant):
    target, start = task(plant, off=0.1)
    progress, errors = Progress(), []
    with budgeted(progress, None, None) as budget:
        practice = practise(plant.controls, target, start, budget)
        controls = next(practice)
        try:
            while True:
                linear = hear(plant.render(controls), plant.sample_rate_hz, "linear")
                errors.append(error(plant, target, controls))
                if len(errors) >= 150:
                    progress.cancel()
                controls = practice.send(linear)
        except StopIteration as end:
            answer = end.value
    assert 150 <= len(errors) <= 152
    assert error(plant, target, answer) == pytest.approx(min(errors), rel=1e-6)


def test_measuring_on_the_plant_brings_it_much_closer_without_any_model(plant):
    target, start = task(plant)
    answer, _ = play_out(practise(plant.controls, target, start, Budget(30)), plant)
    assert error(plant, target, answer) < 0.25 * error(plant, target, start)


def test_a_phase_finds_its_way_across_the_turn():
    plant = load_plant("vital", controls="set2")
    true, phase = task(plant)[1], plant.controls.row("vibrato_phase")
    true[plant.controls.row("vibrato_depth")] = 0.5
    true[phase], start = 0.03, true.copy()
    start[phase] = 0.97
    target = hear(plant.render(true), plant.sample_rate_hz)
    model = load_model(controls="set2")
    answer, _ = play_out(practise(plant.controls, target, start, Budget(14), model), plant)
    assert error(plant, target, answer) < 0.005 * error(plant, target, start)


def test_a_decoder_makes_the_first_steps_count():
    plant = load_plant("vital")
    target, start = task(plant)
    answer, _ = play_out(practise(plant.controls, target, start, Budget(6), load_model()), plant)
    assert error(plant, target, answer) < 0.3 * error(plant, target, start)


def test_chance_alone_improves_and_is_the_same_for_the_same_seed(plant):
    target, start = task(plant)
    few = 6  # too few to measure
    answers = [
        play_out(practise(plant.controls, target, start, Budget(few), seed=seed), plant)[0]
        for seed in (0, 0, 1)
    ]
    assert np.array_equal(answers[0], answers[1])
    assert not np.array_equal(answers[0], answers[2])
    assert error(plant, target, answers[0]) < error(plant, target, start)


def test_every_try_is_one_the_plant_may_play(plant):
    target, start = task(plant, off=0.6)  # at the bounds
    _, played = play_out(practise(plant.controls, target, start, Budget(25)), plant)
    for controls in played:
        plant.controls.check(controls)


def test_one_note_is_a_melody_too(plant):
    true = random_melodies(plant.controls, "tuning", 1, seed=4, notes=1)[0]
    start = np.clip(true + 0.02, 0, 1)
    start[0] = true[0]
    target = hear(plant.render(true), plant.sample_rate_hz)
    answer, _ = play_out(practise(plant.controls, target, start, Budget(20)), plant)
    assert error(plant, target, answer) < error(plant, target, start)


def test_compression_is_the_cochleas():
    linear = np.random.default_rng(0).random((128, 20))
    heard = loudness_compress(torch.from_numpy(linear)).numpy()
    np.testing.assert_allclose(compress(linear), heard, rtol=1e-12)
    assert not compress(np.zeros((128, 20))).any()
