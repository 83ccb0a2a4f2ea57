"""Timbre: the amplitudes of harmonics, partials and noise with which a plant sounds as a recording.

For plants that have them as controls, with the roles of `plants/timbre.py`. No network is needed:
additive sound is predicted by `models.additive`, with gradients, and fitted with Adam so that the
notes that were read sound as the recording.

Then the plant plays it. What it plays differs a little from the prediction; so the fit is repeated
with that difference added to its aim (output space mapping, J. Bandler et al. 2004), a render each.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..budget import Budget
from ..controls import Control, ControlSpace, Value
from ..errors import PlantError
from ..events import Best
from ..features import hear_recording
from ..metrics import spectrogram_error
from ..models.additive import ENDING_S, AdditiveSound, Timbre
from ..plants import Plant, load_plant, usual_controls
from ..plants.timbre import HARMONICS, PARTIALS, TIMES_S, pitch_curve
from ..score import Note, Score
from .levels import Played, Sound, Spectrogram, play_at_levels
from .objective import excerpt
from .partials import alike, find_partials
from .surrogate import Adam

# Steps of Adam at first, twice, since a warm restart (I. Loshchilov, F. Hutter 2017) brings quiet
# parts much closer; and after a render.
STEPS, STEPS_AGAIN = 60, 40
RATE, RATE_AGAIN = 0.15, 0.08  # its learning rate for amplitudes, as natural logarithms
LEVEL_RATE, RELEASE_RATE = 0.2, 0.33  # those for levels and release, relative to it
# Weights of what is implausible, beside the error as a share of variance.
ROUGH_IN_TIME, ROUGH_IN_HARMONICS, ROUGH_NOISE, APART = 1e-3, 3e-4, 3e-4, 1e-4
HISS = 1.5e-2  # for each neper of noise; without it, soft noise stays where it began
START_DB, SLOPE_DB = -13.0, 6.0  # amplitudes at first, and their fall per octave
START_NOISE_DB, START_PARTIAL_DB = -35.0, -30.0
START_RELEASE_S, START_CURVE = 0.5, 5.0
AROUND = 0.25  # of the notes' range, by which the registers lie outside it
LEAST_RANGE = 8.0  # semitones
WHOLE_S = 10.0  # longer recordings are fitted in an excerpt
VIBRATO = ("vibrato_rate", "vibrato_depth", "vibrato_start")
CLEARER = 0.8  # least ratio of errors at which other notes are preferred to those that were read
SMALLEST_STEP = 0.1  # share of the plant's difference that is corrected, below which it ends
DB = 20 / math.log(10)


class Fitted(NamedTuple):
    """A timbre, and the notes' levels, as logarithms of amplitudes."""

    timbre: Timbre
    levels: Float[Tensor, " note"]

    def copy(self) -> "Fitted":
        """The same values in other tensors."""
        return Fitted(Timbre(*(part.clone() for part in self.timbre)), self.levels.clone())


def fitted_of(space: ControlSpace, score: Score) -> Fitted:
    """The timbre of a score's patch, and its notes' levels: the inverse of `TimbreFit.answer`."""
    patch = {control.role: score.patch[control.name] for control in space.patch if control.role}
    level = space.own.of_role("level")
    partial_levels = np.asarray(patch["partial_levels"], float)[:, played_partials(space, score)]
    tables = (
        torch.tensor(np.asarray(table, np.float32)) / DB
        for table in (patch["harmonics"], patch["noise"], partial_levels)
    )
    ends = (torch.tensor(math.log(patch[role])) for role in ("release", "release_curve"))
    levels_db = [note.controls[level.name] if level else 0.0 for note in score.resolved]
    return Fitted(Timbre(*tables, *ends), torch.tensor(levels_db) / DB)


def played_partials(space: ControlSpace, score: Score) -> Bool[np.ndarray, " partial"]:
    """Which partials beside the harmonics are played: those at their lowest level are not."""
    control = space.patch.of_role("partial_levels")
    if control is None:
        return np.zeros(PARTIALS, bool)
    return np.asarray(score.patch[control.name], float).max(0) > control.low


class Rendered(NamedTuple):
    """A render of the plant."""

    played: Played
    found: Fitted
    missed: Float[Tensor, "channel=176 frame"]
    """The prediction less what was heard."""


