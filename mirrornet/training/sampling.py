"""Random melodies: what a plant babbles, and the targets of the paper's experiments.

Babble explores all there is: every control uniform in 0..1, every semitone. Targets are music: the
paper's scale. Each kind has random streams of its own, so held-out melodies come from seeds that
learning never sees; asking for more melodies keeps the first ones the same.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float
from safetensors.numpy import load_file

from ..controls import ControlSpace
from ..errors import PlantError
from ..events import Stage
from ..features import Hearing
from ..plants.pool import Farm
from ..score import PITCH_SPAN
from ..storage import write_arrays

Kind = Literal["babble", "targets", "tuning", "held-out"]
STREAMS: dict[Kind, int] = {"babble": 1, "targets": 2, "tuning": 3, "held-out": 4}
SCALE_SEMITONES = (0, 2, 3, 5, 7, 9, 10, 12)
SHARD = 256


def random_melodies(
    space: ControlSpace,
    kind: Kind,
    count: int,
    seed: int,
    notes: int = 5,
    ranges: Mapping[str, tuple[float, float]] | None = None,
) -> Float[np.ndarray, "melody control note"]:
    """`count` random melodies of one kind, 0..1, some controls in narrower `ranges`."""
    generator = np.random.default_rng((seed, STREAMS[kind]))
    controls = generator.random((count, len(space), notes))
    semitones = np.arange(PITCH_SPAN + 1) if kind == "babble" else np.array(SCALE_SEMITONES)
    pitch = space.row("pitch")
    chosen = (controls[:, pitch] * len(semitones)).astype(int)
    controls[:, pitch] = semitones[chosen] / PITCH_SPAN
    for name, (low, high) in (ranges or {}).items():
        controls[:, space.row(name)] = low + (high - low) * controls[:, space.row(name)]
    return controls


def listen(
    farm: Farm,
    controls: Float[np.ndarray, "melody control note"],
    hearing: Hearing = "loudness",
    what: str = "Listening",
    folder: Path | None = None,
) -> tuple[Float[np.ndarray, "heard control note"], Float[np.ndarray, "heard channel=128 frame"]]:
    """Play melodies and hear them, in half precision; melodies the plant failed on are left out.

    With a `folder`, what was heard is kept there in shards, so that an interrupted listening goes
    on where it stopped. The folder must belong to these controls alone.
    """
    kept, heard = [], []
    with farm.progress.stage(what, len(controls)) as stage:
        for start in range(0, len(controls), SHARD):
            rows = controls[start : start + SHARD]
            file = folder / f"{start:06d}.safetensors" if folder else None
            if file and file.is_file():
                shard = load_file(file)
            else:
                shard = _listen_shard(farm, rows, hearing, stage, start)
                if file:
                    write_arrays(file, shard)
            kept.append(shard["controls"])
            heard.append(shard["heard"])
            stage.at(start + len(rows))
    return np.concatenate(kept), np.concatenate(heard)


def _listen_shard(
    farm: Farm, rows: np.ndarray, hearing: Hearing, stage: Stage, start: int
) -> dict[str, np.ndarray]:
    heard, kept = [], []
    for number, (row, outcome) in enumerate(zip(rows, farm.hear(rows, hearing), strict=True), 1):
        if isinstance(outcome, PlantError):
            stage.say(f"left out a melody: {outcome}")
        else:
            kept.append(row)
            heard.append(outcome.astype(np.float16))
        stage.at(start + number)
    if not kept:
        raise PlantError(f"{farm.name} failed on every melody; try `mirrornet doctor`.")
    return {"controls": np.stack(kept).astype(np.float32), "heard": np.stack(heard)}
