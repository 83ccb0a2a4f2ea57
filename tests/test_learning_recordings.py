"""Learning from recordings: from their sound alone, on and on, and with a page that tells."""

import json
import shutil
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from mirrornet.app import fine_tuning
from mirrornet.app.cli import main
from mirrornet.app.fine_tuning import held_out
from mirrornet.errors import AudioError, CancelledError
from mirrornet.events import Progress
from mirrornet.experiments import material
from mirrornet.experiments.material import voice_phrases
from mirrornet.features import FRAME_S, hear_recording, uncompressed
from mirrornet.matching.transcribe import HeardNote, Transcript
from mirrornet.models.mirrornet import MirrorNet, load_model
from mirrornet.plants.pool import Pool
from mirrornet.plants.vital import Vital
from mirrornet.plants.vital_patch import PATCH
from mirrornet.plants.vital_prior import random_patch
from mirrornet.score import Note
from mirrornet.training import fine_tuning as training_fine_tuning
from mirrornet.training import trainer
from mirrornet.training.fine_tuning import FineTuningRecipe, cut, fine_tune, read_all

RATE_HZ = 32000
TINY = FineTuningRecipe(phrases=4, rounds=2, round_steps=2, batch=4, batch_e_c=2)


@pytest.fixture(scope="module")
def sounds() -> list[np.ndarray]:
    """Phrases of six notes, all with one patch."""
    knobs = random_patch(PATCH, np.random.default_rng(3), "blown") | {"noise": 0.0}
    physical = {name: float(PATCH.named(name).to_physical(v)) for name, v in knobs.items()}
    found = []
    for start in (55, 60, 64):
        notes = [
            Note(start + 2 * n, 0.1 + 0.4 * n, 0.45 + 0.4 * n, physical | {"level": 0.0, "tune": 0})
            for n in range(6)
        ]
        found.append(Vital("patch", RATE_HZ).play(notes, 3.0))
    return found


@pytest.fixture(scope="module")
def heard(sounds) -> list[np.ndarray]:
    return [hear_recording(sound, RATE_HZ) for sound in sounds]


@pytest.fixture(scope="module")
def model() -> MirrorNet:
    return load_model(controls="patch")


@pytest.fixture(scope="module")
def pool():
    with Pool("vital", workers=1, controls="patch", sample_rate_hz=32000) as pool:
        yield pool


@pytest.fixture(autouse=True)
def _one_core(monkeypatch):
    monkeypatch.setattr(trainer, "usable_cores", lambda: 1)


def test_an_excerpt_begins_with_a_note_and_holds_what_is_heard_then(model, heard):
    long = np.concatenate([heard[0]] * 3, -1)  # 9 s
    excerpts = cut(model, [long], 99)
    assert len(excerpts) == 2
    pitches = []
    for notes, S, end in zip(excerpts.notes, excerpts.heard, excerpts.ends, strict=True):
        real = notes[~np.isnan(notes[:, 0])]
        assert 0 <= real[0, 1] <= 2 * FRAME_S
        assert (np.diff(real[:, 1]) > 0).all()
        assert (real[:, 1] < end * FRAME_S).all()
        assert (real[:, 2] <= end * FRAME_S + 1e-6).all()
        assert (S[:, int(end) :] == 0).all()
        assert any(  # as loud as it is in the recording
            np.allclose(S[:, :50], uncompressed(long)[:, at : at + 50], atol=1e-5)
            for at in range(long.shape[-1] - 50)
        )
        pitches.append([int(midi) for midi in real[:, 0]])
    assert [55, 57, 59, 61, 63, 65] in [row[:6] for row in pitches]
    assert len(cut(model, [long], 1)) == 1


