"""The benchmark on recordings: transcription and match, on sounds that nothing was tuned on.

Notes: the transcribed notes are compared with the played ones by mir_eval's measures. Sound: what
MirrorNet finds, with a wavetable or with knobs, is compared with nearest-neighbour search in the
babble, with CMA-ES, all in the same time, and with a wavetable that is cut from the recording.
"""

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from html import escape
from pathlib import Path
from urllib.parse import quote

import numpy as np
import soundfile
import torch
from threadpoolctl import threadpool_limits

from ..audio import resample
from ..budget import Budget
from ..events import Progress
from ..export.files import level_matched
from ..features import RECORDING_RATE_HZ, hear_recording
from ..matching.levels import play_at_levels
from ..matching.objective import Heard, RecordingObjective
from ..matching.recordings import TIMBRE_RENDERS, plant_score, read
from ..matching.refine import refine_recording
from ..matching.surrogate import PatchSurrogate
from ..matching.timbre import fit_notes, timbre_plant
from ..metrics import field_metrics
from ..models.checkpoints import fingerprint, provenance
from ..models.mirrornet import MirrorNet
from ..models.notes import shipped_finder
from ..plants import load_plant
from ..plants.pool import LOCAL, Pool
from ..score import Score
from ..storage import check_place, write_atomically
from ..training.dataset import Phrases, babble_phrases
from ..training.trainer import Run
from .baselines.cut_wavetable import cut_wavetable
from .baselines.patches import NearestPatches, cma_es, look_of, looks_of, search_patch
from .baselines.search import bench_module
from .material import BABBLED, PHRASES, RATE_HZ, TUNED_ON, Sound, Source, plant_phrases, sources
from .reading import OURS, Scores, read_scores

KNOBS, NEAREST = "ours, knobs", "nearest in the babble"
SAVED = (OURS, NEAREST)  # on the page, beside the target
MATCHED = 2  # recordings per source whose sound is matched; of these kinds, all:
ALL_MATCHED = ("instrument", "real")
SHOWN = 6  # real recordings on the page; of each other source, one is shown
SHOWN_RATE_HZ = 22050
TIME_S = 5.0  # CPU time per method and sound, after transcription
BABBLE = 1000  # phrases for nearest-neighbour search
RESAMPLED = 2000  # times, for intervals


def run_recordings(
    model: MirrorNet,
    seed: int = 0,
    results: Path = Path("results"),
    runs: Path = Path("runs"),
    resume: bool = False,
    progress: Progress | None = None,
    where: str = LOCAL,
) -> Path:
    """Run the benchmark and write `results/recordings-seed-SEED.json`, with a page of sounds.

    Finished sources are kept in `runs`, where `resume` continues. The babble is played `where` a
    `Pool` lets it.

    Returns:
        The path of the JSON file.

    Raises:
        MirrorNetError: when a package of mirrornet[bench] is missing.
        PlantError: when the sound font is missing.
        OutputError: when the run exists and `resume` is false.
    """
    progress = progress or Progress()
    for package in ("mir_eval", "librosa", "cma"):
        bench_module(package)
    torch.set_num_threads(1)
    name = f"recordings-seed-{seed}"
    check_place(results / name)
    about = {
        "benchmark": name,
        "model": model.fingerprint,
        "notes_by": shipped_finder().fingerprint,
        "plant": fingerprint(next(plant_phrases(seed)).sound),
        "phrases": PHRASES,
        "babbled": BABBLED,
        "matched": MATCHED,
        "time_s": TIME_S,
        "babble": BABBLE,
    }
    run = Run(runs / f"bench-{name}", about, resume)
    options = {"controls": model.controls.name, "sample_rate_hz": RECORDING_RATE_HZ}
    with Pool(model.plant, progress=progress, where=where, **options) as pool:
        babble = babble_phrases(pool, BABBLE, seed, run.part("babble"))
    matchers = Matchers(model, babble, seed)
    chosen = sources(seed)
    rows = []
    with progress.stage("Reading and matching", len(chosen)) as stage:
        for source in chosen:
            file = run.folder / f"{source.name}.json"
            if not file.is_file():
                with threadpool_limits(1, "blas"):  # as in `match`
                    text = json.dumps(row_of(source, matchers, results / name))
                write_atomically(file, lambda path, text=text: path.write_text(text))
            rows.append(json.loads(file.read_bytes()))
            stage.at(len(rows))
    result = {"seed": seed, "tuned_on": list(TUNED_ON.values()), **about}
    result |= {"rows": rows, "ours_minus": differences(rows, seed), **provenance()}
    path = results / f"{name}.json"
    results.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: file.write_text(json.dumps(result, indent=1) + "\n"))
    write_page(results / name, [source.name for source in chosen])
    return path


