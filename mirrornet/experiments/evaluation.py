"""Scores of a model on held-out melodies, beside what is trivial and what is best possible."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from ..babbling import listen, random_melodies
from ..controls import ControlSpace
from ..errors import PlantError
from ..hearing import Hearing
from ..metrics import (
    control_errors,
    duration_error_ms,
    notes_right,
    onset_error_ms,
    spectrogram_error,
)
from ..mirror import MirrorNet
from ..plants.farm import Farm

Controls = Float[np.ndarray, "melody control note"]
Heard = Float[np.ndarray, "melody channel=128 frame"]


@dataclass(frozen=True)
class Answers:
    """Controls for the held-out melodies, and what the plant playing them sounds like."""

    controls: Controls
    heard: Heard


def evaluate(
    model: MirrorNet, farm: Farm, true: Answers, seed: int
) -> tuple[dict[str, Any], Answers]:
    """Scores of the encoder alone, of the trivial answers and of the best possible one.

    - `mirrornet`: the encoder's controls.
    - `constant`: every control in the middle of its range, all notes alike.
    - `random`: controls drawn as the babble is.
    - `floor`: the true controls played again.
    """
    count, _, notes = true.controls.shape
    space = model.controls
    listened = _heard_by(model, farm, true)
    rivals = {
        "mirrornet": model.guess(torch.from_numpy(listened), notes).numpy(),
        "constant": np.full_like(true.controls, 0.5),
        # Seeds of babble that no run of this seed uses.
        "random": random_melodies(space, "babble", count, seed + 1_000_000, notes),
        "floor": true.controls,
    }
    answers = {
        name: Answers(controls, _played(farm, controls, f"Playing {name}"))
        for name, controls in rivals.items()
    }
    scores: dict[str, Any] = {name: score(true, answer, space) for name, answer in answers.items()}
    scores["mirrornet"] |= losses(model, true.controls, listened)
    return scores, answers["mirrornet"]


def score(true: Answers, answer: Answers, space: ControlSpace) -> dict[str, Any]:
    """Every figure of the table for one set of answers."""
    return {
        "notes_right": notes_right(true.controls, answer.controls, space),
        "onset_error_ms": onset_error_ms(true.controls, answer.controls, space),
        "duration_error_ms": duration_error_ms(true.controls, answer.controls, space),
        "spectrogram_error": spectrogram_error(true.heard, answer.heard),
        "controls": control_errors(true.controls, answer.controls, space),
    }


def losses(model: MirrorNet, controls: Controls, heard: Heard) -> dict[str, float]:
    """e_c and e_d on held-out melodies, as shares of the variance of what the model hears."""
    with torch.no_grad():
        S = torch.from_numpy(heard)
        e_d = model.e_d(torch.from_numpy(controls).float(), S)
        e_c = model.e_c(S, controls.shape[-1])
    variance = float(np.var(heard))
    return {"e_c": float(e_c) / variance, "e_d": float(e_d) / variance}


def _heard_by(model: MirrorNet, farm: Farm, true: Answers) -> Heard:
    """The true melodies the way the model hears them, if not as they were heard already."""
    if model.hearing == "loudness":
        return true.heard
    return _played(farm, true.controls, "Listening", model.hearing)


def _played(farm: Farm, controls: Controls, what: str, hearing: Hearing = "loudness") -> Heard:
    """What the plant sounds like, every melody: a score must not leave out the hard ones."""
    _, heard = listen(farm, controls, hearing, what)
    if len(heard) < len(controls):
        raise PlantError(
            f"{farm.name} failed on {len(controls) - len(heard)} melodies, so nothing is scored."
        )
    return heard.astype(np.float32)
