"""Scores on held-out melodies, with trivial answers and the best possible one for reference."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Float
from threadpoolctl import threadpool_limits
from torch import Tensor

from ..budget import Budget
from ..controls import ControlSpace
from ..errors import PlantError
from ..events import Progress
from ..features import Hearing, frame_times_s
from ..matching.melody_surrogate import MelodySurrogate, optimise_melody, round_pitch
from ..matching.objective import MelodyObjective
from ..matching.refine import Refinement
from ..metrics import (
    SOUND_RATE_HZ,
    control_errors,
    duration_error_ms,
    field_metrics,
    notes_right,
    onset_error_ms,
    spectrogram_error,
)
from ..models.mirrornet import MirrorNet
from ..models.vibrato import VIBRATO_ROLES
from ..plants.pool import Pool
from ..score import sounding_note
from ..training.dataset import listen
from ..training.sampling import random_melodies
from .settings import Setting

Controls = Float[np.ndarray, "melody control note"]
Heard = Float[np.ndarray, "melody channel=128 frame"]

SOUNDS = 24  # melodies on which the field's four metrics are computed
REFINED = (10, 50)  # renders per melody of the refined answers
AUDIBLE = 0.01  # share of a note's variance; a vibrato that changes less counts as inaudible


@dataclass(frozen=True)
class Melodies:
    """Melodies as controls of one plant, with the spectrograms of that plant playing them."""

    space: ControlSpace
    controls: Controls
    heard: Heard


class Matcher(Protocol):
    """A model that estimates controls without a render: MirrorNet or a learned baseline."""

    hearing: Hearing

    def guess(
        self, heard: Float[Tensor, "batch channel=128 frame"], notes: int = 5
    ) -> Float[Tensor, "batch control note"]: ...


def evaluate(
    model: MirrorNet,
    pool: Pool,
    true: Melodies,
    listened: Heard,
    seed: int,
    before: MirrorNet | None = None,
) -> tuple[dict[str, Any], dict[str, Melodies]]:
    """Score a model's answers, trivial answers and the best possible one on held-out melodies.

    Args:
        model: the model to score.
        pool: plays the answers.
        true: the held-out melodies.
        listened: their spectrograms, in the features that the model is fed.
        seed: random seed of refinement and of the answer `random`.
        before: the same model before it was trained on any target.

    Returns:
        Scores and melodies, each by the name of the answer:

        - `encoder`: the encoder's controls; `before`: those of the model `before`.
        - `imagined`: the encoder's, optimised on the decoder; `refined N`: then with N renders per
          melody. Only for a model that is fed "loudness" features.
        - `constant`: every control at 0.5; `random`: controls drawn like babble.
        - `floor`: the true controls rendered again, if the target's plant has all of the controls.
    """
    count, _, notes = true.controls.shape
    space = model.controls
    answers = {"encoder": model.guess(torch.from_numpy(listened), notes).numpy().astype(float)}
    if before:
        answers["before"] = before.guess(torch.from_numpy(listened), notes).numpy().astype(float)
    if model.hearing == "loudness":
        answers["imagined"] = optimise_all(model, true.heard, answers["encoder"], pool.progress)
        for renders in REFINED:
            answers[f"refined {renders}"] = refine_all(
                model, pool, true.heard, answers["imagined"], renders, seed
            )
    answers["constant"] = np.full((count, len(space), notes), 0.5)
    # A seed of babble that no run with this seed uses.
    answers["random"] = random_melodies(space, "babble", count, seed + 1_000_000, notes)
    if set(space) <= set(true.space):
        answers["floor"] = true.controls[:, [true.space.row(name) for name in space.names]]
    melodies = {
        name: Melodies(space, controls, played(pool, controls, f"Playing {name}"))
        for name, controls in answers.items()
    }
    audible = audible_vibrato(pool, true) if space.of_role("vibrato_depth") else {}
    scores: dict[str, Any] = {name: score(true, m, audible) for name, m in melodies.items()}
    scores["encoder"] |= losses(model, answers.get("floor"), listened)
    return scores, melodies


def encoder_errors(
    models: Sequence[Matcher], pool: Pool, true: Melodies, listened: Heard
) -> list[float]:
    """Match error of each model's estimates; all models are fed the features `listened`."""
    sounds, notes = torch.from_numpy(listened), true.controls.shape[-1]
    guesses = [model.guess(sounds, notes).numpy() for model in models]
    heard = (played(pool, guess.astype(float), "Playing an encoder") for guess in guesses)
    return [spectrogram_error(true.heard, one) for one in heard]


def score(
    true: Melodies, answer: Melodies, audible: Mapping[str, np.ndarray] | None = None
) -> dict[str, Any]:
    """Compute all scores of one set of answers; control scores are of the controls that both have.

    `audible` masks notes by control name, as `audible_vibrato` returns it.
    """
    both = ControlSpace(control for control in answer.space if control.name in true.space.names)
    a = true.controls[:, [true.space.row(name) for name in both.names]]
    b = answer.controls[:, [answer.space.row(name) for name in both.names]]
    return {
        "notes_right": notes_right(a, b, both),
        "onset_error_ms": onset_error_ms(a, b, both),
        "duration_error_ms": duration_error_ms(a, b, both),
        "spectrogram_error": spectrogram_error(true.heard, answer.heard),
        "controls": control_errors(a, b, both, audible or {}),
    }