def row_of(source: Source, matchers: "Matchers", sounds_folder: Path) -> dict:
    """Compute the scores of a source; save some of its sounds in `sounds_folder`."""
    notes, sounds = [], []
    real = source.kind == "real"
    for number, recording in enumerate(source.recordings()):
        notes.append(read_scores(matchers.model, recording))
        if source.kind in ALL_MATCHED or number < MATCHED:
            shown = number < (SHOWN if real else 1)
            name = f"{source.name} {number + 1}" if real else source.name
            place = sounds_folder / name if shown else None
            sounds.append(matchers.scores(recording.sound, place))
    return {
        "source": source.name,
        "kind": source.kind,
        "recordings": source.count,
        "notes": means(notes),
        "matched": sum(bool(one) for one in sounds),
        "unheard": sum(not one for one in sounds),
        "sound": means(sounds),
        "sounds": [one for one in sounds if one],
    }


def means(scores: Sequence[Scores]) -> Scores:
    """Average each score of each method over the recordings that have it."""
    found: dict[str, dict[str, list[float]]] = {}
    for one in scores:
        for method, figures in one.items():
            for key, value in figures.items():
                found.setdefault(method, {}).setdefault(key, []).append(value)
    return {m: {k: float(np.mean(v)) for k, v in own.items()} for m, own in found.items()}


def differences(rows: Sequence[dict], seed: int) -> dict[str, dict[str, list[float]]]:
    """Of each score of the sounds of instruments: the mean of ours minus that of each other method,
    and its 95 % interval, by resampling instruments, and then their phrases."""
    groups = [row["sounds"] for row in rows if row["kind"] == "instrument" and row["sounds"]]
    if not groups:
        return {}
    sounds = [one for group in groups for one in group]
    starts = np.cumsum([0, *map(len, groups)])
    generator = np.random.default_rng(seed)
    picked = [
        np.concatenate(
            [
                starts[n] + generator.integers(len(groups[n]), size=len(groups[n]))
                for n in generator.integers(len(groups), size=len(groups))
            ]
        )
        for _ in range(RESAMPLED)
    ]
    found: dict[str, dict[str, list[float]]] = {}
    for key in sounds[0][OURS]:
        for method in sounds[0]:
            more = np.array([one[OURS][key] - one[method][key] for one in sounds])
            means = [more[some].mean() for some in picked]
            interval = np.quantile(means, (0.025, 0.975)).tolist()
            found.setdefault(key, {})[method] = [float(more.mean()), *interval]
    return found


