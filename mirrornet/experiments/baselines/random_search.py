"""Random search, the baseline of the other searches."""

import numpy as np
from jaxtyping import Float

from ...controls import ControlSpace
from ...score import PITCH_SPAN
from .search import BATCH, Search, Seed, generator


class RandomSearch(Search):
    """Random controls, distributed like babble: uniform in 0..1, pitches uniform over semitones."""

    name = "random search"

    def __init__(self, space: ControlSpace, seed: Seed, notes: int = 5):
        self.seed = seed
        self._random = generator(seed)
        self._shape = (BATCH, len(space.rows), notes)
        self._pitch = space.row_of_role("pitch")

    def ask(self) -> Float[np.ndarray, "row control note"]:
        controls = self._random.random(self._shape)
        semitones = np.floor(controls[:, self._pitch] * (PITCH_SPAN + 1))
        controls[:, self._pitch] = semitones / PITCH_SPAN
        return controls

    def tell(self, controls: np.ndarray, errors: np.ndarray) -> None:
        """Do nothing: candidates do not depend on errors."""
