"""Phrases of real instruments, sequenced from single notes of real players.

The samples are those of npm packages (`tonejs-instrument-*-mp3`, packaged under the MIT licence;
samples CC BY 3.0): `bench/fetch_samples.py` downloads them. Phrases have legato, staccato,
dynamics, repeated notes, vibrato and grace notes; so the notes are known and the sounds are real.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from ..audio import load_audio
from ..errors import AudioError
from ..score import Note
from .material import RATE_HZ, SOUND_S, STREAM, Recording, Sound

PITCH_CLASSES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
FARTHEST = 2  # semitones by which a sample may be transposed
ONSET_DB = -26.0  # of a sample's start, below its peak
SKIPPED_S = (0.06, 0.12)  # of a sample's attack in a slur
JOIN_S, RELEASE_S = 0.02, 0.07


@dataclass(frozen=True)
class Manner:
    """How an instrument is played: which gestures its player has."""

    slurs: bool = True
    vibrato: bool = True


BLOWN, PLUCKED, STRUCK = Manner(), Manner(vibrato=False), Manner(slurs=False, vibrato=False)
FOLDER = Path("samples")
# Instruments that are scored, and those on which the reader of notes was tuned.
PLAYERS = {
    "bassoon": BLOWN,
    "cello": BLOWN,
    "clarinet": BLOWN,
    "flute": BLOWN,
    "french-horn": BLOWN,
    "guitar-nylon": PLUCKED,
    "saxophone": BLOWN,
    "trumpet": BLOWN,
    "violin": BLOWN,
    "bass-electric": PLUCKED,
}
TUNED_ON = {
    "harp": STRUCK,
    "tuba": BLOWN,
    "guitar-electric": PLUCKED,
    "xylophone": STRUCK,
    "piano": STRUCK,
}


def installed_players() -> dict[str, Manner]:
    """The instruments to be scored whose samples are there (`bench/fetch_samples.py`)."""
    return {name: manner for name, manner in PLAYERS.items() if (FOLDER / name).is_dir()}


def play_samples(folder: Path, phrases: int, graces: bool, manner: Manner) -> Iterator[Recording]:
    """Generate phrases of `SOUND_S` of the instrument whose samples lie in `folder`; a quarter of
    the longer notes get grace notes, if there are `graces`. Raises AudioError without samples."""
    samples = _samples(folder)
    for number in range(phrases):
        key = (sum(map(ord, folder.name)), number, graces, STREAM)
        generator = np.random.default_rng(key)
        yield _phrase(samples, generator, graces, manner)


@lru_cache(maxsize=2)
def _samples(folder: Path) -> dict[int, Sound]:
    """The samples by MIDI pitch, each from its onset on."""
    found = {}
    for path in sorted(folder.glob("*.mp3")):
        named = re.fullmatch(r"([A-G])(s?)(-?\d)", path.stem)
        if named is None:
            continue
        letter, sharp, octave = named.groups()
        sound = load_audio(path, RATE_HZ)
        loud = np.abs(sound) > 10 ** (ONSET_DB / 20) * np.abs(sound).max()
        start = max(int(np.argmax(loud)) - RATE_HZ // 500, 0)
        pitch = 12 * (int(octave) + 1) + PITCH_CLASSES[letter] + bool(sharp)
        found[pitch] = sound[start:] / np.abs(sound).max()
    if not found:
        raise AudioError(f"{folder} has no notes as A4.mp3 or Cs3.mp3; fetch the samples again.")
    return found


def _phrase(
    samples: dict[int, Sound], generator: np.random.Generator, graces: bool, manner: Manner
) -> Recording:
    """Draw a melody, and play it."""
    uniform, chance = generator.uniform, generator.random
    playable = [p for p in range(23, 109) if _nearest(samples, p)[1] <= FARTHEST]
    low, high = min(playable), max(playable)
    centre = uniform(low + 0.25 * (high - low), low + 0.75 * (high - low))
    beat_s = uniform(0.25, 0.6)
    slurs = uniform(0, 0.6) if manner.slurs else 0.0
    vibrates = manner.vibrato and chance() < 0.5
    sound = np.zeros(round(SOUND_S * RATE_HZ), np.float32)
    notes: list[Note] = []
    pitch, at_s, rested = centre, uniform(0.05, 0.3), True

    def add(whole: int, length_s: float, slurred: bool) -> None:
        end_s = min(at_s + length_s, SOUND_S - 0.2)
        level = 10 ** (uniform(-9, 0) / 20)
        vibrato = vibrates and length_s > 0.35
        _play(samples, sound, Note(whole, at_s, end_s), level, slurred, vibrato, generator)
        notes.append(Note(whole, float(at_s), float(end_s)))

    while at_s < SOUND_S - 1:
        span_s = beat_s * generator.choice([0.5, 0.5, 1, 1, 1, 2, 3])
        if chance() < 0.1:
            at_s, rested = at_s + span_s, True
            continue
        again = chance() < 0.15
        if not again:
            pitch = centre + 0.75 * (pitch - centre) + 3.5 * generator.standard_normal()
        whole = min(playable, key=lambda p: abs(p - pitch))
        slurred = not rested and not again and chance() < slurs
        if graces and chance() < 0.25 and span_s > 0.2:
            grace_s = uniform(0.07, 0.11)
            step = int(generator.choice([-2, -1, 1, 2]))
            near = whole + step if whole + step in playable else whole - step
            add(near, grace_s, slurred)
            at_s, span_s, slurred = at_s + grace_s, span_s - grace_s, manner.slurs
        staccato = chance() < 0.2
        share = uniform(0.35, 0.5) if staccato else uniform(0.9, 1.0)
        add(whole, span_s * share, slurred)
        at_s, rested = at_s + span_s, staccato
    return Recording(0.5 * sound / np.abs(sound).max(), notes)


def _nearest(samples: dict[int, Sound], pitch: int) -> tuple[int, int]:
    """The pitch of the nearest sample, and its distance."""
    return min(((own, abs(own - pitch)) for own in samples), key=lambda found: found[1])


def _play(
    samples: dict[int, Sound],
    sound: Sound,
    note: Note,
    level: float,
    slurred: bool,
    vibrato: bool,
    generator: np.random.Generator,
) -> None:
    """Add a note to the sound: its sample, transposed, perhaps with vibrato or without attack."""
    own = _nearest(samples, note.pitch_midi)[0]
    start = round(note.onset_s * RATE_HZ)
    count = min(round((note.offset_s - note.onset_s + RELEASE_S) * RATE_HZ), len(sound) - start)
    times_s = np.arange(count) / RATE_HZ
    semitones = np.full(count, float(note.pitch_midi - own))
    if vibrato:
        depth, rate_hz = generator.uniform(0.15, 0.4), generator.uniform(4.5, 6.5)
        swell = np.clip((times_s - 0.15) / 0.3, 0, 1)
        semitones += depth * swell * np.sin(2 * np.pi * rate_hz * times_s)
    place = np.concatenate([[0.0], np.cumsum(2 ** (semitones / 12))[:-1]])
    if slurred:
        place += generator.uniform(*SKIPPED_S) * RATE_HZ
    sample = samples[own]
    given = np.interp(place, np.arange(len(sample)), sample, right=0.0)
    held_s = note.offset_s - note.onset_s
    fade = np.clip(1 - (times_s - held_s) / RELEASE_S, 0, 1)
    if slurred:
        fade *= np.clip(times_s / JOIN_S, 0, 1)
    sound[start : start + count] += (level * given * fade).astype(np.float32)
