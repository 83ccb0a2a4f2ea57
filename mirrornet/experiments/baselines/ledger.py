"""Log of a search on disk: its candidates and their errors, in order, in shards.

Searches are deterministic, so the log is enough to resume one: the search is run again and gets the
errors of known candidates from the log, without renders.
"""

from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from safetensors import SafetensorError
from safetensors.numpy import load_file

from ...errors import OutputError
from ...storage import write_arrays
from ...training.trainer import Run

SHARD = 2000  # rows; at most a minute of rendering is lost when the process is killed


class Ledger:
    """The log of one search, for use in a `with` block. Without a `folder`, nothing is kept.

    `about` (JSON-ready) identifies the search. Raises OutputError if the folder cannot be used,
    holds another search or is damaged.
    """

    def __init__(self, folder: Path | None, about: dict[str, Any]):
        self._folder = folder
        self._at = 0  # rows recalled or saved
        self._new: list[tuple[np.ndarray, float]] = []
        self._controls, self._errors = np.empty(0), np.empty(0)
        if folder:
            self._run = Run(folder, about, resume=True)
            if shards := [_load(file) for file in sorted(folder.glob("[0-9]*.safetensors"))]:
                self._controls = np.concatenate([shard["controls"] for shard in shards])
                self._errors = np.concatenate([shard["errors"] for shard in shards])

    def recall(
        self, controls: Float[np.ndarray, "row control note"]
    ) -> Float[np.ndarray, " known"]:
        """Return the errors of the next rows as far as the log has them: of all, some or none.

        Raises OutputError if the log has other controls in their place.
        """
        here = slice(self._at, self._at + len(controls))
        errors, played = self._errors[here], self._controls[here]
        asked = controls[: len(errors)]
        if len(errors) and not (
            played.shape == asked.shape and np.allclose(played, asked, rtol=0, atol=1e-6)
        ):
            raise OutputError(
                f"{self._folder} holds what another search played; go on with the same options and "
                "versions, or choose another folder."
            )
        self._at += len(errors)
        return errors

    def add(self, controls: Float[np.ndarray, "control note"], error: float) -> None:
        """Append a row that was not in the log."""
        if self._folder:
            self._new.append((controls, error))
            if len(self._new) == SHARD:
                self._save(self._folder)

    def __enter__(self) -> "Ledger":
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder and self._new:
            self._save(self._folder)

    def _save(self, folder: Path) -> None:
        controls, errors = zip(*self._new, strict=True)
        shard = {"controls": np.stack(controls).astype(np.float32), "errors": np.array(errors)}
        file = folder / f"{self._at:08d}.safetensors"
        write_arrays(file, shard)
        self._at += len(errors)
        self._new.clear()


def _load(file: Path) -> dict[str, np.ndarray]:
    try:
        return load_file(file)
    except SafetensorError as error:
        raise OutputError(
            f"{file} is damaged ({error}); delete it and those after it, and go on."
        ) from error
