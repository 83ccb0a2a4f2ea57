"""Conditional flow matching: draws patches from the distribution of those that fit a sound.

B. Hayes, C. Saitis, G. Fazekas, "Audio synthesizer inversion in symmetric parameter spaces with
approximately equivariant flow matching", ISMIR 2025: a network learns the velocity that carries
Gaussian noise along straight lines to the patches of the data (rectified flow), given the sound.
Draws are guided away from what is likely without the sound (classifier-free guidance). Theirs hears
with an AST; ours with the CNN, which in the same time on a CPU sees five times as many sounds. The
field is their residual perceptron, not the transformer with learned parameter tokens.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ...controls import ControlSpace
from . import cnn
from .patch_reading import FRAMES, PatchReader, Seen

WIDTH, BLOCKS = 384, 4
DEAF = 0.1  # share of training sounds that are hidden
GUIDANCE = 2.0
STEPS = 25  # of the midpoint method
TIMES = 32  # features of the time


class FlowReader(PatchReader):
    """A velocity field on patches as `RowCode` values, -1..1, choices and switches one-hot."""

    def __init__(self, space: ControlSpace):
        super().__init__(space)
        self.body = cnn.layers(FRAMES)
        self.nothing = nn.Parameter(torch.zeros(cnn.HIDDEN))  # what is heard of a hidden sound
        self.told = nn.Sequential(
            nn.Linear(cnn.HIDDEN + 2 * TIMES, WIDTH), nn.SiLU(), nn.Linear(WIDTH, WIDTH)
        )
        self.enter = nn.Linear(self.code.values, WIDTH)
        self.blocks = nn.ModuleList(_Block() for _ in range(BLOCKS))
        self.leave = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, self.code.values))

    def loss(self, seen: Seen, patches: Float[Tensor, "batch row"]) -> Float[Tensor, ""]:
        end = self._values(patches)
        start = torch.randn_like(end)
        time = torch.rand(len(end), 1).to(end)
        heard = self.body(seen[:, None]).float()
        hidden = torch.rand(len(end), 1).to(end) < DEAF
        heard = torch.where(hidden, self.nothing, heard)
        with torch.autocast(seen.device.type, enabled=False):
            velocity = self.velocity(start + time * (end - start), time, heard)
            return F.mse_loss(velocity, end - start)

    def velocity(
        self,
        at: Float[Tensor, "batch value"],
        time: Float[Tensor, "batch 1"],
        heard: Float[Tensor, "batch width"],
    ) -> Float[Tensor, "batch value"]:
        """The velocity at a place and a time, 0..1."""
        waves = time * 2 ** torch.linspace(0, 6, TIMES).to(time) * torch.pi
        told = self.told(torch.cat([heard, waves.sin(), waves.cos()], 1))
        hidden = self.enter(at)
        for block in self.blocks:
            hidden = block(hidden, told)
        return self.leave(hidden)

    @torch.no_grad()
    def patches(self, seen: Seen, count: int, seed: int) -> Float[Tensor, "patch row"]:
        chance = torch.Generator().manual_seed(seed)
        heard = self.body(seen[:, None]).expand(count, -1)
        nothing = self.nothing.expand(count, -1)

        def guided(at: Tensor, time: float) -> Tensor:
            times = torch.full((count, 1), time)
            without = self.velocity(at, times, nothing)
            return without + GUIDANCE * (self.velocity(at, times, heard) - without)

        at = torch.randn(count, self.code.values, generator=chance)
        for step in range(STEPS):
            half = at + guided(at, step / STEPS) / (2 * STEPS)
            at = at + guided(half, (step + 0.5) / STEPS) / STEPS
        at[:, : self.code.measured] = 0.5 + 0.5 * at[:, : self.code.measured]
        return self.code.rows_of(at).clamp(0, 1)

    def _values(self, patches: Float[Tensor, "batch row"]) -> Float[Tensor, "batch value"]:
        parts = [2 * self.code.measures(patches) - 1]
        for row, count in self.code.classes:
            steps = (patches[:, row] * (count - 1)).round().long()
            parts.append(2 * F.one_hot(steps, count).to(patches) - 1)
        return torch.cat(parts, 1)


class _Block(nn.Module):
    """A residual perceptron, scaled and shifted by what it is told (adaptive layer norm)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(WIDTH, elementwise_affine=False)
        self.told = nn.Linear(WIDTH, 3 * WIDTH)
        self.layers = nn.Sequential(
            nn.Linear(WIDTH, 2 * WIDTH), nn.GELU(), nn.Linear(2 * WIDTH, WIDTH)
        )
        nn.init.zeros_(self.told.weight)
        nn.init.zeros_(self.told.bias)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        shift, scale, gate = self.told(F.silu(told)).chunk(3, -1)
        return x + gate * self.layers(self.norm(x) * (1 + scale) + shift)
