"""Make the weights that ship with the package, from runs trained on babble only.

    mirrornet experiment 1 --budget full
    python tools/ship_weights.py experiment-1-own-mirror-full-seed-0
    mirrornet learn --controls patch --budget full
    python tools/ship_weights.py vital-patch-full
    mirrornet learn --plant dx7-all --budget full
    python tools/ship_weights.py dx7-all-full
    mirrornet learn --recipe notes --budget full
    python tools/ship_weights.py notes-full

Writes `mirrornet/data/PLANT-SET.json`, the card with seed, budget and results, and the weights in
half precision beside it. For melodies, it prints the largest change of the demo's controls that
half precision causes; for recordings, the size of the weights. As many memories are kept as
`MOST_BYTES` allow.
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
from mirrornet.models.notes import SHIPPED, NoteFinder

KEPT = ("recipe", "budget", "seed", "learning_minutes", "machine", "versions", "git_commit")
LEARNED = ("learned", "learning_minutes", "learning_cpu_s", "machine", "versions", "git_commit")
MOST_BYTES = 4_900_000  # of weights


def ship(name: str) -> None:
    """Make the shipped weights from the run `runs/NAME`."""
    run = Path("runs") / name
    if json.loads((run / "run.json").read_bytes())["recipe"] == "NoteRecipe":
        ship_note_finder(run / "model.json")
        return
    model = MirrorNet.load(run / "model.json")
    if model.architecture == "recording":
        ship_for_recordings(model, json.loads((run / "model.json").read_bytes()))
    else:
        ship_for_melodies(name)


def ship_for_recordings(model: MirrorNet, card: dict[str, Any]) -> None:
    """Write the weights for recordings, with an excerpt of the run's card."""
    about = {key: card[key] for key in LEARNED}
    path = shipped(model.controls.name, model.plant)
    how = {"half": True, "coarse": path != shipped("patch")}
    about["made_by"] = f"mirrornet learn --plant {model.plant}-{model.controls.name} --budget full"
    size = _bytes(model.save(path, about, **how))
    memory = model.encoder.memory
    if size > MOST_BYTES:
        each = memory.patches[0].nbytes + memory.keys[0].nbytes // 2
        memory.forget(max(len(memory) - math.ceil((size - MOST_BYTES) / each), 0))
        size = _bytes(model.save(path, about, **how))
    print(f"{path}: {size} bytes, {len(memory)} memories")


def ship_note_finder(card: Path) -> None:
    """Write the weights of the note finder whose card this is, with an excerpt of it."""
    learned = json.loads(card.read_bytes())
    about = {"made_by": "mirrornet learn --recipe notes --budget full"}
    about |= {key: learned[key] for key in LEARNED}
    path = NoteFinder.load(card).save(SHIPPED, about, half=True)
    print(f"{path}: {_bytes(path)} bytes")


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
