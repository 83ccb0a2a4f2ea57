"""One experiment: train on target melodies, score on held-out ones, and write results and plots.

400 unlabelled melodies to train on, 80 held out. The true controls of the held-out melodies are
used for scores only; training never sees true controls of targets.
"""

import json
from pathlib import Path
from typing import Any

import torch

from ..audio import save_audio
from ..events import Progress
from ..export.plots import panels, png
from ..features import hear
from ..models.checkpoints import provenance
from ..models.mirrornet import ARCHITECTURES, MirrorNet
from ..plants.pool import LOCAL, Pool
from ..storage import check_place, write_atomically
from ..training.dataset import seed_targets
from ..training.melodies import PaperRecipe, learn, plan_from
from ..training.trainer import check_folder
from . import settings
from .baselines.search import bench_module
from .evaluation import Heard, Melodies, encoder_errors, evaluate, sound_scores
from .settings import Setting

SHOWN = 3  # melodies in the figure and in the sound files
SHOWN_RATE_HZ = 22050


def run_experiment(
    setting: Setting,
    recipe: str = "mirror",
    budget: str = "quick",
    start: str | None = None,
    seed: int = 0,
    results: Path = Path("results"),
    runs: Path = Path("runs"),
    resume: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
    where: str = LOCAL,
) -> Path:
    """Train, score, and write `results/experiment-N-VARIANT-RECIPE-BUDGET-seed-SEED.json`.

    The paper's panels (PNG) and the sounds (WAV) of some held-out melodies go into a folder beside
    it. Results of an earlier run of the same name are replaced.

    Args:
        setting: the variant of an experiment.
        recipe: a training recipe, "mirror" or "paper".
        budget: of the recipe, "quick" or "full".
        start: None to train from random weights; "shipped", or the path of a model, to fine-tune
            that on the targets (BUDGET in the file's name is then `shipped` or `started`).
        seed: random seed of targets and training.
        results, runs: folders for results, and for what `resume` continues.
        resume: whether to continue a run in `runs`.
        device: "auto", "cpu" or "cuda".
        progress: receives progress events and can cancel the run.
        where: where the plants play, as in `Pool`.

    Returns:
        The path of the JSON file.

    Raises:
        OutputError: at once, when `runs` holds such a run and `resume` is false.
        MirrorNetError: when librosa is missing, or the recipe "paper" is given a `start`.
    """
    progress = progress or Progress()
    bench_module("librosa")  # needed late, so checked early
    plan, begin = plan_from(recipe, budget, start, setting.controls)
    if start is not None:
        budget = "shipped" if start == "shipped" else "started"
    name = f"{setting.name}-{recipe}-{budget}-seed-{seed}"
    check_folder(runs / name, resume)
    check_place(results / name)
    (results / name).mkdir(parents=True, exist_ok=True)
    hearing: Any = ARCHITECTURES[plan.architecture].hearing
    how: Any = {"progress": progress, "where": where}
    with setting.target_pool(**how) as players:
        ranges = setting.ranges
        targets = seed_targets(players, "targets", settings.TARGETS, seed, hearing, ranges)[1]
        held_out = seed_targets(players, "held-out", settings.HELD_OUT, seed, ranges=ranges)
        true = Melodies(players.controls, *held_out)
        listened = true.heard
        if hearing != "loudness":
            again = seed_targets(players, "held-out", settings.HELD_OUT, seed, hearing, ranges)
            listened = again[1]
    about = f"{settings.TARGETS} melodies, {setting.what}, seed {seed}"
    with Pool(setting.plant, controls=setting.controls, **how) as pool:
        model = learn(plan, pool, targets, runs / name, seed, resume, device, about, begin)
        scores, answers = evaluate(
            model, pool, true, listened, seed, begin or _babbled(runs / name)
        )
        course = _course(runs / name, pool, true, listened)
    found = [answer.controls for answer in answers.values()]
    sounds = sound_scores(setting, true, found, progress)
    for score, sound in zip(scores.values(), sounds, strict=True):
        score |= sound
    card = json.loads((runs / name / "model.json").read_bytes())
    result = {
        "experiment": setting.experiment,
        "variant": setting.variant,
        "what": setting.what,
        "recipe": recipe,
        "budget": budget,
        "start": start,
        "seed": seed,
        "targets": settings.TARGETS,
        "held_out": settings.HELD_OUT,
        "plant_renders": len(targets) * plan.rounds
        + (0 if isinstance(plan, PaperRecipe) else plan.babble),
        **{key: card[key] for key in ("learning_minutes", "learning_cpu_s", "device")},
        "weights": sum(p.numel() for p in model.parameters()),
        "units": model.controls.units,
        "scores": scores,
        "course": course,
        **provenance(),
    }
    path = results / f"{name}.json"
    write_atomically(path, lambda file: file.write_text(json.dumps(result, indent=2) + "\n"))
    _show(setting, model, true, answers["encoder"], results / name)
    return path


def _babbled(run: Path) -> MirrorNet | None:
    """The model of a run before training on targets, if the recipe trains on babble first."""
    card = run / "babbled" / "model.json"
    return MirrorNet.load(card) if card.is_file() else None


def _course(run: Path, pool: Pool, true: Melodies, listened: Heard) -> list[dict[str, float]]:
    """The encoder's match error after each round, if the recipe keeps the models of its rounds."""
    cards = sorted(run.glob("round-*/model.json"))
    errors = encoder_errors([MirrorNet.load(card) for card in cards], pool, true, listened)
    keys = ("learning_renders", "learning_cpu_s")
    took = [{key: json.loads(card.read_bytes())[key] for key in keys} for card in cards]
    return [t | {"spectrogram_error": error} for t, error in zip(took, errors, strict=True)]


def _show(
    setting: Setting, model: MirrorNet, true: Melodies, answers: Melodies, folder: Path
) -> None:
    """Write the paper's panels, and the input and output sounds, of the first held-out melodies.

    Panel (b) needs true controls, which are known only if the same plant plays the targets.
    """
    players, plant = setting.plants(SHOWN_RATE_HZ)
    known = set(model.controls) <= set(true.space)
    rows = []
    for number in range(SHOWN):
        heard = []
        for what, player, melodies in (("input", players, true), ("output", plant, answers)):
            sound = player.render(melodies.controls[number])
            save_audio(folder / f"{what}-{number + 1}.wav", sound, SHOWN_RATE_HZ)
            heard.append(torch.from_numpy(hear(sound, SHOWN_RATE_HZ, model.hearing)))
        with torch.no_grad():
            final = model.decoder(model.encoder(heard[0][None]))[0]
            from_true = None
            if known:
                controls = true.controls[number, [true.space.row(c.name) for c in model.controls]]
                from_true = model.decoder(torch.from_numpy(controls)[None].float())[0]
        rows.append((heard[0], from_true, final, heard[1]))
    picture = png(lambda: panels(rows, [f"melody {n + 1}" for n in range(SHOWN)]), dpi=150)
    write_atomically(folder / "panels.png", lambda file: file.write_bytes(picture))
