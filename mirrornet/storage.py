"""Atomic writing: a file is written beside its destination, synced, then renamed to it."""

import errno
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from uuid import uuid4

import numpy as np
from safetensors.numpy import save

from .errors import OutputError

# Errors of `fsync` where a file system (CIFS, FUSE) cannot sync; data are as safe as they can be
# there. Other errors, such as of a full disk, mean that data may be lost.
CANNOT_SYNC = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EPERM}


def write_atomically(path: str | Path, write: Callable[[Path], object]) -> Path:
    """Write `path` atomically: `write` fills a temporary file, which is synced and renamed.

    The temporary file is beside `path` and has its suffix, for writers that choose a format by
    name. If `write` fails, nothing is left behind and an existing file at `path` is unchanged.
    """
    path = Path(path)
    temporary = _hidden(path.parent, path.suffix)
    try:
        # With the permissions that the user's umask gives new files.
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        write(temporary)
        with temporary.open("rb+") as file:
            _sync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> Path:
    """Write named arrays atomically as safetensors. Raises OSError if the disk is full."""
    content = save(dict(arrays))  # its `save_file` raises another error for a full disk
    return write_atomically(path, lambda file: file.write_bytes(content))


def check_place(path: Path, parents: bool = True, instead: str = "choose another place") -> None:
    """Check before the work that `path` can be created, with its missing `parents`: names are short
    enough, and folders and files can be created there and renamed. Leaves nothing behind.

    Raises OutputError if not; its message says what to do `instead`.
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
