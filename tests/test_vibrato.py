"""Vibrato: what the networks know of rate, depth and phase."""

import numpy as np
import pytest
import torch

from mirrornet.features import hear
from mirrornet.models.reader import NoteReader
from mirrornet.models.vibrato import Vibrato, drift
from mirrornet.plants import load_plant
from mirrornet.plants.vital import SET1, SET2

VIBRATO = Vibrato(5, 6, 7, 2.0, 10.0)


def test_only_a_space_with_a_vibrato_has_one():
    assert Vibrato.of(SET1.knobs) is None
    assert Vibrato.of(SET2.knobs) == VIBRATO
    assert SET2.names[7:] == ("vibrato_rate", "vibrato_depth", "vibrato_phase")


def test_the_swing_is_where_the_plants_pitch_stands():
    """The centre of the spectrum of a note with vibrato follows the swing."""
    plant = load_plant("vital", controls="set2")
    controls = np.full((10, 1), 0.5)
    controls[[SET2.row("attack"), SET2.row("resonance")]] = 0.0
    controls[[SET2.row("decay"), SET2.row("vibrato_depth")]] = 1.0
    S = hear(plant.render(controls), 16000, "linear")
    still = controls.copy()
    still[SET2.row("vibrato_depth")] = 0
    steady = hear(plant.render(still), 16000, "linear")
    channels = np.arange(128)[:, None]
    height = (channels * S).sum(0) / S.sum(0) - (channels * steady).sum(0) / steady.sum(0)
    frames = slice(10, 120)
    times = 0.008 * torch.arange(1, 251)[None]
    knobs = torch.from_numpy(controls[2:].T.copy()).float()[None].expand(1, 250, 8)
    swing = VIBRATO.swing(knobs, times)[0, frames, :2].numpy()
    height = height[frames] - height[frames].mean()
    unexplained = np.linalg.lstsq(swing, height, rcond=None)[1][0]
    assert unexplained < 0.2 * (height**2).sum()


def test_without_depth_nothing_swings_and_phase_and_rate_do_not_count():
    knobs = torch.rand(2, 8, 5)
    knobs[:, VIBRATO.depth] = 0
    assert not VIBRATO.swing(knobs.mT[:, :1].expand(2, 9, 8), torch.rand(2, 9)).any()
    other = knobs.clone()
    other[:, [VIBRATO.rate, VIBRATO.phase]] = torch.rand(2, 2, 5)
    assert not VIBRATO.errors(other, knobs).any()


def test_phases_differ_the_short_way_round():
    true, read = torch.full((1, 8, 1), 0.5), torch.full((1, 8, 1), 0.5)
    true[0, VIBRATO.phase], read[0, VIBRATO.phase] = 0.95, 0.05
    off = VIBRATO.errors(read, true)[0, :, 0]
    assert off[VIBRATO.phase] == pytest.approx(0.1 * 1.7 * 0.5, rel=1e-4)


def test_a_phase_is_read_all_around_its_circle():
    turns = torch.linspace(0, 0.99, 12)[None]
    angle = 2 * torch.pi * turns
    torch.testing.assert_close(VIBRATO.turn(angle.cos(), angle.sin()), turns, atol=1e-5, rtol=0)


def test_e_c_leaves_the_vibrato_alone():
    torch.manual_seed(0)
    reader = NoteReader(10, VIBRATO)
    heard = torch.rand(1, 128, 250)
    rows = [2 + row for row in (VIBRATO.rate, VIBRATO.depth, VIBRATO.phase)]
    last = list(reader.note.parameters())[-1]
    assert torch.autograd.grad(reader(heard)[:, 2:7].sum(), last)[0].any()
    assert not torch.autograd.grad(reader(heard)[:, rows].sum(), last)[0].any()


@pytest.mark.parametrize("channels_per_frame", [-0.2, 0.0, 0.1])
def test_drift_is_how_fast_a_spectrum_moves(channels_per_frame):
    frames = torch.arange(88.0)
    peaks = torch.tensor([30.0, 80.0])[:, None] + channels_per_frame * frames
    channels = torch.arange(128.0)[:, None, None]
    sound = torch.exp(-(((channels - peaks) / 3) ** 2)).sum(1) * torch.exp(-frames / 60)
    mine = ((frames > 5) & (frames < 70)).float()
    moved = drift(torch.cat([sound, mine[None]])[None])[0].sum(0)
    assert moved[8:68] / 10 == pytest.approx(channels_per_frame, abs=0.02)
    assert (moved[:5] == 0).all()
    assert (moved[71:] == 0).all()
