"""CMA-ES with restarts, each with twice the population and another initial mean (pycma).

N. Hansen, A. Ostermeier: Completely derandomized self-adaptation in evolution strategies (2001);
A. Auger, N. Hansen: A restart CMA evolution strategy with increasing population size (2005).
"""

import numpy as np
import scipy.linalg
from jaxtyping import Float

from ...controls import ControlSpace
from .search import Search, Seed, bench_module, generator

SIGMA = 0.3  # initial standard deviation from the mean 0.5
READ_SIGMA = 1 / 12  # the same of pitch and duration of a `start`: a semitone, about 25 ms
KNOB_SIGMA = 0.25  # the same of its other controls
TOLERANCE = 1e-5  # restart when errors differ by less, as a share of the target's variance


class CmaEs(Search):
    """CMA-ES on controls in 0..1, started at 0.5 with restarts from uniformly random means.

    With a `start`, it starts and restarts there; pitches and durations of `start` are taken as
    nearly right, its other controls as guesses.

    Raises MirrorNetError if pycma is not installed, ControlError for a `start` of the wrong shape
    or out of 0..1.
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
                # A generator of its own: numpy's global state is shared with the caller.
                "randn": lambda *shape: self._random.standard_normal(shape),
                "seed": np.nan,
                "verbose": -10,  # no output, and no signals file that could change options
                "verb_log": 0,
                **options,
            },
        )
