"""A better patch for a recording, found by playing and listening.

`refine=N` renders of an excerpt: the knobs' slopes are measured on the plant, one render a knob,
and followed by bounded least squares; where that no longer helps, what is left goes into random
changes of a few knobs at a time, larger after a success, smaller after a failure.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Float

from .allowance import Allowance
from .errors import PlantError
from .hearing import FRAME_S, hear_recording
from .imagining import bounded_step
from .melody import Note
from .plants import Plant

EXCERPT_S = 4.0
REHEARSAL_RATE_HZ = 16000  # at which Vital plays three times as fast as at 44.1 kHz
NEARLY_ALL_S = 3.6  # notes that start later are too short in it to be judged
MOST_NOTES = 12  # in an excerpt
PROBE = 0.08  # how far a knob is moved to measure its slope
COARSE = {"unison": 0.25}  # knobs that take steps
DAMPINGS = (0.03, 0.3, 3.0)
WORTH = 0.97  # a measurement pays if it brings the error down by this factor
FIRST_CHANGE, LEAST_CHANGE = 0.15, 0.01
CHANGED = 4  # knobs changed at a time

Heard = Float[np.ndarray, "channel=128 frame"]
Knobs = Float[np.ndarray, " knob"]


@dataclass(frozen=True)
class Trial:
    """Knobs, 0..1, and how the plant sounds with them."""

    knobs: Knobs
    heard: Heard
    error: float


def improve_patch(
    plant: Plant,
    notes: Sequence[Note],
    target: Float[np.ndarray, " sample"],
    allowance: Allowance,
    seed: int = 0,
) -> list[Note]:
    """The notes with better knobs, after as many renders of an excerpt as are allowed.

    `target` is what they are to sound like, at the plant's rate. Pitches, times, levels and tunings
    stay.
    """
    practice = _Practice(plant, notes, target, allowance)
    best = practice.run(np.random.default_rng(seed))
    return [practice.with_knobs(note, best.knobs) for note in notes]


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
    """The same plant at a lower rate: what is heard is below 4 kHz."""
    if plant.sample_rate_hz <= REHEARSAL_RATE_HZ:
        return plant
    kind: Any = type(plant)
    return kind(controls=plant.controls.name, sample_rate_hz=REHEARSAL_RATE_HZ)


class Rehearsal:
    """An excerpt of a recording, played with other and other knobs."""

    def __init__(
        self,
        plant: Plant,
        notes: Sequence[Note],
        target: Float[np.ndarray, " sample"],
        allowance: Allowance,
    ):
        start_s, end_s, self.notes = excerpt(notes, len(target) / plant.sample_rate_hz)
        part = slice(round(start_s * plant.sample_rate_hz), round(end_s * plant.sample_rate_hz))
        self.target = hear_recording(target[part], plant.sample_rate_hz)
        self.plant, self.allowance = rehearsal_plant(plant), allowance
        self.controls = plant.controls.shared

    def play(self, knobs: Knobs) -> Trial:
        duration_s = self.target.shape[-1] * FRAME_S
        try:
            audio = self.plant.play([self.with_knobs(n, knobs) for n in self.notes], duration_s)
        except PlantError:  # as good as silence
            audio = np.zeros(round(duration_s * self.plant.sample_rate_hz), np.float32)
        heard = hear_recording(audio, self.plant.sample_rate_hz)
        error = float(np.mean((heard - self.target) ** 2) / np.var(self.target))
        self.allowance.spend(error)
        return Trial(knobs, heard, error)

    def knobs_of(self, note: Note) -> Knobs:
        """The shared knobs of a note, 0..1."""
        values = (float(c.from_physical(note.controls[c.name])) for c in self.controls)
        return np.fromiter(values, float)

    def with_knobs(self, note: Note, knobs: Knobs) -> Note:
        pairs = zip(self.controls, self.within(knobs), strict=True)
        shared = {control.name: float(control.to_physical(value)) for control, value in pairs}
        return replace(note, controls=note.controls | shared)

    def within(self, knobs: Knobs) -> Knobs:
        circular = [control.circular for control in self.controls]
        return np.where(circular, knobs % 1, np.clip(knobs, 0, 1))


class _Practice(Rehearsal):
    def run(self, chance: np.random.Generator) -> Trial:
        best = self.play(self.knobs_of(self.notes[0]))
        while self.allowance.left > len(self.controls) + 1:
            before = best.error
            best = self.follow(best, self.measure(best))
            if best.error > WORTH * before:
                break
        return self.explore(best, chance)

    def measure(self, best: Trial) -> Float[np.ndarray, "point knob"]:
        """The slopes of what is heard along each knob, each moved towards the middle."""
        slopes = np.zeros((best.heard.size, len(self.controls)))
        for number, control in enumerate(self.controls):
            if not self.allowance.left:
                break
            change = COARSE.get(control.name, PROBE)
            moved = best.knobs.copy()
            moved[number] += change if moved[number] < 0.5 else -change
            difference = self.play(moved).heard - best.heard
            slopes[:, number] = difference.ravel() / (moved[number] - best.knobs[number])
        return slopes

    def follow(self, best: Trial, slopes: Float[np.ndarray, "point knob"]) -> Trial:
        """The best of some steps down the slopes, ever shorter ones."""
        residual = (self.target - best.heard).ravel().astype(float)
        start = best.knobs
        for damping in DAMPINGS:
            if not self.allowance.left:
                break
            step = bounded_step(slopes, residual, damping, -start, 1 - start)
            trial = self.play(self.within(start + step))
            best = min(best, trial, key=lambda t: t.error)
        return best

    def explore(self, best: Trial, chance: np.random.Generator) -> Trial:
        size = FIRST_CHANGE
        while self.allowance.left:
            knobs = best.knobs.copy()
            some = chance.choice(len(knobs), CHANGED, replace=False)
            knobs[some] += size * chance.standard_normal(CHANGED)
            trial = self.play(self.within(knobs))
            if trial.error < best.error:
                best, size = trial, min(1.5 * size, FIRST_CHANGE)
            else:
                size = max(0.95 * size, LEAST_CHANGE)
        return best
