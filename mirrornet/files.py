"""Files that are complete or absent: written beside their place, synced, then renamed into it."""

import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from safetensors.numpy import save


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a temporary file beside `path`, sync it to disk and rename it to `path`.

    The temporary file keeps the suffix of `path`, so writers that choose a format by name work.
    If `write` fails, nothing is left behind and an older file at `path` stays as it was.
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(prefix=".", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write named arrays as safetensors, complete or absent; OSError where the disk is full."""
    content = save(dict(arrays))  # its `save_file` has an error of its own for a full disk
    return write_atomically(path, lambda file: file.write_bytes(content))
