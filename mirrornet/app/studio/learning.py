"""Runs of learning in a folder, as the page shows them; those that the command line began, too."""

import json
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ...models.checkpoints import load_checkpoint
from ...models.mirrornet import MirrorNet
from ...plants import find_plant

SOUNDS = "-sounds"  # the end of the name of a folder of sounds, beside its run
MOST_RUNS = 100
SHOWN = ("plant", "control_set", "recipe", "rounds", "round_steps", "phrases", "seed")


def runs_in(folder: Path) -> list[dict[str, Any]]:
    """Name and state of the runs in a folder, the latest first."""
    if not folder.is_dir():
        return []
    places = [path for path in folder.iterdir() if (path / "run.json").is_file()]
    places.sort(key=lambda path: (path / "run.json").stat().st_mtime, reverse=True)
    return [about_run(path) for path in places[:MOST_RUNS]]


def about_run(run: Path) -> dict[str, Any]:
    """What is known of a run, without its log."""
    about = _read(run / "run.json")
    done = (run / "model.json").is_file()
    state = run / "state.json"
    return {
        "name": run.name,
        "about": {key: about[key] for key in SHOWN if key in about},
        "state": "finished" if done else "running" if _is_at_work(run) else "stopped",
        "saved": state.stat().st_mtime if state.is_file() else None,
        "learns_from": run.with_name(run.name + SOUNDS).is_dir(),
    }


def log_of(run: Path, first: int) -> list[dict[str, float]]:
    """The lines of a run's log from number `first` on: the step, and losses by name."""
    file = run / "log.jsonl"
    if not file.is_file():
        return []
    lines = file.read_text().splitlines()[first:]
    return [json.loads(line) for line in lines if line.endswith("}")]


def model_so_far(run: Path) -> MirrorNet | None:
    """The model for recordings that a run has saved last; None if there is none yet."""
    if (run / "model.json").is_file():
        return MirrorNet.load(run / "model.json")
    about = _read(run / "run.json")
    if not (run / "state.json").is_file() or not {"plant", "control_set"} <= about.keys():
        return None
    space = find_plant(about["plant"]).control_sets.get(about["control_set"])
    if space is None or space.is_melody:
        return None
    tensors, _ = load_checkpoint(run / "state.json")
    model = MirrorNet(about["plant"], space, "recording")
    own = {key.removeprefix("model."): t for key, t in tensors.items() if key.startswith("model.")}
    model.load_state_dict(own)
    return model.eval()


def _read(file: Path) -> dict[str, Any]:
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_at_work(run: Path) -> bool:
    """Whether a process holds the run."""
    if not (run / "lock").is_file():
        return False
    try:
        with FileLock(run / "lock", blocking=False):
            return False
    except Timeout:
        return True
    except OSError:
        return False
