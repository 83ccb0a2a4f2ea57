"""The benchmark of large control sets: one patch for a sound, found by ours and by other methods.

Each sound is a phrase or a note of 4 s. All methods are told the notes of the plant's own sounds,
and play those that MirrorNet transcribes of instruments, so only the patch differs. Learned methods
train on the same babble for about the same CPU time; searches may render as often as ours. Sounds
of the plant come from seeds that no training uses; instruments are those of General MIDI on which
nothing was tuned.
"""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.stats import rankdata
from threadpoolctl import threadpool_limits

from ..budget import Budget
from ..errors import AudioError
from ..events import Progress
from ..export.files import level_matched
from ..export.match import Match
from ..features import RECORDING_RATE_HZ, hear_recording
from ..matching.levels import play_at_levels
from ..matching.objective import RecordingObjective
from ..matching.recordings import match_recording
from ..metrics import field_metrics
from ..models.checkpoints import fingerprint, load_checkpoint, provenance
from ..models.mirrornet import MirrorNet, shipped
from ..plants import Plant, load_plant, usual_controls
from ..plants.pool import LOCAL, Pool
from ..plants.prior import PHRASE_S
from ..score import Note, Score
from ..storage import check_place, write_atomically
from ..training.babble import PhraseRecipe, train_on_babble
from ..training.dataset import Phrases, babble_phrases
from ..training.trainer import Run
from .baselines.cma_es import CmaEs
from .baselines.flow import FlowReader
from .baselines.genetic import Genetic
from .baselines.patch_reading import (
    PatchReader,
    PatchReaderRecipe,
    ast_reader,
    cnn_reader,
    seen,
    train_reader,
)
from .baselines.patches import NearestPatches, look_of, looks_of
from .baselines.search import Search, bench_module
from .material import INSTRUMENTS, RATE_HZ, Sound, instrument_phrases

OURS, UNTRAINED = "MirrorNet", "MirrorNet, untrained"
STREAM = 23  # of random numbers
NOTE, NOTE_S = 60, 3.0  # of single notes
LOUD = ("level", "velocity")  # roles of controls that are at their maximum in single notes
FIELD = ("mss_db", "wmfcc", "sot", "rms_cosine")  # the field's metrics
HIGHER = ("rms_cosine",)  # is better
RESAMPLED = 2000  # times, for intervals

# Epochs on the babble that take as much CPU time as ours, 370 ms for a phrase: on one core a phrase
# costs the CNN about 12 ms in an epoch, the AST 55 ms, flow matching 13 ms (bfloat16).
READERS: dict[str, tuple[Callable[..., PatchReader], PatchReaderRecipe]] = {
    "CNN": (cnn_reader, PatchReaderRecipe(epochs=30, batch=32, lr=2e-3)),
    "AST": (ast_reader, PatchReaderRecipe(epochs=7, batch=16, lr=5e-4)),
    "flow matching": (FlowReader, PatchReaderRecipe(epochs=28, batch=32, lr=1e-3)),
}

Found = dict[str, dict[str, float]]
Place = Float[np.ndarray, " row"]


