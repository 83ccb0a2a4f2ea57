"""The tempo of notes, and MIDI files that sequencers lay on their grid."""

import dataclasses
import io

import mido
import numpy as np
import pytest
from standard_midi import TEMPO, TIME_SIGNATURE, read

from mirrornet.errors import ControlError
from mirrornet.export.midi import midi
from mirrornet.matching.match import Match
from mirrornet.plants.vital import Vital
from mirrornet.score import Note, as_score
from mirrornet.tempo import Tempo, estimate_tempo, parts_of, quantized, tempo_of

# Positions of onsets in beats: of a nursery song, a dotted rhythm, and one with an upbeat.
RHYTHMS = {
    "even": [0, 1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14],
    "dotted": [0, 1.5, 2, 3.5, 4, 5, 6, 7.5, 8, 9.5, 10, 11, 12],
    "eighths": [0, 0.5, 1, 2, 2.5, 3, 4, 4.5, 5, 5.5, 6, 7, 8, 8.5, 9, 10],
    "upbeat": [-0.5, 0, 1, 1.5, 2, 3, 3.5, 4, 5, 6, 7, 7.5, 8, 9, 10, 11],
}


@pytest.mark.parametrize("rhythm", RHYTHMS)
@pytest.mark.parametrize("bpm", [72.0, 96.3, 112.0, 128.0])
def test_the_tempo_of_played_rhythms_is_found(rhythm, bpm):
    """Onsets err by 10 ms, as players do; tempos by less than 1 %."""
    beats = np.array(RHYTHMS[rhythm])
    chance = np.random.default_rng(round(bpm))
    onsets_s = 0.7 + beats * 60 / bpm + 0.01 * chance.standard_normal(len(beats))
    found = estimate_tempo(list(onsets_s))
    assert found is not None
    assert found.confidence is not None
    assert found.bpm == pytest.approx(bpm, rel=0.01)
    beat_s = 60 / bpm
    assert (found.first_s - 0.7 + 0.5 * beat_s) % beat_s == pytest.approx(0.5 * beat_s, abs=0.03)
    assert found.first_s <= onsets_s[0] + 0.1 * beat_s
    assert 0.3 < found.confidence <= 1


@pytest.mark.parametrize(("notes", "bpm"), [(100, 120.3), (200, 101.7), (400, 87.3)])
def test_the_tempo_of_long_pieces_is_found(notes, bpm):
    """To 0.01 %, so that the grid still holds at the end."""
    chance = np.random.default_rng(notes)
    beats = np.cumsum(chance.choice([0.5, 0.5, 1, 1, 1, 2], notes))
    beats -= beats[0]
    onsets_s = 1.3 + beats * 60 / bpm + 0.01 * chance.standard_normal(notes)
    found = estimate_tempo(list(onsets_s))
    assert found is not None
    assert found.bpm == pytest.approx(bpm, rel=1e-4)
    grid = quantized(onsets_s, found, 8)
    np.testing.assert_allclose(grid, 1.3 + beats * 60 / bpm, atol=0.02)


def test_random_onsets_have_no_sure_tempo():
    onsets_s = [list(np.random.default_rng(seed).uniform(0, 8, 24)) for seed in range(10)]
    found = [estimate_tempo(one) for one in onsets_s]
    assert np.median([(one and one.confidence) or 0.0 for one in found]) < 0.6


def test_few_notes_have_no_tempo():
    assert estimate_tempo([0.0, 0.5, 1.0]) is None
    assert estimate_tempo([0.5] * 9) is None
    assert tempo_of("none", [0.0, 0.5, 1.0, 1.5]) is None


def test_a_given_tempo_is_taken():
    onsets_s = [0.2, 0.7, 1.2, 2.2]
    given = tempo_of("120", onsets_s)
    assert given is not None
    assert given.bpm == 120
    assert given.confidence is None
    assert given.first_s == pytest.approx(0.2, abs=0.01)
    for wrong in ("fast", "0", "-3", "nan", "1e9"):
        with pytest.raises(ControlError, match="a tempo is auto, none, or 20 to 400"):
            tempo_of(wrong, onsets_s)


def test_note_values():
    assert parts_of("1/16") == 16
    for wrong in ("16", "1/5", "2/4", "1/", "sixteenth"):
        with pytest.raises(ControlError, match=r"quantized to 1/4, 1/8, 1/12, 1/16"):
            parts_of(wrong)
    moved = quantized([0.31, 0.44, 0.93], Tempo(120.0, 0.3, 1.0), 16)
    np.testing.assert_allclose(moved, [0.3, 0.425, 0.925])


