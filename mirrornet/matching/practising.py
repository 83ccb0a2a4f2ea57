"""Refinement with the plant: play, listen, correct, play again.

The notes of a melody sound one after another, so one render is an experiment on each of them: of a
changed knob, every note shows the effect in its own frames. First come Gauss-Newton steps on the
heard residual, along the decoder's Jacobian and then along one measured on the plant, kept up to
date by what each trial teaches (C. Broyden 1965). Once they find nothing better, random changes
whose size follows their success (I. Rechenberg 1973) are tried, and kept note by note.
"""

from collections.abc import Generator

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..budget import Budget
from ..controls import ControlSpace
from ..features import FRAME_S, frame_times_s
from ..models.mirrornet import MirrorNet
from ..score import duration_controls, note_spans, sounding_note
from .imagining import bounded_step, decoder_slopes, round_pitch

Controls = Float[np.ndarray, "control note"]
Spectrogram = Float[np.ndarray, "channel=128 frame"]
Slopes = Float[np.ndarray, "channel=128 frame place"]
# Yields controls to play, is sent what was heard: the linear spectrogram.
Practice = Generator[Controls, Spectrogram, Controls]
Trial = Generator[Controls, Spectrogram, "Heard"]

ONSET_UNIT_S = 0.02  # an onset moved by this counts as much as a knob moved over its whole range
DAMPING = (1e-7, 1e-3, 1.0)  # of Gauss-Newton, as a share of the mean curvature: least, first, most
EASIER, HARDER = 0.2, 6.0  # what success and failure do to it
FAILURES = 3  # in a row, after which a Jacobian is given up
DECODER_STEPS = 12  # trials along the decoder's Jacobian before one is measured on the plant
MEASURED_STEPS = 6  # trials along a measured one before the next is measured
PROBE_SIZES = (0.02, 0.008, 0.0032)  # how far controls move to measure a Jacobian, ever finer
WORTH = 0.9  # measuring at the same scale goes on while it lowers the error by this factor
FIRST_CHANGE = 0.02  # standard deviation of the first random changes


class Heard:
    """Controls, what they sound like (linear spectrogram), and how far off that is."""

    def __init__(self, controls: Controls, linear: Spectrogram, target: Spectrogram):
        self.controls, self.linear = controls, linear.astype(np.float64)
        self.compressed = compress(self.linear)
        self.error = float(np.mean((target - self.compressed) ** 2))


def practise(
    space: ControlSpace,
    target: Spectrogram,
    controls: Controls,
    budget: Budget,
    model: MirrorNet | None = None,
    seed: int = 0,
) -> Practice:
    """Yields controls to play, as many as are allowed, wants to be sent the linear spectrogram of
    each, and returns the best controls heard. The first to play are `controls` themselves.

    `target` is loudness-compressed. A `model` that hears loudness lends its decoder's Jacobian for
    the first steps. Pitches are brought to semitones and stay.
    """
    practice = _Practice(space, target, budget)
    best = yield from practice.play(round_pitch(space, controls))
    if model and model.hearing == "loudness" and practice.budget.left:
        slopes = _decoder_slopes(model, practice, best)
        best = yield from practice.correct(best, slopes, DECODER_STEPS)
    for probe in PROBE_SIZES:
        # Measuring pays only if renders are left to use what was measured.
        while practice.budget.left > practice.to_measure:
            before = best.error
            best, slopes = yield from practice.measure(best, probe)
            best = yield from practice.correct(best, slopes, MEASURED_STEPS)
            if best.error > WORTH * before:
                break
    best = yield from practice.explore(best, np.random.default_rng(seed))
    return best.controls


