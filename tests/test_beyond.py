"""What cannot be read is said: notes that are too high or too low, and chords."""

import json
import re

import numpy as np
import pytest

import mirrornet as mn
from mirrornet.export.files import controls_json
from mirrornet.matching.beyond import notes_beyond
from mirrornet.plants.base import PITCHES_MIDI
from mirrornet.score import Note

RATE_HZ = 44100
READ = PITCHES_MIDI
NOTE_S, STEP_S = 0.4, 0.5


def tone(pitch_midi: float, noise: float = 0.0) -> np.ndarray:
    """A note of 0.4 s with partials as of a plucked string, or nearly pure if it is high."""
    times_s = np.arange(round(NOTE_S * RATE_HZ)) / RATE_HZ
    f0_hz = 440 * 2 ** ((pitch_midi - 69) / 12)
    harmonics = [h for h in range(1, 41) if h * f0_hz < 15000]
    sound = sum(np.sin(2 * np.pi * h * f0_hz * times_s + h) / h for h in harmonics)
    fade = np.minimum(times_s / 0.01, 1) * np.minimum((NOTE_S - times_s) / 0.02, 1)
    breath = noise * np.random.default_rng(0).standard_normal(len(times_s))
    return 0.2 * fade * np.exp(-2 * times_s) * (sound + breath)


def tune(*chords: tuple[float, ...]) -> tuple[np.ndarray, list[Note]]:
    """Chords half a second apart, and a note for each."""
    sound = np.zeros(round(STEP_S * len(chords) * RATE_HZ), np.float32)
    notes = []
    for number, chord in enumerate(chords):
        start = round(number * STEP_S * RATE_HZ)
        for pitch in chord:
            sound[start : start + round(NOTE_S * RATE_HZ)] += tone(pitch).astype(np.float32)
        notes.append(Note(60, number * STEP_S, number * STEP_S + NOTE_S))
    return sound, notes


def beyond(*chords: tuple[float, ...]) -> tuple[int, int]:
    sound, notes = tune(*chords)
    return notes_beyond(sound, RATE_HZ, notes, READ)


@pytest.mark.parametrize("pitch", [*range(21, 109, 8), 21.4, 107.6, 108])
def test_notes_within_the_range_are_neither(pitch: float):
    assert beyond((pitch,), (pitch,)) == (0, 0)


@pytest.mark.parametrize("pitch", [110, 112, 115, 118])
def test_notes_above_are_told_whatever_was_read(pitch: float):
    assert beyond((pitch,), (60,), (pitch,)) == (2, 0)


@pytest.mark.parametrize("pitch", [11, 14, 16, 18])
def test_notes_below_are_told_whatever_was_read(pitch: float):
    assert beyond((pitch,), (36,)) == (0, 1)


def test_silence_and_noise_are_neither_too_high_nor_too_low():
    notes = [Note(60, 0.0, 0.5), Note(62, 0.5, 0.51)]
    noise = np.random.default_rng(0).standard_normal(RATE_HZ).astype(np.float32)
    assert notes_beyond(np.zeros(RATE_HZ, np.float32), RATE_HZ, notes, READ) == (0, 0)
    assert notes_beyond(noise, RATE_HZ, notes, READ) == (0, 0)


@pytest.mark.parametrize(("pitch", "where"), [(111, "above C8"), (18, "below A0")])
def test_a_match_says_so(pitch: int, where: str):
    sound, _ = tune((50,), (pitch,), (62,), (pitch,), (74,))
    (sentence,) = mn.match((sound, RATE_HZ)).warnings
    said = re.match(r"(\d+) of \d+ notes seem to lie (above C8|below A0)", sentence)
    assert said is not None
    assert int(said[1]) >= 2
    assert said[2] == where


def test_chords_are_said_and_how_sure_one_voice_is():
    chords, _ = tune((60, 64, 67), (62, 65, 69), (59, 62, 67), (60, 64, 67))
    melody, _ = tune((60,), (64,), (67,), (72,))
    several, one = mn.match((chords, RATE_HZ)), mn.match((melody, RATE_HZ))
    assert any("Several notes seem to sound at once" in text for text in several.warnings)
    assert several.one_voice is not None
    assert one.one_voice is not None
    assert several.one_voice < 0.9 < 0.97 < one.one_voice
    assert one.warnings == []
    card = json.loads(controls_json(several))
    assert card["one_voice"] == several.one_voice
    assert card["warnings"] == several.warnings


@pytest.mark.slow
def test_melodies_beyond_the_papers_octave_are_said():
    high, _ = tune((76,), (77,), (79,), (81,))
    model = mn.load_model()
    warnings = mn.match((high, RATE_HZ), model=model, plant=mn.load_plant()).warnings
    assert any("beyond D4 to D5" in sentence for sentence in warnings)
    within, _ = tune((62,), (65,), (69,), (74,))
    assert mn.match((within, RATE_HZ), model=model, plant=mn.load_plant()).warnings == []
