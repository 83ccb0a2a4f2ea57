"""Files that are complete or absent: written beside their place, synced, then renamed into it."""

import errno
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import uuid4

import numpy as np
from safetensors.numpy import save

from .errors import OutputError

# What `fsync` says where a file system (CIFS, FUSE) cannot sync; what was written is as good as it
# gets there. Other errors, as of a full disk, mean that it may be lost.
CANNOT_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM}


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Let `write` fill a temporary file beside `path`, sync it to disk and rename it to `path`.

    The temporary file keeps the suffix of `path`, so writers that choose a format by name work.
    If `write` fails, nothing is left behind and an older file at `path` stays as it was.
    """
    path = Path(path)
    temporary = _hidden(path.parent, path.suffix)
    try:
        # With the permissions that the user's umask gives to any new file.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        write(temporary)
        with temporary.open("rb+") as file:
            _sync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write named arrays as safetensors, complete or absent; OSError where the disk is full."""
    content = save(dict(arrays))  # its `save_file` has an error of its own for a full disk
    return write_atomically(path, lambda file: file.write_bytes(content))


def check_place(path: Path, parents: bool = True, instead: str = "choose another place") -> None:
    """See before the work that `path` can be made, with its `parents` if they are missing: names
    are short enough, folders and files can be made there and renamed. Leaves nothing behind.

    Raises OutputError, which says what to do `instead`, if not.
    """
    try:
        whole = Path(os.path.realpath(path))
        places = (whole, *whole.parents) if parents else (whole.parent,)
        base = next(place for place in places if not parents or place.exists())
        first, second = _hidden(base), _hidden(base)
        try:
            first.mkdir()
            (first / whole.relative_to(base)).mkdir(parents=True, exist_ok=True)
            write_atomically(first / "file", lambda file: file.write_bytes(b"-"))
            first.rename(second)
        finally:
            for folder in (first, second):
                shutil.rmtree(folder, ignore_errors=True)
    except OSError as error:
        raise OutputError(f"{path} cannot be written ({error.strerror}); {instead}.") from error


def _hidden(folder: Path, suffix: str = "") -> Path:
    return folder / f".{uuid4().hex}{suffix}"


def _sync(handle: int) -> None:
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in CANNOT_SYNC:
            raise
