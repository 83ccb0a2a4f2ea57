"""What a worker of the studio keeps loaded, and how it plays parts of scores."""

import json
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from ...errors import ControlError
from ...export.playing import LONGEST_S
from ...export.score_json import MALFORMED, as_json, score_of
from ...features import hear_wide, sounding_mean
from ...matching.forward import ForwardModel
from ...matching.match import EXPORT_RATE_HZ
from ...plants import Plant, load_plant
from ...plants.base import NotePlant, PlantSpec
from ...plants.worker import limit_memory
from ...score import Note, Score

MOST_PLANTS, MOST_GAINS = 4, 64  # that a worker keeps
MOST_SAMPLES = 16 << 20  # of sounds of notes that a worker keeps
AUDIO = "audio.npy"  # the sound of a match, in its folder


class Desk:
    """What a worker keeps loaded, as plants and networks take a second to load."""

    def __init__(self) -> None:
        torch.set_num_threads(1)
        limit_memory()
        self._plants: OrderedDict[str, tuple[Plant, ForwardModel | None]] = OrderedDict()
        self._gains: OrderedDict[Path, float] = OrderedDict()
        self._sounds: OrderedDict[str, Float[np.ndarray, " sample"]] = OrderedDict()
        self._kept = 0

    def plant(self, spec: PlantSpec) -> tuple[Plant, ForwardModel | None]:
        """A plant and its forward model."""
        key = repr((spec.name, sorted(spec.options.items())))
        if key not in self._plants:
            plant = load_plant(spec.name, **spec.options)
            self._plants[key] = plant, ForwardModel.of(plant)
            while len(self._plants) > MOST_PLANTS:
                self._plants.popitem(last=False)
        self._plants.move_to_end(key)
        return self._plants[key]

    def sound_of(self, plant: Plant, note: Note) -> Float[np.ndarray, " sample"]:
        """A plant's sound of a note that starts at 0."""
        key = repr((plant.spec.name, sorted(plant.spec.options.items()), note.pitch_midi))
        key += f" {note.offset_s} {note.glide} {json.dumps(note.controls, default=as_json)}"
        if key not in self._sounds:
            self._sounds[key] = plant.render(Score([note]))
            self._kept += len(self._sounds[key])
            while self._kept > MOST_SAMPLES:
                self._kept -= len(self._sounds.popitem(last=False)[1])
        self._sounds.move_to_end(key)
        return self._sounds[key]

    def gain(self, folder: Path) -> float:
        """The gain that the sound of a match has in its spectrogram."""
        if folder not in self._gains:
            audio = np.load(folder / AUDIO)
            self._gains[folder] = sounding_mean(hear_wide(audio, EXPORT_RATE_HZ))
            while len(self._gains) > MOST_GAINS:
                self._gains.popitem(last=False)
        return self._gains[folder]


def checked(plant: Plant, score: Mapping[str, Any]) -> Score:
    """A score from the page, which the plant can play.

    Raises ControlError if it is malformed, or the plant refuses it.
    """
    try:
        found = score_of(score)
    except MALFORMED as error:
        raise ControlError(
            "the notes that the page sent are malformed; reload the page."
        ) from error
    if any(note.offset_s > LONGEST_S for note in found.notes):
        raise ControlError(f"the notes last longer than {LONGEST_S:g} s.")
    plant.check(found)
    notes = sorted(found.notes, key=lambda note: (note.onset_s, note.pitch_midi))
    return replace(found, notes=notes)


def played(
    desk: Desk, plant: Plant, score: Score, start_s: float, end_s: float
) -> Float[np.ndarray, " sample"]:
    """The sound of a score from one time to another, with what still rings at its start. Notes that
    were played before are not played again, if the plant plays each alone."""
    sounding = [
        note
        for note in score.resolved
        if note.onset_s < end_s and note.offset_s + plant.note_tail_s(note) > start_s
    ]
    rate_hz = plant.sample_rate_hz
    whole = np.zeros(max(round((end_s - start_s) * rate_hz), 1), np.float32)
    if not sounding:
        return whole
    if not isinstance(plant, NotePlant):
        begin_s = min(start_s, sounding[0].onset_s)
        moved = [_moved(note, -begin_s) for note in sounding]
        return plant.render(Score(moved, {}, end_s - begin_s))[-len(whole) :]
    # One key after another, as a plant may have to settle on each.
    for note in sorted(sounding, key=lambda note: note.pitch_midi):
        sound = desk.sound_of(plant, _moved(note, -note.onset_s))
        at = round(note.onset_s * rate_hz) - round(start_s * rate_hz)
        sound, at = sound[max(-at, 0) :], max(at, 0)
        room = whole[at : at + len(sound)]
        room += sound[: len(room)]
    return whole


def _moved(note: Note, by_s: float) -> Note:
    return replace(note, onset_s=note.onset_s + by_s, offset_s=note.offset_s + by_s)