class TimbreFit:
    """The fit of a timbre to a recording, for a score whose notes have their levels and tunes; of
    its patch only the vibrato and the bend stay. `partials` are as `find_partials` has them.

    With `locked`, names of controls, it begins at the timbre of the score, and these stay.
    """

    def __init__(
        self,
        plant: Plant,
        score: Score,
        heard: Spectrogram,
        partials: Sequence[float] = (),
        locked: Collection[str] | None = None,
    ):
        self.plant, self.score, self.partials = plant, score, partials
        self.locked = locked or ()
        self.best: Rendered | None = None
        self._part = 1.0  # of the difference that is corrected
        self._fitted = False
        self.target = torch.from_numpy(heard)
        notes = score.resolved
        level, tune = (plant.controls.own.of_role(role) for role in ("level", "tune"))
        depth = plant.controls.patch.of_role("vibrato_depth")
        bend = plant.controls.patch.of_role("bend")
        curves = []
        if bend is not None:
            curves = [pitch_curve(score.patch[bend.name], note.glide) for note in notes]
        pitches = [
            note.pitch_midi
            + plant.transposition
            + (note.controls[tune.name] / 100 if tune is not None else 0.0)
            for note in notes
        ]
        low, high = min(pitches), max(pitches)
        reach = max(high - low, LEAST_RANGE) * (0.5 + AROUND)
        middle = (low + high) / 2
        self.keys = max(middle - reach, 0.0), min(middle + reach, 128.0)
        if locked is not None:
            low, high = (
                score.patch[self._control(role).name] + plant.transposition
                for role in ("low_key", "high_key")
            )
            self.keys = low, high
        self.sound = AdditiveSound(
            pitches,
            [note.onset_s for note in notes],
            [note.offset_s for note in notes],
            heard.shape[-1],
            self.keys,
            score.patch[depth.name] if depth is not None else 0.0,
            curves,
            partials,
        )
        self.longest_s = max(n.offset_s - n.onset_s for n in notes) - ENDING_S
        octaves = torch.log2(torch.tensor(HARMONICS).float())
        self.found = Fitted(
            Timbre(
                ((START_DB - SLOPE_DB * octaves) / DB)
                .expand(self._control("harmonics").shape)
                .clone(),
                torch.full(self._control("noise").shape, START_NOISE_DB / DB),
                torch.full((len(TIMES_S), len(partials)), START_PARTIAL_DB / DB),
                torch.tensor(START_RELEASE_S).log(),
                torch.tensor(START_CURVE).log(),
            ),
            torch.tensor([note.controls[level.name] / DB if level else 0.0 for note in notes]),
        )
        if locked is not None:
            self.found, self._fitted = fitted_of(plant.controls, score), True

    def _control(self, role: str) -> Control:
        control = self.plant.controls.patch.of_role(role)
        if control is None:
            name = self.plant.controls.name
            raise PlantError(
                f"the control set {name} has no control of the patch with role {role}."
            )
        return control

    def expected(self) -> Float[Tensor, "channel=176 frame"]:
        """The predicted spectrogram, compressed as the target's."""
        return torch.log1p(4 * self.sound.spectrogram(*self.found)) / 4

    def misses(self) -> float:
        """The mean squared error of the prediction, after a first fit."""
        if not self._fitted:
            self.fit(self.target)
            self.fit(self.target)
            self._fitted = True
        return float((self.expected() - self.target).square().mean())

    def fit(
        self, aim: Float[Tensor, "channel=176 frame"], steps: int = STEPS, rate: float = RATE
    ) -> None:
        """Fit the prediction to a compressed spectrogram."""
        variance = aim.var().clamp(min=1e-6)
        (harmonics, noise, partials, release, curve), levels = self.found
        rates = {harmonics: 1.0, noise: 1.0, partials: 1.0}
        rates |= {release: RELEASE_RATE, curve: RELEASE_RATE, levels: LEVEL_RATE}
        stays = {harmonics: "harmonics", noise: "noise", partials: "partial_levels"}
        stays |= {release: "release", curve: "release_curve"}
        for place, role in stays.items():
            if self._control(role).name in self.locked:
                del rates[place]
        places = [place.requires_grad_() for place in rates]
        adams = [Adam(place) for place in places]
        bounds = {release: self._control("release"), curve: self._control("release_curve")}
        bounds = {place: control for place, control in bounds.items() if place in rates}
        for step in range(steps):
            cost = (self.expected() - aim).square().mean() / variance + self._implausible()
            slopes = torch.autograd.grad(cost, places, materialize_grads=True)
            share = 0.55 + 0.45 * math.cos(math.pi * step / steps)
            for adam, slope, own in zip(adams, slopes, rates.values(), strict=True):
                adam.step(slope, rate * share * own)
            with torch.no_grad():
                for place, control in bounds.items():
                    place.clamp_(math.log(control.low), math.log(control.high))
        for place in places:
            place.requires_grad_(False)
        self._extend()

    def _extend(self) -> None:
        """Let times beyond the longest note go on as before: with the last fall, or steadily."""
        times_s, (harmonics, noise, partials, *_) = torch.tensor(TIMES_S), self.found.timbre
        last = max(int((times_s <= self.longest_s).sum()) - 1, 0)
        before = max(last - 2, 0)
        later_s = times_s[last + 1 :] - times_s[last]
        for table in (harmonics.transpose(0, 1), noise, partials):
            if not table.numel():
                continue
            fell = table[last] - table[before]
            slope = fell.clamp(max=0).mean() / max(float(times_s[last] - times_s[before]), 1e-3)
            table[last + 1 :] = table[last] + slope * later_s.view(-1, *(1,) * (table.ndim - 1))

    def _implausible(self) -> Float[Tensor, ""]:
        """Jumps between neighbours, differences between the registers, and noise: what is not heard
        is smooth, and without noise."""
        harmonics, noise, partials, *_ = self.found.timbre
        return (
            ROUGH_IN_TIME * harmonics.diff(dim=1).square().mean()
            + ROUGH_IN_HARMONICS * harmonics.diff(n=2, dim=2).square().mean()
            + ROUGH_IN_TIME * partials.diff(dim=0).square().sum() / (len(TIMES_S) * PARTIALS)
            + ROUGH_NOISE * noise.diff(dim=0).square().mean()
            + APART * harmonics.diff(dim=0).square().mean()
            + HISS * noise.mean()
        )

    def answer(self) -> Score:
        """The score with the patch and the levels that were found."""
        timbre, levels = self.found
        space, own = self.plant.controls.patch, self.plant.controls.own
        amplitudes = (timbre.harmonics, timbre.noise, timbre.partials)
        loudest = torch.cat([table.flatten() for table in amplitudes]).max()
        if self.locked:  # tables that stay are not moved against others
            loudest = torch.tensor(0.0)
        ratios, partial_levels = np.ones(PARTIALS), np.full((len(TIMES_S), PARTIALS), -np.inf)
        ratios[: len(self.partials)] = self.partials
        partial_levels[:, : len(self.partials)] = DB * (timbre.partials - loudest).numpy()
        values: dict[str, Value] = {
            "harmonics": DB * (timbre.harmonics - loudest).double().numpy(),
            "noise": DB * (timbre.noise - loudest).double().numpy(),
            "partials": ratios,
            "partial_levels": partial_levels,
            "low_key": self.keys[0] - self.plant.transposition,
            "high_key": self.keys[1] - self.plant.transposition,
            "release": float(timbre.release.exp()),
            "release_curve": float(timbre.release_curve.exp()),
        }
        patch = dict(self.score.patch)
        for control in space:
            value = values.get(control.role or "")
            if value is not None and control.name not in self.locked:
                value = control.check(np.clip(value, control.low, control.high))
                patch[control.name] = np.round(value, 2) if control.shape else value
        level = own.of_role("level")
        notes = self.score.notes
        if level is not None:
            loud = (DB * (levels - levels.max()) + level.high).clamp(min=level.low).tolist()
            notes = [
                replace(note, controls={**note.controls, level.name: value})
                for note, value in zip(notes, loud, strict=True)
            ]
        return replace(self.score, notes=notes, patch=patch)

    def play(self, budget: Budget) -> None:
        """Render at least once, and until the budget is spent, or corrections do not help any more:
        each render corrects the next fit. `best` is the best that was rendered."""
        while self.best is None or (budget.left and self._part > SMALLEST_STEP):
            if self.best is None:
                self.misses()
            else:
                self.found = self.best.found.copy()
                self.fit(self.target + self._part * self.best.missed, STEPS_AGAIN, RATE_AGAIN)
            score = self.answer()
            audio = self.plant.render(score)
            heard = hear_recording(audio, self.plant.sample_rate_hz)
            error = spectrogram_error(self.target.numpy(), heard)
            if self.best is None or error < self.best.played.error:
                missed = self.expected() - torch.from_numpy(heard)
                played = Played(score, audio, heard, error)
                self.best = Rendered(played, self.found.copy(), missed)
            else:
                self._part /= 2
            best, rate_hz = self.best.played, self.plant.sample_rate_hz
            found = partial(Best, best.error, best.score.resolved, best.audio, rate_hz)
            budget.spend(best.error, found)  # also if an earlier budget paid for it


