"""Search for a patch with renders alone: for a plant without a trained model, or from the patches
that a model recalls.

First, those patches, or some of the plant's prior. Then an evolution of the best: a child takes
some controls of a fresh draw of the prior, or is crossed with another of the best; numbers also get
small random changes. So every trial keeps to values that the prior holds plausible, whatever the
kinds of the controls are.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from ..budget import Budget
from ..controls import within
from ..plants import Plant
from ..score import Score
from .objective import Heard, Place, RecordingObjective
from .transcribe import Transcript

STREAM = 17  # random stream
DRAWN = 0.3  # share of the renders for patches of the prior
TRIED = 0.5  # largest share of the renders for patches that were recalled
PARENTS = 12  # the best that are kept
CROSSED = 0.25  # probability of a cross with another parent, in place of a draw of the prior
FEWEST, MOST = 1, 0.5  # controls that a child takes from the other: a number, and a share of all
CHANGE = 0.06  # standard deviation of random changes of numbers


def without_patch(transcript: Transcript, plant: Plant, seed: int = 0) -> Transcript:
    """The transcript with a patch of the plant's prior in place of one that was read; the notes'
    own controls in the middle of their ranges."""
    rows = _draw(plant, np.random.default_rng((seed, STREAM, 0)))
    own = (0.5,) * sum(c.size for c in plant.controls.own if c.role not in ("level", "tune"))
    notes = [replace(note, knobs=tuple(rows), own=own) for note in transcript.notes]
    return replace(transcript, notes=notes, knobs=rows, confidence=np.zeros(len(rows)))


def search_patch(
    plant: Plant,
    score: Score,
    target: Float[np.ndarray, " sample"],
    budget: Budget,
    recalled: Sequence[Place] = (),
    seed: int = 0,
    locked: Bool[np.ndarray, " row"] | None = None,
) -> Score:
    """The score with the patch that is closest to `target` (at the plant's sample rate) on an
    excerpt, of as many as `budget` allows; those that were `recalled` are tried first. Pitches,
    times, the notes' own controls and `locked` rows of the patch stay."""
    if not budget.left or not plant.controls.patch:
        return score
    generator = np.random.default_rng((seed, STREAM, 1))
    objective = RecordingObjective(plant, score, target, locked)
    kept = [objective.hear(objective.start, budget)]
    drawn = 0 if len(recalled) else DRAWN * (budget.spent + budget.left)
    known = list(recalled[: round(TRIED * budget.left)])
    while budget.left:
        if known:
            place = known.pop(0)
        else:
            place = _draw(plant, generator)
            if budget.spent > drawn:
                place = _child(objective, kept, place, generator)
        kept = sorted([*kept, objective.hear(place, budget)], key=lambda heard: heard.error)
        kept = kept[:PARENTS]
    return objective.score_at(kept[0].place, score)


def _draw(plant: Plant, generator: np.random.Generator) -> Place:
    return plant.controls.patch.to_vector(plant.sample(generator).resolved[0].controls)


def _child(
    objective: RecordingObjective,
    kept: list[Heard],
    drawn: Place,
    generator: np.random.Generator,
) -> Place:
    """A parent, the better the likelier, with some controls of another."""
    # The square of a uniform number prefers the first.
    parents = [kept[int(len(kept) * generator.random() ** 2)].place for _ in range(2)]
    other = parents[1] if generator.random() < CROSSED else drawn
    rows = objective.rows
    most = max(FEWEST, int(MOST * len(rows)))
    count = int(np.exp(generator.uniform(np.log(FEWEST), np.log(most + 1))))
    place = parents[0].copy()
    some = generator.permutation(len(rows))[:count]
    place[some] = other[some]
    changed = ~objective.classes & (generator.random(len(rows)) < 2 / len(rows))
    place[changed] += CHANGE * generator.standard_normal(int(changed.sum()))
    return within([row for row in rows if row], place)
