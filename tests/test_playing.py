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
from mirrornet.export.playing import ScoreFile, artifacts, play, read_score
from mirrornet.matching.match import Match
from mirrornet.plants import load_plant
from mirrornet.plants.vital import CONTROL_SETS
from mirrornet.score import Note, Score

KNOBS = {"level": -3.0, "cutoff": 800.0, "resonance": 20.0, "attack": 0.01, "decay": 0.5}
VIBRATO = {"vibrato_rate": 5.0, "vibrato_depth": 50.0, "vibrato_phase": 0.0}
NOTE = Note(60, 0.0, 0.5, KNOBS)


def play_notes(notes: list[Note], plant: str, sample_rate_hz: int) -> np.ndarray:
    """Notes that have all their controls, of a file that names only the plant."""
    return play(ScoreFile(Score(notes), plant, {}), None, sample_rate_hz)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "controls.json"


def test_what_a_match_wrote_is_read_back(path: Path, match: Match):
    path.write_text(controls_json(match))
    file = read_score(path)
    assert (file.plant, file.options) == ("vital", {"controls": "set1"})
    assert file.score.resolved == match.notes


def test_one_patch_is_read_back_and_played_as_one(path: Path):
    controls = CONTROL_SETS["patch"]
    knobs = controls.from_vector(np.full(len(controls), 0.4))
    own = [{name: knobs.pop(name) for name in ("level", "tune")}, {"level": -20.0, "tune": 9.0}]
    score = Score([Note(60 + n, 0.5 * n, 0.5 * n + 0.4, one) for n, one in enumerate(own)], knobs)
    card = {
        "plant": "vital",
        "patch": knobs,
        "notes": [{"name": "any", "confidence": 0.5, **note.__dict__} for note in score.notes],
    }
    path.write_text(json.dumps(card))
    file = read_score(path)
    assert file.score == score
    expected = load_plant("vital", controls="patch").render(score)
    np.testing.assert_array_equal(play(file, None, 16000), expected)
    assert [one.path for one in artifacts(file, None)] == ["match.vital"]
    # As earlier versions wrote it: every note has all controls.
    del card["patch"]
    card["notes"] = [note.__dict__ for note in score.resolved]
    path.write_text(json.dumps(card))
    np.testing.assert_array_equal(play(read_score(path), None, 16000), expected)
    assert [one.path for one in artifacts(read_score(path), None)] == ["match.vital"]


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
        ({"pitch_midi": 20}, "whole MIDI pitch in 21..108; got 20."),
        ({"pitch_midi": 60.5}, "whole MIDI pitch in 21..108; got 60.5."),
        ({"pitch_midi": "C4"}, "whole MIDI pitch in 21..108; got C4."),
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
    names = sorted(CONTROL_SETS[wanted].knobs.names)
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
        read_score(path)


@pytest.mark.parametrize(
    "options",
    [
        {"controls": "set9"},
        {"controls": []},
        {"controls": {}},
        {"colour": "red"},
        {"name": "vital"},
        {"self": 1},
        {"": 1},
        {"sample_rate_hz": "loud"},
    ],
)
def test_options_that_make_no_plant(path: Path, options: dict):
    card = {"plant": "vital", "plant_options": options, "notes": [NOTE.__dict__]}
    path.write_text(json.dumps(card))
    if "sample_rate_hz" in options:  # the rate is the player's to choose
        assert len(play(read_score(path), None, 16000)) == 16000 * 0.55
        return
    with pytest.raises((ControlError, PlantError)):
        play(read_score(path), None, 16000)


@pytest.mark.parametrize(
    "options",
    [
        {"program": "flute"},
        {"program": []},
        {"program": None},
        {"sound_font": 5},
        {"sound_font": []},
        {"sound_font": "gone.sf2"},
    ],
)
def test_options_that_make_no_sound_font(path: Path, options: dict):
    pytest.importorskip("tinysoundfont")
    note = Note(60, 0.0, 0.5).__dict__
    path.write_text(json.dumps({"plant": "soundfont", "plant_options": options, "notes": [note]}))
    with pytest.raises((ControlError, PlantError)):
        play(read_score(path), None, 44100)


def test_a_plant_in_a_file_from_elsewhere_is_not_run_unasked(path: Path):
    proof = path.with_name("proof")
    plant = path.with_name("plant.py")
    plant.write_text(f"open({str(proof)!r}, 'w')")
    path.write_text(json.dumps({"plant": str(plant), "notes": [NOTE.__dict__]}))
    with pytest.raises(PlantError, match=r"if you trust that, add --plant .*plant\.py"):
        play(read_score(path), None, 16000)
    with pytest.raises(PlantError, match="if you trust that"):
        artifacts(read_score(path), None)
    assert not proof.exists()


@pytest.mark.parametrize(
    "value", ['"loud"', "[]", "{}", "1" + "0" * 400, "null", '{"cutoff": 10}', "1e999"]
)
@pytest.mark.parametrize("place", ["onset_s", "controls", "cutoff"])
def test_values_that_are_no_numbers(path: Path, value: str, place: str):
    text = json.dumps({"plant": "vital", "notes": [NOTE.__dict__]})
    old = {"onset_s": "0.0", "controls": json.dumps(KNOBS), "cutoff": "800.0"}[place]
    path.write_text(text.replace(f'"{place}": {old}', f'"{place}": {value}'))
    with pytest.raises(ControlError):
        play(read_score(path), None, 16000)


KEYS = ["plant", "plant_options", "patch", "notes", "pitch_midi", "onset_s", "offset_s", "controls"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(
            st.sampled_from(KEYS),
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
        file = read_score(path)
        assert isinstance(file.plant, str)
        assert all(isinstance(note.onset_s, float) for note in file.score.notes)


@settings(max_examples=80, deadline=None)
@given(
    patch=JSON,
    options=JSON,
    note=st.fixed_dictionaries({}, optional=dict.fromkeys(("pitch_midi", "onset_s"), JSON)),
    knobs=st.dictionaries(st.sampled_from([*KNOBS, "wah"]), JSON, max_size=2),
)
def test_any_values_are_played_or_refused(tmp_path_factory, patch, options, note, knobs):
    path = tmp_path_factory.getbasetemp() / "values.json"
    card = {"plant": "vital", "patch": patch, "plant_options": options}
    card["notes"] = [{**NOTE.__dict__, **note, "controls": KNOBS | knobs}]
    path.write_text(json.dumps(card), errors="surrogatepass")
    with contextlib.suppress(ControlError, PlantError):
        assert np.isfinite(play(read_score(path), None, 8000)).all()


def test_a_sound_font_that_a_file_names_is_not_opened_unasked(path: Path):
    note = Note(60, 0.0, 0.5).__dict__
    options = {"sound_font": "/gone/organ.sf2"}
    path.write_text(json.dumps({"plant": "soundfont", "plant_options": options, "notes": [note]}))
    with pytest.raises(PlantError, match=r"needs soundfont with /gone/organ\.sf2; if you trust"):
        play(read_score(path), None, 44100)
    pytest.importorskip("tinysoundfont")
    with pytest.raises(PlantError, match=r"there is no sound font /gone/organ\.sf2"):
        play(read_score(path), "soundfont", 44100)