class Matchers:
    """MirrorNet and the baselines on the sound of a recording. All use the notes that MirrorNet
    transcribes; only the patch differs."""

    def __init__(self, model: MirrorNet, babble: Phrases, seed: int):
        self.model, self.babble, self.seed = model, babble, seed
        self.looks = looks_of(babble)
        self.plant = load_plant(model.plant, controls=model.controls.name, sample_rate_hz=RATE_HZ)
        instrument = timbre_plant(self.plant)
        assert instrument is not None
        self.instrument = instrument

    def scores(self, sound: Sound, place: Path | None) -> Scores:
        """Match a sound at `RATE_HZ` with each method in `TIME_S`, and return its scores; none if
        no notes are found. The sounds are saved in the folder `place`, unless it is None."""
        heard = hear_recording(sound, RATE_HZ)
        score = plant_score(self.plant, read(self.model, heard), len(sound) / RATE_HZ)
        if not score.notes:
            return {}
        began_s = time.process_time()
        fit = fit_notes(self.instrument, score, sound, heard)
        first = play_at_levels(self.plant, fit.score, sound, heard)

        def searched(look_for: Callable[[RecordingObjective], Heard]) -> Score:
            objective = RecordingObjective(self.plant, first.score, sound)
            return objective.score_at(look_for(objective).place, first.score)

        nearest = NearestPatches(self.looks, self.babble.patches, look_of(heard, first.score.notes))
        surrogate = partial(PatchSurrogate, self.model, seed=self.seed)
        methods: dict[str, Callable[[Budget], Score]] = {
            KNOBS: lambda budget: refine_recording(
                self.plant, first.score, sound, budget, surrogate, self.seed
            ),
            NEAREST: lambda budget: searched(
                lambda objective: search_patch(objective, budget, nearest)
            ),
            "CMA-ES": lambda budget: searched(
                lambda objective: cma_es(objective, budget, (self.seed, 0))
            ),
        }
        budget, at_once = Budget(None, TIME_S, clock=time.process_time), Budget(TIMBRE_RENDERS)
        closer = min(fit.play(at_once), first, key=lambda played: played.error)
        found = {"ours, at once": (closer, at_once.spent + 1)}
        better = min(fit.play(budget), first, key=lambda played: played.error)
        found[OURS] = better, at_once.spent + budget.spent + 1
        time_s = max(TIME_S, time.process_time() - began_s)
        for method, look_for in methods.items():
            budget = Budget(None, time_s, clock=time.process_time)
            played = play_at_levels(self.plant, look_for(budget), sound, heard)
            if method == KNOBS:  # as `match` does
                played = min(first, played, key=lambda played: played.error)
            found[method] = played, budget.spent
        cut = cut_wavetable(self.instrument, score, sound)
        found["a wavetable that is cut"] = play_at_levels(self.instrument, cut, sound, heard), 1
        scores = {}
        for method, (played, renders) in found.items():
            scores[method] = {"renders": renders, **sound_scores(sound, played.audio, played.error)}
            if place and method in SAVED:
                target, audio = level_matched(sound, played.audio)
                save_ogg(place / f"{method}.ogg", audio)
                save_ogg(place / "target.ogg", target)
        return scores


def sound_scores(target: Sound, audio: Sound, error: float) -> dict[str, float]:
    """The match error, and the field's metrics of sounds of the same rate at the same level."""
    return {"spectrogram_error": error, **field_metrics(*level_matched(target, audio))}


def save_ogg(path: Path, sound: Sound) -> None:
    """Save a sound at `RATE_HZ` as OGG at `SHOWN_RATE_HZ`, which takes little space."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = resample(sound.astype(np.float32), RATE_HZ, SHOWN_RATE_HZ)
    write_atomically(path, lambda file: soundfile.write(file, small, SHOWN_RATE_HZ, format="OGG"))


def write_page(folder: Path, names: Sequence[str]) -> None:
    """Write `index.html` in `folder`: a row of players for each recording of the sources with these
    names, the target first."""
    folder.mkdir(parents=True, exist_ok=True)
    places = sorted(p for p in folder.iterdir() if p.is_dir() and p.name.startswith(tuple(names)))
    rows = []
    for place in places:
        sounds = sorted(place.glob("*.ogg"), key=lambda path: path.name != "target.ogg")
        cells = "".join(
            f"<td>{escape(sound.stem)}<br>"
            f'<audio controls preload="none" src="{quote(f"{place.name}/{sound.name}")}"></audio>'
            for sound in sounds
        )
        rows.append(f"<tr><th>{escape(place.name)}{cells}")
    page = f"<!doctype html><meta charset=utf-8><title>Recordings</title><table>{''.join(rows)}\n"
    write_atomically(folder / "index.html", lambda path: path.write_text(page))
