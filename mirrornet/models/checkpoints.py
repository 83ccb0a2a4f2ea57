"""Checkpoints: weights in a safetensors file beside a JSON card; no pickle.

The card `NAME.json` names its weights file and that file's sha256. It is written last, so a
checkpoint is complete or absent, and an older one stays valid until the new one is complete.
"""

import hashlib
import json
import platform
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from ..errors import CheckpointError
from ..storage import write_atomically

FORMAT = "mirrornet checkpoint 1"
SCALE = " (step)"  # ends the names of what the steps of 8-bit weights are worth


def fingerprint(*arrays: np.ndarray) -> str:
    """The sha256 of the contents of arrays, to identify data and weights."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def save_checkpoint(path: str | Path, tensors: dict[str, Tensor], card: dict[str, Any]) -> Path:
    """Write `tensors` and their `card` (JSON-ready); `path` is the card's, ending in `.json`.

    Replaces an older checkpoint at the same path. Returns `path`.
    """
    path = Path(path)
    data = save({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    digest = hashlib.sha256(data).hexdigest()
    weights = path.with_name(f"{path.stem}-{digest[:8]}.safetensors")
    old = _weights_of(path)
    write_atomically(weights, lambda file: file.write_bytes(data))
    card = {"format": FORMAT, "weights": weights.name, "sha256": digest, **card}
    write_atomically(path, lambda file: file.write_text(json.dumps(card, indent=2) + "\n"))
    if old is not None and old != weights:
        old.unlink(missing_ok=True)
    return path


def load_checkpoint(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read the tensors and the card of the checkpoint whose card is at `path`.

    Raises CheckpointError if it is missing, incomplete, damaged or not a checkpoint.
    """
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(
            f"there is no checkpoint at {path}; give the path of its .json card, or end its "
            "training with --resume."
        )
    try:
        card = json.loads(_read(path))
    except (ValueError, RecursionError):
        card = None
    if not isinstance(card, dict) or card.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} is not the card of a mirrornet checkpoint; give the .json file that "
            "`mirrornet learn` wrote beside the weights."
        )
    name = str(card.get("weights"))
    weights = path.parent / name
    if Path(name).name != name or not weights.is_file():  # only in the card's own folder
        raise CheckpointError(f"{path} has lost its weights {name!r}; copy both files.")
    data = _read(weights)
    if hashlib.sha256(data).hexdigest() != card.get("sha256"):
        raise CheckpointError(
            f"{weights} is damaged (its sha256 is not the one in {path.name}); copy it again."
        )
    try:
        return load(data), card
    except SafetensorError as error:
        raise CheckpointError(f"{weights} is not a safetensors file ({error}).") from error


def in_bytes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as whole numbers of 8 bits, with a scale for each row; biases in half precision."""
    stored = {}
    for key, tensor in tensors.items():
        if tensor.dim() < 2:
            stored[key] = tensor.half()
            continue
        largest = tensor.abs().amax([*range(1, tensor.dim())], keepdim=True)
        scale = (largest / 127).clamp(min=1e-7).half().float()
        stored[key] = (tensor / scale).round().clamp(-127, 127).to(torch.int8)
        stored[key + SCALE] = scale.half()
    return stored


def from_bytes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `in_bytes`; other tensors are unchanged."""
    return {
        key: tensor * tensors[key + SCALE].float() if key + SCALE in tensors else tensor
        for key, tensor in tensors.items()
        if not key.endswith(SCALE)
    }


def provenance() -> dict[str, Any]:
    """Package versions, machine and git commit (if any), for cards and results."""
    packages = ("mirrornet", "torch", "numpy", "vita", "soxr")
    return {
        "versions": {"python": platform.python_version(), **{p: version(p) for p in packages}},
        "machine": {"processor": _processor(), "threads": torch.get_num_threads()},
        "git_commit": _git_commit(),
    }


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CheckpointError(
            f"{path} cannot be read ({error.strerror}); check its permissions."
        ) from error


def _weights_of(path: Path) -> Path | None:
    try:
        return path.with_name(json.loads(path.read_bytes())["weights"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _git_commit() -> str | None:
    """The commit of the checkout this package runs from; None when it is installed elsewhere."""
    root = Path(__file__).parents[2]
    if not (root / ".git").exists():
        return None
    git = subprocess.run(
        ["git", "-C", str(root), "rev-parse", "HEAD"], capture_output=True, text=True, check=False
    )
    return git.stdout.strip() or None
