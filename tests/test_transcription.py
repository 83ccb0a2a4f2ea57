"""From what is heard frame by frame to notes, and from what notes say to one patch."""

from itertools import islice

import numpy as np
import pytest
import torch

from mirrornet.controls import Control, ControlSpace
from mirrornet.errors import CheckpointError
from mirrornet.experiments.material import RATE_HZ, plant_phrases
from mirrornet.features import FRAME_S, hear_recording
from mirrornet.matching.transcribe import LATE, WINDOW, find_notes, transcribe
from mirrornet.models.mirrornet import MirrorNet, load_model
from mirrornet.models.notes import SILENT, Frames, NoteFinder
from mirrornet.models.rows import RowCode
from mirrornet.models.salience import LOWEST_MIDI, PITCHES, harmonic_places
from mirrornet.models.transcriber import UNSURE, Opinions, Transcriber
from mirrornet.plants.vital_patch import PATCH

FRAMES = 300
LOUDNESS = np.ones(FRAMES)
PERIOD = 484  # frames; as the network pools them, whole fours
TWO = ControlSpace((Control("wave", scope="patch"), Control("cutoff", scope="patch")))


def played(*notes: tuple[int, float, float], tune: float = 0.0) -> Frames:
    """What a perfect ear hears of notes `(midi, first frame, end frame)`."""
    onsets, held = torch.full((FRAMES,), -8.0), torch.full((SILENT + 1, FRAMES), -8.0)
    held[SILENT] = 8.0
    for midi, first, end in notes:
        low, share = int(first), first - int(first)
        onsets[low] = torch.logit(torch.tensor(1 - share - 1e-4))
        onsets[low + 1] = torch.logit(torch.tensor(share + 1e-4))
        own = slice(low, round(end))
        held[SILENT, own], held[midi - LOWEST_MIDI, own] = -8.0, 8.0
    tunes = torch.full((1, PITCHES, FRAMES), tune)
    return Frames(onsets[None], held.log_softmax(0)[None], tunes)


def test_notes_are_found_where_they_are_played():
    notes = find_notes(
        played((60, 10.0, 50), (72, 80.5, 120), (24, 200.25, 299), tune=-0.3), LOUDNESS
    )
    assert [note.pitch_midi for note in notes] == [60, 72, 24]
    onsets = [note.onset_s / FRAME_S + LATE for note in notes]
    np.testing.assert_allclose(onsets, [10, 80.5, 200.25], atol=0.05)
    ends = [note.offset_s / FRAME_S for note in notes]
    np.testing.assert_allclose(ends, [50, 120, 299], atol=1)
    assert [note.tune for note in notes] == pytest.approx([-0.3] * 3, abs=1e-4)
    assert all(note.confidence > 0.9 for note in notes)


def test_a_note_said_again_is_two_and_a_moment_missed_is_none():
    frames = played((60, 10.0, 100), (60, 60.0, 100))
    frames.pitch_logits[:, :, 80:82] = played().pitch_logits[:, :, 80:82]
    dipping = LOUDNESS.copy()
    dipping[58:61] = 0.9
    notes = find_notes(frames, dipping)
    assert [note.pitch_midi for note in notes] == [60, 60]
    assert notes[0].offset_s == pytest.approx(60 * FRAME_S, abs=FRAME_S)
    assert notes[1].offset_s == pytest.approx(100 * FRAME_S, abs=FRAME_S)


def test_another_vowel_of_a_note_is_no_other_note():
    """A voice sings on, softer or louder, without a dip."""
    louder = LOUDNESS + (np.arange(FRAMES) > 60)
    for loudness in (LOUDNESS, louder, louder[::-1]):
        (note,) = find_notes(played((60, 10.0, 100), (60, 60.0, 100)), loudness)
        assert note.offset_s == pytest.approx(100 * FRAME_S, abs=FRAME_S)


def moved(frames: Frames, semitones: np.ndarray, first: int, midi: int = 60) -> Frames:
    """The same, with the note `midi` moved by fractional semitones from frame to frame."""
    for at, beside in enumerate(semitones, first):
        whole = round(beside)
        frames.pitch_logits[0, :SILENT, at] = -16.0
        frames.pitch_logits[0, midi + whole - LOWEST_MIDI, at] = 0.0
        frames.tune[0, :, at] = 2 * (beside - whole)
    return frames


def test_a_glide_into_a_note_is_no_other_note():
    frames = played((60, 10.0, 110))
    notes = find_notes(moved(frames, np.linspace(-3, 0, 25), 10), LOUDNESS)
    assert [note.pitch_midi for note in notes] == [60]
    (first_s, first), *_, (last_s, last) = notes[0].glide
    assert first < -1
    assert last == pytest.approx(0, abs=0.1)
    assert first_s < 0.02
    assert last_s == pytest.approx(100 * FRAME_S, abs=2 * FRAME_S)


@pytest.mark.parametrize("cents", [28, 80, 120])
def test_vibrato_is_one_note_in_tune_without_a_glide(cents):
    swing = 0.01 * cents * np.sin(2 * np.pi * 5.7 * FRAME_S * np.arange(150))
    (note,) = find_notes(moved(played((60, 10.0, 160)), swing, 10), LOUDNESS)
    assert note.pitch_midi == 60
    assert abs(note.tune) < 0.3
    assert note.glide == ()


def test_silence_holds_no_notes():
    assert find_notes(played(), LOUDNESS) == []
    silent = transcribe(load_model(controls="patch"), np.zeros((176, 300), np.float32))
    assert silent.notes == []
    assert (silent.confidence == 0).all()


