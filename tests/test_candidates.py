"""Several answers to one recording: ranked, different to the ear, and saved beside the best."""

import json
from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from vital_rules import problems

import mirrornet as mn
from mirrornet.app.cli import main
from mirrornet.audio import save_audio
from mirrornet.budget import Budget
from mirrornet.matching.candidates import different, other_patches
from mirrornet.plants.vital import Vital
from mirrornet.score import Note, as_score
from tests.test_patch import SINE
from tests.test_surrogate import RATE_HZ, melody


@pytest.fixture(scope="module")
def sound() -> tuple[np.ndarray, int]:
    score = replace(melody({"wave": 60.0, "cutoff": 2000.0}), duration_s=1.6)
    return Vital("patch", RATE_HZ).render(score), RATE_HZ


@pytest.mark.slow
def test_candidates_are_ranked_and_sound_different(sound):
    match = mn.match(sound, Vital("patch", RATE_HZ), candidates=3)
    answers = [match, *match.others]
    assert len(answers) == 3
    errors = [answer.distances["spectrogram_error"] for answer in answers]
    assert errors == sorted(errors)
    for one, other in combinations(answers, 2):
        assert different(one.heard, other.heard, match.target_heard)
        assert [n.pitch_midi for n in one.notes] == [n.pitch_midi for n in other.notes]
        assert one.notes[0].controls != other.notes[0].controls


def test_a_patch_that_sounds_the_same_is_no_other_answer():
    """Where no knob is in doubt, all that is drawn is the same."""
    plant = Vital("patch", RATE_HZ)
    score = as_score(plant.controls, melody({"wave": 60.0}).resolved)
    target = plant.render(replace(score, duration_s=1.6))
    confidence = np.ones(len(plant.controls.patch))
    assert other_patches(plant, score, confidence, target, 2, Budget(5)) == []
    assert len(other_patches(plant, score, 0 * confidence, target, 2, Budget(17))) > 0


@pytest.mark.slow
def test_candidates_share_the_renders_and_are_saved_beside_the_best(sound, tmp_path, capsys):
    path = tmp_path / "tune.wav"
    save_audio(path, *sound)
    out = tmp_path / "out"
    options = ["--candidates", "2", "--refine", "6", "--out", str(out)]
    assert main(["match", str(path), *options]) == 0
    said = capsys.readouterr()
    assert "Another answer, in" in said.out
    assert said.err.count("3/3") == 2
    page = (out / "report.html").read_text()
    assert "candidate-2/report.html" in page
    best, other = (
        json.loads((out / place / "controls.json").read_text()) for place in ("", "candidate-2")
    )
    error = "spectrogram_error"
    assert best["distances"][error] <= other["distances"][error]
    assert all(0 < note["confidence"] <= 1 for note in best["notes"])
    for name in ("match.wav", "match.vital", "melody.mid", "report.html"):
        assert (out / "candidate-2" / name).stat().st_size > 50
    for folder in (out, out / "candidate-2"):
        assert problems((folder / "match.vital").read_text()) == []


@pytest.mark.slow
def test_fewer_renders_than_candidates_go_to_the_first(sound):
    events = []
    progress = mn.Progress(events.append)
    mn.match(sound, Vital("patch", RATE_HZ), candidates=3, refine=2, progress=progress)
    ends = {event.stage: event.done for event in events if event.kind == "end"}
    assert ends.pop("Trying other patches") == 33
    assert ends == {"Refining 1 of 3": 1, "Refining 2 of 3": 1}


class Stuck(Vital):
    """Sounds the same, however its knobs stand."""

    def note_tail_s(self, note: Note) -> float:
        return super().note_tail_s(stuck(note))

    def note_sound(self, note: Note) -> np.ndarray:
        return super().note_sound(stuck(note))


def stuck(note: Note) -> Note:
    own = {name: note.controls[name] for name in ("level", "tune")}
    return replace(note, controls=SINE | own)


def test_fewer_than_asked_is_said(sound):
    match = mn.match(sound, Stuck("patch", RATE_HZ), candidates=2)
    assert not match.others
    assert any("candidates" in warning for warning in match.warnings)


def test_cancelled_while_patches_are_drawn_it_keeps_those_that_were(sound):
    events = []

    def listen(event):
        events.append(event)
        if event.kind == "advance" and event.done == 4:
            progress.cancel()

    progress = mn.Progress(listen)
    match = mn.match(sound, Vital("patch", RATE_HZ), candidates=3, refine=1000, progress=progress)
    assert len(match.notes) == 4
    assert max(event.done for event in events) == 4


def test_only_recordings_have_candidates(sound):
    with pytest.raises(mn.ControlError, match="one answer"):
        mn.match(sound, model=mn.load_model(), candidates=2)
    with pytest.raises(mn.ControlError, match="1 or more"):
        mn.match(sound, candidates=0)
