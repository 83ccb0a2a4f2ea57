"""The benchmark of large control sets: one patch for a sound, found by ours and by other methods.

Each sound is a phrase or a note of 4 s. All methods are told the notes of the plant's own sounds,
and play those that MirrorNet transcribes of instruments, so only the patch differs. Learned methods
train on the same babble for about the same CPU time; searches may render as often as ours. Sounds
of the plant come from seeds that no training uses; instruments are those of General MIDI on which
nothing was tuned.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import rankdata

from ..errors import MirrorNetError, PlantError
from ..events import Progress
from ..features import RECORDING_RATE_HZ
from ..models.checkpoints import fingerprint, load_checkpoint, provenance
from ..plants import Plant, load_plant, usual_controls
from ..plants.pool import LOCAL, Pool
from ..plants.prior import PHRASE_S
from ..score import Note, Score
from ..storage import check_place, write_atomically
from ..training.babble import PhraseRecipe, train_on_babble
from ..training.dataset import babble_phrases
from ..training.trainer import Run
from .baselines.patch_reading import train_reader
from .baselines.search import bench_module
from .material import INSTRUMENTS, RATE_HZ, instrument_phrases
from .patch_methods import OURS, READERS, Learners, Sample

STREAM = 23  # of random numbers
NOTE, NOTE_S = 60, 3.0  # of single notes
LOUD = ("level", "velocity")  # roles of controls that are at their maximum in single notes
FIELD = ("mss_db", "wmfcc", "sot", "rms_cosine")  # the field's metrics
HIGHER = ("rms_cosine",)  # is better
RESAMPLED = 2000  # times, for intervals
MATCHED_WITHIN_S = 3600.0  # all methods, on one sound


@dataclass(frozen=True)
class Size:
    """How large the benchmark is."""

    babble: int
    sounds: int  # of each kind
    marks: tuple[int, ...] = (50, 200)  # renders
    epochs: float = 1.0  # of all learners, as a share of the usual


SIZES = {"quick": Size(2000, 12), "full": Size(20000, 12, epochs=0.3)}


def run_patches(
    plant: str,
    budget: str = "quick",
    seed: int = 0,
    results: Path = Path("results"),
    runs: Path = Path("runs"),
    resume: bool = False,
    progress: Progress | None = None,
    where: str = LOCAL,
) -> Path:
    """Run the benchmark on a plant; write `results/bench-PLANT-CONTROLS-BUDGET-seed-SEED.json`.

    Babble, models and the scores of finished sounds are kept in `runs`, where `resume` continues.
    The babble is played `where` a `Pool` lets it; matching is done on this machine.

    Returns:
        The path of the JSON file.

    Raises:
        MirrorNetError: when a package of mirrornet[bench] is missing, or the plant has no controls
            for recordings.
        PlantError: when the plant or the sound font is missing.
        OutputError: when the run exists and `resume` is false.
    """
    progress = progress or Progress()
    for package in ("cma", "pymoo", "librosa"):  # needed late, so checked early
        bench_module(package)
    size, controls = SIZES[budget], usual_controls(plant)
    player = load_plant(plant, controls=controls, sample_rate_hz=RATE_HZ)
    if player.controls.is_melody or controls == player.timbre_set:
        raise MirrorNetError(f"{plant} has no patch of knobs; name another control set.")
    name = f"bench-{player.name}-{controls}-{budget}-seed-{seed}"
    check_place(results / name)
    about = {"benchmark": name, **asdict(size), "marks": list(size.marks), "seed": seed}
    run = Run(runs / name, about, resume)
    learners = Learners(run.folder, size.marks, seed)
    rate_hz = player.own_rate_hz or RECORDING_RATE_HZ
    how: Any = {"controls": controls, "progress": progress}
    sounds = list(samples(player, size.sounds, seed))  # early, as the sound font may be missing
    with Pool(plant, sample_rate_hz=rate_hz, where=where, **how) as pool:
        _learn(learners, size, pool)
    with Pool(plant, sample_rate_hz=RATE_HZ, timeout_s=MATCHED_WITHIN_S, **how) as pool:
        rows = _match(learners, sounds, pool)
    kinds = dict.fromkeys(sample.kind for sample in sounds)
    result = {
        "plant": player.name,
        "controls": controls,
        "rows_of_a_patch": len(player.controls.patch.rows),
        **about,
        "learning_cpu_s": {
            method: load_checkpoint(learners.folder(method) / "model.json")[1]["learning_cpu_s"]
            for method in (OURS, *READERS)
        },
        "ranks": {kind: ranks(rows, kind, seed) for kind in kinds},
        "sounds": rows,
        **provenance(),
    }
    path = results / f"{name}.json"
    results.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: file.write_text(json.dumps(result, indent=1) + "\n"))
    return path


def _learn(learners: Learners, size: Size, pool: Pool) -> None:
    """Train all learned methods on the same babble, which ours renders."""
    recipe = PhraseRecipe(size.babble)
    recipe = replace(
        recipe,
        patch_epochs=size.epochs * recipe.patch_epochs,
        sound_epochs=size.epochs * recipe.sound_epochs,
    )
    folder, seed = learners.folder(OURS), learners.seed
    train_on_babble(recipe, pool, folder, seed, True, "cpu")
    babble = babble_phrases(pool, size.babble, seed, folder / "babble")
    about = {"plant": pool.name, "controls": pool.controls.name}
    about["patches_sha256"] = fingerprint(babble.patches)
    for method, (make, how) in READERS.items():
        how = replace(how, epochs=size.epochs * how.epochs)
        place = learners.folder(method)
        train_reader(method, make, how, pool.controls, babble, about, place, seed, pool.progress)


def _match(learners: Learners, sounds: Sequence[Sample], pool: Pool) -> list[dict[str, Any]]:
    """The kind of each sound and the scores of all methods on it; those in the folder are kept."""
    files = [learners.run / f"sound-{number:03d}.json" for number in range(len(sounds))]
    missing = [n for n, file in enumerate(files) if not file.is_file()]
    found = pool.map(learners.scores, [sounds[n] for n in missing], 1)
    with pool.progress.stage("Matching", len(sounds)) as stage:
        stage.at(len(sounds) - len(missing))
        for n, scores in zip(missing, found, strict=True):
            if isinstance(scores, PlantError):
                raise scores
            text = json.dumps({"kind": sounds[n].kind, "scores": scores})
            write_atomically(files[n], lambda path, text=text: path.write_text(text))
            stage.at(sum(file.is_file() for file in files))
    return [json.loads(file.read_bytes()) for file in files]


def samples(plant: Plant, count: int, seed: int) -> Iterator[Sample]:
    """Held-out sounds: `count` phrases of the plant's prior, `count` of its patches on a single
    note, and `count` phrases of General MIDI instruments."""
    for number in range(count):
        score = plant.sample(np.random.default_rng((seed, number, STREAM)))
        score = replace(score, duration_s=PHRASE_S)
        yield Sample(number, "phrases", plant.render(score), score)
    loud = {
        control.name: float(control.to_physical(1.0 if control.role in LOUD else 0.5))
        for control in plant.controls.own
    }
    for number in range(count):
        patch = plant.sample(np.random.default_rng((seed, number, STREAM, 1))).patch
        score = Score([Note(NOTE, 0.0, NOTE_S, loud)], patch, PHRASE_S)
        yield Sample(number, "single notes", plant.render(score), score)
    programs = list(INSTRUMENTS)
    for number in range(count):
        program, times = programs[number % len(programs)], number // len(programs)
        phrase = next(islice(instrument_phrases(program, seed), times, None))
        yield Sample(number, "instruments", phrase.sound[: round(PHRASE_S * RATE_HZ)])


def ranks(rows: Sequence[dict[str, Any]], kind: str, seed: int) -> dict[str, list[float]]:
    """The mean rank of each method on sounds of a kind, over the field's four metrics, among those
    that rendered as often (1 is the best); and its 95 % interval, by resampling the sounds."""
    scored = [row["scores"] for row in rows if row["kind"] == kind and row["scores"]]
    found = {}
    names = [name for name in scored[0] if not name.startswith("true patch")] if scored else []
    draws = np.random.default_rng(seed).integers(len(scored), size=(RESAMPLED, len(scored)))
    for renders in dict.fromkeys(name.rpartition(", ")[2] for name in names):
        group = [name for name in names if name.rpartition(", ")[2] == renders]
        values = np.array([[[one[n][m] for m in FIELD] for n in group] for one in scored])
        values[..., [m in HIGHER for m in FIELD]] *= -1
        mean = rankdata(values, axis=1).mean(2)  # sound, method
        low, high = np.quantile(mean[draws].mean(1), (0.025, 0.975), axis=0)
        for name, *figures in zip(group, mean.mean(0), low, high, strict=True):
            found[name] = [round(float(figure), 3) for figure in figures]
    return found