def timbre_plant(plant: Plant) -> Plant | None:
    """The same plant with the control set that has the timbre; None if it has none."""
    return _with_controls(plant, plant.timbre_set) if plant.timbre_set else None


def knobs_plant(plant: Plant, controls: str | None) -> Plant:
    """The same plant with a control set of knobs: its usual one if it does not have `controls`."""
    known = controls in plant.control_sets
    return _with_controls(plant, controls if known else usual_controls(plant.spec.name))


def _with_controls(plant: Plant, name: str | None) -> Plant:
    return load_plant(plant.spec.name, **{**plant.spec.options, "controls": name})


def fit_notes(
    plant: Plant, score: Score, target: Sound, target_heard: Spectrogram
) -> "TimbreMatch":
    """The fit of notes as they were read; or, if that predicts a bell or a bar clearly better, with
    the pitches at which their spectra are alike."""
    as_read = TimbreMatch(plant, score, target, target_heard)
    notes = _tuned_alike(plant, score.notes, alike(target_heard, score.notes))
    if notes == list(score.notes) or not find_partials(plant, target, notes):
        return as_read
    by_likeness = TimbreMatch(plant, replace(score, notes=notes), target, target_heard)
    clearer = by_likeness.fit.misses() < CLEARER * as_read.fit.misses()
    return by_likeness if clearer else as_read


