"""Any recording of one voice, with the weights that ship: notes, one patch, files for a DAW."""

import io
import json
from dataclasses import replace

import mido
import numpy as np
import pytest
import soundfile
import soxr
from encoding import encoded
from vita import Synth  # pyright: ignore[reportPrivateImportUsage]

import mirrornet as mn
from mirrornet.experiments.reading import as_read, note_scores
from mirrornet.export.files import save_match
from mirrornet.export.midi import bends, midi
from mirrornet.matching.levels import with_levels
from mirrornet.matching.one_shot import ONE_SHOT
from mirrornet.matching.recordings import plant_score
from mirrornet.matching.transcribe import HeardNote, Transcript
from mirrornet.score import TICKS_PER_S, Note, Score
from tests.test_patch import SINE

RATE_HZ = 44100
PLUCK = SINE | {"wave": 75.0, "cutoff": 1200.0, "sustain": 30.0, "decay": 0.6, "attack": 0.005}
TUNE = (
    (57, 0.2, 0.45, 0.0),
    (60, 0.5, 0.75, -6.0),
    (64, 0.8, 1.4, -3.0),
    (64, 1.5, 1.7, -12.0),
    (62, 1.75, 2.2, 0.0),
    (45, 2.9, 3.6, -4.0),
)


@pytest.fixture(scope="module")
def plant() -> mn.Plant:
    return mn.load_plant("vital", controls="patch", sample_rate_hz=RATE_HZ)


@pytest.fixture(scope="module")
def played() -> list[Note]:
    return [Note(p, on, off, PLUCK | {"level": level}) for p, on, off, level in TUNE]


@pytest.fixture(scope="module")
def match(plant, played) -> mn.Match:
    return mn.match((plant.play(played, 4.0), RATE_HZ), timbre="knobs")


def test_the_notes_of_a_phrase_are_found(match, played):
    assert [n.pitch_midi for n in match.notes] == [n.pitch_midi for n in played]
    for note, true in zip(match.notes, played, strict=True):
        assert note.onset_s == pytest.approx(true.onset_s, abs=0.03)
        assert note.offset_s == pytest.approx(true.offset_s, abs=0.1)
        assert note.controls["tune"] == pytest.approx(0, abs=10)
        assert note.controls["level"] == pytest.approx(true.controls["level"], abs=2)


def test_the_match_is_what_it_says(match, plant):
    assert len(match.audio) == len(match.target) == 4 * RATE_HZ
    np.testing.assert_allclose(match.audio, match.plant.play(match.notes, 4.0), atol=1e-6)
    assert match.distances["spectrogram_error"] < 0.5
    assert match.controls.shape == (len(plant.controls), len(TUNE))
    assert set(match.confidence) == set(plant.controls.patch.names)
    assert all(0 <= confidence <= 1 for confidence in match.confidence.values())
    assert match.warnings == []


def test_rate_channels_and_gain_do_not_matter(plant, played, match, tmp_path):
    file = tmp_path / "stereo.wav"
    sound = 0.3 * mn.load_plant("vital", controls="patch", sample_rate_hz=32000).play(played, 4.0)
    soundfile.write(file, np.stack([sound, 0.5 * sound], 1), 32000)
    other = mn.match(file, timbre="knobs")
    assert [n.pitch_midi for n in other.notes] == [n.pitch_midi for n in match.notes]
    for control in plant.controls.patch:
        values = [control.from_physical(m.score.patch[control.name]) for m in (match, other)]
        assert values[0] == pytest.approx(values[1], abs=0.05), control.name


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "codec", "offset"),
    [("mp4", "aac", 0.0), ("webm", "libopus", 0.0), ("wav", "pcm_f32le", 0.1)],
)
def test_a_phone_a_browser_and_an_offset_leave_the_notes(
    plant, played, tmp_path, kind, codec, offset
):
    sound = soxr.resample(plant.play(played, 4.0), RATE_HZ, 48000)
    (tmp_path / "memo").write_bytes(encoded(0.02 * sound + offset, 48000, kind, codec))
    found = mn.match(tmp_path / "memo")
    assert [n.pitch_midi for n in found.notes] == [n.pitch_midi for n in played]
    for note, true in zip(found.notes, played, strict=True):
        assert note.onset_s == pytest.approx(true.onset_s, abs=0.03)
    assert found.warnings == []