@pytest.fixture(scope="module")
def tune(match: Match) -> Match:
    """Notes at 90 beats per minute, from 0.4 s on, 20 ms early and late in turn."""
    plant = Vital("patch", 44100)
    knobs = plant.controls.from_vector(np.full(len(plant.controls), 0.5)) | {"tune": 0.0}
    onsets_s = 0.4 + np.arange(6) * 60 / 90 + np.array([0, 0.02, -0.02, 0.02, -0.02, 0])
    notes = [Note(60 + n, float(s), float(s) + 0.5, knobs) for n, s in enumerate(onsets_s)]
    return dataclasses.replace(match, plant=plant, score=as_score(plant.controls, notes))


def played(content: bytes) -> np.ndarray:
    """Onsets in s, as another reader of MIDI files plays them."""
    now_s, onsets_s = 0.0, []
    for message in mido.MidiFile(file=io.BytesIO(content)):
        now_s += message.time
        if message.type == "note_on":
            onsets_s.append(now_s)
    return np.array(onsets_s)


@pytest.mark.parametrize("first_s", [0.4, 0.4 - 60 / 90, 0.003, 0.05, 3.1, 95.0])
def test_notes_stay_where_they_were_heard(tune, first_s):
    onsets_s = [note.onset_s for note in tune.notes]
    for tempo in (None, Tempo(90.0, first_s, 0.9)):
        content = midi(dataclasses.replace(tune, tempo=tempo), [("melody", tune.notes)])
        np.testing.assert_allclose(played(content), onsets_s, atol=6e-4)


def test_bars_start_where_the_music_does(tune):
    """A short opening bar with a tempo of its own; then whole bars of the tempo."""
    content = midi(dataclasses.replace(tune, tempo=Tempo(90.0, 0.4, 0.9)), [("melody", tune.notes)])
    division, (tempo, melody) = read(content)
    signatures = [(e.tick, *e.data[1:3]) for e in tempo if e.is_meta(TIME_SIGNATURE)]
    (start, sixteenths, power), (bar, *four) = signatures
    assert (start, power, four) == (0, 4, [4, 2])
    assert bar == sixteenths * division // 4
    first_on = next(event.tick for event in melody if event.status == 0x90)
    assert first_on == bar
    per_beat = [int.from_bytes(e.data[1:], "big") for e in tempo if e.is_meta(TEMPO)]
    assert per_beat[1] == pytest.approx(60e6 / 90, abs=1)
    assert per_beat[0] * sixteenths / 4 == pytest.approx(0.4e6, abs=sixteenths)


@pytest.mark.parametrize("first_s", [0.05, 0.4, 1.9, 30.0, 95.0])
def test_openings_have_tempos_that_sequencers_have(tune, first_s):
    tempo = Tempo(90.0, first_s, 0.9)
    _, (head, _) = read(midi(dataclasses.replace(tune, tempo=tempo), [("melody", tune.notes)]))
    per_beat = [int.from_bytes(e.data[1:], "big") for e in head if e.is_meta(TEMPO)]
    assert all(20 <= 60e6 / length <= 999 for length in per_beat)


def test_a_grace_note_stays_before_its_note_when_quantized(tune):
    """And a note said again at the same place ends before it starts again."""
    tempo = Tempo(100.0, 0.3, 0.9)
    times_s = [(0.3, 0.36), (0.37, 0.9), (0.9, 1.5), (0.92, 1.6)]
    notes = [
        dataclasses.replace(note, pitch_midi=60, onset_s=start, offset_s=end)
        for note, (start, end) in zip(tune.notes, times_s, strict=False)
    ]
    content = midi(dataclasses.replace(tune, tempo=tempo, quantized=16), [("melody", notes)])
    np.testing.assert_allclose(played(content), [0.3, 0.37, 0.9, 0.92], atol=1e-3)
    held = 0
    for message in mido.MidiFile(file=io.BytesIO(content)):
        if message.type in ("note_on", "note_off"):
            held += 1 if message.type == "note_on" else -1
            assert held in (0, 1)


def test_quantized_notes_lie_on_the_grid(tune):
    tempo = Tempo(90.0, 0.4, 0.9)
    content = midi(dataclasses.replace(tune, tempo=tempo, quantized=16), [("melody", tune.notes)])
    np.testing.assert_allclose(played(content), 0.4 + np.arange(6) * 60 / 90, atol=6e-4)
    _, (_, melody) = read(content)
    offs = [event.tick for event in melody if event.status == 0x80]
    ons = [event.tick for event in melody if event.status == 0x90]
    assert all((off - on) % 240 == 0 and off > on for on, off in zip(ons, offs, strict=True))
