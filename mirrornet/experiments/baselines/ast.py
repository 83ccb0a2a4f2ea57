"""An audio spectrogram transformer (AST) as a regressor of controls.

Gong et al., "AST: Audio Spectrogram Transformer", Interspeech 2021; used for sound matching by
Bruford et al. 2024 and Hayes et al. 2025. Ours is smaller, has a class token for each note, and is
not pretrained, so position embeddings are initialised with sines and cosines (Beyer et al., "Better
plain ViT baselines for ImageNet-1k", 2022).
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ...cochlea import CHANNELS
from .supervised import Regressor, SupervisedRecipe, outputs

PATCH = (16, 10)  # channels and frames: 2/3 of an octave, 80 ms
WIDTH, BLOCKS, HEADS = 192, 6, 3  # ViT-Tiny, half as deep

RECIPE = SupervisedRecipe(epochs=20, batch=16, lr=5e-4)


class AstRegressor(Regressor):
    """AST regressor, `(batch, channel=128, frame) -> (batch, control, note)`; see `Regressor`."""

    def __init__(self, controls: int, notes: int = 5, frames: int = 250):
        head = nn.Sequential(
            nn.LayerNorm(WIDTH),
            nn.Linear(WIDTH, WIDTH),
            nn.GELU(),
            nn.Linear(WIDTH, outputs(controls)),
        )
        super().__init__(Transformer(notes, frames), head, controls, notes, frames)


class Transformer(nn.Module):
    """Transformer on spectrogram patches; returns the outputs of `tokens` class tokens. Frames that
    do not fill a patch are ignored."""

    def __init__(self, tokens: int, frames: int):
        super().__init__()
        # AST normalises its data by mean and variance.
        self.normalise = nn.BatchNorm2d(1, affine=False)
        self.patches = nn.Conv2d(1, WIDTH, PATCH, PATCH)
        self.positions = nn.Parameter(grid(CHANNELS // PATCH[0], frames // PATCH[1]))
        self.tokens = nn.Parameter(torch.randn(tokens, WIDTH))
        self.blocks = nn.Sequential(
            *(
                nn.TransformerEncoderLayer(
                    WIDTH, HEADS, 4 * WIDTH, 0.0, "gelu", batch_first=True, norm_first=True
                )
                for _ in range(BLOCKS)
            )
        )

    def forward(
        self, heard: Float[Tensor, "batch 1 channel=128 frame"]
    ) -> Float[Tensor, "batch token width"]:
        patches = self.patches(self.normalise(heard)).flatten(2).mT + self.positions
        tokens = self.tokens.expand(len(heard), -1, -1)
        return self.blocks(torch.cat([tokens, patches], 1))[:, : len(self.tokens)]


def grid(rows: int, columns: int) -> Float[Tensor, "position width"]:
    """Position embeddings, row by row: half of the width encodes the row, half the column."""
    row, column = waves(rows), waves(columns)
    return torch.cat([row.repeat_interleave(columns, 0), column.repeat(rows, 1)], 1)


def waves(count: int) -> Float[Tensor, "count half"]:
    """Sines and cosines of the positions 0, 1, 2, ... with periods from 2π to 200π."""
    angles = torch.outer(torch.arange(count), 100 ** -torch.linspace(0, 1, WIDTH // 4))
    return torch.cat([angles.sin(), angles.cos()], 1)
