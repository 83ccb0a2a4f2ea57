"""CMA-ES with restarts, each of twice the population and from another place (pycma).

N. Hansen, A. Ostermeier: Completely derandomized self-adaptation in evolution strategies (2001);
A. Auger, N. Hansen: A restart CMA evolution strategy with increasing population size (2005).
"""

import numpy as np
import scipy.linalg
from jaxtyping import Float

from ...controls import ControlSpace
from .search import Search, Seed, bench_module, generator

SIGMA = 0.3  # from the middle of everything
READ_SIGMA = 1 / 12  # of pitch and duration in a start: a semitone, about 25 ms
KNOB_SIGMA = 0.25  # of the other knobs there
TOLERANCE = 1e-5  # stop when nothing has changed by this share of the target's variance


class CmaEs(Search):
    """From the middle of all controls, or from a `start` whose pitches and durations are about
    right and whose other knobs are a guess; restarts are from anywhere, or from `start` again.

    Raises MirrorNetError if pycma is not installed, ControlError for a `start` the plant must not
    play.
    """

    name = "CMA-ES"

    def __init__(
        self,
        space: ControlSpace,
        seed: Seed,
        notes: int = 5,
        start: Float[np.ndarray, "control note"] | None = None,
    ):
        self.seed = seed
        self._cma = bench_module("cma")
        self._random = generator(seed)
        self._started = start is not None
        if start is None:
            self._mean = np.full((len(space.rows), notes), 0.5)
            self._sigmas = np.full_like(self._mean, SIGMA)
        else:
            self.name = "CMA-ES from a start"
            self._mean = space.check(start)
            self._sigmas = np.full_like(self._mean, KNOB_SIGMA)
            self._sigmas[[space.row_of_role("pitch"), space.row_of_role("duration")]] = READ_SIGMA
        self._begin()

    def ask(self) -> Float[np.ndarray, "row control note"]:
        return np.reshape(self._strategy.ask(), (-1, *self._mean.shape))

    def tell(self, controls: np.ndarray, errors: np.ndarray) -> None:
        self._strategy.tell([row.ravel() for row in controls], errors.tolist())
        if self._strategy.stop():
            if not self._started:
                self._mean = self._random.random(self._mean.shape)
            self._begin(popsize=2 * self._strategy.popsize)

    def _begin(self, **options: int) -> None:
        self._strategy = self._cma.CMAEvolutionStrategy(
            self._mean.ravel(),
            1.0,
            {
                "CMA_stds": self._sigmas.ravel(),
                "bounds": [0, 1],
                "tolfun": TOLERANCE,
                # numpy's, pycma's default, is 20 times slower on a machine whose cores are busy.
                "CMA_eigenmethod": scipy.linalg.eigh,
                # Its own chance, not numpy's, which all searches and the caller would share.
                "randn": lambda *shape: self._random.standard_normal(shape),
                "seed": np.nan,
                "verbose": -10,  # no word, and no file that could steer it
                "verb_log": 0,
                **options,
            },
        )
