"""`mirrornet learn`: training that can be interrupted and resumed."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import AudioError, CheckpointError, MirrorNetError
from ..options import (
    Budget,
    Device,
    LearnedControls,
    LearnedRecipe,
    Plant,
    Resume,
    RunFolder,
    Seed,
    Start,
    Targets,
    Where,
)
from ..terminal import say

if TYPE_CHECKING:
    from ...controls import ControlSpace
    from ...models.mirrornet import MirrorNet

SEED_TARGETS = 400  # as in the paper
# From random weights, on two cores: quick as measured, full in proportion to its steps.
ABOUT = {
    ("mirror", "quick"): "12 minutes",
    ("mirror", "full"): "45 minutes",
    ("paper", "quick"): "25 minutes",
    ("paper", "full"): "3 hours",
}
ABOUT_STARTED = "4 minutes"  # from a model of the plant: fine-tuning only
ABOUT_PHRASES = {"quick": "10 minutes", "full": "40 minutes"}
ABOUT_NOTES = {"quick": "15 minutes", "full": "60 minutes"}


def learn(
    recipe: LearnedRecipe = "mirror",
    budget: Budget = "quick",
    plant: Plant = "vital",
    controls: LearnedControls = None,
    targets: Targets = "0",
    start: Start = None,
    out: RunFolder = None,
    resume: Resume = False,
    seed: Seed = 0,
    device: Device = "auto",
    pool: Where = "local",
) -> None:
    """Train a model for a synthesizer.

    The synthesizer renders random scores (babble). The networks learn from these, and then from
    the targets, whose controls are never known. With controls for recordings, as `--controls
    patch`, the babble is phrases, and the model reads any recording. With a folder of recordings
    as `--targets`, and `--start`, a model is fine-tuned on these. `--recipe notes` trains the
    network that finds the notes of recordings for all synthesizers, without one. Ctrl-C stops,
    `--resume` continues.
    """
    if recipe == "notes":
        if (plant, controls, targets, start, pool) != ("vital", None, "0", None, "local"):
            raise MirrorNetError("--recipe notes needs no synthesizer; leave out what concerns it.")
        _learn_notes(budget, out, resume, seed, device)
        return
    from ...models.mirrornet import shipped
    from ...plants import find_plant, is_file, usual_controls

    kind = find_plant(plant)
    name = kind.name if is_file(plant) else plant
    if controls is None:
        controls = usual_controls(plant, melodies=targets.isdecimal() or recipe == "paper")
        if start == "shipped" and not shipped(controls, kind.name).is_file():
            controls = usual_controls(plant)  # for recordings
    if controls == kind.timbre_set is not None:
        raise MirrorNetError(
            f"nothing needs to be learned to play the timbre of {plant}: use mirrornet match "
            "--timbre wavetable."
        )
    if controls in kind.control_sets and not kind.control_sets[controls].is_melody:
        place = f"{name}-{controls}"
        _learn_recordings(
            recipe, budget, plant, controls, targets, start, out, resume, seed, device, pool, place
        )
        return
    from ...matching.match import check_plays
    from ...models.mirrornet import ARCHITECTURES
    from ...plants.pool import Pool
    from ...training.dataset import folder_targets, seed_targets
    from ...training.melodies import PaperRecipe, plan_from
    from ...training.melodies import learn as learn_to_play
    from ...training.trainer import check_folder
    from ..console import Console

    check_device(device)
    out = Path("runs") / f"{name}-{controls}-{recipe}-{budget}" if out is None else out
    check_folder(out, resume)
    plan, begin = plan_from(recipe, budget, start, controls)
    hearing: Any = ARCHITECTURES[plan.architecture].hearing
    progress = Console().progress
    recordings = None if targets.isdecimal() else folder_targets(targets, hearing, progress)
    with Pool(plant, controls=controls, progress=progress, where=pool) as players:
        if begin:
            check_plays(begin, players.name, players.controls)
        if recordings is None:
            _, heard = seed_targets(players, "targets", SEED_TARGETS, int(targets), hearing)
            about = f"{len(heard)} melodies of the plant, seed {int(targets)}"
        else:
            heard, about = recordings, f"{len(recordings)} sounds from {targets}"
        if isinstance(plan, PaperRecipe):
            plays = f"plays {len(heard)} guesses in each of {plan.rounds} rounds"
        else:
            plays = f"babbles {plan.babble} melodies"
        lasts = time_needed(recipe, budget, start)
        say(
            f"{players.name} {plays}; learning takes about {lasts} on two cores. Ctrl-C stops it "
            "and keeps what was learned.",
        )
        learn_to_play(plan, players, heard, out, seed, resume, device, about, begin)
    _say_learned(plant, out)


def _learn_notes(budget: str, out: Path | None, resume: bool, seed: int, device: str) -> None:
    from ...training.notes import NOTE_RECIPES, train_notes
    from ...training.trainer import check_folder
    from ..console import Console

    check_device(device)
    out = Path("runs") / f"notes-{budget}" if out is None else out
    check_folder(out, resume)
    plan = NOTE_RECIPES[budget]
    say(
        f"{plan.phrases} performances are drawn, played and heard; learning takes about "
        f"{ABOUT_NOTES[budget]} on two cores. Ctrl-C stops it and keeps what was learned."
    )
    train_notes(plan, out, seed, resume, device, Console().progress)
    say(f"Learned: {out / 'model.json'}.")


def _learn_recordings(
    recipe: str,
    budget: str,
    plant: str,
    controls: str,
    targets: str,
    start: str | None,
    out: Path | None,
    resume: bool,
    seed: int,
    device: str,
    pool: str,
    place: str,
) -> None:
    if recipe != "mirror" or (targets.isdecimal() and targets != "0"):
        raise MirrorNetError(
            f"with --controls {controls} a model is trained on babble alone, or fine-tuned "
            "(--start shipped) on a folder of recordings (--targets FOLDER); leave out the other "
            "options."
        )
    from ...features import RECORDING_RATE_HZ
    from ...plants import find_plant
    from ...plants.pool import Pool
    from ...training.babble import PHRASE_RECIPES, train_on_babble
    from ...training.trainer import check_folder
    from ..console import Console

    check_device(device)
    if not targets.isdecimal():
        if budget != "quick":
            raise MirrorNetError("fine-tuning on recordings has one budget; leave out --budget.")
        _listen_to_folder(plant, controls, Path(targets), start, out, resume, seed, device, pool)
        return
    out = Path("runs") / f"{place}-{budget}" if out is None else out
    check_folder(out, resume)
    if start not in (None, "shipped"):
        raise MirrorNetError(
            "from babble a model is learned from the beginning, and the network that ships finds "
            "the notes; leave out --start."
        )
    plan = PHRASE_RECIPES[budget]
    rate_hz = find_plant(plant).own_rate_hz or RECORDING_RATE_HZ
    options = {"controls": controls, "sample_rate_hz": rate_hz}
    with Pool(plant, progress=Console().progress, where=pool, **options) as players:
        say(
            f"{players.name} babbles {plan.phrases} phrases; learning takes about "
            f"{ABOUT_PHRASES[budget]} on two "
            "cores, if the plant is as fast as Vital. Ctrl-C stops it and keeps what was learned.",
        )
        train_on_babble(plan, players, out, seed, resume, device)
    _say_learned(plant, out)


def _say_learned(plant: str, out: Path) -> None:
    by = "" if plant == "vital" else f" --plant {plant}"
    say(f"Learned. To use it: mirrornet match SOUND{by} --model {out}")


def _started(start: str, space: "ControlSpace", plant: str) -> Path:
    """The card of a model for recordings: at a path; or, if "shipped", the one that ships for a
    plant with these controls, and if none does, the one that ships for Vital."""
    from ...models.mirrornet import card_of, shipped, ships

    if start != "shipped":
        return card_of(start, "patch")
    return shipped(space.name, plant) if ships(space, plant) else shipped("patch")


def _recording_model(card: Path) -> "MirrorNet":
    """The model of a card; CheckpointError unless it reads recordings."""
    from ...models.mirrornet import MirrorNet

    model = MirrorNet.load(card)
    if model.architecture != "recording":
        raise CheckpointError(f"{card} is no model that reads recordings; use --start shipped.")
    return model


def _listen_to_folder(
    plant: str,
    controls: str,
    folder: Path,
    start: str | None,
    out: Path | None,
    resume: bool,
    seed: int,
    device: str,
    pool: str,
) -> None:
    from ...export.report import percent
    from ...matching.match import EXPORT_RATE_HZ, check_plays
    from ...models.checkpoints import load_checkpoint
    from ...plants import load_plant
    from ...training.trainer import check_folder
    from ..console import Console
    from ..fine_tuning import PAGE, adapt, compare, means, split_folder

    folder = Path(os.path.realpath(folder))
    out = Path("runs") / f"{folder.name}-{controls}" if out is None else out
    check_folder(out, resume)
    if not folder.is_dir():
        raise AudioError(f"{folder.name} is no folder; give a folder of sound files.")
    if start is None:
        raise MirrorNetError(
            "to learn from recordings, a model must know the synthesizer: add --start shipped. For "
            "melodies of five notes in 2 s, add --controls set1 instead."
        )
    player = load_plant(plant, controls=controls, sample_rate_hz=EXPORT_RATE_HZ)
    begun = _started(start, player.controls, player.name)
    model = _recording_model(begun)
    check_plays(model, player.name, player.controls)
    progress = Console().progress
    split = split_folder(folder, Path(os.path.realpath(out)), seed, progress)
    card = load_checkpoint(begun)[1]
    if set(split.sounds_sha256) & set(card.get("learned", {}).get("sounds_sha256", ())):
        say("Beware: the start has listened to some of these, so it is no fair judge of itself.")
    say(
        f"{len(split.learned_from)} recordings to learn from, {len(split.judged_by)} to be judged "
        f"by; it takes about {ABOUT_STARTED} on two cores. Ctrl-C stops it and keeps what was "
        "learned.",
    )
    learned = adapt(model, plant, folder, split, out, progress, seed, resume, device, pool)
    _say_learned(plant, out)
    models = {"before": model, "after": learned}
    scores = compare(player, models, folder, split.judged_by, out / "held-out", progress)
    before, after = map(percent, means(scores).values())
    say(f"Matches of the others differ by {before} of variance before, {after} after; to listen,")
    say(f"open {out / 'held-out' / PAGE}.")


def time_needed(recipe: str, budget: str, start: str | None) -> str:
    """How long learning takes, on two cores."""
    return ABOUT[recipe, budget] if start is None else ABOUT_STARTED


def check_device(device: str) -> None:
    """MirrorNetError for a GPU that is not there."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise MirrorNetError("torch finds no CUDA GPU here; leave out --device to use the CPU.")
