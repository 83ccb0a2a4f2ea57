"""Vibrato: features with which networks predict and read its three controls.

Rate, depth and phase are meaningful only together: the audible quantity is the pitch deviation at a
time. The phase is circular, and neither phase nor rate is audible at zero depth.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from ..controls import ControlSpace

VIBRATO_ROLES = ("vibrato_rate", "vibrato_depth", "vibrato_start")
BANDS = 8  # into which the drift of a spectrum is split


class Vibrato(NamedTuple):
    """The rows of the vibrato controls, and the range of its rate."""

    rate: int
    depth: int
    phase: int
    low_hz: float
    high_hz: float

    @classmethod
    def of(cls, space: ControlSpace) -> "Vibrato | None":
        """The vibrato of a control space; None unless it has all three controls."""
        controls = [space.of_role(role) for role in VIBRATO_ROLES]
        found = [control for control in controls if control]
        if len(found) < len(VIBRATO_ROLES):
            return None
        rate, depth, phase = (space.row(control.name) for control in found)
        return cls(rate, depth, phase, found[0].low, found[0].high)

    def swing(
        self, knobs: Float[Tensor, "batch *#frame knob"], since_onset: Float[Tensor, "batch *frame"]
    ) -> Float[Tensor, "batch *frame feature=4"]:
        """Features of a vibrato, `since_onset` in seconds: depth times cos and sin of its current
        angle, and depth squared times cos and sin of twice the angle."""
        rate_hz = self.low_hz * (self.high_hz / self.low_hz) ** knobs[..., self.rate]
        turns = 2 * math.pi * (rate_hz * since_onset + knobs[..., self.phase])
        depth = knobs[..., self.depth]
        swings = (turns.cos(), turns.sin(), depth * (2 * turns).cos(), depth * (2 * turns).sin())
        return depth[..., None] * torch.stack(swings, -1)

    def turn(
        self, x: Float[Tensor, "batch note"], y: Float[Tensor, "batch note"]
    ) -> Float[Tensor, "batch note"]:
        """The phase, 0..1, of points `(x, y)`."""
        return torch.atan2(y, x) / (2 * math.pi) % 1

    def held(self, knobs: Float[Tensor, "batch knob note"]) -> Float[Tensor, "batch knob note"]:
        """The same knobs, those of the vibrato detached. The gradient through the decoder would
        reduce the depth to 0 wherever the phase is wrong by more than a quarter of a turn."""
        columns = list(knobs.unbind(1))
        for knob in (self.rate, self.depth, self.phase):
            columns[knob] = columns[knob].detach()
        return torch.stack(columns, 1)

    def errors(
        self, read: Float[Tensor, "batch knob note"], true: Float[Tensor, "batch knob note"]
    ) -> Float[Tensor, "batch knob note"]:
        """Differences of knobs, phases modulo 1; rate and phase are weighted by the true depth."""
        off = read - true
        phase = off[:, self.phase] - off[:, self.phase].detach().round()
        depth = true[:, self.depth]
        weights = torch.ones_like(off)
        weights[:, self.rate] = weights[:, self.phase] = 1.7 * depth  # mean square 1
        columns = list(off.unbind(1))
        columns[self.phase] = phase
        return torch.stack(columns, 1) * weights


def drift(
    window: Float[Tensor, "batch channel=129 window"],
) -> Float[Tensor, "batch band=8 window"]:
    """Upward speed of the spectrum, in tenths of a channel per frame: optical flow (Lucas and
    Kanade 1981) along frequency, as the contribution of each band, clipped to -3..3.

    The last channel of a window is the mask of its note. A vibrato is prominent in this feature; in
    the spectrogram it is a small change of a large picture, which convolutions hardly detect.
    """
    sound, mine = window[:, :-1], window[:, -1:]
    over_time = F.pad((sound[..., 2:] - sound[..., :-2]) / 2, (1, 1))
    over_frequency = F.pad((sound[:, 2:] - sound[:, :-2]) / 2, (0, 0, 1, 1))
    within = mine * mine.roll(1, -1) * mine.roll(-1, -1)
    steep = over_frequency.square().sum(1, keepdim=True)
    steep = steep + 0.01 * steep.amax(-1, keepdim=True) + 1e-4
    moved = (over_time * over_frequency).unflatten(1, (BANDS, -1)).sum(2)
    return (-10 * within * moved / steep).clamp(-3, 3)
