"""Refinement with renders of the plant.

In this order: places proposed by a surrogate, the decoder; bounded Gauss-Newton steps on the
residual of the render, with the surrogate's slopes (Jacobian); all values of choices and switches;
Gauss-Newton steps with slopes measured on the plant. All slopes are corrected after each trial (C.
Broyden 1965). At last come random changes, whose size adapts to their success (I. Rechenberg 1973).
In one render every block tries a change of its own, and keeps it if it is better.
"""

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

from ..budget import Budget
from ..events import Best
from ..plants import Plant
from ..score import Score
from .least_squares import bounded_step
from .objective import Heard, MelodyObjective, Objective, Place, RecordingObjective, Spectrogram

LEAST, MOST = 1e-7, 3.0  # damping
EASIER, HARDER = 0.2, 6.0  # factors of the damping after success and failure
FAILURES = 3  # in a row, after which a component's slopes are given up
SURROGATE_STEPS = 12  # trials before the surrogate's slopes are computed again
MEASURED_STEPS = 6  # trials before slopes are measured again
WORTH = 0.95  # slopes are renewed while they lower the cost to this share or less
CHANGED = 4  # numbers of a block that change in a random change
GROWTH, DECAY = 1.5, 0.92  # factors of random changes' size after success and failure
SMALLEST = 0.07  # size of random changes, as a share of the first
LARGEST_CHANGE = 0.15

Trial = Generator[Place, Heard, Heard]


@dataclass
class Slopes:
    """The Jacobian of the compressed spectrogram, one matrix for each component of blocks."""

    frames: list[Int[np.ndarray, " _"]]
    places: list[Int[np.ndarray, " _"]]
    values: list[Float[np.ndarray, "channel _ _"]]

    def add(self, frames: np.ndarray, places: np.ndarray, values: np.ndarray) -> None:
        self.frames.append(frames)
        self.places.append(places)
        self.values.append(values)

    def __iter__(self) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        return iter(zip(self.frames, self.places, self.values, strict=True))


@runtime_checkable
class Surrogate(Protocol):
    """A model of the plant, which proposes places and gives slopes."""

    def proposals(self, heard: Heard) -> list[Place]:
        """Places that should be close to the target."""
        ...

    def slopes(self, heard: Heard) -> Slopes:
        """The slopes at a place that was rendered."""
        ...


