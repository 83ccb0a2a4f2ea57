"""Ablations of the wavetables: match again with one part left out at a time.

On a phrase of each of ten instruments on which the method was tuned, since these results decided
which parts to keep. The notes are those that are read. Two renders each, but where the second one,
which corrects the first, is left out.

    python bench/timbre_ablations.py   # writes results/timbre-ablations-seed-0.json; 10 minutes
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from unittest.mock import patch

import torch
from torch import Tensor

from mirrornet.app.console import print_table
from mirrornet.budget import Budget
from mirrornet.experiments.material import RATE_HZ, TUNED_ON, instrument_phrases
from mirrornet.experiments.recordings import sound_scores
from mirrornet.experiments.tables.recordings import timbre_ablation_table
from mirrornet.features import hear_recording
from mirrornet.matching import timbre
from mirrornet.matching.recordings import TIMBRE_RENDERS, plant_score, read
from mirrornet.models import additive
from mirrornet.models.additive import Timbre
from mirrornet.models.checkpoints import provenance
from mirrornet.models.mirrornet import load_model
from mirrornet.plants import load_plant
from mirrornet.score import Score
from mirrornet.storage import write_atomically

SEED = 0
RESULT = Path(__file__).parent.parent / "results" / f"timbre-ablations-seed-{SEED}.json"
PROGRAMS = (5, 12, 26, 42, 57, 60, 66, 70, 71, 74)  # of `TUNED_ON`
SILENT = -25.0  # natural logarithm of an amplitude
LESS: dict[str, Callable[[Timbre], Timbre]] = {
    "the same table for all keys": lambda sung: sung._replace(
        harmonics=sung.harmonics.mean(0, keepdim=True).expand_as(sung.harmonics)
    ),
    "steady tables": lambda sung: sung._replace(
        harmonics=sung.harmonics.mean(1, keepdim=True).expand_as(sung.harmonics),
        noise=sung.noise.mean(0, keepdim=True).expand_as(sung.noise),
    ),
    "no noise": lambda sung: sung._replace(noise=torch.full_like(sung.noise, SILENT)),
}
ONE_RENDER, NO_RISE = "one render", "no rise of the channels"
VARIANTS = ("all", ONE_RENDER, *LESS, NO_RISE)


@contextmanager
def left_out(variant: str) -> Iterator[None]:
    """Leave a part out of the fit."""
    spectrogram, answer = additive.AdditiveSound.spectrogram, timbre.TimbreFit.answer
    less = LESS.get(variant)

    def of_less(sound: additive.AdditiveSound, sung: Timbre, levels: Tensor) -> Tensor:
        return spectrogram(sound, less(sung) if less else sung, levels)

    def answer_of_less(fit: timbre.TimbreFit) -> Score:
        if less:
            fit.found = fit.found._replace(timbre=less(fit.found.timbre))
        return answer(fit)

    with ExitStack() as changes:
        changes.enter_context(patch.object(additive.AdditiveSound, "spectrogram", of_less))
        changes.enter_context(patch.object(timbre.TimbreFit, "answer", answer_of_less))
        if variant == NO_RISE:
            changes.enter_context(patch.object(additive, "_smeared", lambda values: values))
        yield


def main() -> None:
    torch.set_num_threads(1)
    model = load_model(controls="patch")
    knobs = load_plant("vital", controls="patch", sample_rate_hz=RATE_HZ)
    plant = timbre.timbre_plant(knobs)
    assert plant is not None
    rows = []
    for program in PROGRAMS:
        sound = next(instrument_phrases(program, SEED)).sound
        heard = hear_recording(sound, RATE_HZ)
        score = plant_score(knobs, read(model, heard), len(sound) / RATE_HZ)
        scores = {}
        for variant in VARIANTS:
            renders = 1 if variant == ONE_RENDER else TIMBRE_RENDERS
            with left_out(variant):
                fit = timbre.TimbreMatch(plant, score, sound, heard)
                played = fit.play(Budget(renders))
            scores[variant] = sound_scores(sound, played.audio, played.error)
        rows.append({"source": f"{TUNED_ON[program]} ({program})", "scores": scores})
        errors = {key: round(100 * s["spectrogram_error"], 1) for key, s in scores.items()}
        print(f"{TUNED_ON[program]}: {errors}", flush=True)
    result = {"seed": SEED, "rows": rows, **provenance()}
    write_atomically(RESULT, lambda path: path.write_text(json.dumps(result, indent=1) + "\n"))
    print_table(timbre_ablation_table(result))
    print(f"Written to {RESULT}.")


if __name__ == "__main__":
    main()
