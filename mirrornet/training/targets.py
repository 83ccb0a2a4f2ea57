"""Targets: the sounds a MirrorNet learns to play, as it hears them. No controls come with them.

They are a plant's own melodies, made from a seed (whose controls are known, to score answers by,
but never learned from), or a folder of recordings.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ..audio import Sound, take_sound
from ..errors import AudioError
from ..events import Progress
from ..features import Hearing, hear
from ..plants.pool import Farm
from ..score import MELODY_S
from .sampling import Kind, listen, random_melodies

Heard = Float[np.ndarray, "target channel=128 frame"]
SHORTEST_S, LONGEST_S = 1.5, 2.5
FOLDER_RATE_HZ = 44100


def seed_targets(
    farm: Farm,
    kind: Kind,
    count: int,
    seed: int,
    hearing: Hearing = "loudness",
    ranges: Mapping[str, tuple[float, float]] | None = None,
    folder: Path | None = None,
) -> tuple[Float[np.ndarray, "target control note"], Heard]:
    """`count` melodies of five notes that the farm's plant plays: their controls, and the sound.
    `ranges` are those of `random_melodies`, `folder` that of `listen`.

    The same seed gives the same melodies; asking for more of them keeps the first ones. Melodies
    the plant failed on are reported and left out; PlantError if it failed on all.
    """
    controls = random_melodies(farm.controls, kind, count, seed, ranges=ranges)
    controls, heard = listen(farm, controls, hearing, "Playing targets", folder)
    return controls, heard.astype(np.float32)


def folder_targets(
    folder: str | Path, hearing: Hearing = "loudness", progress: Progress | None = None
) -> Heard:
    """The sound files in `folder`, in order of their names, each 2 s as `match` takes it.

    Hidden files and folders inside are passed over; a file that cannot be used is reported and
    left out. Raises AudioError if there is no such folder, or no usable sound in it.
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


def melody_sound(
    sound: Sound, sample_rate_hz: int
) -> tuple[Float[np.ndarray, " sample"], list[str]]:
    """`take_sound`, as exactly 2 s.

    Cuts what is longer and adds silence to what is shorter. Raises AudioError for a sound that
    cannot be used, or that is far from 2 s.
    """
    audio, warnings = take_sound(sound, sample_rate_hz)
    duration_s = len(audio) / sample_rate_hz
    if not SHORTEST_S <= duration_s <= LONGEST_S:
        raise AudioError(
            f"the sound lasts {duration_s:.3g} s; this version matches melodies of five notes in "
            f"2 s, so cut it to between {SHORTEST_S} and {LONGEST_S} s."
        )
    exact = np.zeros(round(MELODY_S * sample_rate_hz), np.float32)
    exact[: len(audio)] = audio[: len(exact)]
    return exact, warnings
