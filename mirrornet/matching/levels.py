"""How loud the notes are: measured on the sound itself, once the plant has played them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ..controls import Control
from ..features import hear_recording
from ..metrics import spectrogram_error
from ..plants import Plant
from ..score import Note, Score, midi_velocity

SHORTEST_S = 0.02
HOPELESS_DB = 25.0  # a note that the plant plays this much too soft does not set the others' level
ROUNDS = 2  # notes ring into each other, so what is measured changes with the levels

Sound = Float[np.ndarray, " sample"]
Spectrogram = Float[np.ndarray, "channel=176 frame"]


class Played(NamedTuple):
    """A score, and how it sounds in comparison with a target."""

    score: Score
    audio: Sound
    heard: Spectrogram
    error: float


def play_at_levels(plant: Plant, score: Score, target: Sound, target_heard: Spectrogram) -> Played:
    """The score at the levels that the target has, as far as the plant has a level, and how it
    sounds."""
    level = plant.controls.own.of_role("level")
    if level is None or level.unit != "dB":
        audio = _whole(plant, score, len(target))
    elif plant.level_is_gain:
        score, audio = _mixed_at_levels(plant, level, score, target)
    else:
        for _ in range(ROUNDS):
            score = with_levels(plant, level, score, target, _whole(plant, score, len(target)))
        audio = _whole(plant, score, len(target))
    heard = hear_recording(audio, plant.sample_rate_hz)
    return Played(score, audio, heard, spectrogram_error(target_heard, heard))


def _whole(plant: Plant, score: Score, samples: int) -> Sound:
    return plant.render(replace(score, duration_s=samples / plant.sample_rate_hz))


def _mixed_at_levels(
    plant: Plant, level: Control, score: Score, target: Sound
) -> tuple[Score, Sound]:
    """As a level scales a note and changes nothing else, each is played only once."""
    sounds = [
        plant.render(
            Score(
                [
                    replace(
                        note,
                        onset_s=0.0,
                        offset_s=note.offset_s - note.onset_s,
                        controls={**note.controls, level.name: level.high},
                    )
                ]
            )
        )
        for note in score.resolved
    ]
    for _ in range(ROUNDS):
        audio = _mixed(plant, level, score.notes, sounds, len(target))
        score = with_levels(plant, level, score, target, audio)
    return score, _mixed(plant, level, score.notes, sounds, len(target))


def _mixed(
    plant: Plant, level: Control, notes: Sequence[Note], sounds: Sequence[Sound], samples: int
) -> Sound:
    """What the plant plays, from the sounds of its notes at their loudest."""
    audio = np.zeros(samples, np.float32)
    for note, sound in zip(notes, sounds, strict=True):
        start = round(note.onset_s * plant.sample_rate_hz)
        room = audio[start : start + len(sound)]
        gain = (midi_velocity(note.controls[level.name] - level.high) / 127) ** 2
        room += np.float32(gain) * sound[: len(room)]
    return audio


def with_levels(plant: Plant, level: Control, score: Score, target: Sound, audio: Sound) -> Score:
    """The notes as loud, in relation to each other, as the target has them, judged by `audio`,
    which is the plant playing them. The loudest gets the highest level."""
    notes = score.notes
    ends_s = [note.onset_s for note in notes[1:]] + [len(target) / plant.sample_rate_hz]
    missing_db = np.empty(len(notes))
    for number, (note, end_s) in enumerate(zip(notes, ends_s, strict=True)):
        end_s = min(max(end_s, note.onset_s + SHORTEST_S), note.offset_s + SHORTEST_S)
        span = slice(
            int(note.onset_s * plant.sample_rate_hz), int(end_s * plant.sample_rate_hz) + 1
        )
        missing_db[number] = _loudness_db(target[span]) - _loudness_db(audio[span])
    wanted_db = np.array([note.controls[level.name] for note in notes]) + missing_db
    hopeless = missing_db > np.median(missing_db) + HOPELESS_DB
    wanted_db += level.high - wanted_db[~hopeless].max()
    levels_db = np.clip(wanted_db, level.low, level.high)
    louder = [
        replace(note, controls={**note.controls, level.name: float(db)})
        for note, db in zip(notes, levels_db, strict=True)
    ]
    return replace(score, notes=louder)


def _loudness_db(samples: Sound) -> float:
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return 10 * np.log10(max(power, 1e-12))
