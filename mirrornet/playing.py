"""Play the notes of a `controls.json` again: what `match` wrote, or what a musician made of it."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from .controls import ControlSpace
from .errors import ControlError
from .melody import Note
from .plants import find_plant, load_plant

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
    sets = find_plant(plant).control_sets
    fitting = [name for name, space in sets.items() if _knobs(space) == set(notes[0].controls)]
    control_set = (fitting or list(sets))[0]
    return load_plant(plant, controls=control_set, sample_rate_hz=sample_rate_hz).play(notes)


def _knobs(space: ControlSpace) -> set[str]:
    return set(space.names) - {"pitch", "duration"}