def sounds_of(pool: Pool, controls: Controls) -> Float[np.ndarray, "melody sample"]:
    """Render melodies on the pool's plant. Raises PlantError if a render fails."""
    sounds = []
    for outcome in pool.render(controls):
        if isinstance(outcome, PlantError):
            raise outcome
        sounds.append(outcome)
    return np.stack(sounds)


def sound_scores(
    setting: Setting, true: Melodies, answers: Sequence[Controls], progress: Progress
) -> Iterator[dict[str, float]]:
    """Yield for each set of answers the field's four metrics, averaged over the first `SOUNDS`
    melodies, which are rendered at `SOUND_RATE_HZ`."""
    with setting.target_pool(sample_rate_hz=SOUND_RATE_HZ) as players:
        sounds = sounds_of(players, true.controls[:SOUNDS])
    with (
        Pool(setting.plant, controls=setting.controls, sample_rate_hz=SOUND_RATE_HZ) as pool,
        progress.stage("Comparing sounds", len(answers)) as stage,
    ):
        for number, controls in enumerate(answers, 1):
            recorded = sounds_of(pool, controls[:SOUNDS])
            pairs = zip(sounds[: len(recorded)], recorded, strict=True)
            each = [field_metrics(a, b) for a, b in pairs]
            yield {name: float(np.mean([scores[name] for scores in each])) for name in each[0]}
            stage.at(number)


def losses(model: MirrorNet, controls: Controls | None, heard: Heard) -> dict[str, float]:
    """Compute e_c and, if the true `controls` are given, e_d on held-out melodies, as shares of the
    variance of the model's input features `heard`."""
    S = torch.from_numpy(heard)
    variance = float(np.var(heard))
    with torch.no_grad():
        found = {"e_c": float(model.e_c(S)) / variance}
        if controls is not None:
            e_d = model.e_d(torch.from_numpy(controls).float(), S)
            found["e_d"] = float(e_d) / variance
    return found


def optimise_all(
    model: MirrorNet, heard: Heard, controls: Controls, progress: Progress
) -> Controls:
    """Optimise the controls of each melody on the decoder; see `optimise_melody`."""
    found = []
    with threadpool_limits(1, "blas"), progress.stage("Imagining", len(heard)) as stage:
        for number, (sound, guess) in enumerate(zip(heard, controls, strict=True), 1):
            found.append(optimise_melody(model, torch.from_numpy(sound), guess))
            stage.at(number)
    return np.stack(found)


def refine_all(
    model: MirrorNet, pool: Pool, heard: Heard, controls: Controls, renders: int, seed: int
) -> Controls:
    """Refine each melody with `renders` renders. All melodies advance together, one render each, so
    that every worker is kept busy. Raises PlantError if a render fails."""
    objectives = [
        MelodyObjective(model.controls, sound, round_pitch(model.controls, start))
        for sound, start in zip(heard, controls, strict=True)
    ]
    ears = [
        MelodySurrogate(model, objective) if model.hearing == "loudness" else None
        for objective in objectives
    ]
    refinements = [
        Refinement(objective, Budget(renders), ear, seed)
        for objective, ear in zip(objectives, ears, strict=True)
    ]
    what = f"Refining, {renders} renders each"
    total = renders * len(heard)
    with threadpool_limits(1, "blas"), pool.progress.stage(what, total) as stage:
        done = 0
        while left := [n for n, refinement in enumerate(refinements) if not refinement.done]:
            rows = np.stack([objectives[n].controls_at(refinements[n].place) for n in left])
            for number, outcome in zip(left, pool.hear(rows, "linear", chunk=4), strict=True):
                if isinstance(outcome, PlantError):
                    raise outcome
                refinements[number].step(outcome)
                stage.at(done := done + 1)
    pairs = zip(objectives, refinements, strict=True)
    return np.stack([objective.controls_at(one.best.place) for objective, one in pairs])


def audible_vibrato(pool: Pool, true: Melodies) -> dict[str, np.ndarray]:
    """Find the notes whose spectrogram changes if the plant plays them without vibrato.

    Returns the same mask `(melody, note)` for each vibrato control, by its name.
    """
    still = true.controls.copy()
    still[:, true.space.row_of_role("vibrato_depth")] = 0
    without = played(pool, still, "Playing without vibrato")
    effect = ((true.heard - without) ** 2).mean(1)  # melody, frame
    frames, notes = effect.shape[1], true.controls.shape[-1]
    durations, times_s = true.controls[:, true.space.row_of_role("duration")], frame_times_s(frames)
    sounding = np.stack([sounding_note(duration, times_s) for duration in durations])
    by_note = [(effect * (sounding == note)).sum(1) for note in range(notes)]
    share = np.stack(by_note, 1) / (np.var(true.heard) * frames / notes)
    audible = share > AUDIBLE
    return {control.name: audible for control in true.space if control.role in VIBRATO_ROLES}


def played(pool: Pool, controls: Controls, what: str, hearing: Hearing = "loudness") -> Heard:
    """Compute the spectrograms of all melodies, as the pool's plant plays them.

    Raises PlantError if a render fails, since a score without the failed melodies would be biased.
    """
    _, heard = listen(pool, controls, hearing, what)
    if len(heard) < len(controls):
        raise PlantError(
            f"{pool.name} failed on {len(controls) - len(heard)} melodies, so nothing is scored."
        )
    return heard.astype(np.float32)
