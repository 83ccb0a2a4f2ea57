"""Controls that a method found for held-out melodies: kept in files, and scored in one way."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

from ..errors import OutputError
from ..models.checkpoints import fingerprint
from ..plants.pool import Pool
from ..storage import write_arrays, write_atomically
from ..training.trainer import Run
from .evaluation import Controls, Melodies, played, score, sound_scores
from .settings import Setting


@dataclass(frozen=True)
class Answer:
    """Controls that a method found for the first held-out melodies, with `renders` renders each."""

    method: str
    family: str  # ours, learned, search or trivial
    renders: int
    controls: Controls
    cost: Mapping[str, float] = field(default_factory=dict)  # of training

    @property
    def name(self) -> str:
        """A name that is unique within a benchmark."""
        babble = f"babble {self.cost['babble']:.0f}, " if "babble" in self.cost else ""
        return f"{self.method}, {babble}{self.renders} renders, {len(self.controls)} melodies"

    @property
    def digest(self) -> str:
        """Fingerprint of the controls, so that a kept score is used for the same controls only."""
        return fingerprint(self.controls)[:8]


def kept(
    file: Path, make: Callable[[], dict[str, np.ndarray]], question: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Load the arrays in `file`; if it does not exist, compute them with `make` and save them.

    `question` holds the inputs that the arrays depend on, which are saved with them. Raises
    OutputError if those in the file differ by more than 1e-3; processors round spectrograms
    differently.
    """
    if not file.is_file():
        answer = make() | {f"question: {name}": value for name, value in question.items()}
        file.parent.mkdir(parents=True, exist_ok=True)
        write_arrays(file, answer)
    found = load_file(file)
    for name, value in question.items():
        before = found.get(f"question: {name}", np.empty(0))
        if before.shape != value.shape or not np.allclose(before, value, rtol=0, atol=1e-3):
            raise OutputError(
                f"{file} holds the answer to another question (its {name} differ); delete it, or "
                "the whole folder, to ask again."
            )
    return {name: value for name, value in found.items() if not name.startswith("question: ")}


def score_all(
    setting: Setting, pool: Pool, true: Melodies, answers: list[Answer], run: Run
) -> list[dict[str, Any]]:
    """Return a record with scores for each answer. Scores kept in `run` are not computed again."""
    folder = run.part("scores")
    files = [folder / f"{answer.name}, {answer.digest}.json" for answer in answers]
    missing = [pair for pair in zip(answers, files, strict=True) if not pair[1].is_file()]
    if missing:
        sounds = sound_scores(
            setting, true, [answer.controls for answer, _ in missing], pool.progress
        )
        for (answer, file), sound in zip(missing, sounds, strict=True):
            count = len(answer.controls)
            heard = played(pool, answer.controls, f"Playing {answer.method}")
            scores = score(
                Melodies(true.space, true.controls[:count], true.heard[:count]),
                Melodies(pool.controls, answer.controls, heard),
            )
            text = json.dumps(scores | sound)
            write_atomically(file, lambda path, text=text: path.write_text(text))
    return [
        {
            "method": answer.method,
            "family": answer.family,
            "renders": answer.renders,
            "melodies": len(answer.controls),
            **answer.cost,
            "scores": json.loads(file.read_text()),
        }
        for answer, file in zip(answers, files, strict=True)
    ]
