"""Playing a `controls.json` again."""

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mirrornet.errors import ControlError, PlantError
from mirrornet.export.files import controls_json
from mirrornet.export.playing import play_notes, read_notes
from mirrornet.matching.match import Match
from mirrornet.plants import load_plant
from mirrornet.plants.vital import CONTROL_SETS
from mirrornet.score import Note

KNOBS = {"level": -3.0, "cutoff": 800.0, "resonance": 20.0, "attack": 0.01, "decay": 0.5}
VIBRATO = {"vibrato_rate": 5.0, "vibrato_depth": 50.0, "vibrato_phase": 0.0}
NOTE = Note(60, 0.0, 0.5, KNOBS)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "controls.json"


def test_what_a_match_wrote_is_read_back(path: Path, match: Match):
    path.write_text(controls_json(match))
    assert read_notes(path) == ("vital", match.notes)


def test_notes_choose_their_control_set():
    vibrating = [Note(60, 0.0, 0.5, KNOBS | VIBRATO)]
    np.testing.assert_array_equal(
        play_notes(vibrating, "vital", 16000), load_plant("vital", controls="set2").play(vibrating)
    )
    plain = play_notes([NOTE], "vital", 16000)
    np.testing.assert_array_equal(plain, load_plant("vital").play([NOTE]))
    assert len(plain) == 16000 * 0.55


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"controls": KNOBS | {"cutoff": 9000.0}}, "cutoff must lie in 200..3200 Hz; got 9000."),
        ({"controls": KNOBS | {"attack": float("nan")}}, "attack must lie in"),
        ({"controls": {"cutoff": 800.0}}, "needs exactly the controls attack, cutoff"),
        ({"controls": KNOBS | {"loudness": 1.0}}, "needs exactly the controls"),
        ({"pitch_midi": 23}, "whole MIDI pitch in 24..96; got 23."),
        ({"pitch_midi": 60.5}, "whole MIDI pitch in 24..96; got 60.5."),
        ({"pitch_midi": "C4"}, "whole MIDI pitch in 24..96; got C4."),
        ({"pitch_midi": [60]}, "whole MIDI pitch"),
        ({"onset_s": -1.0}, "must start at 0 s or later"),
        ({"onset_s": float("nan")}, "must start at 0 s or later"),
        ({"offset_s": 0.0}, "end after it starts"),
        ({"offset_s": 1e12}, "the notes last until 1e[+]12 s; 600 s is the limit."),
        ({"offset_s": float("inf")}, "600 s is the limit."),
    ],
)
def test_notes_that_must_not_be_played(changes, words):
    note = Note(**({**NOTE.__dict__} | changes))
    with pytest.raises(ControlError, match=words):
        play_notes([note], "vital", 16000)


@pytest.mark.parametrize(
    ("knobs", "wanted"),
    [
        (KNOBS | {"colour": 1.0}, "set1"),
        (KNOBS | VIBRATO | {"colour": 1.0}, "set2"),
        ({name: v for name, v in (KNOBS | VIBRATO).items() if name != "decay"}, "set2"),
        (KNOBS | {"sustain": 1.0, "tune": 0.0}, "patch"),
    ],
)
def test_an_unknown_knob_is_told_with_those_of_the_set_that_was_meant(knobs, wanted):
    names = sorted({*CONTROL_SETS[wanted].names} - {"pitch", "duration"})
    with pytest.raises(ControlError, match=f"needs exactly the controls {', '.join(names)}; got"):
        play_notes([Note(60, 0.0, 0.5, knobs)], "vital", 16000)


def test_no_notes_and_no_plant():
    with pytest.raises(ControlError, match="no notes to play"):
        play_notes([], "vital", 16000)
    with pytest.raises(PlantError, match="there is no plant 'moog'"):
        play_notes([NOTE], "moog", 16000)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "[]",
        "{}",
        '{"plant": "vital"}',
        '{"plant": "vital", "notes": 5}',
        '{"plant": "vital", "notes": {"a": 1}}',
        '{"plant": "vital", "notes": [{"pitch_midi": 60}]}',
        '{"notes": []}',
        '{"plant": "vital", "notes": [{"pitch_midi": 60, "onset_s": null, "offset_s": 1}]}',
        "[" * 100_000,
        "\x00\xff",
    ],
)
def test_a_file_that_holds_something_else(path: Path, text: str):
    path.write_text(text)
    with pytest.raises(ControlError, match=r"controls\.json is not a controls\.json"):
        read_notes(path)


@pytest.mark.parametrize(
    "value", ['"loud"', "[]", "{}", "1" + "0" * 400, "null", '{"cutoff": 10}', "1e999"]
)
@pytest.mark.parametrize("place", ["onset_s", "controls", "cutoff"])
def test_values_that_are_no_numbers(path: Path, value: str, place: str):
    text = json.dumps({"plant": "vital", "notes": [NOTE.__dict__]})
    old = {"onset_s": "0.0", "controls": json.dumps(KNOBS), "cutoff": "800.0"}[place]
    path.write_text(text.replace(f'"{place}": {old}', f'"{place}": {value}'))
    with pytest.raises(ControlError):
        play_notes(read_notes(path)[1], "vital", 16000)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(
            st.sampled_from(["plant", "notes", "pitch_midi", "onset_s", "offset_s", "controls"]),
            inside,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(card=JSON)
def test_any_json_is_notes_or_refused(tmp_path_factory, card):
    path = tmp_path_factory.getbasetemp() / "any.json"
    path.write_text(json.dumps(card), errors="surrogatepass")
    with contextlib.suppress(ControlError):
        plant, notes = read_notes(path)
        assert isinstance(plant, str)
        assert all(isinstance(note.onset_s, float) for note in notes)
