"""Listening tests: folders of trials, whose sounds a visitor grades without knowing which is which.

A trial is a folder with the reference, `target.*`, and sounds to be graded. That is also what
`mirrornet match FOLDER` writes for each sound, so several such folders, of the same sounds by
different methods, make one test: each method has the name of its folder.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..batch import SUFFIXES

REFERENCE, MATCH = "target", "match"  # names of files without their suffixes
ANCHOR = "anchor"
ANCHOR_HZ = 3500.0  # of its low-pass filter, as in ITU-R BS.1534


@dataclass
class Trial:
    """One reference and the sounds that are graded, by name."""

    name: str
    reference: Path
    sounds: dict[str, Path] = field(default_factory=dict)

    @property
    def graded(self) -> dict[str, Path]:
        """The sounds, the hidden reference and the anchor (which is made from the reference)."""
        hidden = {"hidden reference": self.reference, ANCHOR: self.reference}
        return self.sounds | hidden


def trials_of(folders: Sequence[Path]) -> list[Trial]:
    """The trials of one or several folders of them; those that all have, if they are several."""
    found: dict[str, list[Trial]] = {}
    for folder in folders:
        for place in sorted(path for path in folder.glob("*") if path.is_dir()):
            sounds = {
                path.stem: path for path in sorted(place.iterdir()) if path.suffix in SUFFIXES
            }
            if (reference := sounds.pop(REFERENCE, None)) is None or not sounds:
                continue
            if MATCH in sounds:
                sounds[folder.name] = sounds.pop(MATCH)
            found.setdefault(place.name, []).append(Trial(place.name, reference, sounds))
    trials = []
    for name, parts in found.items():
        if len(parts) == len(folders):
            sounds = {key: path for part in parts for key, path in part.sounds.items()}
            trials.append(Trial(name, parts[0].reference, sounds))
    return trials
