"""Refinement in the mind: the decoder is believed, bounds are kept, pitches are semitones."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

from mirrornet.matching.least_squares import bounded_step
from mirrornet.matching.melody_surrogate import optimise_melody, round_pitch
from mirrornet.models.mirrornet import MirrorNet, load_model
from mirrornet.plants.vital import SET1, SET2
from mirrornet.training.sampling import random_melodies


@pytest.fixture(scope="module")
def model() -> MirrorNet:
    torch.manual_seed(0)
    return MirrorNet("vital", SET2).eval()


def expected(model: MirrorNet, controls: np.ndarray) -> torch.Tensor:
    with torch.no_grad():
        return model.decoder(torch.from_numpy(controls)[None].float())[0]


@pytest.mark.slow
def test_the_controls_that_the_decoder_has_in_mind_are_found(model):
    true = random_melodies(SET2, "tuning", 1, seed=0)[0]
    target = expected(model, true)
    start = np.clip(true + np.random.default_rng(0).normal(0, 0.05, true.shape), 0, 1)
    found = optimise_melody(model, target, start)
    errors = [
        (expected(model, round_pitch(SET2, controls)) - target).square().mean()
        for controls in (start, found)
    ]
    assert errors[1] < 0.01 * errors[0]
    SET2.check(found)
    assert np.array_equal(found[0], round_pitch(SET2, true)[0])


def test_a_pitch_misread_is_set_right():
    model = load_model()
    true = random_melodies(SET1, "tuning", 1, seed=0)[0]
    true[SET1.row("level")] = 0.8
    start = true.copy()
    start[0, 2] = (start[0, 2] + 0.5) % 1
    found = optimise_melody(model, expected(model, true), start)
    assert_allclose(found[0], true[0], atol=1e-6)


def test_the_start_is_not_changed(model):
    start = random_melodies(SET2, "tuning", 1, seed=1)[0]
    before = start.copy()
    optimise_melody(model, torch.zeros(128, 250), start)
    assert np.array_equal(start, before)


def test_pitches_are_brought_to_semitones():
    controls = np.full((7, 2), 0.5)
    controls[0] = 0.52, 0.55
    assert_allclose(round_pitch(SET1, controls)[0], [6 / 12, 7 / 12])
    assert np.array_equal(round_pitch(SET1, controls)[1:], controls[1:])


def test_a_step_is_least_squares_within_its_bounds():
    generator = np.random.default_rng(0)
    slopes, residual = generator.normal(size=(50, 4)), generator.normal(size=50)
    free = np.full(4, np.inf)
    best = np.linalg.lstsq(slopes, residual, rcond=None)[0]
    assert_allclose(bounded_step(slopes, residual, 1e-12, -free, free), best, atol=1e-6)
    narrow = np.array([0.01, np.inf, np.inf, 0.01])
    step = bounded_step(slopes, residual, 1e-12, -narrow, narrow)
    assert (np.abs(step) <= narrow + 1e-6).all()
    # What is bounded is best within its bounds: given it, the others are least squares.
    rest = residual - slopes[:, [0, 3]] @ step[[0, 3]]
    assert_allclose(step[1:3], np.linalg.lstsq(slopes[:, 1:3], rest, rcond=None)[0], atol=1e-3)


def test_places_without_effect_do_not_move():
    slopes = np.zeros((10, 3))
    slopes[:, 0] = 1
    free = np.full(3, np.inf)
    step = bounded_step(slopes, np.ones(10), 1e-3, -free, free)
    assert_allclose(step, [1, 0, 0], atol=1e-2)
