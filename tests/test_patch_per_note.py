"""Knobs that move from note to note: found by listening, and exported as MIDI controllers."""

import io
import json

import mido
import numpy as np
import pytest
from vita import Synth  # pyright: ignore[reportPrivateImportUsage]
from vital_rules import problems

import mirrornet as mn
from mirrornet.export.midi import controllers, midi
from mirrornet.plants.vital import Vital
from mirrornet.score import Note
from tests.test_patch import SINE

RATE_HZ = 32000
WAVES = (10.0, 80.0, 40.0, 100.0)


def melody(waves: tuple[float, ...]) -> list[Note]:
    pitches = (60, 64, 67, 62)
    return [
        Note(pitch, 0.4 * n, 0.4 * n + 0.3, SINE | {"wave": wave})
        for n, (pitch, wave) in enumerate(zip(pitches, waves, strict=True))
    ]


@pytest.fixture(scope="module")
def vital() -> Vital:
    return Vital("patch", RATE_HZ)


def preset(match: mn.Match, note: Note) -> str:
    assert isinstance(match.plant, Vital)
    return match.plant.preset(note)


@pytest.fixture(scope="module")
def match(vital: Vital) -> mn.Match:
    sound = vital.play(melody(WAVES), 1.6)
    return mn.match((sound, RATE_HZ), vital, patch="per-note")


def test_a_melody_with_many_notes_has_one_patch(vital: Vital, monkeypatch):
    monkeypatch.setattr("mirrornet.matching.recordings.MOST_PATCHES", 3)
    with pytest.raises(mn.ControlError, match="leave out per-note"):
        mn.match((vital.play(melody(WAVES), 1.6), RATE_HZ), vital, patch="per-note")


def test_a_match_has_a_patch_for_each_note(match: mn.Match, tmp_path):
    assert not match.one_patch
    assert len({note.controls["wave"] for note in match.notes}) == len(match.notes) == 4
    match.save(tmp_path / "out")
    presets = sorted(path.name for path in (tmp_path / "out" / "presets").glob("*.vital"))
    assert presets == [
        f"note-{n}-{name}.vital" for n, name in enumerate(("C4", "E4", "G4", "D4"), 1)
    ]
    for name in presets:
        assert problems((tmp_path / "out" / "presets" / name).read_text()) == []
    card = json.loads((tmp_path / "out" / "controls.json").read_text())
    assert card["midi_controllers"] == controllers(match)


def test_midi_controllers_put_the_synthesizers_knobs_where_the_match_has_them(match: mn.Match):
    """Set in Vital as its MIDI learn would, within the 1/127 of a controller."""
    synth = Synth()
    assert synth.load_json(preset(match, match.notes[0]))
    handles = synth.get_controls()
    named = {synth.get_control_details(name).display_name: name for name in handles}
    numbers = controllers(match)
    assert len(set(numbers.values())) == len(numbers) >= 18
    assert {"Macro 1 (CUTOFF)", "Macro 2 (TUNE)"} <= set(numbers)  # as the preset's face says
    file = mido.MidiFile(file=io.BytesIO(midi(match, [("melody", match.notes)], True)))
    stand, notes = {}, iter(match.notes)
    for message in file.tracks[1]:
        if message.type == "control_change":
            stand[message.control] = message.value / 127
        elif message.type == "note_on":
            note = next(notes)
            wanted = json.loads(preset(match, note))["settings"]
            for knob, number in numbers.items():
                details = synth.get_control_details(named[knob.partition(" (")[0]])
                value = details.min + stand[number] * (details.max - details.min)
                step = (details.max - details.min) / 127
                assert value == pytest.approx(wanted[details.name], abs=step), knob
    assert next(notes, None) is None


def test_one_patch_needs_no_controllers(vital: Vital):
    match = mn.match((vital.play(melody((60.0,) * 4), 1.6), RATE_HZ), vital, timbre="knobs")
    assert match.one_patch
    assert controllers(match) == {}


def test_several_candidates_are_for_a_shared_patch(vital: Vital):
    with pytest.raises(mn.ControlError, match="leave out one"):
        mn.match((np.zeros(RATE_HZ), RATE_HZ), vital, patch="per-note", candidates=2)
