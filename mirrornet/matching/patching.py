"""A better patch for a recording, found by playing and listening.

`refine=N` renders of an excerpt. First patches that the decoder expects to sound right are heard,
and the best is corrected by what is heard of it, along the decoder's slopes; then along slopes that
are measured on the plant, one render a knob. Steps are bounded least squares. Where they no longer
help, what is left goes into random changes of a few knobs at a time, larger after a success,
smaller after a failure.
"""

import numpy as np
from jaxtyping import Float

from ..budget import Budget
from ..controls import Control, way, within
from ..features import frame_times_s
from ..models.mirrornet import MirrorNet
from ..plants import Plant
from ..score import PITCH_VALUE, Score, to_arrays
from .imagining import bounded_step
from .rehearsing import Rehearsal, Trial
from .surrogate import imagine_patch, patch_slopes

IMAGINED = 2  # patches that are imagined and heard
PULL = 0.3  # back to the first knobs
EVERY = 4  # frames, of which one is asked for the decoder's slopes
PROBE = 0.08  # how far a knob is moved to measure its slope
DAMPINGS = (0.03, 0.3, 3.0)
WORTH = 0.97  # a measurement pays if it brings the error down by this factor
FIRST_CHANGE, LEAST_CHANGE = 0.15, 0.01
CHANGED = 4  # knobs changed at a time


def improve_patch(
    plant: Plant,
    score: Score,
    target: Float[np.ndarray, " sample"],
    budget: Budget,
    model: MirrorNet | None = None,
    seed: int = 0,
) -> Score:
    """The score with a better patch, after as many renders of an excerpt as are allowed.

    `target` is what they are to sound like, at the plant's rate. Pitches, times, levels and tunings
    stay. Without a `model` there is nothing but the plant to go by.
    """
    practice = _Practice(plant, score, target, budget)
    return practice.with_knobs(score, practice.run(model, seed).knobs)


def probe_size(control: Control) -> float:
    """How far a knob is moved to measure its slope; one that takes steps, by a whole one."""
    return 1 / (control.steps - 1) if control.steps else PROBE


class _Practice(Rehearsal):
    def run(self, model: MirrorNet | None, seed: int) -> Trial:
        best = self.play(self.knobs)
        self.first = best.knobs
        if model and self.budget.left:
            best = self.imagine(model, best, seed)
        while self.budget.left > len(self.rows) + 1:
            before = self.cost(best)
            best = self.follow(best, self.measure(best))
            if self.cost(best) > WORTH * before:
                break
        return self.explore(best, np.random.default_rng(seed))

    def imagine(self, model: MirrorNet, best: Trial, seed: int) -> Trial:
        """The best of what the decoder expects to sound right, and of steps along its slopes."""
        rows = to_arrays(self.plant.controls, self.score).notes
        rows[:, PITCH_VALUE] += self.plant.transposition
        for knobs in imagine_patch(model, rows, self.target, best.knobs, IMAGINED, seed):
            if self.budget.left:
                best = min(best, self.play(knobs), key=self.cost)
        while self.budget.left:
            before = self.cost(best)
            times_s = frame_times_s(best.heard.shape[-1])[::EVERY]
            slopes = patch_slopes(model, rows, best.knobs, times_s)
            best = self.follow(best, slopes, EVERY)
            if self.cost(best) > WORTH * before:
                break
        return best

    def cost(self, trial: Trial) -> float:
        """The error, and a little of the way from where it began: what makes no difference to it
        had better stay."""
        gone = way(self.rows, self.first, trial.knobs)
        return trial.error * (1 + PULL * float(np.square(gone).sum()))

    def measure(self, best: Trial) -> Float[np.ndarray, "point knob"]:
        """The slopes of what is heard along each knob, each moved towards the middle."""
        slopes = np.zeros((best.heard.size, len(self.rows)))
        for number, control in enumerate(self.rows):
            if not self.budget.left:
                break
            change = probe_size(control)
            moved = best.knobs.copy()
            moved[number] += change if moved[number] < 0.5 else -change
            difference = self.play(moved).heard - best.heard
            slopes[:, number] = difference.ravel() / (moved[number] - best.knobs[number])
        return slopes

    def follow(self, best: Trial, slopes: Float[np.ndarray, "point knob"], every: int = 1) -> Trial:
        """The best of some steps down the slopes (of every so many frames), ever shorter ones."""
        residual = (self.target - best.heard)[:, ::every].ravel().astype(float)
        start = best.knobs
        for damping in DAMPINGS:
            if not self.budget.left:
                break
            step = bounded_step(slopes, residual, damping, -start, 1 - start)
            trial = self.play(within(self.rows, start + step))
            best = min(best, trial, key=self.cost)
        return best

    def explore(self, best: Trial, chance: np.random.Generator) -> Trial:
        size = FIRST_CHANGE
        while self.budget.left:
            knobs = best.knobs.copy()
            some = chance.choice(len(knobs), CHANGED, replace=False)
            knobs[some] += size * chance.standard_normal(CHANGED)
            trial = self.play(within(self.rows, knobs))
            if self.cost(trial) < self.cost(best):
                best, size = trial, min(1.5 * size, FIRST_CHANGE)
            else:
                size = max(0.95 * size, LEAST_CHANGE)
        return best
