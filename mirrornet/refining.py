"""Refinement with the plant in the loop: play, hear the residual, correct, play again.

The decoder knows well which way a control bends the sound, and less well the sound itself. So the
residual is heard from the plant, and only its direction is taken from the decoder: Levenberg-
Marquardt on the melody's continuous controls, with the decoder's Jacobian (K. Levenberg 1944,
D. Marquardt 1963). Each trial costs one render; the best one heard so far is the answer.
"""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .hearing import hear
from .melody import PITCH_SPAN
from .mirror import MirrorNet
from .plants import Plant

DAMPING = 1e-3
EASIER, HARDER = 0.3, 4.0  # what success and failure do to the damping


def refine_controls(
    model: MirrorNet,
    plant: Plant,
    target: Float[Tensor, "channel=128 frame"],
    controls: Float[np.ndarray, "control note"],
    renders: int,
) -> Float[np.ndarray, "control note"]:
    """The best controls found with `renders` renders, the first spent on `controls` themselves.

    `target` is what the model hears of the target. Pitches stay.
    """
    pitch = model.controls.row("pitch")
    knobs = [row for row in range(len(model.controls)) if row != pitch]
    best = torch.from_numpy(np.asarray(controls, dtype=np.float32)).clone()
    best[pitch] = (best[pitch] * PITCH_SPAN).round() / PITCH_SPAN

    def heard(controls: Tensor) -> Tensor:
        sound = plant.render(controls.numpy())
        return torch.from_numpy(hear(sound, plant.sample_rate_hz, model.hearing))

    residual = target - heard(best)
    jacobian = _jacobian(model, best, knobs)
    damping = DAMPING
    for _ in range(renders - 1):
        step = _step(jacobian, residual, damping).view(len(knobs), -1)
        trial = best.clone()
        trial[knobs] = (trial[knobs] + step).clamp(0, 1)
        remaining = target - heard(trial)
        if remaining.square().mean() < residual.square().mean():
            best, residual = trial, remaining
            jacobian = _jacobian(model, best, knobs)
            damping *= EASIER
        else:
            damping *= HARDER
    return best.double().numpy()


def _jacobian(
    model: MirrorNet, controls: Float[Tensor, "control note"], knobs: list[int]
) -> Float[Tensor, "point knob_note"]:
    """How each point of the decoder's spectrogram moves with each control."""

    def expected(values: Tensor) -> Tensor:
        rows = torch.tensor(knobs)
        return model.decoder(controls.index_copy(0, rows, values)[None])[0].flatten()

    return torch.func.jacfwd(expected)(controls[knobs]).flatten(1).detach()


def _step(
    jacobian: Float[Tensor, "point knob_note"],
    residual: Float[Tensor, "channel frame"],
    damping: float,
) -> Float[Tensor, " knob_note"]:
    """Least squares step, damped in proportion to the mean curvature."""
    curvature = (jacobian.T @ jacobian).double()
    pull = (jacobian.T @ residual.flatten()).double()
    eye = torch.eye(len(curvature), dtype=torch.double)
    scale = curvature.diagonal().mean()
    return torch.linalg.solve(curvature + damping * scale * eye, pull).float()
