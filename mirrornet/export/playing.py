"""Render a `controls.json`, as `match` wrote it or as edited by a user."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ..controls import ControlSpace
from ..errors import ControlError, PlantError
from ..plants import Plant, find_plant, is_file, load_plant
from ..plants.base import Artifact
from ..score import Score, as_score
from .score_json import MALFORMED, score_of

LONGEST_S = 600.0


@dataclass(frozen=True)
class ScoreFile:
    """The content of a `controls.json`: a score, whose values are not validated, and the plant that
    plays it, with its options."""

    score: Score
    plant: str
    options: Mapping[str, Any]


def read_score(path: str | Path) -> ScoreFile:
    """Read a `controls.json` of this version or an earlier one.

    Raises ControlError if the file is missing, unreadable or not a `controls.json`.
    """
    path = Path(path)
    if not path.is_file():
        raise ControlError(f"there is no file {path}; give a controls.json.")
    try:
        card = json.loads(path.read_bytes())
        score, options = score_of(card), card.get("plant_options", {})
        if not isinstance(options, dict):
            raise TypeError("options are an object")
        if not all(isinstance(value, str | int | float | None) for value in options.values()):
            raise TypeError("an option of a plant is a number or a text")
        return ScoreFile(score, str(card["plant"]), options)
    except OSError as error:
        raise ControlError(f"{path} cannot be read ({error.strerror}).") from error
    except MALFORMED as error:
        raise ControlError(
            f"{path} is not a controls.json as `mirrornet match` writes it: it needs a plant and "
            f"notes, each with pitch_midi, onset_s, offset_s and controls."
        ) from error


def play(file: ScoreFile, plant: str | None, sample_rate_hz: int) -> Float[np.ndarray, " sample"]:
    """Render the score with the plant of that name or file; None: with the plant that `file` names.

    Raises PlantError if there is no such plant, or if `plant` is None and `file` names a Python
    file or an option that is a text (other than the control set); ControlError for notes that the
    plant does not accept, no notes, or notes beyond `LONGEST_S`.
    """
    return _plant_of(file, plant, sample_rate_hz).render(file.score)


def artifacts(file: ScoreFile, plant: str | None) -> list[Artifact]:
    """Make the files with which the plant's synthesizer plays the score: a preset for all notes if
    they share a patch, else one for each note. The plant is chosen as in `play`.

    Raises PlantError and ControlError as `play` does, and PlantError if the plant has no presets.
    """
    player = _plant_of(file, plant)
    score = as_score(player.controls, player.check(file.score))
    if not (found := player.artifacts(score)):
        raise PlantError(f"{player.name} has no presets; leave out --preset to play the notes.")
    return found


def _plant_of(file: ScoreFile, plant: str | None, sample_rate_hz: int = 44100) -> Plant:
    """Load the plant `plant`, or the file's, with its options. If these name no control set: of the
    sets that have most of the score's controls, the smallest."""
    notes = file.score.notes
    if not notes:
        raise ControlError("there are no notes to play; add some.")
    last_s = max(note.offset_s for note in notes)
    if last_s > LONGEST_S:
        raise ControlError(f"the notes last until {last_s:g} s; {LONGEST_S:g} s is the limit.")
    options = {key: value for key, value in file.options.items() if key != "sample_rate_hz"}
    texts = [v for key, v in options.items() if key != "controls" and isinstance(v, str)]
    # Nothing that an untrusted file names is opened without --plant: a text may be a path.
    if plant is None and (is_file(file.plant) or texts):
        named = " with ".join([file.plant, *texts])
        raise PlantError(f"the file needs {named}; if you trust that, add --plant {file.plant}.")
    if not _same(plant or file.plant, file.plant):
        options = {}
    if "controls" not in options:
        sets = find_plant(plant or file.plant).control_sets
        given = {*file.score.patch, *notes[0].controls}
        options["controls"] = min(
            sets, key=lambda name: (-len(_knobs(sets[name]) & given), len(sets[name]))
        )
    return load_plant(plant or file.plant, **{**options, "sample_rate_hz": sample_rate_hz})


def _same(one: str, other: str) -> bool:
    if is_file(one) and is_file(other):
        return Path(one).resolve() == Path(other).resolve()
    return one == other


def _knobs(space: ControlSpace) -> set[str]:
    return set(space.knobs.names)
