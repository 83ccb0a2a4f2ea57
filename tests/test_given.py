"""A match that starts at a user's own patch, and controls that stay: `--start` and `--lock`."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from vita import Synth  # pyright: ignore[reportPrivateImportUsage]

import mirrornet as mn
from mirrornet.app.cli import main
from mirrornet.matching.given import given_of, parsed_lock, read_start
from mirrornet.plants import Plant, load_plant
from mirrornet.plants.dx7_voice import bank_message, voice_bytes, voice_message, voice_of
from mirrornet.score import Note, Score

RATE_HZ = 44100
HOSTED = importlib.util.find_spec("dawdreamer") is not None
AMSYNTH = Path("/usr/lib/vst/amsynth_vst.so").exists() and HOSTED
NEKOBI = HOSTED and any(
    (Path(place).expanduser() / "Nekobi.vst3").exists()
    for place in ("~/.vst3", "/usr/local/lib/vst3")
)


def preset_of(plant: Plant, score: Score, folder: Path) -> Path:
    """The first preset that the plant makes of a score."""
    made = plant.artifacts(score)[0]
    path = folder / Path(made.path).name
    path.write_bytes(made.make())
    return path


@pytest.mark.parametrize(
    "name",
    [
        "vital-patch",
        "vital-48",
        "dx7",
        pytest.param("amsynth", marks=pytest.mark.skipif(not AMSYNTH, reason="needs amsynth")),
        pytest.param("nekobi", marks=pytest.mark.skipif(not NEKOBI, reason="needs Nekobi")),
    ],
)
def test_a_preset_is_read_as_the_patch_that_it_was_made_of(name: str, tmp_path: Path):
    plant = load_plant(name, sample_rate_hz=RATE_HZ)
    for seed in range(3):
        score = plant.sample(np.random.default_rng(seed))
        before = plant.render(score)
        read = read_start(preset_of(plant, score, tmp_path), plant)
        np.testing.assert_allclose(plant.render(score), before, rtol=0, atol=1e-6)
        space = plant.controls.patch
        assert set(read) == set(space.names)
        for control in space:
            if (name, control.name) == ("nekobi", "waveform"):
                continue  # the plug-in tells its host the old value of this switch
            told, given = read[control.name], score.resolved[0].controls[control.name]
            far = abs(float(control.from_physical(told)) - float(control.from_physical(given)))
            assert far < (0.51 / (control.steps - 1) if control.steps else 1e-3), control.name


def test_a_voice_is_read_from_a_single_and_from_a_bank_and_nothing_else():
    plant = load_plant("dx7", sample_rate_hz=RATE_HZ)
    patch = dict(plant.sample(np.random.default_rng(0)).patch)
    voice = voice_bytes(patch)
    assert voice_of(voice_message(voice)) == voice_of(bank_message([voice])) == patch
    for wrong in (b"", voice, voice_message(voice)[:-1], voice_message(voice)[:-2] + b"\x00\xf7"):
        with pytest.raises(mn.PlantError, match="no voice and no bank of a DX7"):
            voice_of(wrong)


def test_a_vital_preset_without_our_macros_gives_its_cutoff():
    plant = load_plant("vital", controls="patch", sample_rate_hz=RATE_HZ)
    made = plant.artifacts(plant.sample(np.random.default_rng(1)))[0].make()
    preset = json.loads(made)
    preset["settings"]["modulations"] = []
    preset["settings"]["filter_1_cutoff"] = 69.0
    read = plant.read_preset(json.dumps(preset).encode())
    assert read["cutoff"] == pytest.approx(440, rel=1e-3)
    assert (read["filter_env"], read["vibrato_depth"]) == pytest.approx((0, 0), abs=0.01)


def test_what_is_switched_off_in_a_vital_preset_is_not_heard():
    plant = load_plant("vital-48", sample_rate_hz=RATE_HZ)
    read = plant.read_preset(Synth().to_json().encode())
    assert (read["noise"], read["osc2_mix"], read["resonance"]) == pytest.approx((0, 0, 0), abs=0.1)
    assert read["cutoff"] > 11000
    assert (read["filter2"], read["warp"], read["morph"]) == (False, "none", "none")


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b'{"settings": []}', b"\xff\xfe", b"[" * 9999]
)
def test_what_is_no_preset_of_vital_is_said(content: bytes, tmp_path: Path):
    plant = load_plant("vital", controls="patch", sample_rate_hz=RATE_HZ)
    (tmp_path / "x.vital").write_bytes(content)
    with pytest.raises(mn.PlantError, match="no preset of Vital"):
        read_start(tmp_path / "x.vital", plant)


@pytest.mark.skipif(not AMSYNTH, reason="needs amsynth")
def test_a_preset_of_another_plug_in_is_refused(tmp_path: Path):
    plant = load_plant("amsynth")
    path = preset_of(plant, plant.sample(np.random.default_rng(0)), tmp_path)
    data = bytearray(path.read_bytes())
    data[16:20] = b"Othr"
    for content in (bytes(data), bytes(20_000)):
        path.write_bytes(content)
        with pytest.raises(mn.PlantError, match=r"^this is no VST2 preset \(.fxp\) of amsynth.$"):
            read_start(path, plant)


def test_what_cannot_be_given_is_said(tmp_path: Path):
    plant = load_plant("vital", controls="patch", sample_rate_hz=RATE_HZ)
    for start, lock, says in (
        ({"brightness": 1.0}, None, "no control 'brightness'"),
        ({"cutoff": 1e6}, None, "cutoff must lie in 60..12000 Hz"),
        (None, {"cutoff": None}, "cutoff is to be locked, but at what"),
        (None, {"level": 0.0}, "no control 'level'"),
        (tmp_path / "gone.vital", None, "there is no file"),
    ):
        with pytest.raises(mn.ControlError, match=says):
            given_of(plant, start, lock)
    assert given_of(plant, {"cutoff": 500.0}, {"cutoff": None}).lock == {"cutoff": 500.0}
    assert parsed_lock(["cutoff=500", "wave"], plant.controls) == {"cutoff": 500.0, "wave": None}
    with pytest.raises(mn.ControlError, match="cutoff cannot be locked at 'high'"):
        parsed_lock(["cutoff=high"], plant.controls)


@pytest.fixture(scope="module")
def sound() -> np.ndarray:
    plant = load_plant("vital", controls="patch", sample_rate_hz=RATE_HZ)
    patch = dict(plant.sample(np.random.default_rng(4)).patch)
    patch |= {"cutoff": 2000.0, "wave": 75.0, "noise": 0.0, "filter_blend": 0.0, "vibrato_depth": 0}
    own = {"level": 0.0, "tune": 0.0}
    notes = [Note(57 + 3 * n, 0.1 + 0.5 * n, 0.5 + 0.5 * n, own) for n in range(3)]
    return plant.render(Score(notes, patch, 1.8))


@pytest.mark.parametrize("refine", [0, 12])
def test_locked_controls_stay_and_others_are_matched(sound: np.ndarray, refine: int):
    lock = {"cutoff": 500.0, "unison": 2.0}
    found = mn.match((sound, RATE_HZ), refine=refine, lock=lock)
    free = mn.match((sound, RATE_HZ), refine=refine, timbre="knobs")
    for note in found.notes:
        assert note.controls["cutoff"] == pytest.approx(500)
        assert note.controls["unison"] == pytest.approx(2)
    assert free.notes[0].controls["cutoff"] != pytest.approx(500, rel=0.1)
    assert found.distances["spectrogram_error"] < 1


def test_a_match_starts_at_the_patch_that_is_given(sound: np.ndarray, tmp_path: Path, capsys):
    out, again = tmp_path / "out", tmp_path / "again"
    first = mn.match((sound, RATE_HZ), refine=30, timbre="knobs")
    first.save(out)
    for start in (out / "match.vital", out / "controls.json"):
        second = mn.match((sound, RATE_HZ), refine=2, start=start)
        error = second.distances["spectrogram_error"]
        assert error < 1.2 * first.distances["spectrogram_error"] + 0.002
    names = "cutoff,unison=1,wave=75"
    command = ["match", str(out / "target.wav"), "--start", str(out / "match.vital")]
    assert main([*command, "--lock", names, "--refine", "4", "--out", str(again)]) == 0
    card = json.loads((again / "controls.json").read_text())
    kept = first.notes[0].controls["cutoff"]
    assert card["patch"]["cutoff"] == pytest.approx(kept, rel=1e-3)
    assert (card["patch"]["unison"], card["patch"]["wave"]) == pytest.approx((1, 75))
    capsys.readouterr()
    assert main([*command, "--lock", "nothing", "--out", str(tmp_path / "no")]) == 2
    assert "there is no control 'nothing'" in capsys.readouterr().err
