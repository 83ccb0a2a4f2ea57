"""Random scores: what a plant babbles, and the targets of the paper's experiments.

Babble explores all there is: melodies have every control uniform in 0..1 and every semitone; other
scores are drawn by the plant itself (`Plant.sample`). Targets are music: the paper's scale. Each
kind has random streams of its own, so held-out melodies come from seeds that training never sees;
asking for more melodies keeps the first ones the same.
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
    """Of the random numbers with which a plant draws score number `number` of a seed."""
    return seed, number, SCORE_STREAM


def random_melodies(
    space: ControlSpace,
    kind: Kind,
    count: int,
    seed: int,
    notes: int = 5,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> Float[np.ndarray, "melody control note"]:
    """`count` random melodies of one kind, 0..1, some controls in narrower `ranges`."""
    generator = np.random.default_rng((seed, STREAMS[kind]))
    controls = generator.random((count, len(space.rows), notes))
    semitones = np.arange(PITCH_SPAN + 1) if kind == "babble" else np.array(SCALE_SEMITONES)
    pitch = space.row_of_role("pitch")
    chosen = (controls[:, pitch] * len(semitones)).astype(int)
    controls[:, pitch] = semitones[chosen] / PITCH_SPAN
    for name, (low, high) in (ranges or {}).items():
        controls[:, space.row(name)] = low + (high - low) * controls[:, space.row(name)]
    return controls
