"""Surrogate optimisation of a melody: fit the controls so that the decoder predicts the target.
Without renders.

Levenberg-Marquardt (K. Levenberg 1944, D. Marquardt 1963) through the decoder, within the bounds of
the controls. Pitch is discrete, and for a vibrato gradients help only near the solution; so these
are first found by a grid search, for each note separately.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ..controls import ControlSpace
from ..features import frame_times_s
from ..models.mirrornet import MirrorNet
from ..models.vibrato import VIBRATO_ROLES, Vibrato
from ..score import PITCH_SPAN, note_spans, sounding_note
from .least_squares import bounded_step
from .objective import ONSET_UNIT_S, Heard, MelodyObjective, Place
from .refine import Slopes

Controls = Float[np.ndarray, "control note"]
STEPS = 10
DAMPING = 1e-3  # initial, as a share of the mean curvature
EASIER, HARDER = 0.3, 8.0  # factors of the damping after success and failure
ENOUGH = 1e-3  # stop when a step lowers the error by less than this share
CLEARLY = 0.8  # share of the error to which another pitch must lower it, to be believed
SEMITONES = np.arange(PITCH_SPAN + 1)[:, None] / PITCH_SPAN
RATES, DEPTHS, PHASES = np.linspace(0.05, 0.95, 10), (0.3, 0.7), np.arange(8) / 8
VIBRATOS = np.stack(np.meshgrid(RATES, DEPTHS, PHASES, indexing="ij"), -1).reshape(-1, 3)


def optimise_melody(
    model: MirrorNet, target: Float[Tensor, "channel=128 frame"], controls: Controls
) -> Controls:
    """Controls for which the decoder predicts `target`, optimised from `controls`.

    `target` is a spectrogram with the features of the model (`MirrorNet.hearing`). All is in 0..1;
    the pitches that are returned lie on semitones.
    """
    best = round_pitch(model.controls, controls)
    best = _best_of(model, target, best, ["pitch"], SEMITONES)
    if Vibrato.of(model.controls):
        best = _best_of(model, target, best, VIBRATO_ROLES, VIBRATOS)
    rows = [row for row in range(len(best)) if row != model.controls.row_of_role("pitch")]
    free = np.array([model.controls.rows[row].circular for row in rows])
    free = np.repeat(free, best.shape[-1])
    low, high = np.where(free, -np.inf, 0.0), np.where(free, np.inf, 1.0)
    wanted = target.double().numpy().ravel()

    def off(controls: Controls) -> Float[np.ndarray, " point"]:
        with torch.no_grad():
            expected = model.decoder(torch.from_numpy(controls[None]).float())
        return wanted - expected[0].double().numpy().ravel()

    residual, damping = off(best), DAMPING
    slopes = decoder_slopes(model, best, rows)
    for _ in range(STEPS):
        if not residual.any():
            break
        values = best[rows].ravel()
        step = bounded_step(slopes, residual, damping, low - values, high - values)
        moved = np.where(free, (values + step) % 1, (values + step).clip(0, 1))
        trial = best.copy()
        trial[rows] = moved.reshape(len(rows), -1)
        remaining = off(trial)
        gain = 1 - (remaining @ remaining) / (residual @ residual)
        if gain > 0:
            best, residual = trial, remaining
            damping *= EASIER
            if gain < ENOUGH:
                break
            slopes = decoder_slopes(model, best, rows)
        else:
            damping *= HARDER
    return best


def _best_of(
    model: MirrorNet,
    target: Float[Tensor, "channel=128 frame"],
    controls: Controls,
    roles: Sequence[str],
    options: Float[np.ndarray, "option role"],
) -> Controls:
    """Grid search: the controls with, for each note, the values of `roles` among the options, or
    those it had, for which the decoder best predicts the target while the note sounds."""
    rows = [model.controls.row_of_role(role) for role in roles]
    tries = np.repeat(controls[None], 1 + len(options), 0)
    tries[1:, rows] = options[..., None]
    with torch.no_grad():
        expected = model.decoder(torch.from_numpy(tries).float(), target.shape[-1])
    errors = (expected - target).square().sum(1).numpy()  # try, frame
    times_s = frame_times_s(target.shape[-1])
    sounding = sounding_note(controls[model.controls.row_of_role("duration")], times_s)
    best = controls.copy()
    for note in range(controls.shape[-1]):
        missed = errors[:, sounding == note].sum(1)
        chosen = missed.argmin()
        if missed[chosen] < CLEARLY * missed[0]:
            best[rows, note] = tries[chosen, rows, note]
    return best


def round_pitch(space: ControlSpace, controls: Controls) -> Controls:
    """The controls with pitches rounded to semitones, as the plant renders them."""
    rounded = np.array(controls, dtype=np.float64)
    pitch = space.row_of_role("pitch")
    rounded[pitch] = np.rint(rounded[pitch] * PITCH_SPAN) / PITCH_SPAN
    return rounded


def decoder_slopes(
    model: MirrorNet, controls: Controls, rows: list[int]
) -> Float[np.ndarray, "point place"]:
    """The Jacobian of the decoder's prediction with respect to some rows of the controls."""
    fixed, index = torch.from_numpy(controls).float(), torch.tensor(rows)

    def expected(values: Tensor) -> Tensor:
        return model.decoder(fixed.index_copy(0, index, values)[None]).flatten()

    slopes = torch.func.jacfwd(expected)(fixed[index]).detach()
    return slopes.flatten(1).double().numpy()


class MelodySurrogate:
    """The decoder for melodies as a `refine.Surrogate`; needs a model with `hearing` "loudness"."""

    def __init__(self, model: MirrorNet, objective: MelodyObjective):
        self.model, self.objective = model, objective

    def proposals(self, heard: Heard) -> list[Place]:
        return []  # the start is the decoder's optimum already

    def slopes(self, heard: Heard) -> Slopes:
        """The decoder's Jacobian, with durations converted to onsets."""
        objective = self.objective
        controls = objective.controls_at(heard.place)
        rows = [objective.duration, *objective.knobs]
        slopes = decoder_slopes(self.model, controls, rows)
        slopes = slopes.reshape(*heard.linear.shape, len(rows), -1)

        def onsets(duration: Tensor) -> Tensor:
            return note_spans(duration, objective.melody_s).cumsum(-1)[:-1] / ONSET_UNIT_S

        duration = torch.from_numpy(controls[objective.duration])
        by_duration = torch.func.jacfwd(onsets)(duration)
        of_onsets = slopes[:, :, 0] @ np.linalg.pinv(by_duration.numpy())
        of_knobs = slopes[:, :, 1:].reshape(*heard.linear.shape, -1)
        values = np.concatenate([of_onsets, of_knobs], -1)
        frames, places = np.arange(values.shape[1]), np.arange(values.shape[2])
        return Slopes([frames], [places], [values])
