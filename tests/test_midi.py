"""MIDI files follow the standard, and leave wheel and controllers as they found them."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from standard_midi import END_OF_TRACK, TEMPO, TIME_SIGNATURE, TRACK_NAME, Event, read

from mirrornet.export.midi import CONTROLLERS, controllers, midi, mpe
from mirrornet.matching.match import Match
from mirrornet.plants.vital import Vital
from mirrornet.score import Note, as_score

TICKS_PER_S = 1920
# Controllers with a meaning in Vital (docs/vital-presets.md), or in MIDI itself.
TAKEN = {0, 1, 6, 32, 38, 64, 66, 67, 74, 98, 99, 100, 101, 102, 106, *range(120, 128)}


@pytest.fixture(scope="module")
def patched() -> Vital:
    return Vital("patch", 44100)


def matched(match: Match, plant: Vital, *changes: dict[str, float]) -> Match:
    """A match of a note for each of `changes`, half a second apart, in a patch that has them."""
    knobs = plant.controls.from_vector(np.full(len(plant.controls), 0.5))
    notes = [
        Note(60 + n, 0.5 * n, 0.5 * n + 0.5, knobs | {"tune": 0.0} | change)
        for n, change in enumerate(changes)
    ]
    return dataclasses.replace(match, plant=plant, score=as_score(plant.controls, notes))


def changes(track: list[Event], status: int) -> list[tuple[int, bytes]]:
    return [(event.tick, event.data) for event in track if event.status == status]


def test_files_are_standard_midi_with_a_tempo_track(saved: Path, match: Match):
    for path in (saved / "melody.mid", saved / "presets" / "one-track-per-note.mid"):
        division, (tempo, *parts) = read(path.read_bytes())
        assert division == 960
        assert all(event.status == 0xFF for event in tempo)
        assert [e.data[1:] for e in tempo if e.is_meta(TEMPO)] == [(500_000).to_bytes(3, "big")]
        assert [e.data[1:3] for e in tempo if e.is_meta(TIME_SIGNATURE)] == [bytes([4, 2])]
        for track in (tempo, *parts):
            assert track[0].is_meta(TRACK_NAME)
            assert track[0].data[1:].isascii()
            assert track[-1].tick == len(match.target) / match.sample_rate_hz * TICKS_PER_S
        assert sum(len(changes(track, 0x90)) for track in parts) == len(match.notes)
        for track in parts:
            assert len(changes(track, 0x80)) == len(changes(track, 0x90))


def test_the_wheel_is_announced_and_left_in_the_middle(match: Match, patched: Vital):
    bent = matched(match, patched, {}, {}, {"tune": -50.0}, {"tune": -50.0})
    _, (_, track) = read(midi(bent, [("melody", bent.notes)], True))
    first_on = next(n for n, event in enumerate(track) if event.status == 0x90)
    announced = [tuple(data) for tick, data in changes(track[:first_on], 0xB0) if tick == 0]
    assert announced == [(101, 0), (100, 0), (6, 2), (38, 0), (101, 127), (100, 127)]
    middle = bytes([0, 64])
    wheel = changes(track, 0xE0)
    assert wheel[0] == (0, middle)
    assert wheel[-1] == (track[-1].tick, middle)
    assert len({data for _, data in wheel}) > 1
    # And not before the last note is over.
    assert wheel[-1][0] >= max(tick for tick, _ in changes(track, 0x80))


def test_notes_in_tune_need_no_wheel(match: Match, patched: Vital):
    straight = matched(match, patched, {}, {})
    _, (_, track) = read(midi(straight, [("melody", straight.notes)], True))
    assert not changes(track, 0xE0)
    assert not changes(track, 0xB0)


def test_controllers_end_as_they_stood_for_the_first_note(match: Match, patched: Vital):
    moving = matched(match, patched, {"wave": 20.0}, {"wave": 80.0}, {"noise": 90.0})
    _, (_, track) = read(midi(moving, [("melody", moving.notes)], True))
    first_on = next(event.tick for event in track if event.status == 0x90)
    states = {}
    for tick, (number, value) in changes(track, 0xB0):
        states.setdefault(number, []).append((tick, value))
    assert set(states) == set(controllers(moving).values())
    moved = [values for values in states.values() if len(values) > 1]
    assert len(moved) >= 2
    for values in states.values():
        assert values[0][0] <= first_on
        assert values[-1][1] == values[0][1]
    assert {values[-1][0] for values in moved} == {track[-1].tick}


def test_no_controller_means_something_else():
    assert not TAKEN & {*CONTROLLERS}
    assert len({*CONTROLLERS}) == len(CONTROLLERS) >= 21


def test_a_track_ends_with_its_end(match: Match, patched: Vital):
    """Also where a note lasts as long as the target, or longer."""
    long = matched(match, patched, {"tune": 30.0}, {})
    last = dataclasses.replace(long.notes[1], offset_s=5.0)
    _, (_, track) = read(midi(long, [("melody", [long.notes[0], last])]))
    assert track[-1] == Event(5 * TICKS_PER_S, 0xFF, bytes([END_OF_TRACK]))


def test_a_glide_moves_the_wheel_and_ends_with_its_note(match: Match, patched: Vital):
    straight = matched(match, patched, {}, {}, {})
    notes = list(straight.notes)
    notes[1] = dataclasses.replace(notes[1], glide=((0.0, -3.0), (0.1, -1.0), (0.2, 0.0)))
    _, (_, track) = read(midi(straight, [("melody", notes)]))
    wheel = [(tick, data[0] + 128 * data[1] - 8192) for tick, data in changes(track, 0xE0)]
    onset = round(0.5 * TICKS_PER_S)
    assert wheel[:2] == [(0, 0), (onset, -8191)]
    assert wheel[2] == (onset + 192, pytest.approx(-4096, abs=1))
    assert wheel[3] == (onset + 384, 0)
    assert len(wheel) == 4


def test_glides_are_whole_in_mpe(match: Match, patched: Vital):
    """Each note has a channel of its own, whose wheel reaches four octaves."""
    straight = matched(match, patched, *[{}] * 17)
    assert mpe(straight) is None
    glide = ((0.008, -7.0), (0.25, 0.0), (0.4, 0.0))
    first, *others = straight.score.notes
    sliding = dataclasses.replace(first, glide=glide)
    score = dataclasses.replace(straight.score, notes=[sliding, *others])
    data = mpe(dataclasses.replace(straight, score=score))
    assert data is not None
    _, (_, track) = read(data)
    zone = [tuple(e.data) for e in track if e.status == 0xB0]
    assert zone[:3] == [(101, 0), (100, 6), (6, 15)]  # 15 channels for notes
    for channel in range(1, 16):
        reach = [tuple(e.data) for e in track if e.status == 0xB0 + channel]
        assert reach[:3] == [(101, 0), (100, 0), (6, 48)]
    starts = [(e.status & 15, e.tick) for e in track if e.status & 0xF0 == 0x90]
    assert [channel for channel, _ in starts] == [*range(1, 16), 1, 2]
    wheel = [(tick, data[0] + 128 * data[1] - 8192) for tick, data in changes(track, 0xE1)]
    assert wheel[0] == (0, pytest.approx(-7 / 48 * 8191, abs=1))
    assert (round(0.25 * TICKS_PER_S), 0) in wheel
    assert (starts[15][1], 0) in wheel  # in tune again when its next note starts
    ends = [e for e in track if e.status & 0xF0 == 0xE0 and e.tick == track[-1].tick]
    assert [(e.status & 15, bytes(e.data)) for e in ends] == [
        (channel, bytes([0, 64])) for channel in range(1, 16)
    ]


def test_the_wheel_plays_glides_of_two_semitones_at_most(match: Match, patched: Vital):
    straight = matched(match, patched, {}, {})
    first, second = straight.score.notes
    sliding = dataclasses.replace(first, glide=((0.008, -7.0), (0.25, 1.0)))
    score = dataclasses.replace(straight.score, notes=[sliding, second])
    gliding = dataclasses.replace(straight, score=score)
    _, (_, track) = read(midi(gliding, [("melody", gliding.notes)], True))
    wheel = [data[0] + 128 * data[1] - 8192 for _, data in changes(track, 0xE0)]
    assert min(wheel) == -8191
    assert pytest.approx(8191 / 2, abs=1) in wheel
    assert wheel[-1] == 0
