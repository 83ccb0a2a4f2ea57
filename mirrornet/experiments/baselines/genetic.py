"""A genetic algorithm (pymoo) as a search baseline.

Simulated binary crossover: K. Deb, R. Agrawal (1995); polynomial mutation: K. Deb, M. Goyal (1996).
"""

import numpy as np
from jaxtyping import Float

from ...controls import ControlSpace
from .search import Search, Seed, bench_module, generator


class Genetic(Search):
    """Genetic algorithm on controls in 0..1, from a random population.

    Raises MirrorNetError if pymoo is not installed.
    """

    name = "genetic algorithm"

    def __init__(self, space: ControlSpace, seed: Seed, notes: int = 5):
        self.seed = seed
        self._shape = (len(space.rows), notes)
        # pymoo's defaults, except for the population (100): binary tournaments, crossover with
        # probability 0.9, on average one mutated control per child, survival of the best of parents
        # and children, no duplicates.
        operators = "pymoo.operators"
        self._algorithm = bench_module("pymoo.algorithms.soo.nonconvex.ga").GA(
            pop_size=50,
            crossover=bench_module(f"{operators}.crossover.sbx").SBX(prob=0.9, eta=15),
            mutation=bench_module(f"{operators}.mutation.pm").PM(prob=0.9, eta=20),
        )
        size = len(space.rows) * notes
        problem = bench_module("pymoo.core.problem").Problem(n_var=size, n_obj=1, xl=0.0, xu=1.0)
        never = bench_module("pymoo.core.termination").NoTermination()
        self._algorithm.setup(problem, termination=never)
        self._algorithm.random_state = generator(seed)

    def ask(self) -> Float[np.ndarray, "row control note"]:
        self._asked = self._algorithm.ask()
        return self._asked.get("X").reshape(-1, *self._shape)

    def tell(self, controls: np.ndarray, errors: np.ndarray) -> None:
        self._asked.set("F", errors[:, None])
        self._algorithm.tell(infills=self._asked)
