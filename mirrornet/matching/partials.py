"""Partials beside the harmonics, as bells and bars have them: their frequencies over the pitch; and
the pitches of such notes, which are hard to read one by one, but one tells another."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from jaxtyping import Float

from ..features import FRAME_S
from ..plants import Plant
from ..plants.base import PITCHES_MIDI
from ..plants.timbre import HIGHEST_PARTIAL, PARTIALS
from ..score import Note
from .levels import Sound, Spectrogram

GRID = 16  # places between two harmonics
MISTUNED = 0.015  # share of a frequency by which a harmonic may be off; a place at least
QUIETEST_DB = -29.0  # re the strongest; the remains of other notes are softer
BLOW_S, SHORTEST_S, LONGEST_S = 0.01, 0.08, 1.0  # of what is heard of a note
SAMPLES = 1 << 17  # of a spectrum
MOST_NOTES = 48

NEW_S, OLD_S = (0.024, 0.25), (-0.032, -0.008)  # of a spectrum at an onset, less what rang before
AROUND = 25  # channels over which a spectrum is levelled
PER_SEMITONE = 2  # channels
REACH = 42  # semitones by which spectra are moved at most
REFERENCES = 24
AGREED = 1 / 4  # share of the pitches that were read whose intervals must be those of the spectra
UNLIKE = 0.6  # share of the greatest correlation below which a pitch is not believed

Item = TypeVar("Item")


def find_partials(plant: Plant, sound: Sound, notes: Sequence[Note]) -> list[float]:
    """The frequencies, over the pitch, of partials that most notes have; at most `PARTIALS`, none
    for instruments with harmonics only. Notes with a glide are left out. `sound` is at the plant's
    rate."""
    tune = plant.controls.own.of_role("tune")
    powers = []
    for note in _spread([note for note in notes if not note.glide], MOST_NOTES):
        cents = note.controls[tune.name] if tune else 0.0
        pitch_hz = 440 * 2 ** ((note.pitch_midi + plant.transposition + cents / 100 - 69) / 12)
        start = round((note.onset_s + BLOW_S) * plant.sample_rate_hz)
        length_s = min(note.offset_s - note.onset_s - BLOW_S, LONGEST_S)
        length = min(round(length_s * plant.sample_rate_hz), SAMPLES)
        part = sound[start : start + max(length, 0)]
        if len(part) >= SHORTEST_S * plant.sample_rate_hz and part.any():
            powers.append(_powers(part, pitch_hz / plant.sample_rate_hz))
    if not powers:
        return []
    # The median leaves out what only some notes have, as when others ring on.
    level_db = 10 * np.log10(np.median(powers, 0) + 1e-12)
    inner = level_db[1:-1]
    peaks = (inner >= level_db[:-2]) & (inner >= level_db[2:]) & (inner > QUIETEST_DB)
    places = np.flatnonzero(peaks) + 1
    from_harmonic = np.abs((places + GRID // 2) % GRID - GRID // 2)
    beside = places[from_harmonic > np.maximum(1, MISTUNED * places)]
    strongest = beside[np.argsort(-level_db[beside])[:PARTIALS]]
    return (np.sort(strongest) / GRID).tolist()


def _spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many of the items, evenly spread."""
    return [items[len(items) * n // most] for n in range(most)] if len(items) > most else [*items]


def _powers(part: Sound, pitch: float) -> Float[np.ndarray, " place"]:
    """The greatest power about each place of the grid, as a share of the greatest of all; `pitch`
    is in cycles per sample."""
    power = np.square(np.abs(np.fft.rfft(part * np.hanning(len(part)), SAMPLES)))
    places = np.round(np.arange(len(power)) * GRID / SAMPLES / pitch).astype(int)
    found = np.zeros(round(GRID * HIGHEST_PARTIAL) + 1)
    heard = places < len(found)
    np.maximum.at(found, places[heard], power[heard])
    return found / found.max()


def alike(heard: Spectrogram, notes: Sequence[Note]) -> list[Note]:
    """The notes, with other pitches where their spectra are alike at others.

    On the cochlea's axis the spectra of one instrument's notes are the same, moved by the interval,
    be it harmonic or not. The note that is most like the others tells the intervals, and the
    pitches that were read the place, if enough of them agree.
    """
    spectra = [_at_onset(heard, note) for note in notes]
    references = _spread(spectra, REFERENCES)
    found = [np.stack([_by_interval(one, other) for other in spectra]) for one in references]
    likeness = max(found, key=lambda likeness: likeness.max(1).mean())
    intervals = likeness.argmax(1) - REACH
    pitches = np.array([note.pitch_midi for note in notes])
    places, votes = np.unique(pitches - intervals, return_counts=True)
    if votes.max() < max(2, AGREED * len(notes)):
        return [*notes]
    place = places[votes.argmax()]
    as_read = likeness[np.arange(len(notes)), np.clip(pitches - place, -REACH, REACH) + REACH]
    believed = as_read >= UNLIKE * likeness.max(1)
    new = np.where(believed, pitches, place + intervals).clip(PITCHES_MIDI[0], PITCHES_MIDI[-1])
    return [
        replace(note, pitch_midi=pitch) for note, pitch in zip(notes, new.tolist(), strict=True)
    ]


def _at_onset(heard: Spectrogram, note: Note) -> Float[np.ndarray, " channel=176"]:
    def mean(start_s: float, end_s: float) -> Float[np.ndarray, " channel=176"]:
        start = min(max(round(start_s / FRAME_S), 0), heard.shape[1] - 1)
        return heard[:, start : max(round(end_s / FRAME_S), start + 1)].mean(1)

    end_s = min(note.offset_s, note.onset_s + NEW_S[1])
    came = mean(note.onset_s + NEW_S[0], end_s)
    if note.onset_s + OLD_S[0] > 0:
        came = (came - mean(note.onset_s + OLD_S[0], note.onset_s + OLD_S[1])).clip(min=0)
    came = came - np.convolve(came, np.full(AROUND, 1 / AROUND), "same")
    return came / max(float(np.linalg.norm(came)), 1e-9)


def _by_interval(
    one: Float[np.ndarray, " channel=176"], other: Float[np.ndarray, " channel=176"]
) -> Float[np.ndarray, " interval"]:
    """The correlation of two spectra, the second one lying higher by -`REACH`..`REACH` semitones:
    the greatest within half a semitone."""
    reach = PER_SEMITONE * REACH + 1
    by_channel = np.correlate(np.pad(other, reach), one, "valid")
    near = np.stack([by_channel[step : len(by_channel) - 2 + step] for step in range(3)]).max(0)
    return near[::PER_SEMITONE]
