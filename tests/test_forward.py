"""The forward model of a score predicts what the plant plays, in whole and in parts."""

import numpy as np
import pytest

from mirrornet import match
from mirrornet.features import FRAME_S, compressed
from mirrornet.matching.forward import ForwardModel
from mirrornet.metrics import spectrogram_error
from mirrornet.plants import load_plant

RATE_HZ = 22050
pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["knobs", "wavetable"])
def found(request):
    times_s = np.arange(RATE_HZ) / RATE_HZ
    fall = np.exp(-2 * times_s) * np.minimum(1, times_s / 0.01) * (times_s < 0.8)
    notes = [
        fall * sum(np.sin(2 * np.pi * hz * n * times_s) / n for n in range(1, 8))
        for hz in (220.0, 330.0, 262.0)
    ]
    return match((0.2 * np.concatenate(notes), RATE_HZ), timbre=request.param)


def test_the_plant_plays_what_is_expected(found):
    forward = ForwardModel.of(found.plant)
    assert forward
    frames = found.heard.shape[1]
    expected = forward.expected(found.score, 0.0, frames)
    assert spectrogram_error(found.heard, compressed(expected)) < 0.15
    thinned = forward.expected(found.score, 0.0, frames, 3)
    ratio = thinned / expected[:, ::3]
    np.testing.assert_allclose(ratio, ratio.mean(), rtol=0.01)


def test_a_part_is_as_in_the_whole(found):
    forward = ForwardModel.of(found.plant)
    assert forward
    first, frames = 130, 120  # without the first note but for what rings
    whole = forward.expected(found.score, 0.0, found.heard.shape[1])[:, first : first + frames]
    part = forward.expected(found.score, first * FRAME_S, frames)
    louder = whole.mean() / part.mean()
    np.testing.assert_allclose(
        np.log1p(louder * part[:, 50:]), np.log1p(whole[:, 50:]), atol=0.05 * np.log1p(whole).max()
    )
    after = forward.expected(found.score, 30.0, 20)
    assert np.isfinite(after).all()


def test_a_plant_without_weights_has_none():
    assert ForwardModel.of(load_plant("soundfont-0")) is None
    assert ForwardModel.of(load_plant("vital", controls="set1")) is None