def test_the_preset_played_by_the_midi_file_is_the_match(match, tmp_path):
    """As in a DAW: Vital with `match.vital`, played by `melody.mid`."""
    save_match(match, tmp_path / "out")
    synth = Synth()
    synth.set_sample_rate(RATE_HZ)
    assert synth.load_json((tmp_path / "out" / "match.vital").read_text())
    file = mido.MidiFile(tmp_path / "out" / "melody.mid")
    sound = np.zeros(len(match.audio) + 5 * RATE_HZ)
    now_s, held = 0.0, {}
    for _ in range(2):  # a synthesizer that has settled
        synth.render(60, 0.5, 0.5, 3.0)
    for message in file:
        now_s += message.time
        if message.type == "note_on":
            held[message.note] = now_s, message.velocity / 127
        elif message.type == "note_off":
            start_s, strength = held.pop(message.note)
            note = synth.render(message.note, strength, now_s - start_s, now_s - start_s + 1.1)[0]
            first = round(start_s * RATE_HZ)
            sound[first : first + len(note)] += note
    np.testing.assert_allclose(sound[: len(match.audio)], match.audio, atol=1e-3)
    saved = soundfile.read(tmp_path / "out" / "match.wav")[0]
    likeness = np.corrcoef(sound[: len(saved)], saved)[0, 1]
    assert likeness > 0.9999


def test_files_say_how_sure_each_knob_is(match, tmp_path):
    save_match(match, tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "report.html",
        "match.wav",
        "target.wav",
        "melody.mid",
        "match.vital",
        "controls.json",
        "controls.csv",
        "compare.png",
    }
    card = json.loads((tmp_path / "out" / "controls.json").read_text())
    assert card["confidence"] == match.confidence
    page = (tmp_path / "out" / "report.html").read_text()
    assert "match.vital" in page
    assert all(f"{100 * confidence:.0f} %" in page for confidence in match.confidence.values())


@pytest.mark.slow
def test_renders_bring_it_closer(plant, played, match):
    sound = (plant.play(played, 4.0), RATE_HZ)
    better = mn.match(sound, refine=40, timbre="knobs")
    assert better.distances["spectrogram_error"] < 0.8 * match.distances["spectrogram_error"]


@pytest.mark.slow
@pytest.mark.parametrize("duration_s", [0.1, 0.3])
def test_a_single_short_note_is_found(plant, duration_s):
    note = Note(69, 0.0, duration_s, SINE | {"wave": 75.0})
    found = mn.match((plant.play([note], duration_s), RATE_HZ))
    assert [n.pitch_midi for n in found.notes] == [69]
    assert len(found.audio) == round(duration_s * RATE_HZ)


def test_noise_is_refused_with_a_sentence_or_doubted():
    noise = 0.1 * np.random.default_rng(0).standard_normal(3 * RATE_HZ)
    try:
        said = mn.match((noise, RATE_HZ)).warnings
    except mn.AudioError as error:
        said = [str(error)]
    assert any("voice" in text or text == ONE_SHOT for text in said)


def test_clipping_and_noise_leave_the_notes(plant, played):
    pytest.importorskip("mir_eval")
    sound = plant.play(played, 4.0)
    clipped = np.clip(sound, -0.1 * np.abs(sound).max(), 0.1 * np.abs(sound).max())
    noise = np.random.default_rng(0).standard_normal(len(sound))
    noisy = sound + 0.1 * np.sqrt(np.mean(sound**2)) * noise  # 20 dB below
    for spoilt in (clipped, noisy):
        found = mn.match((spoilt, RATE_HZ))
        assert note_scores(played, as_read(found.notes))["note_f1"] > 0.9  # one of six may be lost


