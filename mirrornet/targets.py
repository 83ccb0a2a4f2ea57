"""Targets: the sounds a MirrorNet learns to play, as it hears them. No controls come with them.

They are a plant's own melodies, made from a seed (whose controls are known, to score answers by,
but never learned from), or a folder of recordings.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float

from .babbling import Kind, listen, random_melodies
from .errors import AudioError
from .hearing import Hearing, hear
from .matching import EXPORT_RATE_HZ, two_seconds
from .plants.farm import Farm
from .progress import Progress

Heard = Float[np.ndarray, "target channel=128 frame"]


def seed_targets(
    farm: Farm, kind: Kind, count: int, seed: int, hearing: Hearing = "loudness"
) -> tuple[Float[np.ndarray, "target control note"], Heard]:
    """`count` melodies of five notes that the farm's plant plays: their controls, and the sound.

    The same seed gives the same melodies; asking for more of them keeps the first ones. Melodies
    the plant failed on are reported and left out; PlantError if it failed on all.
    """
    controls = random_melodies(farm.controls, kind, count, seed)
    controls, heard = listen(farm, controls, hearing, "Playing targets")
    return controls, heard.astype(np.float32)


def folder_targets(folder: str | Path, hearing: Hearing = "loudness") -> Heard:
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
    with Progress("Hearing targets", len(files)) as progress:
        for number, path in enumerate(files, 1):
            try:
                heard.append(hear(two_seconds(path), EXPORT_RATE_HZ, hearing))
            except AudioError as error:
                progress.say(f"left out a file: {error}")
            progress.at(number)
    if not heard:
        raise AudioError(
            f"none of the {len(files)} files in {folder} can be used; give a folder of sound "
            "files, melodies of five notes in 2 s each."
        )
    return np.stack(heard)
