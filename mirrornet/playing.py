"""Play the notes of a `controls.json` again: what `match` wrote, or what a musician made of it."""

import json
from collections.abc import Sequence
from inspect import signature
from pathlib import Path
from typing import get_args

import numpy as np
from jaxtyping import Float

from .errors import ControlError
from .melody import Note
from .plants import Plant, load_plant

LONGEST_S = 600.0


def read_notes(path: str | Path) -> tuple[str, list[Note]]:
    """The plant's name and the notes in a `controls.json`; their values are not checked yet.

    Raises ControlError if the file is missing or holds something else.
    """
    path = Path(path)
    if not path.is_file():
        raise ControlError(f"there is no file {path}; give a controls.json.")
    try:
        card = json.loads(path.read_bytes())
        notes = [
            Note(
                note["pitch_midi"],
                float(note["onset_s"]),
                float(note["offset_s"]),
                {name: float(value) for name, value in note["controls"].items()},
            )
            for note in card["notes"]
        ]
        return str(card["plant"]), notes
    except OSError as error:
        raise ControlError(f"{path} cannot be read ({error.strerror}).") from error
    except (
        AttributeError,
        KeyError,
        OverflowError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise ControlError(
            f"{path} is not a controls.json as `mirrornet match` writes it: it needs a plant and "
            f"notes, each with pitch_midi, onset_s, offset_s and controls, all numbers."
        ) from error


def play_notes(
    notes: Sequence[Note], plant: str, sample_rate_hz: int
) -> Float[np.ndarray, " sample"]:
    """The notes played by the plant of that name, with the control set that the notes have.

    Raises PlantError if there is no such plant, ControlError for notes it must not play.
    """
    if not notes:
        raise ControlError("there are no notes to play; add some.")
    last_s = max(note.offset_s for note in notes)
    if last_s > LONGEST_S:
        raise ControlError(f"the notes last until {last_s:g} s; {LONGEST_S:g} s is the limit.")
    spaces = [
        load_plant(plant, controls=control_set, sample_rate_hz=sample_rate_hz)
        for control_set in control_sets(plant)
    ]
    fitting = [player for player in spaces if _knobs(player) == set(notes[0].controls)]
    return (fitting or spaces)[0].play(notes)


def control_sets(plant: str) -> tuple[str, ...]:
    """The names of the control sets a plant can be loaded with; PlantError if there is none."""
    return get_args(signature(type(load_plant(plant))).parameters["controls"].annotation)


def _knobs(plant: Plant) -> set[str]:
    return set(plant.controls.names) - {"pitch", "duration"}
