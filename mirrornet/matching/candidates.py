"""Other patches for a recording: alternatives that sound different, as the patch is ambiguous.

Patches are drawn around that of the score, with the encoder's uncertainty, and rendered on an
excerpt. Of those that sound different from all chosen so far, the closest to the recording is
chosen next. Their renders do not count as refinement.
"""

import numpy as np
from jaxtyping import Bool, Float

from ..budget import Budget
from ..models.transcriber import UNSURE
from ..plants import Plant
from ..score import Score
from .objective import RecordingObjective, Spectrogram

DRAWS = 16  # patches that are rendered for each that is asked for
DIFFERENT = 0.01  # mean squared, as a share of the target's variance; below it, nearly identical
STREAM = 13  # random stream


def other_patches(
    plant: Plant,
    score: Score,
    confidence: Float[np.ndarray, " knob"],
    target: Float[np.ndarray, " sample"],
    count: int,
    budget: Budget,
    seed: int = 0,
    locked: Bool[np.ndarray, " row"] | None = None,
) -> list[Score]:
    """The score with up to `count` other patches that sound different from its own and each other;
    fewer if `budget` ends before as many are found. The closest to the target comes first.

    `confidence` is that of each row of the patch, as in `Transcript`. `target` is at the plant's
    sample rate. `locked` rows of the patch stay.
    """
    generator = np.random.default_rng((seed, STREAM))
    objective = RecordingObjective(plant, score, target, locked)
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
    """Whether two compressed spectrograms differ by more than `DIFFERENT`."""
    return bool(np.mean((one - other) ** 2) > DIFFERENT * np.var(target))