class Refinement:
    """The refinement of one objective, by ask and tell: render `place` and pass its spectrogram to
    `step`, until `done`. `best` is the best place that was rendered.

    Each step counts a render in `budget`. The same seed gives the same places.
    """

    place: Place
    best: Heard

    def __init__(
        self,
        objective: Objective,
        budget: Budget,
        surrogate: Surrogate | None = None,
        seed: int = 0,
    ):
        self.objective, self.budget, self._surrogate = objective, budget, surrogate
        self._components = objective.components
        self._blocks = [np.array([n]) for n in range(objective.touches.shape[1])]
        self._chance = np.random.default_rng(seed)
        self._asking = self._run()
        self.place, self.done = next(self._asking), False

    def step(self, linear: Spectrogram, best: Callable[[float], Best] | None = None) -> None:
        """Take the uncompressed spectrogram of `place`, and choose the next place. `best(error)`
        makes the report if it is the best so far."""
        heard = Heard(self.objective, self.place, linear)
        self.budget.spend(heard.error, best and partial(best, heard.error))
        if not hasattr(self, "best") or self._cost(heard) < self._cost(self.best):
            self.best = heard
        try:
            self.place = self._asking.send(heard)
        except StopIteration:
            self.done = True

    def _run(self) -> Trial:
        best = yield self.objective.valid(self.objective.start)
        if self._surrogate:
            best = yield from self._by_surrogate(self._surrogate, best)
        best = yield from self._try_classes(best)
        for size in self.objective.probes:
            # Measuring is useful only if renders are left to use the slopes.
            while self.budget.left > len(self.objective.groups) + 1:
                before = self._cost(best)
                best, slopes = yield from self._measure(best, size)
                best = yield from self._follow(best, slopes, MEASURED_STEPS)
                if self._cost(best) > WORTH * before:
                    break
        return (yield from self._explore(best))

    def _by_surrogate(self, surrogate: Surrogate, best: Heard) -> Trial:
        for place in surrogate.proposals(best):
            if self.budget.left:
                trial = yield self.objective.valid(place)
                best = min(best, trial, key=self._cost)
        while self.budget.left:
            before = self._cost(best)
            best = yield from self._follow(best, surrogate.slopes(best), SURROGATE_STEPS)
            if self._cost(best) > WORTH * before:
                break
        return best

    def _follow(self, best: Heard, slopes: Slopes, trials: int) -> Trial:
        """Gauss-Newton steps, each from the best so far; each component has its own damping."""
        damping = np.full(len(self._components), self.objective.damping)
        failures = np.zeros(len(self._components), dtype=int)
        while trials and self.budget.left and (failures < FAILURES).any():
            step = np.zeros_like(best.place)
            low, high = self.objective.low - best.place, self.objective.high - best.place
            residual = self.objective.target - best.compressed
            for n, (frames, places, values) in enumerate(slopes):
                if failures[n] < FAILURES and len(frames):
                    flat = values.reshape(-1, len(places)).astype(np.float64, copy=False)
                    missing = residual[:, frames].ravel().astype(np.float64, copy=False)
                    bounds = low[places], high[places]
                    step[places] = bounded_step(flat, missing, damping[n], *bounds)
            trial = yield self.objective.valid(best.place + step)
            self._correct(slopes, best, trial)
            best, better = self._accept(best, trial, self._components)
            easier, harder = damping * EASIER, damping * HARDER
            damping = np.where(better, easier.clip(min=LEAST), harder.clip(max=MOST))
            failures = np.where(better, 0, failures + 1)
            trials -= 1
        return best

    def _correct(self, slopes: Slopes, best: Heard, trial: Heard) -> None:
        """Broyden's rank-one update of the slopes by the error of their prediction, per block."""
        moved = self.objective.way(best.place, trial.place)
        change = trial.compressed - best.compressed
        of_frame = self.objective.frame_blocks(best.place)
        for frames, places, values in slopes:
            surprise = change[:, frames] - values @ moved[places]
            for block in np.unique(of_frame[frames]):
                own = self.objective.touches[places, block] * moved[places]
                if block >= 0 and own @ own > 1e-12:
                    here = of_frame[frames] == block
                    values[:, here] += surprise[:, here, None] * (own / (own @ own))

    def _measure(self, best: Heard, size: float) -> Generator[Place, Heard, tuple[Heard, Slopes]]:
        """Measure the plant's slopes at `best` by finite differences, one render for each group of
        numbers. Returns the best so far, and the slopes."""
        start, objective = best, self.objective
        of_frame = objective.frame_blocks(start.place)
        probe, slopes = objective.probe(start.place, size), Slopes([], [], [])
        for blocks in self._components:
            frames = np.flatnonzero(np.isin(of_frame, blocks))
            places = np.flatnonzero(objective.touches[:, blocks].any(1))
            shape = len(start.linear), len(frames), len(places)
            slopes.add(frames, places, np.zeros(shape, start.linear.dtype))
        for group in objective.groups:
            if not self.budget.left:
                break
            place = start.place.copy()
            place[group] += probe[group]
            trial = yield objective.valid(place)
            difference = trial.linear - start.linear
            moved = objective.way(start.place, trial.place)
            for frames, places, values in slopes:
                for column in np.flatnonzero(np.isin(places, group)):
                    at = places[column]
                    here = objective.touches[at, of_frame[frames]]
                    if moved[at]:
                        values[:, here, column] = difference[:, frames[here]] / moved[at]
            best, _ = self._accept(best, trial, self._components)
        # Chain rule through the compression, which divides by the gain of the whole sound.
        gain_slopes = objective.gain_slopes(start.linear)
        for frames, _, values in slopes:
            linear = start.linear[:, frames, None] / start.gain
            by_gain = np.tensordot(gain_slopes[:, frames], values, 2)
            values[:] = (values - linear * by_gain) / start.gain / (1 + 4 * linear)
        return best, slopes

    def _try_classes(self, best: Heard) -> Trial:
        """Try every value of each choice and switch; each block keeps those that are better."""
        for group in self.objective.class_groups:
            row = self.objective.rows[group[0]]
            steps = (row.steps if row else None) or 2
            for value in np.arange(steps) / (steps - 1):
                if self.budget.left and (np.abs(best.place[group] - value) > 0.5 / steps).any():
                    place = best.place.copy()
                    place[group] = value
                    trial = yield self.objective.valid(place)
                    best, _ = self._accept(best, trial, self._blocks)
        return best

    def _explore(self, best: Heard) -> Trial:
        """Spend the remaining renders on random changes of some numbers of each block."""
        objective = self.objective
        free = ~(objective.onsets | objective.classes | objective.locked)
        places = [np.flatnonzero(objective.touches[:, n] & free) for n in range(len(self._blocks))]
        size = np.full(len(places), objective.change)
        # A combination of blocks from different trials has yet to be rendered as a whole.
        while self.budget.left > (best is not self.best) and any(map(len, places)):
            place = best.place.copy()
            for own, deviation in zip(places, size, strict=True):
                some = self._chance.permutation(own)[:CHANGED]
                place[some] += deviation * self._chance.standard_normal(len(some))
            trial = yield objective.valid(place)
            best, better = self._accept(best, trial, self._blocks)
            size = np.where(better, GROWTH * size, DECAY * size)
            size = size.clip(SMALLEST * objective.change, LARGEST_CHANGE)
        if self.budget.left and best is not self.best:
            best = yield best.place
        return best

    def _cost(self, heard: Heard) -> float:
        gone = self.objective.way(self.objective.start, heard.place)
        return heard.error * (1 + self.objective.pull * float(np.square(gone).sum()))

    def _accept(
        self, best: Heard, trial: Heard, parts: Sequence[Int[np.ndarray, " _"]]
    ) -> tuple[Heard, Bool[np.ndarray, " part"]]:
        """The best with those parts of a trial that are better, and which parts these are."""
        if len(parts) == 1:
            better = self._cost(trial) < self._cost(best)
            return trial if better else best, np.array([better])
        of_frame = self.objective.frame_blocks(best.place)
        gained = best.by_frame - trial.by_frame
        better = np.array([gained[np.isin(of_frame, blocks)].sum() > 0 for blocks in parts])
        place, linear = best.place.copy(), best.linear.copy()
        for blocks in (blocks for blocks, taken in zip(parts, better, strict=True) if taken):
            own = self.objective.touches[:, blocks].any(1)
            if len(parts) == len(self._blocks):  # onsets, which two notes share, stay
                own &= ~self.objective.onsets
            place[own] = trial.place[own]
            frames = np.isin(of_frame, blocks)
            linear[:, frames] = trial.linear[:, frames]
        mixed = Heard(self.objective, place, linear)
        if mixed.error < best.error:
            return mixed, better
        return best, np.zeros(len(parts), dtype=bool)


