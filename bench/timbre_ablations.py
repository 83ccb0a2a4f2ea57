"""Ablations of the wavetables: match again with one part left out at a time.

On a phrase of each of ten instruments on which the method was tuned, since these results decided
which parts to keep; and of bells and bars, with and without partials beside the harmonics. The
notes are those that are read. Two renders each, but where the second one, which corrects the first,
is left out.

Wavetables have no room and no chorus of their own. What these would be worth is seen from the sound
itself: how far it is from itself, when the effect has the same settings but is drawn again.

    python bench/timbre_ablations.py   # writes results/timbre-ablations-seed-0.json; 20 minutes
"""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from mirrornet.app.console import print_table
from mirrornet.budget import Budget
from mirrornet.experiments.material import INSTRUMENTS, RATE_HZ, TUNED_ON, Sound, instrument_phrases
from mirrornet.experiments.recordings import sound_scores
from mirrornet.experiments.tables.recordings import (
    bells_table,
    effects_table,
    timbre_ablation_table,
)
from mirrornet.features import hear_recording
from mirrornet.matching import timbre
from mirrornet.matching.recordings import TIMBRE_RENDERS, plant_score, read
from mirrornet.metrics import spectrogram_error
from mirrornet.models import additive
from mirrornet.models.additive import Timbre
from mirrornet.models.checkpoints import provenance
from mirrornet.models.mirrornet import load_model
from mirrornet.plants import load_plant
from mirrornet.score import Score
from mirrornet.storage import write_atomically
from mirrornet.training.conditions import in_room

SEED = 0
RESULT = Path(__file__).parent.parent / "results" / f"timbre-ablations-seed-{SEED}.json"
PROGRAMS = (5, 12, 26, 42, 57, 60, 66, 70, 71, 74)  # of `TUNED_ON`
BELLS = {
    9: "glockenspiel",
    10: "music box",
    11: INSTRUMENTS[11] + ", not tuned on",
    13: "xylophone",
    14: "tubular bells",
    15: "dulcimer",
    112: "tinkle bell",
    114: "steel drums",
}
SILENT = -25.0  # natural logarithm of an amplitude
LESS: dict[str, Callable[[Timbre], Timbre]] = {
    "the same table for all keys": lambda sung: sung._replace(
        harmonics=sung.harmonics.mean(0, keepdim=True).expand_as(sung.harmonics)
    ),
    "steady tables": lambda sung: sung._replace(
        harmonics=sung.harmonics.mean(1, keepdim=True).expand_as(sung.harmonics),
        noise=sung.noise.mean(0, keepdim=True).expand_as(sung.noise),
        partials=sung.partials.mean(0, keepdim=True).expand_as(sung.partials),
    ),
    "no noise": lambda sung: sung._replace(noise=torch.full_like(sung.noise, SILENT)),
}
ALL, ONE_RENDER, NO_RISE = "all", "one render", "no rise of the channels"
VARIANTS = (ALL, ONE_RENDER, *LESS, NO_RISE)
AS_READ, HARMONICS_ONLY = "notes as they are read", "harmonics only"


def in_chorus(sound: Sound, chance: np.random.Generator) -> Sound:
    """Three voices whose delays move by 2 ms."""
    times_s = np.arange(len(sound)) / RATE_HZ
    voices = [
        np.interp(
            times_s - 0.012 - 0.002 * np.sin(2 * np.pi * (rate_hz * times_s + chance.random())),
            times_s,
            sound,
            left=0.0,
        )
        for rate_hz in (0.5, 0.8, 1.2)
    ]
    return np.mean(voices, 0).astype(np.float32)


EFFECTS: dict[str, Callable[[Sound, np.random.Generator], Sound]] = {
    "room (RT60 0.9 s)": lambda sound, chance: in_room(sound, RATE_HZ, 0.9, 2.0, chance),
    "chorus": in_chorus,
}


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
        if variant in (AS_READ, HARMONICS_ONLY):
            changes.enter_context(patch.object(timbre, "alike", lambda _, notes: list(notes)))
        if variant == HARMONICS_ONLY:
            changes.enter_context(patch.object(timbre, "find_partials", lambda *_: []))
        yield


class Matching:
    """Matches of sounds with wavetables."""

    def __init__(self):
        self.model = load_model(controls="patch")
        self.knobs = load_plant("vital", controls="patch", sample_rate_hz=RATE_HZ)
        plant = timbre.timbre_plant(self.knobs)
        assert plant is not None
        self.plant = plant

    def scores(self, sound: Sound, variants: tuple[str, ...]) -> dict[str, dict[str, float]]:
        """The scores of each variant."""
        heard = hear_recording(sound, RATE_HZ)
        score = plant_score(self.knobs, read(self.model, heard), len(sound) / RATE_HZ)
        found = {}
        for variant in variants:
            renders = 1 if variant == ONE_RENDER else TIMBRE_RENDERS
            with left_out(variant):
                fit = timbre.fit_notes(self.plant, score, sound, heard)
                played = fit.play(Budget(renders))
            found[variant] = sound_scores(sound, played.audio, played.error)
        print({key: round(100 * s["spectrogram_error"], 1) for key, s in found.items()}, flush=True)
        return found


def main() -> None:
    torch.set_num_threads(1)
    matching = Matching()
    parts, bells, effects = [], [], []
    for program in PROGRAMS:
        sound = next(instrument_phrases(program, SEED)).sound
        source = f"{TUNED_ON[program]} ({program})"
        parts.append({"source": source, "scores": matching.scores(sound, VARIANTS)})
    for program, name in BELLS.items():
        sound = next(instrument_phrases(program, SEED)).sound
        scores = matching.scores(sound, (ALL, AS_READ, HARMONICS_ONLY))
        bells.append({"source": f"{name} ({program})", "scores": scores})
    for name, effect in EFFECTS.items():
        for program in islice(PROGRAMS, 0, None, 2):
            dry = next(instrument_phrases(program, SEED)).sound
            wet, again = (effect(dry, np.random.default_rng((program, n))) for n in range(2))
            error = spectrogram_error(*(hear_recording(one, RATE_HZ) for one in (wet, again)))
            scores = {
                "matched without it": matching.scores(wet, (ALL,))[ALL],
                "the sound without it, matched": next(
                    row["scores"][ALL] for row in parts if f"({program})" in row["source"]
                ),
                "the sound itself, the effect drawn again": sound_scores(wet, again, error),
            }
            effects.append({"effect": name, "source": TUNED_ON[program], "scores": scores})
    result = {"seed": SEED, "rows": parts, "bells": bells, "effects": effects, **provenance()}
    write_atomically(RESULT, lambda path: path.write_text(json.dumps(result, indent=1) + "\n"))
    for table in (timbre_ablation_table, bells_table, effects_table):
        print_table(table(result))
    print(f"Written to {RESULT}.")


if __name__ == "__main__":
    main()
