"""A plant that is one file, as CONTRIBUTING.md says: nothing else in the package knows of it."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

import mirrornet as mn
from mirrornet.app.cli import main
from mirrornet.errors import CancelledError, PlantError
from mirrornet.features import RECORDING_RATE_HZ
from mirrornet.models.mirrornet import MirrorNet
from mirrornet.models.recording import read_patch
from mirrornet.plants import load_plant
from mirrornet.plants.pool import Pool
from mirrornet.score import Note, Score
from mirrornet.training import babble
from mirrornet.training.babble import PhraseRecipe, train_on_babble

CONTRIBUTING = Path(mn.__file__).parents[1] / "CONTRIBUTING.md"
TINY = PhraseRecipe(phrases=24, patch_epochs=6, sound_epochs=6, batch=8)
OWN = {"strength": 100, "bite": 30.0}
PATCH = {"shape": "hollow", "harmonics": [80.0, 20.0, 50.0], "attack": 0.02}


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    """The file, its code as CONTRIBUTING.md prints it."""
    code = re.findall(r"```python\n(.*?)```", CONTRIBUTING.read_text(), re.DOTALL)
    path = tmp_path_factory.mktemp("plant") / "toy.py"
    path.write_text(code[0])
    return path


@pytest.fixture(scope="module")
def sound(toy) -> np.ndarray:
    """Four notes of the toy; keys 60, 64, 67, 60 sound an octave higher."""
    notes = [Note(key, 0.1 + 0.5 * n, 0.5 + 0.5 * n, OWN) for n, key in enumerate((60, 64, 67, 60))]
    return load_plant(str(toy)).render(Score(notes, PATCH, 2.2))


@pytest.fixture(scope="module")
def model(toy, tmp_path_factory) -> Path:
    """The folder of a model that learned the toy from a little babble, in workers, its notes read
    as what ships reads them."""
    folder = tmp_path_factory.mktemp("runs") / "toy"
    with Pool(str(toy), workers=1, sample_rate_hz=RECORDING_RATE_HZ) as pool:
        train_on_babble(TINY, pool, folder)
    return folder


@pytest.mark.slow
def test_every_kind_of_control_survives_a_match(toy, sound, model):
    found = mn.match((sound, 44100), load_plant(str(toy)), model)
    assert [note.pitch_midi for note in found.notes] == [60, 64, 67, 60]
    assert set(found.score.patch) == set(PATCH)
    assert found.score.patch["shape"] in ("hollow", "full")
    assert np.shape(found.score.patch["harmonics"]) == (3,)
    assert all(set(note.controls) == set(OWN) | set(PATCH) for note in found.notes)
    assert found.distances["spectrogram_error"] < 1


@pytest.mark.slow
def test_renders_bring_it_closer_and_find_the_choice(toy, sound, model):
    plant = load_plant(str(toy))
    at_once, refined = (
        mn.match((sound, 44100), plant, model, refine=renders) for renders in (0, 80)
    )
    errors = [one.distances["spectrogram_error"] for one in (at_once, refined)]
    assert errors[1] < 0.8 * errors[0]
    assert refined.score.patch["shape"] == "hollow"


def test_from_the_command_line_to_files_and_back(toy, sound, model, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    soundfile.write("sound.wav", sound, 44100)
    assert main(["match", "sound.wav", "--plant", str(toy), "--model", str(model)]) == 0
    card = json.loads(Path("sound-match/controls.json").read_text())
    assert card["plant"] == str(toy)
    assert set(card["patch"]) == set(PATCH)
    assert "hollow" in Path("sound-match/report.html").read_text()
    assert Path("sound-match/melody.mid").is_file()
    # The file names code of somebody's, which is run only if that is asked for.
    assert main(["render", "sound-match/controls.json", "--out", "again.wav"]) == 2
    assert f"add --plant {toy}" in capsys.readouterr().err
    render = ["render", "sound-match/controls.json", "--plant", str(toy), "--out", "again.wav"]
    assert main(render) == 0
    again, matched = (soundfile.read(name)[0] for name in ("again.wav", "sound-match/match.wav"))
    again = again[: len(matched)]
    matched = matched[: len(again)]
    cosine = np.sum(again * matched) / np.sqrt(np.sum(again**2) * np.sum(matched**2))
    assert cosine > 0.999  # the match is brought to the target's level


@pytest.mark.slow
def test_a_training_that_was_cancelled_goes_on_to_the_same_weights(toy, model, tmp_path):
    def listen(event):
        if event.stage == "Learning" and event.done == 7:
            progress.cancel()

    progress = mn.Progress(listen)
    with (
        Pool(str(toy), 1, progress=progress, sample_rate_hz=RECORDING_RATE_HZ) as pool,
        pytest.raises(CancelledError),
    ):
        train_on_babble(TINY, pool, tmp_path / "run")
    with Pool(str(toy), 1, sample_rate_hz=RECORDING_RATE_HZ) as pool:
        again = train_on_babble(TINY, pool, tmp_path / "run", resume=True)
    assert again.fingerprint == MirrorNet.load(model / "model.json").fingerprint


@pytest.mark.slow
def test_encoder_and_decoder_learn_what_the_controls_do(toy, tmp_path):
    few = replace(TINY, phrases=12, batch=12, patch_epochs=40, sound_epochs=120, gain_db=0.0)
    with Pool(str(toy), workers=1, sample_rate_hz=RECORDING_RATE_HZ) as pool:
        model = train_on_babble(few, pool, tmp_path / "run")
        phrases = babble.babble_phrases(pool, 12, 0, tmp_path / "run" / "babble")
    S = torch.from_numpy(phrases.heard.astype(np.float32))
    notes, true = torch.from_numpy(phrases.notes), torch.from_numpy(phrases.patches)
    with torch.no_grad():
        own, read = read_patch(model.encoder, S, notes)
        e_d = [
            float(model.e_d((notes, patches), S, torch.Generator().manual_seed(0)))
            for patches in (true, true.roll(1, 0))
        ]
    assert (read[:, 0] == true[:, 0]).all()  # the choice
    assert (read - true)[:, 1:].abs().mean() < 0.7 * (0.5 - true)[:, 1:].abs().mean()
    real = ~notes[..., 0].isnan()
    missed, guessed = (x[..., 3:][real].abs().mean() for x in (own - notes, 0.5 - notes))
    assert missed < 0.8 * guessed
    assert e_d[0] < 0.8 * e_d[1]


@pytest.mark.slow
def test_a_note_that_crashes_it_costs_its_own_phrase(toy, tmp_path):
    crashing = tmp_path / "crashing.py"
    crash = "        if note.pitch_midi < 50:\n            __import__('os')._exit(3)\n"
    head = "    def note_sound(self, note):\n"
    crashing.write_text(toy.read_text().replace(head, head + crash))
    said = []
    progress = mn.Progress(lambda event: said.append(event.text))
    options = {"workers": 1, "progress": progress, "sample_rate_hz": RECORDING_RATE_HZ}
    with Pool(str(crashing), **options) as pool:
        phrases = babble.babble_phrases(pool, 8, 0, tmp_path / "babble")
    left_out = [text for text in said if text.startswith("left out")]
    assert left_out
    assert len(phrases) == 8 - len(left_out)
    assert np.nanmin(phrases.notes[..., 0]) >= 50 + 12  # labels are what is heard


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ('"bite": 130.0', "toy drew a score that it must not play: bite must lie in 0..100 %"),
        ('"bite": float("nan")', "toy drew a score that it must not play: bite must lie in"),
    ],
)
def test_a_score_it_must_not_play_is_its_own_fault(toy, tmp_path, wrong, words):
    bad = tmp_path / "bad.py"
    draw = f"""
    def sample(self, generator):
        from mirrornet.score import Note, Score
        patch = {PATCH!r}
        return Score([Note(60, 0.0, 1.0, {{"strength": 90, {wrong}}})], patch, 4.0)