def _tuned_alike(plant: Plant, as_read: Sequence[Note], notes: Sequence[Note]) -> list[Note]:
    """Notes of which some have another pitch than was read: these get the tune of the others, and
    no glide."""
    tune = plant.controls.own.of_role("tune")
    stayed = [new for old, new in zip(as_read, notes, strict=True) if old == new]
    usual = {}
    if tune and stayed:
        usual = {tune.name: float(np.median([note.controls[tune.name] for note in stayed]))}
    return [
        new if new == old else replace(new, controls={**new.controls, **usual}, glide=())
        for old, new in zip(as_read, notes, strict=True)
    ]


class TimbreMatch:
    """The fit of a recording, of an excerpt if it is long, for a plant that has the timbre. `score`
    has the notes, and perhaps a vibrato and a bend in its patch; `target` is at the plant's rate.
    With `locked` it begins at the whole patch of the score, of which these controls stay.
    """

    def __init__(
        self,
        plant: Plant,
        score: Score,
        target: Sound,
        target_heard: Spectrogram,
        locked: Collection[str] | None = None,
    ):
        self.plant, self.score = plant, score
        self.target, self.target_heard = target, target_heard
        kept: dict[str, Value] = {
            control.name: score.patch.get(control.name, control.low)
            for control in plant.controls.patch
            if control.role in VIBRATO
        }
        bend = plant.controls.patch.of_role("bend")
        if bend is not None:
            kept[bend.name] = score.patch.get(bend.name, np.zeros(bend.shape))
        rate_hz = plant.sample_rate_hz
        self.whole = len(target) <= WHOLE_S * rate_hz
        notes, part, heard = score.notes, target, target_heard
        if not self.whole:
            start_s, end_s, notes = excerpt(notes, len(target) / rate_hz)
            part = target[round(start_s * rate_hz) : round(end_s * rate_hz)]
            heard = hear_recording(part, rate_hz)
        bends = bend is not None and np.any(kept[bend.name])
        if locked is None:
            partials = [] if bends else find_partials(plant, part, notes)
        else:
            kept = dict(score.patch)
            control = plant.controls.patch.of_role("partials")
            ratios = np.asarray(score.patch[control.name] if control else [], float)
            partials = ratios[played_partials(plant.controls, score)].tolist()
        self.fit = TimbreFit(
            plant, Score(notes, kept, len(part) / rate_hz), heard, partials, locked
        )

    def play(self, budget: Budget) -> Played:
        """The best answer after the budget's renders, at least one."""
        self.fit.play(budget)
        assert self.fit.best is not None
        played = self.fit.best.played
        if self.whole:
            return played
        found = replace(self.score, patch=played.score.patch)
        return play_at_levels(self.plant, found, self.target, self.target_heard)