class _Practice:
    """Ways to better an answer until the renders are spent.

    The place of an answer: the onsets of all notes but the first, in `ONSET_UNIT_S`, and the knobs,
    knob by knob. What a note sounds like depends on its knobs, its onset and the next one's.
    """

    def __init__(self, space: ControlSpace, target: Spectrogram, budget: Budget):
        self.target, self.budget = target.astype(np.float64), budget
        self.variance = float(np.var(self.target)) or 1.0
        self.melody_s = target.shape[-1] * FRAME_S
        self.duration = space.row_of_role("duration")
        self.knobs = [n for n, c in enumerate(space.rows) if c.role not in ("pitch", "duration")]
        self.circular = np.array([space.rows[row].circular for row in self.knobs])[:, None]
        self.to_measure = 2 + len(self.knobs)

    def play(self, controls: Controls) -> Trial:
        linear = yield controls
        heard = Heard(controls, linear, self.target)
        self.budget.spend(heard.error / self.variance)
        return heard

    def correct(self, best: Heard, slopes: Slopes, trials: int) -> Trial:
        """Gauss-Newton steps, each from the best answer so far."""
        least, damping, most = DAMPING
        touches = self.touches(best)
        failures = 0
        while trials and self.budget.left and failures < FAILURES:
            place, sounding = self.place(best.controls), self.sounding(best)
            low, high = self.bounds(best.controls)
            residual = self.target - best.compressed
            flat = slopes.reshape(residual.size, -1)
            step = bounded_step(flat, residual.ravel(), damping, low - place, high - place)
            trial = yield from self.play(self.controls_at(place + step, best.controls))
            moved = self.way(place, trial.controls)
            # The slopes erred by this; blame the places that moved, note by note.
            surprise = trial.compressed - best.compressed - slopes @ moved
            for note, own in enumerate(touches.T * moved):
                if own @ own > 1e-12:
                    frames = sounding == note
                    slopes[:, frames] += surprise[:, frames, None] * (own / (own @ own))
            if trial.error < best.error:
                best, failures = trial, 0
                damping = max(damping * EASIER, least)
            else:
                failures += 1
                damping = min(damping * HARDER, most)
            trials -= 1
        return best

    def measure(
        self, best: Heard, probe: float
    ) -> Generator[Controls, Spectrogram, tuple[Heard, Slopes]]:
        """The plant's slopes at `best`, by one render for each knob and two for the onsets, of
        which every other one is moved at a time; and the best answer met on the way."""
        start, place = best, self.place(best.controls)
        touches, sounding = self.touches(best), self.sounding(best)
        notes = best.controls.shape[-1]
        groups = [np.arange(first, notes - 1, 2) for first in (0, 1)]
        groups += [notes - 1 + k * notes + np.arange(notes) for k in range(len(self.knobs))]
        slopes = np.zeros((*start.linear.shape, len(place)))
        for group in groups:
            change = np.zeros_like(place)
            # Knobs move inwards; onsets later, and by less.
            onsets = group[group < notes - 1]
            change[group] = np.where(place[group] < 0.5, probe, -probe)
            change[onsets] = 0.5 * probe
            trial = yield from self.play(self.controls_at(place + change, start.controls))
            difference, moved = trial.linear - start.linear, self.way(place, trial.controls)
            for at in group[moved[group] != 0]:
                frames = touches[at, sounding]
                slopes[:, frames, at] = difference[:, frames] / moved[at]
            best = min(best, trial, key=lambda answer: answer.error)
        # On through the compression, which divides by the mean over the whole melody.
        mean = start.linear.mean()
        slopes = slopes / mean - (start.linear / mean**2)[..., None] * slopes.mean((0, 1))
        return best, slopes / (1 + 4 * start.linear / mean)[..., None]

    def explore(self, best: Heard, generator: np.random.Generator) -> Trial:
        """Spend what is left on random changes of knobs, kept note by note where they help."""
        size = np.full(best.controls.shape[-1], FIRST_CHANGE)
        heard, sounding = best, self.sounding(best)
        while self.budget.left > 1:
            controls = best.controls.copy()
            change = size * generator.standard_normal((len(self.knobs), len(size)))
            controls[self.knobs] = self.within(controls[self.knobs] + change)
            trial = yield from self.play(controls)
            heard = min(heard, trial, key=lambda answer: answer.error)
            for note in range(len(size)):
                mixed = best.controls.copy()
                mixed[self.knobs, note] = controls[self.knobs, note]
                linear = np.where(sounding == note, trial.linear, best.linear)
                better = Heard(mixed, linear, self.target)
                if better.error < best.error:
                    best = better
                    size[note] *= 1.5
                else:
                    size[note] *= 0.9
        # What was put together has not been heard as a whole.
        if self.budget.left or best.error < heard.error:
            whole = yield from self.play(best.controls)
            heard = min(heard, whole, key=lambda answer: answer.error)
        return heard

    def place(self, controls: Controls) -> Float[np.ndarray, " place"]:
        onsets_s = np.cumsum(note_spans(controls[self.duration], self.melody_s))[:-1]
        return np.concatenate([onsets_s / ONSET_UNIT_S, controls[self.knobs].ravel()])

    def way(
        self, place: Float[np.ndarray, " place"], controls: Controls
    ) -> Float[np.ndarray, " place"]:
        """From a place to that of some controls; around a circle, the shorter way."""
        way, notes = self.place(controls) - place, controls.shape[-1]
        knobs = way[notes - 1 :].reshape(-1, notes)  # a view
        knobs -= np.where(self.circular, np.rint(knobs), 0)
        return way

    def controls_at(self, place: Float[np.ndarray, " place"], like: Controls) -> Controls:
        """The controls at a place, as near as controls can come to it, pitches `like` others'."""
        controls = like.copy()
        notes = like.shape[-1]
        onsets_s = np.concatenate([[0.0], place[: notes - 1] * ONSET_UNIT_S, [self.melody_s]])
        if notes > 1:
            controls[self.duration] = duration_controls(np.diff(onsets_s).clip(min=0.01))
        controls[self.knobs] = self.within(place[notes - 1 :].reshape(-1, notes))
        return controls

    def within(self, knobs: Float[np.ndarray, "knob note"]) -> Float[np.ndarray, "knob note"]:
        return np.where(self.circular, knobs % 1, knobs.clip(0, 1))

    def bounds(self, like: Controls) -> tuple[np.ndarray, np.ndarray]:
        """Lowest and highest place; onsets and phases have none."""
        notes = like.shape[-1]
        free = np.full(notes - 1, np.inf)
        high = np.where(self.circular, np.inf, np.ones((len(self.knobs), notes)))
        low = np.where(self.circular, -np.inf, np.zeros((len(self.knobs), notes)))
        return np.concatenate([-free, low.ravel()]), np.concatenate([free, high.ravel()])

    def touches(self, answer: Heard) -> np.ndarray:
        """Which places bear on which notes: `(place, note)`."""
        notes = answer.controls.shape[-1]
        onsets = np.eye(notes - 1, notes, dtype=bool) | np.eye(notes - 1, notes, 1, dtype=bool)
        return np.concatenate([onsets, np.tile(np.eye(notes, dtype=bool), (len(self.knobs), 1))])

    def sounding(self, answer: Heard) -> np.ndarray:
        """Which note sounds in each frame."""
        times_s = frame_times_s(self.target.shape[-1])
        return sounding_note(answer.controls[self.duration], times_s, self.melody_s)


def compress(linear: Spectrogram) -> Spectrogram:
    """`cochlea.loudness_compress` on numpy arrays."""
    return np.log1p(4 * linear / (linear.mean() or 1.0)) / 4


def _decoder_slopes(model: MirrorNet, practice: _Practice, answer: Heard) -> Slopes:
    """The decoder's slopes at an answer, durations taken as the onsets they bring about."""
    rows = [practice.duration, *practice.knobs]
    slopes = decoder_slopes(model, answer.controls, rows)
    slopes = slopes.reshape(*answer.linear.shape, len(rows), -1)

    def onsets(duration: Tensor) -> Tensor:
        return note_spans(duration, practice.melody_s).cumsum(-1)[:-1] / ONSET_UNIT_S

    duration = torch.from_numpy(answer.controls[practice.duration])
    by_duration = torch.func.jacfwd(onsets)(duration)
    of_onsets = slopes[:, :, 0] @ np.linalg.pinv(by_duration.numpy())
    return np.concatenate([of_onsets, slopes[:, :, 1:].reshape(*answer.linear.shape, -1)], -1)
