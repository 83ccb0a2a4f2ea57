"""Presets open in the Vital program, by its own rules, and sound in vita as before."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from vita import Synth  # pyright: ignore[reportPrivateImportUsage]
from vital_rules import problems

from mirrornet.app.cli import main
from mirrornet.plants import load_plant
from mirrornet.plants.vital import CONTROL_SETS, Vital
from mirrornet.plants.vital_preset import preset_text
from mirrornet.score import Note, melody_score

RATE_HZ = 16000


def corner_notes(plant: Vital) -> list[Note]:
    """Notes with every control at its lowest, its highest, and anywhere."""
    space = plant.controls.knobs
    count = len(space.rows)
    rows = [np.zeros(count), np.ones(count)]
    rows += list(np.random.default_rng(0).random((4, len(plant.controls.rows)))[:, -count:])
    return [Note(48 + 6 * n, 0.0, 0.4, space.from_vector(row)) for n, row in enumerate(rows)]


@pytest.fixture(scope="module", params=list(CONTROL_SETS))
def plant(request) -> Vital:
    return Vital(request.param, RATE_HZ)


def test_vital_opens_presets_of_every_control_set(plant: Vital):
    for note in corner_notes(plant):
        assert problems(plant.preset(note)) == []


def test_presets_are_the_same_from_every_vital(plant: Vital):
    note = corner_notes(plant)[3]
    other = load_plant("vital", controls=plant.controls.name, sample_rate_hz=RATE_HZ)
    assert isinstance(other, Vital)
    assert other.preset(note) == plant.preset(note)


def test_vital_opens_the_artifacts_of_a_melody():
    plant = Vital("set2", RATE_HZ)
    score = melody_score(plant.controls, np.random.default_rng(1).random((10, 5)))
    artifacts = plant.artifacts(score)
    assert [artifact.note for artifact in artifacts] == [*range(5)]
    for artifact in artifacts:
        assert problems(artifact.make().decode()) == []


def test_vital_opens_every_preset_of_a_match(saved: Path):
    presets = sorted((saved / "presets").glob("*.vital"))
    assert len(presets) == 5
    for path in presets:
        assert problems(path.read_text()) == []


def test_the_rules_refuse_what_vita_writes():
    """As all presets were until version 0.2: vita opens them, Vital does not."""
    assert {"the preset is of version 99999.9.9, newer than Vital 1.0: refused"} <= {
        *problems(Synth().to_json())
    }


def test_the_rules_see_each_fault():
    plant = Vital("patch", RATE_HZ)
    good = json.loads(plant.preset(corner_notes(plant)[2]))

    def broken(**settings: object) -> list[str]:
        return problems(preset_text(good | {"settings": good["settings"] | settings}, "Keys", "x"))

    assert broken() == []
    assert broken(osc_1_level=1.5) == ["osc_1_level is 1.5, beyond 0.0..1.0"]
    assert broken(filter_1_model=0.5) == ["filter_1_model is 0.5, not a whole number"]
    assert broken(filter_9_on=0.0) == ["filter_9_on is no setting of Vital's"]
    assert broken(modulations=[{"source": "lfo_9", "destination": "osc_1_tune"}])
    assert broken(modulations=[{"source": "", "destination": ""}] * 65) == ["65 modulations"]
    assert broken(sample=good["settings"]["sample"] | {"length": 44101})
    assert broken(lfos=good["settings"]["lfos"][:7]) == ["7 LFOs"]
    assert problems(preset_text(good, "Piano", "x")) == ["the browser finds the style 'Piano'"]
    assert problems(preset_text(good, "Keys", "x" * 501))
    assert problems(json.dumps(good))  # spaced: the browser looks elsewhere for the author


def test_presets_sound_bit_for_bit_as_vita_plays_its_own(plant: Vital):
    """What the file says of its version changes nothing of the sound."""
    for note in corner_notes(plant)[2:4]:
        preset = plant.preset(note)
        with_vitas_versions = preset.replace('version":"1.0.0"', 'version":"99999.9.9"')
        assert with_vitas_versions.count("99999.9.9") == 4
        np.testing.assert_array_equal(first_sound(preset), first_sound(with_vitas_versions))


def first_sound(preset: str) -> np.ndarray:
    synth = Synth()
    synth.set_sample_rate(RATE_HZ)
    assert synth.load_json(preset)
    return synth.render(60, 0.7, 0.5, 0.8)


def written(tmp_path: Path, plant: Vital, notes: list[Note]) -> list[str]:
    """What `render --preset` makes of a controls.json of these notes."""
    card = {"plant": "vital", "notes": [dataclasses.asdict(note) for note in notes]}
    (tmp_path / "controls.json").write_text(json.dumps(card))
    source, preset = tmp_path / "controls.json", tmp_path / "mended.vital"
    assert main(["render", str(source), "--preset", str(preset)]) == 0
    assert not (tmp_path / "controls.wav").exists()
    paths = sorted(tmp_path.glob("*.vital"))
    assert main(["render", str(source), "--preset", str(preset)]) == 2  # nothing is overwritten
    return [path.read_text() for path in paths]


def test_render_mends_the_preset_of_a_recording(tmp_path: Path):
    plant = Vital("patch", RATE_HZ)
    note = corner_notes(plant)[2]
    notes = [
        dataclasses.replace(note, pitch_midi=pitch, controls=note.controls | {"tune": tune})
        for pitch, tune in ((60, 3.0), (64, 3.0), (67, -20.0))
    ]
    (text,) = written(tmp_path, plant, notes)
    assert problems(text) == []
    assert text == plant.preset(notes[0])


def test_render_mends_the_presets_of_notes(tmp_path: Path):
    plant = Vital("set1", RATE_HZ)
    notes = corner_notes(plant)[2:5]
    assert written(tmp_path, plant, notes) == [plant.preset(note) for note in notes]
    names = sorted(path.name for path in tmp_path.glob("*.vital"))
    assert names == ["mended-1-C4.vital", "mended-2-F#4.vital", "mended-3-C5.vital"]


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        ({"cutoff": 1e9}, ["--preset", "a.vital"], "cutoff must lie in"),
        ({}, ["--preset", "a.json"], "must, too"),
        ({}, ["--preset", "a.vital", "--plant", "soundfont"], "needs exactly the controls"),
    ],
)
def test_render_writes_no_preset_that_does_not_play(
    tmp_path: Path, monkeypatch, capsys, change: dict, options: list[str], words: str
):
    monkeypatch.chdir(tmp_path)
    note = corner_notes(Vital("set1", RATE_HZ))[2]
    note = dataclasses.asdict(dataclasses.replace(note, controls=note.controls | change))
    Path("controls.json").write_text(json.dumps({"plant": "vital", "notes": [note]}))
    assert main(["render", "controls.json", *options]) == 2
    assert words in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["controls.json"]


def test_style_tells_what_sounds_on_from_what_decays():
    plant = Vital("patch", RATE_HZ)
    note = corner_notes(plant)[2]
    styles = [
        json.loads(plant.preset(Note(60, 0.0, 1.0, note.controls | {"sustain": sustain})))
        for sustain in (0.0, 100.0)
    ]
    assert [preset["preset_style"] for preset in styles] == ["Keys", "Lead"]
