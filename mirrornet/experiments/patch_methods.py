"""The methods of the benchmark of large control sets, each on one sound: ours, without a render,
with some, and untrained; networks that read a patch; searches; and trivial answers.

The learned ones are loaded from the benchmark's folder, once in each process. Searches play the
notes at the levels that ours found without a render; all levels are set again at the end. Ours sets
them between its search and its refinement, too, and these few renders are not counted.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from ..budget import Budget
from ..controls import ControlSpace
from ..errors import AudioError
from ..export.files import level_matched
from ..export.match import Match
from ..features import hear_recording
from ..matching.levels import play_at_levels
from ..matching.objective import Place, RecordingObjective
from ..matching.recordings import match_recording
from ..metrics import field_metrics
from ..models.mirrornet import MirrorNet
from ..plants import Plant
from ..score import Score
from ..training.dataset import phrase_shards
from .baselines.cma_es import CmaEs
from .baselines.flow import FlowReader
from .baselines.genetic import Genetic
from .baselines.patch_reading import (
    PatchReader,
    Seen,
    ast_reader,
    cnn_reader,
    load_reader,
    seen,
)
from .baselines.patches import NearestPatches, look_of, looks_of
from .baselines.search import Search
from .baselines.supervised import SupervisedRecipe
from .material import RATE_HZ, Sound

OURS, UNTRAINED = "MirrorNet", "MirrorNet, untrained"

# Epochs on the babble that take as much CPU time as ours, 400 ms for a phrase: on one core a phrase
# costs the CNN about 10 ms in an epoch, the AST 55 ms, flow matching 13 ms (bfloat16).
READERS: dict[str, tuple[Callable[[ControlSpace], PatchReader], SupervisedRecipe]] = {
    "CNN": (cnn_reader, SupervisedRecipe(epochs=39, batch=32, lr=2e-3)),
    "AST": (ast_reader, SupervisedRecipe(epochs=7, batch=16, lr=5e-4)),
    "flow matching": (FlowReader, SupervisedRecipe(epochs=28, batch=32, lr=1e-3)),
}

RANDOM_PATCH = 29  # stream of random numbers
SEEDS = 1000  # for the sounds of a benchmark
Found = dict[str, dict[str, float]]
"""The scores of each method, by "method, renders"."""


class Sample(NamedTuple):
    """A sound of 4 s at `RATE_HZ`."""

    number: int
    """Among those of its kind."""
    kind: str
    sound: Sound
    score: Score | None = None
    """What was played, for a sound of the plant."""

    def __str__(self) -> str:
        return f"sound {self.number} of the {self.kind}"


@dataclass(frozen=True)
class Learners:
    """The learned methods of a benchmark, in its folder, and how long to search."""

    run: Path
    marks: tuple[int, ...]  # renders
    seed: int

    def folder(self, method: str) -> Path:
        """Where a learned method is."""
        return self.run / method.lower().replace(" ", "-")

    def scores(self, plant: Plant, several: Sequence[Sample]) -> list[Found]:
        """The scores of all methods after each number of renders, for each sound; none for a sound
        in which no notes are heard."""
        torch.set_num_threads(1)
        with threadpool_limits(1, "blas"):  # as in `match`
            models = _models(self, plant.controls)
            return [_Trial(self, models, plant, sample).found for sample in several]


class _Models(NamedTuple):
    ours: MirrorNet
    readers: dict[str, PatchReader]
    patches: Float[np.ndarray, "phrase row"]  # of the babble
    looks: Float[np.ndarray, "phrase point"]


@lru_cache(maxsize=1)
def _models(learners: Learners, space: ControlSpace) -> _Models:
    babble = [*phrase_shards(learners.folder(OURS) / "babble")]
    readers = {
        method: load_reader(make, space, learners.folder(method) / "model.json")
        for method, (make, _) in READERS.items()
    }
    ours = MirrorNet.load(learners.folder(OURS) / "model.json")
    patches = np.concatenate([shard.patches for shard in babble])
    looks = np.concatenate([looks_of(shard) for shard in babble])
    return _Models(ours, readers, patches, looks)


class _Trial:
    """All methods on one sound. The CPU time of each includes its final render."""

    def __init__(self, learners: Learners, models: _Models, plant: Plant, sample: Sample):
        self.plant, self.sound, self.models = plant, sample.sound, models
        self.heard = hear_recording(sample.sound, RATE_HZ)
        self.found: Found = {}
        most = max(learners.marks)
        seed = SEEDS * learners.seed + sample.number  # the methods' own chance differs, too
        known = sample.score.notes if sample.score else ()
        how = {"seed": seed, "known": known}
        ours = partial(match_recording, (self.sound, RATE_HZ), plant, models.ours, **how)
        first = self._match(f"{OURS}, 0", ours) if np.abs(self.sound).max() else None
        if first is None:
            return
        self.score = first.score
        for mark in learners.marks:
            self._match(f"{OURS}, {mark}", partial(ours, refine=mark))
        self._match(f"{UNTRAINED}, {most}", partial(ours, search=True, refine=most))
        space = plant.controls.patch
        drawn = plant.sample(np.random.default_rng((seed, RANDOM_PATCH))).patch
        self._play("constant guess, 0", np.full(len(space.rows), 0.5))
        self._play("random patch, 0", space.to_vector(drawn))
        if sample.score is not None:
            self._play("true patch, 0", space.to_vector(sample.score.patch))
        see = seen(self.heard)
        for method, reader in models.readers.items():
            began_s = time.process_time()
            patch = reader.patches(see, 1, seed)[0].numpy().astype(float)
            self._play(f"{method}, 0", patch, time.process_time() - began_s)
        above = plant.transposition
        sounding = [replace(n, pitch_midi=n.pitch_midi + above) for n in self.score.notes]
        look = look_of(self.heard, sounding)
        searches: dict[str, Callable[[], Search]] = {
            "CMA-ES": lambda: CmaEs(space, (seed, 0), notes=1),
            "genetic algorithm": lambda: Genetic(space, (seed, 1), notes=1),
            "nearest in the babble": lambda: NearestPatches(models.looks, models.patches, look),
            "flow matching": lambda: _Draws(models.readers["flow matching"], see, most, seed),
        }
        for method, make in searches.items():
            for mark, place, cpu_s in self._course(make, learners.marks):
                self._play(f"{method}, {mark}", place, cpu_s)

    def _match(self, name: str, make: Callable[[], Match]) -> Match | None:
        began_s = time.process_time()
        try:
            match = make()
        except AudioError:  # no notes were heard
            return None
        cpu_s = time.process_time() - began_s
        self._keep(name, match.audio, match.distances["spectrogram_error"], cpu_s)
        return match

    def _play(self, name: str, place: Place, cpu_s: float = 0.0) -> None:
        began_s = time.process_time()
        score: Score = self.score.with_patch(self.plant.controls.patch.from_vector(place))
        played = play_at_levels(self.plant, score, self.sound, self.heard)
        self._keep(name, played.audio, played.error, cpu_s + time.process_time() - began_s)

    def _keep(self, name: str, audio: Sound, error: float, cpu_s: float) -> None:
        target, audio = level_matched(self.sound, audio)
        scores = {"spectrogram_error": error, **field_metrics(target, audio), "cpu_s": cpu_s}
        self.found[name] = scores

    def _course(
        self, make: Callable[[], Search], marks: Sequence[int]
    ) -> Iterator[tuple[int, Place, float]]:
        """The best place after each number of renders, and the CPU time until then; for those that
        are left where the candidates end earlier, the last."""
        began_s, played_s = time.process_time(), 0.0
        search = make()
        objective = RecordingObjective(self.plant, self.score, self.sound)
        budget, waiting = Budget(max(marks)), list(marks)
        best = None
        while budget.left and len(asked := search.ask()):
            errors = []
            for row in asked[: budget.left]:
                heard = objective.hear(row[:, 0], budget)
                errors.append(heard.error)
                best = heard if best is None or heard.error < best.error else best
                if budget.spent == waiting[0]:
                    before_s = time.process_time()
                    yield waiting.pop(0), best.place, before_s - began_s - played_s
                    played_s += time.process_time() - before_s  # meanwhile
            if budget.left:
                search.tell(asked, np.array(errors))
        if best is not None:
            cpu_s = time.process_time() - began_s - played_s
            yield from ((mark, best.place, cpu_s) for mark in waiting)


class _Draws(Search):
    """Patches that a reader draws, one after the other."""

    name = "draws"

    def __init__(self, reader: PatchReader, see: Seen, count: int, seed: int):
        self._left = reader.patches(see, count, seed).numpy().astype(float)

    def ask(self) -> Float[np.ndarray, "row control note=1"]:
        asked, self._left = self._left[:1], self._left[1:]
        return asked[..., None]

    def tell(self, controls: np.ndarray, errors: np.ndarray) -> None:
        """Do nothing: the order does not depend on errors."""
