"""The files of a match hold what was matched, in forms other programs read."""

import csv
import dataclasses
import io
import json
from pathlib import Path

import mido
import numpy as np
import pytest
import soundfile
from vita import Synth  # pyright: ignore[reportPrivateImportUsage]

from mirrornet.controls import Control, ControlSpace
from mirrornet.export.files import controls_csv, controls_json, level_matched, save_match
from mirrornet.export.midi import midi, velocity
from mirrornet.matching.match import Match
from mirrornet.plants import NotePlant, load_plant
from mirrornet.score import Note, Score, melody_score, note_name


class Beep(NotePlant):
    """A plant with neither a level nor presets."""

    name = "beep"
    controls = ControlSpace(
        (
            Control("pitch", "MIDI", 62, 74, role="pitch"),
            Control("duration", "share", 0.4, 0.9, role="duration"),
            Control("brightness", "%", 0, 100),
        )
    )
    sample_rate_hz = 44100

    def note_sound(self, note):
        return np.ones(round((note.offset_s - note.onset_s + self.tail_s) * 44100), np.float32)


@pytest.fixture
def beeps(match: Match) -> Match:
    notes = [Note(62, 0.0, 1.0, {"brightness": 30.0}), Note(62, 1.0, 2.0, {"brightness": 40.0})]
    score = Score(notes, {}, 2.0)
    return dataclasses.replace(match, plant=Beep(), score=score, controls=np.full((3, 2), 0.5))


def played(track: mido.MidiTrack) -> list[tuple[int, int, float, float]]:
    """(pitch, velocity, onset_s, offset_s) of each note of a track at 960 ticks a beat, 120 bpm."""
    now, sounding, notes = 0, {}, []
    for message in track:
        now += message.time
        if message.type == "note_on":
            assert message.note not in sounding, "a note starts before its last one ended"
            sounding[message.note] = (message.velocity, now)
        elif message.type == "note_off":
            level, start = sounding.pop(message.note)
            notes.append((message.note, level, start / 1920, now / 1920))
    assert not sounding
    return sorted(notes, key=lambda note: note[2])