def test_of_many_notes_an_excerpt_ends_before_the_first_left_out(model):
    knobs = torch.zeros(16).numpy()
    notes = [HeardNote(60 + n % 12, 0.0, 0.06 * n, 0.06 * n + 0.05, 1.0, 1.0) for n in range(60)]
    ghost = HeardNote(80, 0.0, 1.0, 1.1, 1.0, 0.05)
    transcript = Transcript(sorted([*notes, ghost], key=lambda n: n.onset_s), knobs, knobs)
    parts = training_fine_tuning._cut(model, transcript, np.ones((176, 480), np.float32))
    counts = [int((~np.isnan(rows[:, 0])).sum()) for rows, _, _ in parts]
    assert counts == [40, 20]
    assert parts[0][2] == int(0.06 * 40 / FRAME_S)
    assert not (parts[0][0][:, 0] == 80).any()


def test_silence_cannot_be_learned_from(model):
    with pytest.raises(AudioError, match="no notes were heard"):
        cut(model, [np.zeros((176, 300), np.float32)], 9)


@pytest.mark.slow
def test_it_plays_recordings_of_another_voice_better_through_its_decoder(model, pool, tmp_path):
    sung = list(islice(voice_phrases(0, material.sung), 4))
    heard = [hear_recording(phrase.sound, material.RATE_HZ) for phrase in sung]
    excerpts = cut(model, heard, 99)
    recipe = replace(TINY, phrases=8, round_steps=15, lr=1e-3)
    learned = fine_tune(recipe, model, pool, excerpts, tmp_path / "run", {})
    S, notes, ends = map(torch.from_numpy, (excerpts.heard, excerpts.notes, excerpts.ends))
    errors = []
    for one in (model, learned):
        with torch.no_grad():
            errors.append(float(one.e_c(S, notes, ends, torch.Generator().manual_seed(1))))
    assert errors[1] < 0.9 * errors[0]
    read, patches = read_all(learned, excerpts)
    assert read.shape == excerpts.notes.shape == (len(excerpts), 40, 5)
    np.testing.assert_array_equal(read[..., :3], excerpts.notes[..., :3])
    assert patches.shape == (len(excerpts), 16)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "done", "steps"),
    [("Listening", 3, 3), pytest.param("Round 2", 1, 2, id="while the plant plays")],
)
def test_a_stopped_listening_goes_on_to_the_same_weights(
    model, pool, heard, tmp_path, monkeypatch, stage, done, steps
):
    excerpts = cut(model, heard, 9)
    whole = fine_tune(TINY, model, pool, excerpts, tmp_path / "whole", {})

    def stop(event):
        if (event.stage, event.done) == (stage, done):
            progress.cancel()

    progress = Progress(stop)
    # Played again, babble may differ in its last bit.
    for part in ("babble", "round-00"):
        shutil.copytree(tmp_path / "whole" / part, tmp_path / "stopped" / part)
    shutil.copy(tmp_path / "whole" / "run.json", tmp_path / "stopped" / "run.json")
    again = TINY, model, pool, excerpts, tmp_path / "stopped", {}
    with monkeypatch.context() as patched:
        patched.setattr(pool, "progress", progress)
        with pytest.raises(CancelledError):
            fine_tune(*again, resume=True)
    assert json.loads((tmp_path / "stopped" / "state.json").read_text())["step"] == steps
    found = fine_tune(*again, resume=True)
    for name, tensor in whole.state_dict().items():
        torch.testing.assert_close(tensor, found.state_dict()[name], msg=name)


SILENT = """
from dataclasses import replace
from mirrornet.plants.vital import Vital

class Silent(Vital):
    def sample(self, generator):
        score = super().sample(generator)
        in_tune = [replace(n, controls=n.controls | {"tune": 0.0}) for n in score.notes]
        return replace(score, notes=in_tune)

    def note_sound(self, note):
        return super().note_sound(note) * (note.controls["tune"] == 0.0)
"""