"""
    bad.write_text(toy.read_text() + draw)
    with Pool(str(bad), workers=1) as pool:
        (answer,) = pool.sample([(0, 0, 0)])
    assert isinstance(answer, PlantError)
    assert words in str(answer)


@pytest.mark.parametrize(
    ("sound", "words"),
    [
        ("np.full(len(times_s), np.nan)", "toy gave sound that is not finite"),
        ("sound[:9]", "toy gave 9 samples"),
    ],
)
def test_bad_sound_names_the_plant(toy, tmp_path, sound, words):
    bad = tmp_path / "bad.py"
    code = re.sub(r"return \(0\.2.*\n", f"return {sound}\n", toy.read_text())
    bad.write_text(code)
    with pytest.raises(PlantError, match=words):
        load_plant(str(bad)).render(Score([Note(60, 0.0, 1.0, OWN)], PATCH))


def test_a_file_without_a_plant_is_told(tmp_path):
    (tmp_path / "none.py").write_text("x = 1\n")
    with pytest.raises(PlantError, match="defines 0 plants"):
        load_plant(str(tmp_path / "none.py"))
    (tmp_path / "wrong.py").write_text("x = \n")
    with pytest.raises(PlantError, match=r"cannot be run \(SyntaxError"):
        load_plant(str(tmp_path / "wrong.py"))
    with pytest.raises(PlantError, match="there is no file"):
        load_plant(str(tmp_path / "missing.py"))


def test_a_model_says_in_what_its_controls_are_others(toy, sound, model, tmp_path):
    other = tmp_path / "other.py"
    other.write_text(
        toy.read_text().replace('"attack", "s", 0.003, 0.2', '"attack", "s", 0.003, 0.5')
    )
    with pytest.raises(mn.CheckpointError, match=r"attack: high is 0\.5, not 0\.2"):
        mn.match((sound, 44100), load_plant(str(other)), model)
    # A help text is no control.
    other.write_text(toy.read_text().replace("how fast it decays", "its decay"))
    assert mn.match((sound, 44100), load_plant(str(other)), model).notes


def test_a_note_at_a_time_as_well(toy, sound, model):
    found = mn.match((sound, 44100), load_plant(str(toy)), model, patch="per-note", refine=12)
    assert len(found.notes) == 4
    assert not found.one_patch


def test_notes_for_which_it_has_no_key_are_said(toy, sound, model, tmp_path):
    low = tmp_path / "low.py"  # what is heard at MIDI 72 is played by its highest key, 108
    low.write_text(toy.read_text().replace("transposition = 12", "transposition = -36"))
    found = mn.match((sound, 44100), load_plant(str(low)), model)
    assert [note.pitch_midi for note in found.notes] == [108, 108]
    assert "2 notes that were heard lie beyond the keys of toy." in found.warnings


@pytest.mark.slow
@pytest.mark.parametrize("octaves", [3, -3])
def test_a_plant_far_from_its_keys_learns_from_nothing(toy, tmp_path, octaves):
    far = tmp_path / "far.py"
    far.write_text(toy.read_text().replace("= 12\n", f"= {12 * octaves}\n"))
    recipe = replace(TINY, phrases=16, patch_epochs=1, sound_epochs=1)
    with Pool(str(far), workers=1, sample_rate_hz=RECORDING_RATE_HZ) as pool:
        learned = train_on_babble(recipe, pool, tmp_path / "run")
    assert all(weight.isfinite().all() for weight in learned.parameters())


@pytest.mark.slow
def test_knobs_for_which_midi_has_no_controller_are_named(toy, sound, tmp_path):
    wide = tmp_path / "wide.py"
    knobs = "".join(f'Control("knob{n}", "%", 0, 100), ' for n in range(40))
    head = '        Control("bite"'
    wide.write_text(toy.read_text().replace(head, f"        {knobs}\n{head}"))
    with Pool(str(wide), workers=1, sample_rate_hz=RECORDING_RATE_HZ) as pool:
        train_on_babble(replace(TINY, patch_epochs=1), pool, tmp_path / "run")
    found = mn.match((sound, 44100), load_plant(str(wide)), tmp_path / "run", patch="per-note")
    found.save(tmp_path / "saved")
    page = (tmp_path / "saved" / "report.html").read_text()
    (said,) = re.findall(r"MIDI leaves \d+ controllers free.*?: (.*) are not in melody\.mid", page)
    assert "knob39" in said
    assert "knob0," not in said
