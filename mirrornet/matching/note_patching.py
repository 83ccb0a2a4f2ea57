"""Better knobs for each note by itself, found by playing and listening.

One render tries a change on every note at once: what is heard from a note's onset to the next one's
judges its own change. So a render a knob measures all notes' slopes, which are followed by bounded
least squares; the rest goes into random changes, larger after a success, smaller after a failure.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from ..budget import Budget
from ..controls import within
from ..errors import PlantError
from ..features import FRAME_S, frame_times_s, hear_recording
from ..plants import Plant
from ..score import Note, Score
from .imagining import bounded_step
from .patching import CHANGED, DAMPINGS, FIRST_CHANGE, LEAST_CHANGE, WORTH, probe_size
from .rehearsing import Heard, rehearsal_plant

Knobs = Float[np.ndarray, "note knob"]


def improve_notes(
    plant: Plant,
    score: Score,
    target: Float[np.ndarray, " sample"],
    budget: Budget,
    seed: int = 0,
) -> Score:
    """The notes with better knobs, each with its own, after as many renders as are allowed.

    `target` is what they are to sound like, at the plant's rate. Pitches, times, levels and tunings
    stay.
    """
    practice = _Practice(plant, score, target, budget)
    practice.run(np.random.default_rng(seed))
    return replace(score, patch={}, notes=practice.with_knobs(practice.whole))


class _Practice:
    """The best knobs of each note so far, what each sounds like with them, and the best `whole`."""

    def __init__(
        self,
        plant: Plant,
        score: Score,
        target: Float[np.ndarray, " sample"],
        budget: Budget,
    ):
        self.wanted = hear_recording(target, plant.sample_rate_hz)
        self.duration_s = self.wanted.shape[-1] * FRAME_S
        self.plant, self.notes, self.budget = rehearsal_plant(plant), score.resolved, budget
        self.space = plant.controls.patch
        self.shared = self.space.rows
        frames, onsets_s = self.wanted.shape[-1], [note.onset_s for note in self.notes]
        sounding = np.searchsorted(onsets_s, frame_times_s(frames), "right") - 1
        self.frames = [np.flatnonzero(sounding == number) for number in range(len(self.notes))]
        self.knobs = np.array([self.space.to_vector(note.controls) for note in self.notes])

    def run(self, chance: np.random.Generator) -> None:
        self.heard = self.play(self.knobs)
        self.errors = self.errors_of(self.heard)
        self.whole, self.whole_error = self.knobs, self.errors.sum()
        while self.budget.left > len(self.shared) + len(DAMPINGS):
            before = self.errors.sum()
            self.follow(self.measure())
            if self.errors.sum() > WORTH * before:
                break
        self.explore(chance)
        if self.errors.sum() < self.whole_error:  # put together, but not yet heard as a whole
            self.attempt(self.knobs)

    def play(self, knobs: Knobs) -> Heard:
        try:
            audio = self.plant.render(Score(self.with_knobs(knobs), {}, self.duration_s))
        except PlantError:  # as good as silence
            audio = np.zeros(round(self.duration_s * self.plant.sample_rate_hz), np.float32)
        heard = hear_recording(audio, self.plant.sample_rate_hz)
        self.budget.spend(float(np.mean((heard - self.wanted) ** 2) / np.var(self.wanted)))
        return heard

    def with_knobs(self, knobs: Knobs) -> list[Note]:
        return [
            replace(note, controls={**note.controls, **self.space.from_vector(own)})
            for note, own in zip(self.notes, knobs, strict=True)
        ]

    def errors_of(self, heard: Heard) -> Float[np.ndarray, " note"]:
        by_frame = ((heard - self.wanted) ** 2).sum(0)
        return np.array([by_frame[own].sum() for own in self.frames])

    def attempt(self, knobs: Knobs) -> Float[np.ndarray, " note"]:
        """Play knobs, keep those of the notes that are better, and say which are."""
        heard = self.play(knobs)
        errors = self.errors_of(heard)
        if errors.sum() < self.whole_error:
            self.whole, self.whole_error = knobs, errors.sum()
        better = errors < self.errors
        self.knobs = np.where(better[:, None], knobs, self.knobs)
        self.errors = np.minimum(errors, self.errors)
        for number in np.flatnonzero(better):
            self.heard[:, self.frames[number]] = heard[:, self.frames[number]]
        return better

    def measure(self) -> list[Float[np.ndarray, "point knob"]]:
        """The slopes of what is heard of each note along its knobs, each moved inwards."""
        sizes = (self.heard[:, own].size for own in self.frames)
        slopes = [np.zeros((size, len(self.shared)), np.float32) for size in sizes]
        for number, control in enumerate(self.shared):
            if not self.budget.left:
                break
            size = probe_size(control)
            moved = self.knobs.copy()
            moved[:, number] += np.where(moved[:, number] < 0.5, size, -size)
            difference = self.play(moved) - self.heard
            way = moved[:, number] - self.knobs[:, number]
            for own, slope, step in zip(self.frames, slopes, way, strict=True):
                slope[:, number] = difference[:, own].ravel() / step
        return slopes

    def follow(self, slopes: list[Float[np.ndarray, "point knob"]]) -> None:
        """Some steps down the slopes, ever shorter ones."""
        start, residual = self.knobs, self.wanted - self.heard
        for damping in DAMPINGS:
            if not self.budget.left:
                break
            steps = [
                bounded_step(slope, residual[:, own].ravel().astype(float), damping, -at, 1 - at)
                if len(own)
                else np.zeros_like(at)
                for own, slope, at in zip(self.frames, slopes, start, strict=True)
            ]
            self.attempt(within(self.shared, start + np.array(steps)))

    def explore(self, chance: np.random.Generator) -> None:
        size = np.full(len(self.notes), FIRST_CHANGE)
        while self.budget.left > 1:
            chosen = chance.random(self.knobs.shape).argsort(1) < CHANGED
            change = size[:, None] * chance.standard_normal(self.knobs.shape) * chosen
            better = self.attempt(within(self.shared, self.knobs + change))
            size = np.where(better, 1.5 * size, 0.95 * size).clip(LEAST_CHANGE, FIRST_CHANGE)
