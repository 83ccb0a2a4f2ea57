"""`mirrornet experiment` and `bench`: long comparisons that can be interrupted and resumed."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...errors import MirrorNetError
from ..options import (
    BenchBudget,
    BenchNumber,
    Budget,
    Device,
    ExperimentNumber,
    PlantToBench,
    Recipe,
    Recordings,
    Resume,
    Seed,
    Start,
    Variant,
    Where,
)
from ..terminal import say
from .learn import check_device, time_needed

ABOUT_BENCH = {  # estimates from the cost of a render, of a melody learned from, and of a score
    (1, "quick"): "30 minutes",
    (1, "full"): "4 hours",
    (3, "quick"): "30 minutes",
    (3, "full"): "6 hours",
}

ABOUT_PATCHES = {"quick": "2 hours", "full": "10 hours"}


def experiment(
    number: ExperimentNumber,
    variant: Variant = None,
    recipe: Recipe = "mirror",
    budget: Budget = "quick",
    start: Start = None,
    seed: Seed = 0,
    resume: Resume = False,
    device: Device = "auto",
    pool: Where = "local",
) -> None:
    """Run an experiment of the MirrorNet paper: train, and score on held-out sounds.

    1: melodies of the synthesizer itself (variants own for Vital, dx7, amsynth, faust-subtractive).
    2: melodies with vibrato, learned with it (ten, ten-paper) or without (seven, seven-paper). 3:
    another instrument (rhodes, strings, flute, organ, trumpet, guitar). Scores, panels and sounds
    are written to results/, the training to runs/.
    """
    from ...experiments.run import run_experiment
    from ...experiments.settings import find_setting
    from ...experiments.tables.experiments import control_table, experiment_table
    from ..console import Console

    check_device(device)
    setting = find_setting(number, variant)
    say(f"{setting.what[0].upper()}{setting.what[1:]}.")
    say(f"Learning takes about {time_needed(recipe, budget, start)} on two cores.")
    how = {"resume": resume, "device": device, "where": pool, "progress": Console().progress}
    written = run_experiment(setting, recipe, budget, start, seed, **how)
    _print_tables(written, experiment_table, control_table)
    say(f"Written to {written}.")


def bench(
    experiment: BenchNumber = 1,
    variant: Variant = None,
    budget: BenchBudget = "quick",
    recordings: Recordings = False,
    plant: PlantToBench = None,
    seed: Seed = 0,
    resume: Resume = False,
    pool: Where = "local",
) -> None:
    """Compare with other methods under one budget of renders, on an experiment's held-out sounds.

    Learned baselines train on the same babble for the same time. Searches render at least twice as
    often as ours; with --budget full and another instrument, CMA-ES ten times as often again. 1:
    melodies of the synthesizer itself. 3: another instrument (rhodes, strings, flute, organ,
    trumpet, guitar). With --recordings: the notes are compared with those of pYIN and onset
    detection, the patch with those of CMA-ES and of the nearest babble, at equal time. With
    --plant: patches are found for phrases and notes of that synthesizer, and for instruments, by
    learned methods on the same babble and by searches.

    Needs mirrornet[bench]. Scores and a picture are written to results/, trainings and searches to
    runs/.
    """
    from ..console import Console

    how = {"resume": resume, "where": pool, "progress": Console().progress}
    if plant is not None and (recordings or variant is not None or experiment != 1):
        raise MirrorNetError("--plant is a comparison of its own; leave out what else to match.")
    if recordings:
        from ...experiments.recordings import run_recordings
        from ...experiments.tables.recordings import (
            pitch_class_table,
            recorded_sounds_table,
            recordings_table,
        )
        from ...models.mirrornet import MirrorNet, shipped

        model = MirrorNet.load(shipped("patch"))
        written = run_recordings(model, seed, **how)
        _print_tables(written, recordings_table, pitch_class_table, recorded_sounds_table)
        say(f"Written to {written}.")
        return
    if plant is not None:
        from ...experiments.patches import run_patches
        from ...experiments.tables.benchmark import patches_table
        from ..console import print_table

        say(f"The comparison takes about {ABOUT_PATCHES[budget]} on two cores with a fast plant.")
        written = run_patches(plant, budget, seed, **how)
        held = json.loads(written.read_bytes())
        for kind in held["ranks"]:
            say(f"{kind[0].upper()}{kind[1:]}:")
            print_table(patches_table(held, kind))
        say(f"Written to {written}.")
        return
    from ...experiments.benchmark import run_benchmark
    from ...experiments.settings import find_setting
    from ...experiments.tables.benchmark import learned_table, renders_table, sounds_table

    setting = find_setting(experiment, variant)
    say(f"{setting.what[0].upper()}{setting.what[1:]}.")
    lasts = ABOUT_BENCH[experiment, budget]
    say(f"The comparison takes about {lasts} on two cores.")
    written = run_benchmark(setting, budget, seed, **how)
    _print_tables(written, learned_table, renders_table, sounds_table)
    say(f"Written to {written}.")


def _print_tables(result: Path, *tables: Callable[[dict[str, Any]], list[list[str]]]) -> None:
    """Show tables of a result on the terminal."""
    from ..console import print_table

    held = json.loads(result.read_bytes())
    for table in tables:
        print_table(table(held))
