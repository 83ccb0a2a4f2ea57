"""Nearest neighbours: play the babbled melodies that sounded most like the target, nearest first.

It knows the babble, as our networks do; its renders are those of the answers.
"""

import numpy as np
from jaxtyping import Float

from .search import BATCH, Search

CHUNK = 256


def babble_distances(
    heard: Float[np.ndarray, "babble channel=128 frame"],
    targets: Float[np.ndarray, "target channel=128 frame"],
) -> Float[np.ndarray, "target babble"]:
    """Squared distances of spectrograms, less a constant for each target.

    `heard` may be in half precision and on disk: little of it is held in memory at a time.
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
    """`distances` are the target's row of `babble_distances`. Ends with the babble."""

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
        """The order is settled."""
