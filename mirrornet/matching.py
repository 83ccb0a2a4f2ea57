"""One target sound -> `Match`: the controls that make a plant sound like it."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float
from torch import Tensor

from .melody import Note
from .plants import Plant

EXPORT_RATE_HZ = 44100


@dataclass(frozen=True)
class Match:
    """The answer for one target."""

    plant: Plant
    """At `EXPORT_RATE_HZ`; it played `audio`."""
    controls: Float[np.ndarray, "control note"]
    """0..1, in the order of `plant.controls`."""
    notes: list[Note]
    """The same in physical units, with times."""
    audio: Float[np.ndarray, " sample"]
    """The plant playing `notes`, at the plant's own level."""
    target: Float[np.ndarray, " sample"]
    """The target at the same rate and length, at its own level."""
    sample_rate_hz: int
    target_heard: Float[Tensor, "channel=128 frame"]
    """Loudness-compressed auditory spectrogram of the target."""
    heard: Float[Tensor, "channel=128 frame"]
    """The same of `audio`."""
    distances: dict[str, float]
    """How far `audio` is from the target; 0 is perfect. `spectrogram_error`: mean squared difference of the
    compressed auditory spectrograms, as a share of the target's variance."""

    def save(self, folder: str | Path) -> list[Path]:
        """Write every file a user wants into `folder`, which must be new or empty."""
        raise NotImplementedError
