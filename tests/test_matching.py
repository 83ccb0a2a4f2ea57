"""Matching with the weights that ship: the demo's melody, the plant's own, and refinement."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

import mirrornet as mn
from mirrornet.plants.vital import Vital
from mirrornet.score import note_spans
from mirrornet.training.sampling import random_melodies

DATA = Path(mn.__file__).parent / "data"
DEMO = DATA / "demo-melody.flac"


@pytest.fixture(scope="module")
def plant() -> mn.Plant:
    return mn.load_plant("vital", sample_rate_hz=44100)


@pytest.fixture(scope="module")
def held_out(plant) -> np.ndarray:
    return random_melodies(plant.controls, "held-out", 6, seed=7)


@pytest.mark.parametrize("controls", ["set1", "patch"])
def test_the_demos_five_notes_are_heard(controls):
    truth = json.loads((DATA / "demo-melody.json").read_text())["notes"]
    match = mn.match(DEMO, "vital", mn.load_model(None, controls))
    assert [note.pitch_midi for note in match.notes] == [note["pitch_midi"] for note in truth]
    for note, true in zip(match.notes, truth, strict=True):
        assert note.onset_s == pytest.approx(true["onset_s"], abs=0.03)


@pytest.mark.slow
def test_melodies_of_the_plant_are_played_back(plant, held_out):
    errors = []
    for controls in held_out:
        match = mn.match((plant.render(controls), 44100), plant)
        spans = note_spans(controls[1])
        found = note_spans(match.controls[1])
        assert [n.pitch_midi for n in match.notes] == list(np.rint(12 * controls[0]) + 62)
        np.testing.assert_allclose(found, spans, atol=0.02)
        errors.append(match.distances["spectrogram_error"])
    assert np.mean(errors) < 0.015


def test_gain_rate_and_channels_do_not_matter(plant, held_out):
    sound = plant.render(held_out[0])
    match = mn.match((sound, 44100), plant)
    louder = mn.match((np.stack([3 * sound, 3 * sound], 1), 44100), plant)
    np.testing.assert_allclose(louder.controls, match.controls, atol=1e-4)
    other = mn.load_plant("vital", sample_rate_hz=22050)
    assert len(mn.match((other.render(held_out[0]), 22050), plant).audio) == 88200


def test_the_match_is_what_it_says(plant, held_out):
    match = mn.match((plant.render(held_out[1]), 44100), model=mn.load_model())
    assert match.audio.shape == match.target.shape == (88200,)
    assert match.sample_rate_hz == 44100
    np.testing.assert_allclose(match.audio, match.plant.play(match.notes, 2.0), atol=1e-6)
    plant.controls.check(match.controls)
    again = mn.match((plant.render(held_out[1]), 44100), model=mn.load_model())
    assert np.array_equal(again.controls, match.controls)


@pytest.mark.slow
def test_renders_bring_it_closer(plant, held_out):
    for controls in held_out[:2]:
        sound = (plant.render(controls), 44100)
        errors = [
            mn.match(sound, plant, refine=n).distances["spectrogram_error"] for n in (0, 1, 10)
        ]
        assert errors[2] < 0.5 * errors[0]
        assert errors[1] <= errors[0] * 1.001


def test_renders_bring_the_papers_networks_closer_too(plant, held_out):
    torch.manual_seed(0)
    model = mn.MirrorNet("vital", plant.controls, "paper")
    sound = (plant.render(held_out[0]), 44100)
    errors = [
        mn.match(sound, plant, model, refine=n).distances["spectrogram_error"] for n in (0, 30)
    ]
    assert errors[1] < 0.8 * errors[0]


class Counting(Vital):
    """Counts its notes."""

    played = 0

    def note_sound(self, note):
        self.played += 1
        return super().note_sound(note)


def test_refinement_spends_no_more_than_its_renders(plant, held_out):
    counting, events = Counting(sample_rate_hz=44100), []
    progress = mn.Progress(events.append)
    mn.match((plant.render(held_out[0]), 44100), counting, refine=7, progress=progress)
    assert counting.played == 5 * (7 + 1)  # the answer is played, too
    assert [event.done for event in events if event.kind == "end"] == [7]


def test_a_plant_may_play_at_any_rate(plant, held_out):
    slow = mn.load_plant("vital")
    match = mn.match((plant.render(held_out[0]), 44100), slow, refine=3)
    assert match.sample_rate_hz == slow.sample_rate_hz == 16000
    assert match.audio.shape == match.target.shape == (32000,)
    assert match.distances["spectrogram_error"] < 0.02


def test_a_paper_model_is_refined_by_what_it_hears(plant, held_out):
    model = mn.MirrorNet("vital", plant.controls, "paper").eval()
    match = mn.match((plant.render(held_out[0]), 44100), plant, model, refine=2)
    plant.controls.check(match.controls)


@pytest.mark.parametrize("sound", [np.zeros(16000), (np.zeros(16000),), 3])
def test_what_is_no_sound_is_refused(sound):
    with pytest.raises(mn.AudioError, match="sample_rate_hz"):
        mn.match(sound)


@pytest.mark.parametrize("duration_s", [0.5, 3.0])
def test_a_model_of_melodies_refuses_other_lengths_with_a_sentence(duration_s):
    sound = np.sin(np.arange(round(8000 * duration_s)))
    with pytest.raises(mn.AudioError, match="2 s"):
        mn.match((sound, 8000), model=mn.load_model())


def test_a_model_of_another_control_set_is_refused():
    with pytest.raises(mn.CheckpointError, match="choose the plant it learned on"):
        mn.match(DEMO, mn.load_plant("vital", controls="set2"), mn.load_model())


def test_a_model_of_another_plant_is_refused():
    controls = mn.ControlSpace(mn.load_plant("vital").controls, "diva7")
    with pytest.raises(mn.CheckpointError, match="plays diva, not vital"):
        mn.match(DEMO, "vital", mn.MirrorNet("diva", controls))


def test_fewer_than_no_renders_are_refused():
    with pytest.raises(mn.ControlError, match="refine"):
        mn.match(DEMO, refine=-1)


def test_what_ships_for_no_such_controls_is_said():
    with pytest.raises(
        mn.CheckpointError, match="weights ship for the control sets 48, patch, set1"
    ):
        mn.load_model(None, "set3")