@pytest.mark.slow
def test_a_plant_that_is_silent_with_all_that_is_read_ends_nothing(model, heard, tmp_path):
    """It sounds as long as it babbles, always in tune."""
    (tmp_path / "silent.py").write_text(SILENT)
    excerpts, said = cut(model, heard, 9), []
    plant, options = str(tmp_path / "silent.py"), {"controls": "patch", "sample_rate_hz": RATE_HZ}
    with Pool(plant, workers=1, progress=Progress(said.append), **options) as silent:
        fine_tune(TINY, model, silent, excerpts, tmp_path / "run", {})
    assert (tmp_path / "run" / "model.json").is_file()
    assert {event.stage for event in said} >= {"Round 1", "Round 2"}


def test_files_are_held_out_and_a_single_one_is_both():
    files = [Path(f"{n}.wav") for n in range(11)]
    learned_from, judged_by = held_out(files, seed=0)
    assert len(judged_by) == 3
    assert sorted(learned_from + judged_by) == sorted(files)
    assert held_out(files, seed=0) == (learned_from, judged_by)
    assert held_out(files, seed=1) != (learned_from, judged_by)
    assert held_out(files[:1], seed=0) == (files[:1], files[:1])
    assert [len(part) for part in held_out(files[:2], seed=0)] == [1, 1]


@pytest.mark.slow
def test_the_command_learns_from_a_folder_and_tells_before_and_after(
    sounds, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(fine_tuning, "FineTuningRecipe", lambda: TINY)
    folder = tmp_path / "mine"
    folder.mkdir()
    for number, sound in enumerate(sounds):
        soundfile.write(folder / f"take {number}.wav", sound, RATE_HZ)
    soundfile.write(folder / "twin.flac", *soundfile.read(folder / "take 0.wav"))
    (folder / "broken.wav").write_bytes(b"RIFFnonsense")
    (folder / "earlier").mkdir()  # results of a match are no recordings
    soundfile.write(folder / "earlier" / "match.wav", sounds[0], RATE_HZ)
    (folder / "earlier" / "controls.json").write_text(
        '{"plant": "vital", "notes": [], "controls_0_to_1": []}'
    )
    command = ["learn", "--recipe", "mirror", "--targets", "mine", "--start", "shipped"]
    assert main([*command, "--seed", "2"]) == 0
    said = capsys.readouterr()
    assert "broken.wav" in said.err
    assert "twin.flac is the same sound as take 0.wav" in " ".join(said.err.split())
    assert "Beware" not in said.out
    assert "of variance before" in said.out
    assert "mirrornet match SOUND --model runs/mine-patch" in said.out
    out = tmp_path / "runs" / "mine-patch" / "held-out"
    scores = json.loads((out / "scores.json").read_text())["spectrogram_error"]
    page = (out / "index.html").read_text()
    assert len(scores) == 1
    assert "broken.wav" not in scores
    for name, errors in scores.items():
        assert errors["before"] > 0
        assert errors["after"] > 0
        for sound in ("before/target.wav", "before/match.wav", "after/match.wav"):
            assert (out / name / sound).is_file()
            assert f"{name.replace(' ', '%20')}/{sound}" in page
    assert main([*command, "--seed", "2"]) == 2
    assert "add --resume" in capsys.readouterr().err
    assert main([*command, "--seed", "2", "--resume"]) == 0
    (folder / "take 0.wav").unlink()
    again = ["--start", "runs/mine-patch", "--out", "runs/again"]
    assert main(["learn", "--targets", "mine", *again]) == 0
    assert "Beware: the start has listened to some of these" in capsys.readouterr().out
    one = str(folder / "take 1.wav")
    assert main(["match", one, "--model", "runs/mine-patch", "--out", "found"]) == 0


def test_a_folder_without_a_usable_sound_leaves_no_run_behind(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "broken.wav").write_bytes(b"RIFFnonsense")
    tone = 0.3 * np.random.default_rng(0).standard_normal(RATE_HZ)
    command = ["learn", "--targets", "mine", "--start", "shipped"]
    assert main(command) == 2
    assert "none of the 1 files in mine can be used" in capsys.readouterr().err
    soundfile.write(tmp_path / "mine" / "noise.wav", tone, RATE_HZ)
    assert main(command) == 2
    assert "no notes were heard in the recordings" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
