"""Regression check: write this version's outputs as numbers, or compare those of two versions.

    python bench/outputs.py before.json              in a checkout of one version
    python bench/outputs.py after.json               in a checkout of another
    python bench/outputs.py --compare before.json after.json

The outputs are of matches of several kinds with their files, random draws, four tiny trainings and
a tiny experiment. On one machine the same code gives the same numbers.
"""

import argparse
import hashlib
import json
import math
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

import mirrornet as mn
from mirrornet.experiments import evaluation, run, settings
from mirrornet.experiments.material import instrument_phrases, voice_phrases, whistled
from mirrornet.experiments.settings import find_setting
from mirrornet.features import hear_recording
from mirrornet.models.mirrornet import MirrorNet, shipped
from mirrornet.plants.pool import Pool
from mirrornet.training.babble import PhraseRecipe, train_on_babble
from mirrornet.training.dataset import seed_targets
from mirrornet.training.fine_tuning import FineTuningRecipe, cut, fine_tune
from mirrornet.training.melodies import RECIPES, MirrorRecipe, PaperRecipe, learn
from mirrornet.training.sampling import random_melodies

DEMO = Path(mn.__file__).parent / "data" / "demo-melody.flac"
RATE_HZ = 44100
MIRROR = MirrorRecipe(babble=16, epochs=2, batch=8, batch_e_c=4, rounds=2, round_steps=2)
PAPER = PaperRecipe(rounds=2, decoder_epochs=1, encoder_epochs=1)
PHRASES = PhraseRecipe(phrases=6, patch_epochs=2, sound_epochs=2, batch=3)
LISTENING = FineTuningRecipe(phrases=4, rounds=2, round_steps=2, batch=4, batch_e_c=2)
CLOSE = 1e-6  # absolute and relative tolerance


def outputs() -> Iterator[tuple[str, Any]]:
    """Compute all outputs; yield their names and JSON-ready values."""
    space = mn.load_plant("vital", controls="set2").controls
    for kind in ("babble", "targets", "held-out"):
        yield f"draws, {kind}", random_melodies(space, kind, 2, 3).tolist()
    plant = mn.load_plant("vital", controls="patch")
    scores = [plant.sample(np.random.default_rng((0, n, 11))) for n in range(6)]
    yield "draws, phrases", [as_json(note) for score in scores for note in score.resolved]
    for name, options in {
        "at once": {"timbre": "knobs"},
        "refined": {"refine": 60, "timbre": "knobs"},
        "per note": {"patch": "per-note", "refine": 40},
        "candidates": {"candidates": 2, "refine": 9},
        "set1": {"model": shipped("set1")},
        "set1 refined": {"model": shipped("set1"), "refine": 40},
        "set2": {"model": shipped("set2")},
    }.items():
        yield from matched(f"demo, {name}", mn.match(DEMO, **options))
    for program in (40, 73):
        sound = next(instrument_phrases(program, 0)).sound
        yield from matched(f"instrument {program}", mn.match((sound, RATE_HZ), timbre="knobs"))
    sound = next(voice_phrases(0, whistled)).sound
    yield from matched("whistle", mn.match((sound, RATE_HZ), refine=20, timbre="knobs"))
    with tempfile.TemporaryDirectory() as folder:
        yield from trained(Path(folder))
        yield "experiment", experiment(Path(folder))


def matched(name: str, match: mn.Match) -> Iterator[tuple[str, Any]]:
    found = [match, *match.others]
    yield f"{name}: notes", [as_json(note) for one in found for note in one.notes]
    yield f"{name}: distances", [one.distances for one in found]
    yield f"{name}: known", [match.confidence, match.one_voice, match.warnings]
    yield f"{name}: power", [float(np.mean(np.square(one.audio))) for one in found]
    with tempfile.TemporaryDirectory() as folder:
        for file in match.save(Path(folder) / "match"):
            if file.suffix in (".mid", ".vital", ".csv"):
                digest = hashlib.sha256(file.read_bytes()).hexdigest()
                yield f"{name}: {file.relative_to(Path(folder) / 'match')}", digest


def as_json(note: mn.Note) -> list[Any]:
    return [note.pitch_midi, note.onset_s, note.offset_s, note.confidence, note.controls]


def trained(folder: Path) -> Iterator[tuple[str, Any]]:
    with Pool("vital", workers=1, controls="set1") as pool:
        for name, recipe in {"mirror": MIRROR, "paper": PAPER}.items():
            hearing = "loudness" if recipe is MIRROR else "unit-sequence"
            targets = seed_targets(pool, "targets", 4, 0, hearing)[1]
            model = learn(recipe, pool, targets, folder / name, device="cpu")
            yield f"trained, {name}", learned(model, folder / name)
    with Pool("vital", workers=1, controls="patch", sample_rate_hz=32000) as pool:
        model = train_on_babble(PHRASES, pool, folder / "phrases", device="cpu")
        yield "trained, phrases", learned(model, folder / "phrases")
        model = MirrorNet.load(shipped("patch"))
        heard = hear_recording(mn.load_audio(DEMO, RATE_HZ), RATE_HZ)
        excerpts = cut(model, [heard], 9)
        place = folder / "listening"
        model = fine_tune(LISTENING, model, pool, excerpts, place, {}, device="cpu")
        yield "trained, listening", learned(model, place)


def learned(model: torch.nn.Module, folder: Path) -> list[Any]:
    log = [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]
    return [log, [float(value.double().abs().mean()) for value in model.state_dict().values()]]


def experiment(folder: Path) -> dict[str, Any]:
    settings.TARGETS, settings.HELD_OUT, run.SHOWN, evaluation.REFINED = 6, 4, 1, (3,)
    evaluation.SOUNDS = 1
    RECIPES["mirror"]["quick"] = replace(MIRROR, rounds=1)
    path = run.run_experiment(
        find_setting(2, "ten"), results=folder / "results", runs=folder / "runs", device="cpu"
    )
    return json.loads(path.read_text())["scores"]


def differences(before: Any, after: Any, where: str = "") -> Iterator[str]:
    """Describe each place where two outputs differ by more than `CLOSE`."""
    match before, after:
        case dict(), dict():
            for key in before.keys() | after.keys():
                if key not in before or key not in after:
                    yield f"{where}.{key}: only {'after' if key in after else 'before'}"
                else:
                    yield from differences(before[key], after[key], f"{where}.{key}")
        case list(), list() if len(before) == len(after):
            for n, pair in enumerate(zip(before, after, strict=True)):
                yield from differences(*pair, f"{where}[{n}]")
        case float() | int(), float() | int():
            if not math.isclose(before, after, rel_tol=CLOSE, abs_tol=CLOSE):
                yield f"{where}: {before} -> {after}"
        case _ if before != after:
            yield f"{where}: {str(before)[:200]} -> {str(after)[:200]}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--compare", action="store_true")
    given = parser.parse_args()
    if given.compare:
        before, after = (json.loads(file.read_text()) for file in given.files)
        found = list(differences(before, after))
        print("\n".join(found) or f"The {len(before)} outputs are the same.")
        raise SystemExit(bool(found))
    torch.set_num_threads(1)
    given.files[0].write_text(json.dumps(dict(outputs()), indent=1) + "\n")