@dataclass(frozen=True)
class Size:
    """How large the benchmark is."""

    babble: int
    sounds: int  # of each kind
    marks: tuple[int, ...] = (50, 500)  # renders
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

    Returns:
        The path of the JSON file.

    Raises:
        MirrorNetError: when a package of mirrornet[bench] is missing.
        PlantError: when the plant or the sound font is missing.
        OutputError: when the run exists and `resume` is false.
    """
    progress = progress or Progress()
    for package in ("cma", "pymoo", "librosa"):  # needed late, so checked early
        bench_module(package)
    size, controls = SIZES[budget], usual_controls(plant)
    player = load_plant(plant, controls=controls, sample_rate_hz=RATE_HZ)
    name = f"bench-{player.name}-{controls}-{budget}-seed-{seed}"
    check_place(results / name)
    about = {"benchmark": name, **asdict(size), "seed": seed}
    run = Run(runs / name, {**about, "marks": list(size.marks)}, resume)
    rate_hz = player.own_rate_hz or RECORDING_RATE_HZ
    options = {"controls": controls, "sample_rate_hz": rate_hz}
    learned = run.folder / "mirrornet"
    with Pool(plant, progress=progress, where=where, **options) as pool:
        recipe = PhraseRecipe(size.babble, note_epochs=0.0)
        recipe = replace(
            recipe,
            patch_epochs=size.epochs * recipe.patch_epochs,
            sound_epochs=size.epochs * recipe.sound_epochs,
        )
        reader = MirrorNet.load(shipped("patch"))
        model = train_on_babble(recipe, pool, learned, seed, True, "cpu", reader)
        babble = babble_phrases(pool, size.babble, seed, learned / "babble")
    told = {"plant": player.name, "controls": controls, "sounds": fingerprint(babble.patches)}
    readers = {
        label: train_reader(
            label,
            make,
            replace(how, epochs=size.epochs * how.epochs),
            player.controls,
            babble,
            told,
            run.part(label.replace(" ", "-")),
            seed,
            progress,
        )
        for label, (make, how) in READERS.items()
    }
    torch.set_num_threads(1)
    methods = Methods(player, model, readers, babble, size.marks, seed)
    rows = []
    material = list(samples(player, size.sounds, seed))
    with progress.stage("Matching", len(material)) as stage:
        for number, sample in enumerate(material):
            file = run.folder / f"sound-{number:03d}.json"
            if not file.is_file():
                with threadpool_limits(1, "blas"):  # as in `match`
                    text = json.dumps({"kind": sample.kind, "scores": methods.scores(sample)})
                write_atomically(file, lambda path, text=text: path.write_text(text))
            rows.append(json.loads(file.read_bytes()))
            stage.at(number + 1)
    cards = {label: run.folder / label.replace(" ", "-") for label in readers}
    took_s = {
        label: load_checkpoint(folder / "model.json")[1]["learning_cpu_s"]
        for label, folder in {OURS: learned, **cards}.items()
    }
    result = {
        "plant": player.name,
        "controls": controls,
        "rows_of_a_patch": len(player.controls.patch.rows),
        **about,
        "learning_cpu_s": took_s,
        "ranks": {kind: ranks(rows, kind, seed) for kind in dict.fromkeys(r["kind"] for r in rows)},
        "sounds": rows,
        **provenance(),
    }
    path = results / f"{name}.json"
    results.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: file.write_text(json.dumps(result, indent=1) + "\n"))
    return path


class Sample(NamedTuple):
    """A sound of 4 s at `RATE_HZ`."""

    kind: str
    sound: Sound
    score: Score | None = None
    """What was played, for a sound of the plant."""


def samples(plant: Plant, count: int, seed: int) -> Iterator[Sample]:
    """Held-out sounds: `count` phrases of the plant's prior, `count` of its patches on a single
    note, and `count` phrases of General MIDI instruments."""
    for number in range(count):
        score = plant.sample(np.random.default_rng((seed, number, STREAM)))
        score = replace(score, duration_s=PHRASE_S)
        yield Sample("phrases", plant.render(score), score)
    loud = {
        control.name: float(control.to_physical(1.0 if control.role in LOUD else 0.5))
        for control in plant.controls.own
    }
    for number in range(count):
        patch = plant.sample(np.random.default_rng((seed, number, STREAM, 1))).patch
        score = Score([Note(NOTE, 0.0, NOTE_S, loud)], patch, PHRASE_S)
        yield Sample("single notes", plant.render(score), score)
    programs = list(INSTRUMENTS)
    for number in range(count):
        program, times = programs[number % len(programs)], number // len(programs)
        phrase = next(islice(instrument_phrases(program, seed), times, None))
        yield Sample("instruments", phrase.sound[: round(PHRASE_S * RATE_HZ)])


class Methods:
    """All methods, on one sound."""

    def __init__(
        self,
        plant: Plant,
        model: MirrorNet,
        readers: dict[str, PatchReader],
        babble: Phrases,
        marks: Sequence[int],
        seed: int,
    ):
        self.plant, self.model, self.readers, self.marks = plant, model, readers, marks
        self.babble, self.looks, self.seed = babble, looks_of(babble), seed

    def scores(self, sample: Sample) -> Found:
        """The scores of each method after each number of renders; none if no notes are heard."""
        sound, space = sample.sound, self.plant.controls.patch
        if not np.abs(sound).max():
            return {}
        heard = hear_recording(sound, RATE_HZ)
        known = sample.score.notes if sample.score else ()
        how = {"seed": self.seed, "known": known}
        ours = partial(match_recording, (sound, RATE_HZ), self.plant, self.model, **how)
        found: Found = {}
        first = self._ours(found, f"{OURS}, 0", lambda: ours(), sound)
        if first is None:
            return {}
        for mark in self.marks:
            self._ours(found, f"{OURS}, {mark}", partial(ours, refine=mark), sound)
        middle = np.full(len(space.rows), 0.5)
        drawn = self.plant.sample(np.random.default_rng((self.seed, STREAM, 2))).patch
        trivial = {"constant guess, 0": middle, "random patch, 0": space.to_vector(drawn)}
        if sample.score is not None:
            trivial["true patch, 0"] = space.to_vector(sample.score.patch)
        for name, patch in trivial.items():
            self._played(found, name, patch, first.score, sound, heard, time.process_time())
        most = max(self.marks)
        self._ours(found, f"{UNTRAINED}, {most}", partial(ours, search=True, refine=most), sound)
        for label, reader in self.readers.items():
            began_s = time.process_time()
            patch = reader.patches(seen(heard), 1, self.seed)[0].numpy().astype(float)
            self._played(found, f"{label}, 0", patch, first.score, sound, heard, began_s)
        look = look_of(heard, first.score.notes)
        searches: dict[str, Callable[[], Search]] = {
            "CMA-ES": lambda: CmaEs(space, (self.seed, 0), notes=1),
            "genetic algorithm": lambda: Genetic(space, (self.seed, 1), notes=1),
            "nearest in the babble": lambda: NearestPatches(self.looks, self.babble, look),
            "flow matching": lambda: _Draws(
                self.readers["flow matching"].patches(seen(heard), most, self.seed)
            ),
        }
        for label, make in searches.items():
            began_s = time.process_time()
            objective = RecordingObjective(self.plant, first.score, sound)
            for mark, place, spent_s in course(objective, make(), self.marks):
                began_s = time.process_time() - spent_s
                self._played(found, f"{label}, {mark}", place, first.score, sound, heard, began_s)
        return found

    def _ours(
        self, found: Found, name: str, make: Callable[[], Match], sound: Sound
    ) -> Match | None:
        began_s = time.process_time()
        try:
            match = make()
        except AudioError:  # no notes were heard
            return None
        found[name] = self._measured(sound, match.audio, match.distances["spectrogram_error"])
        found[name]["cpu_s"] = time.process_time() - began_s
        return match

    def _played(
        self,
        found: Found,
        name: str,
        place: Place,
        score: Score,
        sound: Sound,
        heard: Float[np.ndarray, "channel=176 frame"],
        began_s: float,
    ) -> None:
        patched = score.with_patch(self.plant.controls.patch.from_vector(place))
        played = play_at_levels(self.plant, patched, sound, heard)
        found[name] = self._measured(sound, played.audio, played.error)
        found[name]["cpu_s"] = time.process_time() - began_s

    def _measured(self, sound: Sound, audio: Sound, error: float) -> dict[str, float]:
        target, audio = level_matched(sound, audio)
        return {"spectrogram_error": error, **field_metrics(target, audio)}


def course(
    objective: RecordingObjective, search: Search, marks: Sequence[int]
) -> Iterator[tuple[int, Place, float]]:
    """The best place after each number of renders, and the CPU time until then; after the last one
    if the candidates end earlier."""
    began_s = time.process_time()
    budget = Budget(max(marks))
    best, waiting = None, list(marks)
    while budget.left and len(asked := search.ask()):
        errors = []
        for row in asked:
            heard = objective.hear(row[:, 0], budget)
            errors.append(heard.error)
            best = heard if best is None or heard.error < best.error else best
            if budget.spent == waiting[0]:
                yield waiting.pop(0), best.place, time.process_time() - began_s
            if not budget.left:
                break
        else:
            search.tell(asked, np.array(errors))
    if best is not None:
        yield from ((mark, best.place, time.process_time() - began_s) for mark in waiting)


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


class _Draws(Search):
    """Given patches, in their order."""

    name = "draws"

    def __init__(self, patches: Float[torch.Tensor, "patch row"]):
        self._left = patches.numpy().astype(float)

    def ask(self) -> Float[np.ndarray, "row control note=1"]:
        asked, self._left = self._left[:1], self._left[1:]
        return asked[..., None]

    def tell(self, controls: np.ndarray, errors: np.ndarray) -> None:
        """Do nothing: the order does not depend on errors."""
