"""Nearest-neighbour search: render the babbled melodies nearest to the target, nearest first.

It uses the babble, as the networks do; only the renders of its candidates are counted.
"""

import numpy as np
from jaxtyping import Float

from .search import BATCH, Search

CHUNK = 256  # babbled melodies in memory at a time


def babble_distances(
    heard: Float[np.ndarray, "babble channel=128 frame"],
    targets: Float[np.ndarray, "target channel=128 frame"],
) -> Float[np.ndarray, "target babble"]:
    """Compute squared distances of spectrograms, less a constant for each target.

    `heard` may be in half precision and memory-mapped: it is read in chunks.
    """
    wanted = targets.reshape(len(targets), -1).astype(np.float32)
    distances = np.empty((len(targets), len(heard)), np.float32)
    for start in range(0, len(heard), CHUNK):
        chunk = heard[start : start + CHUNK].reshape(-1, wanted.shape[1]).astype(np.float32)
        # |chunk - wanted|² = |chunk|² - 2 chunk·wanted + |wanted|², the last the same for all
        squares = np.einsum("ij,ij->i", chunk, chunk)
        distances[:, start : start + CHUNK] = squares - 2 * wanted @ chunk.T
    return distances


class Nearest(Search):
    """Nearest-neighbour search in babbled melodies; ends when all are rendered. `distances` are
    the target's row of `babble_distances`."""

    name = "nearest in the babble"

    def __init__(
        self,
        controls: Float[np.ndarray, "babble control note"],
        distances: Float[np.ndarray, " babble"],
    ):
        self._left = controls[np.argsort(distances, kind="stable")]

    def ask(self) -> Float[np.ndarray, "row control note"]:
        asked, self._left = self._left[:BATCH], self._left[BATCH:]
        return asked

    def tell(self, controls: np.ndarray, errors: np.ndarray) -> None:
        """Do nothing: the order does not depend on errors."""