@pytest.mark.slow
def test_chords_and_drums_are_doubted(plant):
    chords = [
        Note(pitch, 0.8 * n, 0.8 * n + 0.7, PLUCK)
        for n, root in enumerate((48, 53, 55, 48))
        for pitch in (root, root + 4, root + 7, root + 11)
    ]
    chance = np.random.default_rng(0)
    hits = [chance.standard_normal(RATE_HZ // 4) for _ in range(12)]
    drums = np.concatenate([hit * np.exp(-np.arange(len(hit)) / 800) for hit in hits])
    for sound in (plant.play(chords, 3.2), 0.2 * drums):
        try:
            said = mn.match((sound, RATE_HZ)).warnings
        except mn.AudioError as error:
            said = [str(error)]
        assert "voice" in said[0]


def heard(**changed) -> HeardNote:
    return HeardNote(
        **{
            "pitch_midi": 60,
            "tune": 0.1,
            "onset_s": 0.0,
            "offset_s": 0.5,
            "level": 0.5,
            "confidence": 1.0,
        }
        | changed
    )


def test_a_note_in_tune_needs_no_pitch_wheel(plant, match):
    notes = [heard(onset_s=0.5 * n, offset_s=0.5 * n + 0.4) for n in range(4)]
    notes[2] = heard(onset_s=1.0, offset_s=1.4, tune=0.14)  # two cents away
    notes[3] = heard(onset_s=1.5, offset_s=1.9, tune=-0.7)
    transcript = Transcript(notes, np.full(16, 0.5), np.zeros(16))
    score = plant_score(plant, transcript, 2.0)
    found = score.resolved
    assert [n.controls["tune"] for n in found] == pytest.approx([5.0, 5.0, 5.0, -35.0])
    bent = replace(match, score=score)
    assert bends(bent, found) == [0, 0, 0, round(8191 * -40 / 200)]
    file = mido.MidiFile(file=io.BytesIO(midi(bent, [("melody", found)])))
    wheel = [(m.type, getattr(m, "pitch", None)) for m in file.tracks[1] if not m.is_meta]
    assert next(one for one in wheel if one[0] != "control_change") == ("pitchwheel", 0)
    last_on = max(n for n, (kind, _) in enumerate(wheel) if kind == "note_on")
    assert wheel[last_on - 1] == ("pitchwheel", round(8191 * -40 / 200))


def test_times_are_those_a_midi_file_can_say(plant):
    notes = [heard(onset_s=0.12345, offset_s=9.0)]
    note = plant_score(plant, Transcript(notes, np.full(16, 0.5), np.zeros(16)), 2.0).notes[0]
    assert note.onset_s * TICKS_PER_S == pytest.approx(round(note.onset_s * TICKS_PER_S))
    assert note.offset_s == 2.0


def test_levels_are_measured_on_the_target(plant):
    notes = [Note(60, n * 0.5, n * 0.5 + 0.4, PLUCK | {"level": -10.0}) for n in range(3)]
    louder = [
        Note(n.pitch_midi, n.onset_s, n.offset_s, n.controls | {"level": level})
        for n, level in zip(notes, (-20.0, -2.0, -14.0), strict=True)
    ]
    target = 0.1 * plant.play(louder, 2.0)
    level = plant.controls.named("level")
    found = with_levels(plant, level, Score(notes), target, plant.play(notes, 2.0))
    assert [n.controls["level"] for n in found.notes] == pytest.approx([-18.0, 0.0, -12.0], abs=0.6)


def test_a_note_the_plant_can_hardly_play_does_not_silence_the_others(plant):
    notes = [Note(60, n * 0.5, n * 0.5 + 0.4, PLUCK | {"level": -10.0}) for n in range(4)]
    target = plant.play(notes, 2.5)
    audio = target.copy()
    audio[round(1.5 * RATE_HZ) :] *= 1e-5
    found = with_levels(plant, plant.controls.named("level"), Score(notes), target, audio)
    assert [n.controls["level"] for n in found.notes] == pytest.approx(
        [0.0, 0.0, 0.0, 0.0], abs=0.5
    )


def test_guesses_alone_are_no_notes(plant):
    transcript = Transcript([heard(confidence=0.05)], np.full(16, 0.5), np.zeros(16))
    assert plant_score(plant, transcript, 2.0).notes == []


def test_notes_that_are_mere_guesses_are_not_played_and_none_outlasts_the_next(plant):
    notes = [
        heard(offset_s=0.6),
        heard(onset_s=0.5, offset_s=0.9),
        heard(onset_s=1.5, confidence=0.02),
    ]
    found = plant_score(plant, Transcript(notes, np.full(16, 0.5), np.zeros(16)), 2.0).notes
    assert [note.onset_s for note in found] == [0.0, 0.5]
    assert found[0].offset_s == 0.5


@pytest.mark.slow
@pytest.mark.parametrize(("around_s", "hiss"), [(0.0, 0.0), (20.0, 0.0), (4.0, 3e-4)])
def test_silence_and_hiss_around_a_phrase_change_little(plant, played, match, around_s, hiss):
    sound = plant.play(played, 4.0)
    around = np.zeros(round(around_s * RATE_HZ), np.float32)
    sound = np.concatenate([around, sound, around])
    sound += hiss * np.random.default_rng(0).standard_normal(len(sound)).astype(np.float32)
    found = mn.match((sound, RATE_HZ))
    assert [n.pitch_midi for n in found.notes] == [n.pitch_midi for n in match.notes]
    onsets = [n.onset_s - around_s for n in found.notes]
    np.testing.assert_allclose(onsets, [n.onset_s for n in match.notes], atol=0.02)
