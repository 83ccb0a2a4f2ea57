"""Make the weights that ship with the package, from runs trained on babble only.

    mirrornet experiment 1 --budget full
    python tools/ship_weights.py experiment-1-own-mirror-full-seed-0
    mirrornet learn --controls patch --budget full
    python tools/ship_weights.py vital-patch-full
    mirrornet learn --plant dx7-all --start shipped --budget full
    python tools/ship_weights.py dx7-all-full

Writes `mirrornet/data/PLANT-SET.json`, the card with seed, budget and results, and the weights in
half precision beside it. For melodies, it prints the largest change of the demo's controls that
half precision causes; for recordings, the size of the weights. Models that began with the shipped
networks that find notes share these, so ship them again whenever `vital-patch` changes. As many of
their memories are kept as `MOST_BYTES` allow.
"""

import json
import math
import sys
from pathlib import Path
from typing import Any

import torch

from mirrornet.features import hear
from mirrornet.matching.melody_sound import melody_sound
from mirrornet.models.mirrornet import MirrorNet, shipped

KEPT = ("recipe", "budget", "seed", "learning_minutes", "machine", "versions", "git_commit")


MOST_BYTES = 4_900_000  # of weights


def ship(name: str) -> None:
    """Make the shipped weights from the run `runs/NAME`."""
    run = Path("runs") / name
    model = MirrorNet.load(run / "model.json")
    if model.architecture == "recording":
        ship_for_recordings(model, json.loads((run / "model.json").read_bytes()))
    else:
        ship_for_melodies(name)


def ship_for_recordings(model: MirrorNet, card: dict[str, Any]) -> None:
    """Write the weights for recordings, with an excerpt of the run's card."""
    kept = ("learned", "learning_minutes", "learning_cpu_s", "machine", "versions", "git_commit")
    about = {key: card[key] for key in kept}
    path, notes = shipped(model.controls.name, model.plant), shipped("patch")
    if path == notes:
        how: dict[str, Any] = {"half": True}
        about["made_by"] = "mirrornet learn --controls patch --budget full"
    else:
        how = {"half": True, "shared": notes}
        name = f"{model.plant}-{model.controls.name}"
        about["made_by"] = f"mirrornet learn --plant {name} --start shipped --budget full"
    size = _bytes(model.save(path, about, **how))
    memory = model.encoder.memory
    if size > MOST_BYTES:
        each = memory.patches[0].nbytes + memory.keys[0].nbytes // 2
        memory.forget(max(len(memory) - math.ceil((size - MOST_BYTES) / each), 0))
        size = _bytes(model.save(path, about, **how))
    print(f"{path}: {size} bytes, {len(memory)} memories")


def _bytes(card: Path) -> int:
    return card.with_name(json.loads(card.read_bytes())["weights"]).stat().st_size


def ship_for_melodies(name: str) -> None:
    """Write the weights for melodies that experiment `name` had before training on targets."""
    result = json.loads((Path("results") / f"{name}.json").read_bytes())
    run = Path("runs") / name
    model = MirrorNet.load(run / "babbled" / "model.json")
    path = shipped(model.controls.name)
    variant = f"--variant {result['variant']} --budget {result['budget']}"
    card = {"made_by": f"mirrornet experiment {result['experiment']} {variant}, before it listened"}
    card |= {key: result[key] for key in KEPT}
    card["learned"] = json.loads((run / "run.json").read_bytes())
    card["held_out"] = result["scores"]["before"]
    model.save(path, card, half=True)
    demo = path.parent / "demo-melody.flac"
    heard = torch.from_numpy(hear(melody_sound(demo, 44100)[0], 44100))[None]
    change = (model.guess(heard) - MirrorNet.load(path).guess(heard)).abs().max()
    print(f"{path}: half precision moves the demo's controls by {change:.1e} at most")


if __name__ == "__main__":
    ship(*sys.argv[1:])
