"""An excerpt of a recording, to be played again and again with other knobs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from ..budget import Budget
from ..controls import within
from ..errors import PlantError
from ..events import Best
from ..features import FRAME_S, RECORDING_RATE_HZ, hear_recording
from ..plants import Plant
from ..score import Note, Score

EXCERPT_S = 8.0
NEARLY_ALL_S = EXCERPT_S - 0.4  # notes that start later are too short in it to be judged
MOST_NOTES = 12  # in an excerpt; each is a render of its own

Heard = Float[np.ndarray, "channel=176 frame"]
Knobs = Float[np.ndarray, " knob"]


@dataclass(frozen=True)
class Trial:
    """Knobs, 0..1, and how the plant sounds with them."""

    knobs: Knobs
    heard: Heard
    error: float


def excerpt(notes: Sequence[Note], duration_s: float) -> tuple[float, float, list[Note]]:
    """The part of a recording, `EXCERPT_S` at most, with as many notes as possible, up to
    `MOST_NOTES`: where it starts and ends, and its notes, their times counted from its start. It
    ends before the next note, which does not belong to it."""
    inside = [
        [note for note in notes[n : n + MOST_NOTES] if note.onset_s < first.onset_s + NEARLY_ALL_S]
        for n, first in enumerate(notes)
    ]
    most = max(range(len(notes)), key=lambda n: len(inside[n]))
    chosen = inside[most]
    start_s = chosen[0].onset_s
    later = notes[most + len(chosen) :]
    end_s = min(later[0].onset_s if later else duration_s, start_s + EXCERPT_S)
    moved = (
        replace(note, onset_s=note.onset_s - start_s, offset_s=min(note.offset_s, end_s) - start_s)
        for note in chosen
    )
    return start_s, end_s, list(moved)


def rehearsal_plant(plant: Plant) -> Plant:
    """The same plant at a lower rate, at which it is quicker, and all that is heard is there."""
    if plant.sample_rate_hz <= RECORDING_RATE_HZ:
        return plant
    return plant.at_rate(RECORDING_RATE_HZ)


class Rehearsal:
    """An excerpt of a recording, played with other and other knobs."""

    def __init__(
        self,
        plant: Plant,
        score: Score,
        target: Float[np.ndarray, " sample"],
        budget: Budget,
    ):
        start_s, end_s, notes = excerpt(score.notes, len(target) / plant.sample_rate_hz)
        part = slice(round(start_s * plant.sample_rate_hz), round(end_s * plant.sample_rate_hz))
        self.target = hear_recording(target[part], plant.sample_rate_hz)
        self.plant, self.budget = rehearsal_plant(plant), budget
        self.space = plant.controls.patch
        self.rows = self.space.rows
        self.knobs = self.space.to_vector(score.patch)
        """Those of the score."""
        self.score = Score(notes, score.patch, self.target.shape[-1] * FRAME_S)

    def play(self, knobs: Knobs) -> Trial:
        score = self.with_knobs(self.score, knobs)
        try:
            audio = self.plant.render(score)
        except PlantError:  # as good as silence
            samples = round((score.duration_s or 0) * self.plant.sample_rate_hz)
            audio = np.zeros(samples, np.float32)
        heard = hear_recording(audio, self.plant.sample_rate_hz)
        error = float(np.mean((heard - self.target) ** 2) / np.var(self.target))
        rate_hz = self.plant.sample_rate_hz
        self.budget.spend(error, lambda: Best(error, score.resolved, audio, rate_hz))
        return Trial(knobs, heard, error)

    def with_knobs(self, score: Score, knobs: Knobs) -> Score:
        return score.with_patch(self.space.from_vector(within(self.rows, knobs)))
