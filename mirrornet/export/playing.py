"""Play the notes of a `controls.json` again: what `match` wrote, or what a musician made of it."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ..controls import ControlSpace
from ..errors import ControlError, PlantError
from ..plants import Plant, find_plant, load_plant
from ..score import Note, one_patch, shared_note

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
    return _plant_of(notes, plant, sample_rate_hz).play(notes)


def presets(notes: Sequence[Note], plant: str) -> list[str]:
    """The texts of presets with which the plant of that name plays the notes: one for all, if they
    share a patch, or one for each.

    Raises PlantError if there is no such plant or it has no presets, ControlError for notes it must
    not play.
    """
    player = _plant_of(notes, plant)
    for note in notes:
        player.check_note(note)
    shared = one_patch(player.controls, notes)
    found = [player.note_preset(note) for note in ([shared_note(notes)] if shared else notes)]
    texts = [text for text in found if text is not None]
    if not texts:
        raise PlantError(f"{plant} has no presets; leave out --preset to play the notes.")
    return texts


def _plant_of(notes: Sequence[Note], plant: str, sample_rate_hz: int = 44100) -> Plant:
    """The plant of that name, with the smallest of the control sets that have most of the notes'
    controls."""
    if not notes:
        raise ControlError("there are no notes to play; add some.")
    last_s = max(note.offset_s for note in notes)
    if last_s > LONGEST_S:
        raise ControlError(f"the notes last until {last_s:g} s; {LONGEST_S:g} s is the limit.")
    sets = find_plant(plant).control_sets
    given = set(notes[0].controls)
    control_set = min(sets, key=lambda n: (-len(_knobs(sets[n]) & given), len(sets[n])))
    return load_plant(plant, controls=control_set, sample_rate_hz=sample_rate_hz)


def _knobs(space: ControlSpace) -> set[str]:
    return set(space.names) - {"pitch", "duration"}
