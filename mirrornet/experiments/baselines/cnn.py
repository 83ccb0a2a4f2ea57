"""A convolutional regressor of controls, after InverSynth and SpiegeLib.

Barkan et al., "InverSynth: Deep Estimation of Synthesizer Parameter Configurations from Audio
Signals", IEEE/ACM TASLP 27(12), 2019: six strided convolutions and a dense layer on a spectrogram.
Shier et al., "SpiegeLib: An Automatic Synthesizer Programming Library", AES 148, 2020, call it
Conv6. Ours is wider, uses batch normalisation, and has a hidden dense layer.
"""

from torch import nn

from ...cochlea import CHANNELS
from .supervised import Regressor, SupervisedRecipe, outputs

WIDTHS = (32, 64, 128, 192, 256, 256)
STRIDES = ((2, 2), (2, 2), (2, 2), (2, 2), (2, 2), (1, 2))  # of channels and frames
HIDDEN = 512

RECIPE = SupervisedRecipe(epochs=60, batch=32, lr=2e-3)


class CnnRegressor(Regressor):
    """CNN regressor, `(batch, channel=128, frame) -> (batch, control, note)`; see `Regressor`."""

    def __init__(self, controls: int, notes: int = 5, frames: int = 250):
        body = layers(frames)  # first, as initial weights are drawn in this order
        head = nn.Linear(HIDDEN, notes * outputs(controls))
        super().__init__(body, head, controls, notes, frames)


def layers(frames: int) -> nn.Sequential:
    """All but the last layer: `(batch, 1, channel=128, frame) -> (batch, HIDDEN)`."""
    convolutions: list[nn.Module] = [nn.BatchNorm2d(1)]
    width, height, length = 1, CHANNELS, frames
    for wider, (down, along) in zip(WIDTHS, STRIDES, strict=True):
        convolutions += [
            nn.Conv2d(width, wider, 3, (down, along), padding=1, bias=False),
            nn.BatchNorm2d(wider),
            nn.ReLU(),
        ]
        width, height, length = wider, -(-height // down), -(-length // along)
    return nn.Sequential(
        *convolutions,
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(width * height * length, HIDDEN),
        nn.ReLU(),
    )