def test_every_file_is_there_and_listed(match: Match, tmp_path: Path):
    paths = save_match(match, tmp_path / "new" / "deep")
    names = {path.relative_to(tmp_path / "new" / "deep").as_posix() for path in paths}
    presets = {
        f"presets/note-{i}-{note_name(n.pitch_midi)}.vital" for i, n in enumerate(match.notes, 1)
    }
    assert names == presets | {
        "compare.png",
        "controls.csv",
        "controls.json",
        "match.wav",
        "melody.mid",
        "presets/one-track-per-note.mid",
        "report.html",
        "target.wav",
    }
    assert all(path.stat().st_size > 0 for path in paths)
    assert [path.name for path in tmp_path.iterdir()] == ["new"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["deep"]


def test_an_empty_folder_is_filled_not_replaced(match: Match, tmp_path: Path, monkeypatch):
    before = tmp_path.stat().st_ino
    monkeypatch.chdir(tmp_path)
    paths = save_match(match, ".")
    assert tmp_path.stat().st_ino == before
    assert Path("report.html") in paths
    assert not any(path.name.startswith(".") for path in tmp_path.iterdir())


def test_sounds_have_the_targets_level_and_rate(match: Match, saved: Path):
    target, rate_hz = soundfile.read(saved / "target.wav")
    audio, match_rate_hz = soundfile.read(saved / "match.wav")
    assert rate_hz == match_rate_hz == 44100
    np.testing.assert_allclose(target, match.target, atol=1e-6)
    assert np.std(audio) == pytest.approx(np.std(target), rel=1e-4)
    assert np.corrcoef(audio, match.audio)[0, 1] > 0.999999
    assert np.std(match.audio) > 1.5 * np.std(audio)  # it really was turned down


def test_loud_sounds_are_turned_down_alike():
    rng = np.random.default_rng(0)
    target, audio = rng.uniform(-1, 1, 1000), np.zeros(1000)
    audio[::50] = 0.1  # a peak far above its RMS
    quiet_target, matched = level_matched(target, audio)
    assert np.abs(matched).max() == pytest.approx(0.99)
    assert np.square(matched).mean() == pytest.approx(np.square(quiet_target).mean())
    np.testing.assert_allclose(quiet_target / quiet_target[0], target / target[0])


def test_silence_stays_silence():
    silence, sound = np.zeros(100), np.full(100, 0.5)
    for target, audio in ((silence, silence), (sound, silence), (silence, sound)):
        kept, matched = level_matched(target, audio)
        np.testing.assert_array_equal(kept, target)
        np.testing.assert_array_equal(matched, silence)


def test_midi_plays_the_notes(match: Match, saved: Path):
    file = mido.MidiFile(saved / "melody.mid")
    assert file.length == pytest.approx(2.0, abs=1e-3)
    (notes,) = [played(track) for track in file.tracks if played(track)]
    assert [pitch for pitch, *_ in notes] == [note.pitch_midi for note in match.notes]
    for (_, level, onset_s, offset_s), note in zip(notes, match.notes, strict=True):
        assert onset_s == pytest.approx(note.onset_s, abs=1e-3)
        assert offset_s == pytest.approx(note.offset_s, abs=1e-3)
        assert 40 * np.log10(level / 127) == pytest.approx(note.controls["level"], abs=0.25)


def test_each_track_of_the_split_midi_names_its_preset(match: Match, saved: Path):
    _tempo, *tracks = mido.MidiFile(saved / "presets" / "one-track-per-note.mid").tracks
    assert len(tracks) == len(match.notes)
    for track, note in zip(tracks, match.notes, strict=True):
        assert (saved / "presets" / f"{track.name}.vital").exists()
        ((pitch, _, onset_s, _),) = played(track)
        assert (pitch, onset_s) == (note.pitch_midi, pytest.approx(note.onset_s, abs=1e-3))


def test_a_note_ends_before_the_same_pitch_starts_again(beeps: Match):
    notes = [
        *beeps.notes,
        Note(64, 0.5, 0.5001, {"brightness": 0.0}),
    ]  # and one shorter than a tick
    file = mido.MidiFile(file=io.BytesIO(midi(beeps, [("beeps", notes)])))
    assert [note[0] for note in played(file.tracks[1])] == [62, 64, 62]


def test_without_a_level_notes_are_played_at_full_velocity(beeps: Match):
    assert velocity(beeps, beeps.notes[0]) == 127


def test_a_plant_without_presets_gets_no_presets(beeps: Match, tmp_path: Path):
    save_match(beeps, tmp_path)
    assert not (tmp_path / "presets").exists()
    assert "preset" not in (tmp_path / "report.html").read_text("utf-8").lower()


def test_presets_sound_as_their_notes(match: Match, saved: Path):
    check_presets(match, saved)


def test_presets_with_a_vibrato_do_too(match: Match, tmp_path: Path):
    plant = load_plant("vital", controls="set2", sample_rate_hz=44100)
    controls = np.random.default_rng(5).uniform(0.2, 0.8, (10, 5))
    score = melody_score(plant.controls, controls)
    swinging = dataclasses.replace(match, plant=plant, controls=controls, score=score)
    save_match(swinging, tmp_path / "out")
    check_presets(swinging, tmp_path / "out")


def check_presets(match: Match, saved: Path) -> None:
    assert isinstance(match.plant, NotePlant)
    for path, note in zip(sorted((saved / "presets").glob("*.vital")), match.notes, strict=True):
        synth = Synth()
        synth.set_sample_rate(44100)
        assert synth.load_json(path.read_text())
        synth.render(60, 1.0, 0.5, 0.6)  # Vital's smoothed knobs arrive
        wanted = match.plant.note_sound(note)
        length_s = note.offset_s - note.onset_s
        sound = synth.render(note.pitch_midi, 1.0, length_s, length_s + 0.05)[0]
        np.testing.assert_allclose(sound, wanted, atol=1e-6)
        assert np.abs(wanted).max() > 1e-3


def test_json_gives_the_match_back(match: Match, saved: Path):
    read = json.loads((saved / "controls.json").read_text("utf-8"))
    notes = [
        Note(note["pitch_midi"], note["onset_s"], note["offset_s"], note["controls"])
        for note in read["notes"]
    ]
    assert notes == match.notes
    np.testing.assert_allclose(match.plant.play(notes, 2.0), match.audio, atol=1e-6)
    np.testing.assert_array_equal(read["controls_0_to_1"], match.controls)
    assert read["plant"] == "vital"
    assert read["distances"] == match.distances
    controls = ControlSpace(Control.from_json(control) for control in read["controls"])
    assert controls == match.plant.controls
    assert [note["name"] for note in read["notes"]] == [
        note_name(n.pitch_midi) for n in match.notes
    ]


def test_json_has_null_for_a_distance_that_is_not_a_number(match: Match):
    unmeasured = dataclasses.replace(match, distances={"spectrogram_error": np.nan})
    assert json.loads(controls_json(unmeasured))["distances"] == {"spectrogram_error": None}


def test_csv_gives_the_same_values_under_headings_with_units(match: Match, saved: Path):
    with (saved / "controls.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for number, (row, note) in enumerate(zip(rows, match.notes, strict=True), start=1):
        assert row["note"] == str(number)
        assert row["name"] == note_name(note.pitch_midi)
        assert int(row["pitch (MIDI)"]) == note.pitch_midi
        assert float(row["onset (s)"]) == note.onset_s
        assert float(row["offset (s)"]) == note.offset_s
        assert float(row["cutoff (Hz)"]) == note.controls["cutoff"]
        assert float(row["level (dB)"]) == note.controls["level"]
        assert len(row) == 5 + len(note.controls)


def test_no_control_of_a_plant_is_a_formula_and_numbers_stay_numbers(beeps: Match):
    plant = Beep()
    plant.controls = ControlSpace((*Beep.controls[:2], Control("=1+1", "%", -100, 0)))
    notes = [Note(62, 0.0, 1.0, {"=1+1": -30.0})]
    table = controls_csv(dataclasses.replace(beeps, plant=plant, score=Score(notes)))
    (row,) = csv.DictReader(io.StringIO(table))
    assert row["'=1+1 (%)"] == "-30.0"