def test_a_doubtful_note_says_so():
    frames = played((60, 10.0, 50))
    frames.pitch_logits[:, 62 - LOWEST_MIDI, 10:50] = frames.pitch_logits[
        :, 60 - LOWEST_MIDI, 10:50
    ]
    frames = frames._replace(pitch_logits=frames.pitch_logits.log_softmax(1))
    assert find_notes(frames, LOUDNESS)[0].confidence < 0.6


def test_a_long_recording_is_read_in_parts_as_if_it_were_whole():
    """A phrase that is heard again and again is read alike each time, also where a part ends."""
    heard = hear_recording(next(plant_phrases(seed=78)).sound, RATE_HZ)[:, :PERIOD]
    times = 2 * WINDOW // PERIOD + 2
    assert WINDOW % PERIOD  # a part ends in the midst of it
    read = transcribe(load_model(controls="patch"), np.tile(heard, times)).notes
    of = np.array([int((note.onset_s / FRAME_S + 2) // PERIOD) for note in read])
    first, *others = ([read[n] for n in np.flatnonzero(of == time)] for time in range(1, times - 1))
    assert len(first) > 3
    for number, notes in enumerate(others, 1):
        since_s = number * PERIOD * FRAME_S
        assert [note.pitch_midi for note in notes] == [note.pitch_midi for note in first]
        for note, same in zip(notes, first, strict=True):
            assert note.onset_s - since_s == pytest.approx(same.onset_s, abs=1e-4)
            assert note.offset_s - since_s == pytest.approx(same.offset_s, abs=1e-4)
            assert (note.confidence, note.tune) == pytest.approx(
                (same.confidence, same.tune), abs=1e-3
            )
            assert note.knobs == pytest.approx(same.knobs, abs=1e-3)


def test_harmonics_are_read_where_the_cochlea_puts_them():
    """220 Hz is channel 31; its second harmonic an octave, 24 channels, higher."""
    places = harmonic_places().reshape(13, 3, PITCHES, 176)
    a3 = places[:, 1, 57 - LOWEST_MIDI].argmax(-1)
    assert a3[3] == 31
    assert a3[4] == 31 + 24
    assert a3[2] == 31 - 24
    assert (places.sum(-1) <= 1 + 1e-6).all()


@pytest.mark.slow
def test_knobs_are_off_by_as_much_as_they_are_doubted():
    model = load_model(controls="patch")
    patch = model.controls.patch
    straight = [n for n, control in enumerate(patch.rows) if not control.circular]
    off, sure = [], []
    for phrase in islice(plant_phrases(seed=78), 24):
        found = transcribe(model, hear_recording(phrase.sound, RATE_HZ))
        true = patch.to_vector(phrase.notes[0].controls)
        if found.notes:
            off.append((found.knobs - true)[straight])
            sure.append(found.confidence[straight])
    off, sure = np.concatenate(off), np.concatenate(sure)
    for low, high in ((0.0, 0.4), (0.4, 0.7), (0.7, 1.0)):
        some = (sure >= low) & (sure < high)
        doubted = UNSURE * (1 - sure[some].mean())
        assert 0.6 < np.sqrt(np.square(off[some]).mean()) / doubted < 1.6


def test_the_surer_notes_count_more():
    network = Transcriber(TWO)
    level, knobs = torch.zeros(1, 2), torch.tensor([[[0.2, 0.8], [0.5, 0.5]]])
    sureness = torch.tensor([[[400.0, 4.0], [100.0, 100.0]]])
    said = Opinions(level, knobs, sureness, torch.empty(1, 0, 2))
    agreed, variance = network.agree(said, torch.ones(1, 2))
    assert agreed[0, 0] == pytest.approx((0.2 * 400 + 0.8 * 4) / 404)
    assert variance[0, 0] < variance[0, 1]
    only, _ = network.agree(said, torch.tensor([[0.0, 1.0]]))
    assert only[0, 0] == pytest.approx(0.8)


def test_a_circular_knob_goes_through_its_circle():
    code = RowCode([Control("wave"), Control("phase", circular=True)])
    knobs = torch.tensor([[0.3, 0.02], [0.9, 0.98], [0.1, 0.5]])
    np.testing.assert_allclose(code.rows_of(code.measures(knobs)), knobs, atol=1e-6)
    across = float(code.rows_of(code.measures(knobs)[:2].mean(0, keepdim=True))[0, 1])
    assert min(across, 1 - across) == pytest.approx(0.0, abs=1e-6)


def test_models_saved_in_half_precision_read_the_same(tmp_path):
    torch.manual_seed(0)
    model = MirrorNet("vital", PATCH, "recording").eval()
    model.save(tmp_path / "model.json", {}, half=True)
    again = MirrorNet.load(tmp_path / "model.json")
    assert again.architecture == "recording"
    assert again.controls == PATCH
    assert again.plant == "vital"
    finder = NoteFinder().eval()
    finder.save(tmp_path / "notes.json", {}, half=True)
    found = NoteFinder.load(tmp_path / "notes.json")
    heard = torch.rand(1, 176, 100)
    with torch.inference_mode():
        one, other = (each(heard).tune for each in (finder, found))
    np.testing.assert_allclose(other, one, atol=2e-3)
    with pytest.raises(CheckpointError, match=r"model\.json is no note finder"):
        NoteFinder.load(tmp_path / "model.json")