def refine_melody(
    plant: Plant, objective: MelodyObjective, budget: Budget, surrogate: Surrogate | None, seed: int
) -> Float[np.ndarray, "control note"]:
    """Refine a melody: the best controls that were rendered."""
    return objective.controls_at(
        _refine(partial(objective.play, plant), plant, objective, budget, surrogate, seed)
    )


def refine_recording(
    plant: Plant,
    score: Score,
    target: Float[np.ndarray, " sample"],
    budget: Budget,
    surrogate: Callable[[RecordingObjective], Surrogate] | None = None,
    seed: int = 0,
    locked: Bool[np.ndarray, " row"] | None = None,
) -> Score:
    """Refine the patch of a score, or the patches of its notes, until `budget` ends. With one patch
    an excerpt is rendered. `target` is at the plant's sample rate; `surrogate` makes a surrogate
    for the objective. Pitches, times, the notes' own controls and `locked` rows of the patch stay.
    """
    objective = RecordingObjective(plant, score, target, locked)
    foreseen = surrogate(objective) if surrogate else None
    place = _refine(objective.play, objective.plant, objective, budget, foreseen, seed)
    return objective.score_at(place, score)


def _refine(
    play: Callable[[Place], tuple[Spectrogram, Score, np.ndarray]],
    plant: Plant,
    objective: Objective,
    budget: Budget,
    surrogate: Surrogate | None,
    seed: int,
) -> Place:
    refinement = Refinement(objective, budget, surrogate, seed)
    while not refinement.done:
        linear, score, audio = play(refinement.place)

        def best(error: float, score: Score = score, audio: np.ndarray = audio) -> Best:
            return Best(error, score.resolved, audio, plant.sample_rate_hz)

        refinement.step(linear, best)
    return refinement.best.place
