"""Other patches for a recording: what was heard leaves room, and these fill it audibly.

Patches are drawn as the reader doubts its own, and heard on an excerpt. Of those that sound
different from all chosen before, the closest to the recording is the next one. What is drawn is
not of what refinement may spend.
"""

import numpy as np
from jaxtyping import Float

from ..budget import Budget
from ..models.transcriber import UNSURE
from ..plants import Plant
from ..score import Score
from .objective import RecordingObjective, Spectrogram

DRAWS = 16  # patches heard for each that is asked for
DIFFERENT = 0.01  # of the target's variance; what differs by less is nearly identical
STREAM = 13  # of random numbers


def other_patches(
    plant: Plant,
    score: Score,
    confidence: Float[np.ndarray, " knob"],
    target: Float[np.ndarray, " sample"],
    count: int,
    budget: Budget,
    seed: int = 0,
) -> list[Score]:
    """The score with up to `count` other patches, which sound different from theirs and from each
    other; fewer if so many are not found in as many renders as are allowed.

    `confidence` is that of each row of the patch, as in `Transcript`. `target` is at the plant's
    rate.
    """
    generator = np.random.default_rng((seed, STREAM))
    objective = RecordingObjective(plant, score, target)
    own = objective.start
    chosen, drawn = [objective.hear(own, budget)], []
    while budget.left:
        doubt = UNSURE * (1 - confidence) * generator.standard_normal(len(own))
        drawn.append(objective.hear(objective.valid(own + doubt), budget))
    for trial in sorted(drawn, key=lambda trial: trial.error):
        apart = all(different(trial.compressed, one.compressed, objective.target) for one in chosen)
        if apart and len(chosen) <= count:
            chosen.append(trial)
    return [objective.score_at(one.place, score) for one in chosen[1:]]


def different(one: Spectrogram, other: Spectrogram, target: Spectrogram) -> bool:
    """Whether two answers can be told apart."""
    return bool(np.mean((one - other) ** 2) > DIFFERENT * np.var(target))
