"""Levels of notes: measured by comparing the sound with the plant's render of the notes."""

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

SHORTEST_S = 0.02  # of a note
HOPELESS_DB = 25.0  # a note rendered this much too soft does not set the others' level
ROUNDS = 2  # notes ring into each other, so what is measured depends on the levels

Sound = Float[np.ndarray, " sample"]
Spectrogram = Float[np.ndarray, "channel=176 frame"]


class Played(NamedTuple):
    """A score, its render, and the error of its spectrogram against a target."""

    score: Score
    audio: Sound
    heard: Spectrogram
    error: float


def play_at_levels(plant: Plant, score: Score, target: Sound, target_heard: Spectrogram) -> Played:
    """Set the notes' levels to those of the target, if the plant has a level in dB, and render.

    A plant that has a velocity instead gets velocities in their place, if these make the sound
    closer: it may change the colour, too. `target` is at the plant's sample rate, `target_heard`
    from `features.hear_recording`.
    """
    level, velocity = map(plant.controls.own.of_role, ("level", "velocity"))
    if level is not None and level.unit == "dB":
        if plant.level_is_gain:
            return _played(plant, target_heard, *_mixed_at_levels(plant, level, score, target))
        return _found_by_playing(plant, level, score, target, target_heard)
    as_read = _played(plant, target_heard, score, _whole(plant, score, len(target)))
    if velocity is None:
        return as_read
    found = _found_by_playing(plant, velocity, score, target, target_heard)
    return min(as_read, found, key=lambda played: played.error)


def _played(plant: Plant, target_heard: Spectrogram, score: Score, audio: Sound) -> Played:
    heard = hear_recording(audio, plant.sample_rate_hz)
    return Played(score, audio, heard, spectrogram_error(target_heard, heard))


def _found_by_playing(
    plant: Plant, level: Control, score: Score, target: Sound, target_heard: Spectrogram
) -> Played:
    for _ in range(ROUNDS):
        score = with_levels(plant, level, score, target, _whole(plant, score, len(target)))
    return _played(plant, target_heard, score, _whole(plant, score, len(target)))


def _whole(plant: Plant, score: Score, samples: int) -> Sound:
    return plant.render(replace(score, duration_s=samples / plant.sample_rate_hz))


def _mixed_at_levels(
    plant: Plant, level: Control, score: Score, target: Sound
) -> tuple[Score, Sound]:
    """Levels for a plant whose level is a pure gain: each note is rendered only once."""
    alone = [
        replace(
            note,
            onset_s=0.0,
            offset_s=note.offset_s - note.onset_s,
            controls={**note.controls, level.name: level.high},
        )
        for note in score.resolved
    ]
    # One key after another, as a plant may have to settle on each.
    order = np.argsort([note.pitch_midi for note in alone], kind="stable")
    rendered = [plant.render(Score([alone[number]])) for number in order]
    sounds = [rendered[place] for place in np.argsort(order)]
    for _ in range(ROUNDS):
        audio = _mixed(plant, level, score.notes, sounds, len(target))
        score = with_levels(plant, level, score, target, audio)
    return score, _mixed(plant, level, score.notes, sounds, len(target))


def _mixed(
    plant: Plant, level: Control, notes: Sequence[Note], sounds: Sequence[Sound], samples: int
) -> Sound:
    """The render of the notes, mixed from their sounds at the highest level."""
    audio = np.zeros(samples, np.float32)
    for note, sound in zip(notes, sounds, strict=True):
        start = round(note.onset_s * plant.sample_rate_hz)
        room = audio[start : start + len(sound)]
        gain = (midi_velocity(note.controls[level.name] - level.high) / 127) ** 2
        room += np.float32(gain) * sound[: len(room)]
    return audio


def with_levels(plant: Plant, level: Control, score: Score, target: Sound, audio: Sound) -> Score:
    """Correct the notes' levels by the differences in loudness between the target and `audio`, the
    plant's render of the score. The loudest note gets the highest level; or, if `level` is a
    velocity, the median note keeps its own, as far as others can be louder."""
    notes = score.notes
    ends_s = [note.onset_s for note in notes[1:]] + [len(target) / plant.sample_rate_hz]
    missing_db = np.empty(len(notes))
    for number, (note, end_s) in enumerate(zip(notes, ends_s, strict=True)):
        end_s = min(max(end_s, note.onset_s + SHORTEST_S), note.offset_s + SHORTEST_S)
        span = slice(
            int(note.onset_s * plant.sample_rate_hz), int(end_s * plant.sample_rate_hz) + 1
        )
        missing_db[number] = _loudness_db(target[span]) - _loudness_db(audio[span])
    now = np.array([note.controls[level.name] for note in notes], dtype=float)
    hopeless = missing_db > np.median(missing_db) + HOPELESS_DB
    if level.role == "velocity":  # 40 log10(velocity) dB, as `midi_velocity` has it
        wanted_db = 40 * np.log10(now / level.high) + missing_db - np.median(missing_db)
        wanted_db -= max(wanted_db[~hopeless].max(), 0.0)
        values = np.rint(level.high * 10 ** (wanted_db / 40))
    else:
        values = now + missing_db
        values += level.high - values[~hopeless].max()
    values = np.clip(values, level.low, level.high)
    louder = [
        replace(note, controls={**note.controls, level.name: float(value)})
        for note, value in zip(notes, values, strict=True)
    ]
    return replace(score, notes=louder)


def _loudness_db(samples: Sound) -> float:
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return 10 * np.log10(max(power, 1e-12))
