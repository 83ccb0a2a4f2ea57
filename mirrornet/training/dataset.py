"""Data sets: scores and the spectrograms of their renders, stored in shards.

All are made in the same way: a pool of workers renders rows (melodies or scores) and computes their
spectrograms, a shard at a time; each shard is written when it is complete, and an interrupted run
continues with the next one. Rows on which the plant failed are reported and left out.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from safetensors.numpy import load_file

from ..cochlea import CHANNELS
from ..errors import AudioError, PlantError
from ..events import Progress
from ..features import (
    FRAME_S,
    RECORDING_CHANNELS,
    RECORDING_RATE_HZ,
    Hearing,
    hear,
)
from ..matching.melody_sound import FOLDER_RATE_HZ, melody_sound
from ..plants.pool import Pool
from ..plants.prior import PHRASE_S
from ..score import PITCH_VALUE, TIMES, Score, to_arrays
from ..storage import write_arrays
from .sampling import Kind, random_melodies, score_seed

MELODY_SHARD, PHRASE_SHARD = 256, 128
MOST_NOTES = 40  # of a phrase, at most
SOFTEST = 1e-6  # least mean of a spectrogram; below it only leakage of the filters is left

Melodies = tuple[
    Float[np.ndarray, "heard control note"], Float[np.ndarray, "heard channel=128 frame"]
]
Heard = Float[np.ndarray, "target channel=128 frame"]
Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Phrases:
    """Scores of one patch each, and the spectrograms of their renders."""

    notes: Float[np.ndarray, "phrase note=40 value"]
    """As in `score.ScoreArrays`, but pitches are sounding ones, not keys."""
    patches: Float[np.ndarray, "phrase row"]
    """The rows of their patches, 0..1."""
    heard: Float[np.ndarray, "phrase channel=176 frame=500"]
    """From `features.hear_wide`, divided by their mean below 4 kHz; half precision."""

    def __len__(self) -> int:
        return len(self.patches)


def phrase_shards(folder: Path) -> Iterator[Phrases]:
    """The phrases that are stored in `folder`, shard by shard."""
    for file in sorted(folder.glob("*.safetensors")):
        shard = load_file(file)
        yield Phrases(shard["notes"], shard["knobs"], shard["heard"])


def listen(
    pool: Pool,
    controls: Float[np.ndarray, "melody control note"],
    hearing: Hearing = "loudness",
    name: str = "Listening",
    folder: Path | None = None,
) -> Melodies:
    """Render melodies of the paper and compute their spectrograms, in half precision.

    Returns controls and spectrograms, without the melodies on which the plant failed. With a
    `folder`, shards are kept and reused there; it must belong to these controls alone. `name` is
    that of the stage of `pool.progress`. Raises PlantError if the plant failed on all of a shard.
    """

    def play(some: range) -> Iterable[tuple[Any, Any]]:
        rows = controls[some.start : some.stop]
        return zip(rows, pool.hear(rows, hearing), strict=True)

    def keep(row: np.ndarray, heard: np.ndarray) -> Arrays:
        return {"controls": row.astype(np.float32), "heard": heard.astype(np.float16)}

    shards = _in_shards(pool, range(len(controls)), MELODY_SHARD, play, keep, {}, name, folder)
    if not all(shards):
        raise PlantError(f"{pool.name} failed on every melody; try `mirrornet doctor`.")
    return (
        np.concatenate([shard["controls"] for shard in shards]),
        np.concatenate([shard["heard"] for shard in shards]),
    )


def hear_scores(
    pool: Pool,
    scores: Callable[[range], Iterable[Score | PlantError]],
    numbers: range,
    folder: Path,
    name: str,
) -> Phrases:
    """Render scores, `PHRASE_S` of each, and compute their spectrograms.

    Args:
        pool: workers that render.
        scores: gives the scores of some numbers; a PlantError in place of a score is reported.
        numbers: which scores.
        folder: where shards are kept; shards found there are not rendered again.
        name: of the stage of `pool.progress`.

    Scores that are nearly silent are left out. Raises PlantError if the plant's sample rate is
    below `RECORDING_RATE_HZ`.
    """
    if pool.sample_rate_hz < RECORDING_RATE_HZ:
        raise PlantError(
            f"{pool.name} plays at {pool.sample_rate_hz} Hz; for recordings let it play at "
            f"{RECORDING_RATE_HZ} Hz or more (sample_rate_hz), or it is not heard whole."
        )
    space = pool.controls

    def play(some: range) -> Iterable[tuple[Any, Any]]:
        drawn = [
            one
            if isinstance(one, PlantError)
            else replace(one, notes=one.notes[:MOST_NOTES], duration_s=PHRASE_S)
            for one in scores(some)
        ]
        playable = [one for one in drawn if isinstance(one, Score)]
        heard = iter(pool.hear_scores(playable))
        return ((one, one if isinstance(one, PlantError) else next(heard)) for one in drawn)

    def keep(score: Score, heard: np.ndarray) -> Arrays | None:
        mean = float(heard[:CHANNELS].mean())
        if mean <= SOFTEST:
            return None
        notes, patch = to_arrays(space, score, MOST_NOTES)
        notes[:, PITCH_VALUE] += pool.transposition
        # A click in silence can exceed the largest number of half precision.
        half = np.minimum(heard / mean, np.finfo(np.float16).max).astype(np.float16)
        return {"notes": notes, "knobs": patch, "heard": half}

    none = {
        "notes": np.empty((0, MOST_NOTES, TIMES + len(space.own.rows)), np.float32),
        "knobs": np.empty((0, len(space.patch.rows)), np.float32),
        "heard": np.empty((0, RECORDING_CHANNELS, round(PHRASE_S / FRAME_S)), np.float16),
    }
    folder.mkdir(parents=True, exist_ok=True)
    shards = _in_shards(pool, numbers, PHRASE_SHARD, play, keep, none, name, folder)
    return Phrases(*(np.concatenate([shard[key] for shard in shards]) for key in none))


def babble_phrases(
    pool: Pool, count: int, seed: int, folder: Path, first: int = 0, name: str = "Babbling"
) -> Phrases:
    """Render `count` random phrases that the plant draws (`Plant.sample`), from number `first` of a
    seed on; folder and name are as in `hear_scores`. Raises PlantError if none could be used.
    """

    def scores(some: range) -> Iterable[Score | PlantError]:
        return pool.sample([score_seed(seed, number) for number in some])

    phrases = hear_scores(pool, scores, range(first, first + count), folder, name)
    if not len(phrases):
        raise PlantError(f"{pool.name} could not play any of {count} phrases; see above.")
    return phrases


def _in_shards(
    pool: Pool,
    numbers: range,
    size: int,
    play: Callable[[range], Iterable[tuple[Any, Any]]],
    keep: Callable[[Any, np.ndarray], Arrays | None],
    none: Arrays,
    name: str,
    folder: Path | None,
) -> list[Arrays]:
    """The shards of rows with these numbers. `play` gives rows and the spectrogram of each, `keep`
    the arrays to store of both; a shard without any is `none`."""
    shards = []
    with pool.progress.stage(name, len(numbers)) as stage:
        for start in range(0, len(numbers), size):
            some = numbers[start : start + size]
            file = folder / f"{some.start:06d}.safetensors" if folder else None
            if file and file.is_file():
                shard = load_file(file)
            else:
                kept = []
                for number, (row, outcome) in enumerate(play(some), 1):
                    if isinstance(outcome, PlantError):
                        stage.say(f"left out: {outcome}")
                    elif arrays := keep(row, outcome):
                        kept.append(arrays)
                    stage.at(start + number)
                shard = {k: np.stack([one[k] for one in kept]) for k in kept[0]} if kept else none
                if file and shard:
                    write_arrays(file, shard)
            shards.append(shard)
            stage.at(start + len(some))
    return shards


def seed_targets(
    pool: Pool,
    kind: Kind,
    count: int,
    seed: int,
    hearing: Hearing = "loudness",
    ranges: Mapping[str, tuple[float, float]] | None = None,
    folder: Path | None = None,
) -> tuple[Float[np.ndarray, "target control note"], Heard]:
    """Draw and render `count` melodies of five notes: their controls and spectrograms. `ranges` are
    as in `random_melodies`, `folder` is as in `listen`.

    The same seed gives the same melodies; a larger `count` keeps the first ones. Melodies on which
    the plant failed are reported and left out; raises PlantError if it failed on all of a shard.
    """
    controls = random_melodies(pool.controls, kind, count, seed, ranges=ranges)
    controls, heard = listen(pool, controls, hearing, "Playing targets", folder)
    return controls, heard.astype(np.float32)


def folder_targets(
    folder: str | Path, hearing: Hearing = "loudness", progress: Progress | None = None
) -> Heard:
    """Spectrograms of the sound files in `folder`, in order of their names, each 2 s as in `match`.

    Hidden files and subfolders are ignored; a file that cannot be used is reported and left out.
    Raises AudioError if there is no such folder, or no usable sound in it.
    """
    folder = Path(folder)
    try:
        files = sorted(
            path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")
        )
    except OSError as error:
        raise AudioError(
            f"the folder {folder} cannot be opened ({error.strerror}); give a folder of sound "
            "files."
        ) from error
    heard = []
    with (progress or Progress()).stage("Hearing targets", len(files)) as stage:
        for number, path in enumerate(files, 1):
            try:
                sound, warnings = melody_sound(path, FOLDER_RATE_HZ)
                heard.append(hear(sound, FOLDER_RATE_HZ, hearing))
                for warning in warnings:
                    stage.say(warning)
            except AudioError as error:
                stage.say(f"left out a file: {error}")
            stage.at(number)
    if not heard:
        raise AudioError(
            f"none of the {len(files)} files in {folder} can be used; give a folder of sound "
            "files, melodies of five notes in 2 s each."
        )
    return np.stack(heard)
