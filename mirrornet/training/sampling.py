"""Random scores: babble for training, and the targets of the paper's experiments.

Babble covers the whole control space: in melodies every control is uniform in 0..1 and every
semitone occurs; other scores are drawn by the plant itself (`Plant.sample`). Targets use the
paper's scale. Each kind has its own random stream, so held-out melodies come from seeds that
training never uses; asking for more melodies keeps the first ones.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Float

from ..controls import ControlSpace
from ..score import PITCH_SPAN

Kind = Literal["babble", "targets", "tuning", "held-out"]
STREAMS: dict[Kind, int] = {"babble": 1, "targets": 2, "tuning": 3, "held-out": 4}
SCORE_STREAM = 11
SCALE_SEMITONES = (0, 2, 3, 5, 7, 9, 10, 12)


def score_seed(seed: int, number: int) -> tuple[int, int, int]:
    """The seed of the generator from which a plant draws score `number` of a run's `seed`."""
    return seed, number, SCORE_STREAM


def random_melodies(
    space: ControlSpace,
    kind: Kind,
    count: int,
    seed: int,
    notes: int = 5,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> Float[np.ndarray, "melody control note"]:
    """Draw `count` random melodies of one kind; controls by name in `ranges`, others in 0..1."""
    generator = np.random.default_rng((seed, STREAMS[kind]))
    controls = generator.random((count, len(space.rows), notes))
    semitones = np.arange(PITCH_SPAN + 1) if kind == "babble" else np.array(SCALE_SEMITONES)
    pitch = space.row_of_role("pitch")
    chosen = (controls[:, pitch] * len(semitones)).astype(int)
    controls[:, pitch] = semitones[chosen] / PITCH_SPAN
    for name, (low, high) in (ranges or {}).items():
        controls[:, space.row(name)] = low + (high - low) * controls[:, space.row(name)]
    return controls
