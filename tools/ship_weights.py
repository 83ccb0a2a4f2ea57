"""Make the weights that ship with the package from a run of experiment 1.

    mirrornet experiment 1 --recipe mirror --budget quick
    python tools/ship_weights.py

Writes `mirrornet/data/vital-set1.json`, the card with seed, budget and results, and the weights in
half precision beside it. It prints what halving the precision does to the encoder's controls.
"""

import json
import sys
from pathlib import Path

import torch

from mirrornet.hearing import hear
from mirrornet.mirror import SHIPPED, MirrorNet
from mirrornet.targets import melody_sound

DEMO = SHIPPED.parent / "demo-melody.flac"


def ship(name: str = "experiment-1-mirror-quick-seed-0") -> None:
    result = json.loads((Path("results") / f"{name}.json").read_bytes())
    model = MirrorNet.load(Path("runs") / name / "model.json")
    learned = json.loads((Path("runs") / name / "model.json").read_bytes())
    kept = ("recipe", "budget", "seed", "learning_minutes", "plant_renders", "machine", "versions")
    card = {"made_by": "mirrornet experiment 1 --recipe mirror --budget quick"}
    card |= {key: result[key] for key in (*kept, "git_commit")}
    card |= {"learned": learned["learned"], "held_out": result["scores"]["mirrornet"]}
    model.save(SHIPPED, card, half=True)
    heard = torch.from_numpy(hear(melody_sound(DEMO, 44100), 44100))[None]
    change = (model.guess(heard) - MirrorNet.load(SHIPPED).guess(heard)).abs().max()
    print(f"{SHIPPED}: half precision moves the demo's controls by {change:.1e} at most")


if __name__ == "__main__":
    ship(*sys.argv[1:])
