"""Plants of a user's own: a Python file with one class, named by its path wherever a plant is."""

import json
from pathlib import Path

import numpy as np
import pytest

from mirrornet.app.cli import main
from mirrornet.errors import ControlError, PlantError
from mirrornet.export.playing import play, read_score
from mirrornet.features import hear
from mirrornet.matching.match import Match
from mirrornet.plants import load_plant, plant_kinds
from mirrornet.plants.dx7 import DX7
from mirrornet.plants.faust import shipped_programs
from mirrornet.plants.plugin_map import shipped_maps
from mirrornet.plants.pool import Pool
from mirrornet.plants.soundfont import SoundFont
from mirrornet.plants.vital import Vital
from mirrornet.score import Note, Score, knob_controls

ORGAN = """
import numpy as np
from mirrornet.controls import Control, ControlSpace
from mirrornet.plants import NotePlant

SPACE = ControlSpace(
    (
        Control("level", "dB", -30.0, 0.0, role="level"),
        Control("stops", "dB", -40.0, 0.0, scope="patch", shape=(2, 3)),
        Control("wave", kind="choice", choices=("sine", "square"), scope="patch"),
        Control("rank", "pipes", 1, 4, kind="integer", scope="patch"),
        Control("loud", kind="switch", scope="patch"),
    ),
    "organ",
)


class Organ(NotePlant):
    name = "organ"
    control_sets = {"organ": SPACE}
    level_is_gain = True

    def __init__(self, controls="organ", sample_rate_hz=32000, detune=0.0):
        self.controls, self.sample_rate_hz, self.detune = SPACE, sample_rate_hz, detune

    def note_sound(self, note):
        knobs = note.controls
        assert isinstance(knobs["rank"], int) and isinstance(knobs["loud"], bool)
        samples = round((note.offset_s - note.onset_s + self.tail_s) * self.sample_rate_hz)
        time_s = np.arange(samples) / self.sample_rate_hz
        pitch_hz = 440 * 2 ** ((note.pitch_midi - 69 + self.detune) / 12)
        gains = 10 ** (knobs["stops"].mean(1) / 20)
        sound = sum(
            gain * np.sin(2 * np.pi * n * pitch_hz * time_s) for n, gain in enumerate(gains, 1)
        )
        sound = np.sign(sound) if knobs["wave"] == "square" else sound
        gain = 10 ** (knobs["level"] / 20) * (0.2 if knobs["loud"] else 0.1)
        return (gain * sound * (time_s < note.offset_s - note.onset_s)).astype(np.float32)
"""
PATCH = {"stops": [[0.0] * 3, [-20.0] * 3], "wave": "sine", "rank": 2, "loud": True}
SCORE = Score([Note(57, 0.0, 0.5, {"level": -6.0}), Note(60, 0.5, 1.0, {"level": 0.0})], PATCH)


@pytest.fixture
def organ(tmp_path: Path) -> str:
    (tmp_path / "organ.py").write_text(ORGAN)
    return str(tmp_path / "organ.py")


def test_those_that_are_installed_are_listed():
    kinds = plant_kinds()
    ours = {"vital": Vital, "dx7": DX7, "soundfont": SoundFont}
    assert {name: kinds[name] for name in ours} == ours
    assert kinds.keys() - ours.keys() == shipped_maps().keys() | shipped_programs().keys()


def test_it_plays_controls_of_every_kind(organ: str):
    plant = load_plant(organ)
    sound = plant.render(SCORE)
    assert np.abs(np.fft.rfft(sound[:16000])).argmax() == pytest.approx(110, abs=1)
    assert np.abs(sound[16000:]).max() > 1.9 * np.abs(sound[:16000]).max()
    for change in (
        {"wave": "saw"},
        {"wave": 1},
        {"loud": "yes"},
        {"rank": 9},
        {"stops": [0.0, 0.0]},
        {"stops": [[0.0] * 3, [-50.0] * 3]},
        {"stops": [[0.0] * 3, [float("nan")] * 3]},
        {"stops": "all"},
    ):
        (name,) = change
        with pytest.raises(ControlError, match=f"{name} must"):
            plant.render(SCORE.with_patch(PATCH | change))


def test_workers_make_it_again_and_draw_what_it_can_play(organ: str):
    plant = load_plant(organ, detune=1.0, sample_rate_hz=16000)
    assert plant.spec.name == organ
    with Pool(plant.spec.name, workers=1, **plant.spec.options) as pool:
        assert (pool.name, pool.sample_rate_hz) == ("organ", 16000)
        assert pool.controls == plant.controls
        drawn = list(pool.sample([(0, n) for n in range(20)]))
        again = list(pool.sample([(0, n) for n in range(19, 20)]))
        heard = list(pool.hear_scores([SCORE]))
    assert again == drawn[-1:]
    scores = [score for score in drawn if isinstance(score, Score)]
    assert len(scores) == 20
    assert all(score.one_patch and len(plant.render(score)) == 4 * 16000 for score in scores)
    assert {score.patch["wave"] for score in scores} == {"sine", "square"}
    assert isinstance(heard[0], np.ndarray)


def test_play_is_for_notes_and_render_for_scores(organ: str):
    with pytest.raises(ControlError, match="give a whole score to `render`"):
        load_plant(organ).play(SCORE)  # pyright: ignore[reportArgumentType]


def test_at_another_rate_it_is_the_same_plant(organ: str):
    plant = load_plant(organ, detune=1.0).at_rate(8000)
    assert (plant.sample_rate_hz, len(plant.render(SCORE))) == (8000, 1.05 * 8000)
    pitch_hz = np.abs(np.fft.rfft(plant.render(SCORE)[:4000], 80000)).argmax() / 10
    assert pitch_hz == pytest.approx(220 * 2 ** (1 / 12), abs=1)


def test_a_controls_json_is_played_by_it_if_its_user_says_so(organ: str, tmp_path, capsys):
    notes = [note.__dict__ for note in SCORE.notes]
    card = {"plant": organ, "patch": PATCH, "notes": notes}
    file = tmp_path / "mine.json"
    file.write_text(json.dumps(card))
    options = ["render", str(file), "--out", str(tmp_path / "mine.wav")]
    assert main(options) == 2
    assert f"if you trust that, add --plant {organ}." in capsys.readouterr().err
    assert main([*options, "--plant", organ]) == 0
    assert (tmp_path / "mine.wav").is_file()
    preset = ["--plant", organ, "--preset", str(tmp_path / "mine.vital")]
    assert main(["render", str(file), *preset]) == 2
    assert "organ has no presets; leave out --preset" in capsys.readouterr().err


def test_a_match_of_it_is_saved_and_read_back(organ: str, tmp_path: Path):
    plant = load_plant(organ, sample_rate_hz=44100)
    sound = plant.render(SCORE)
    controls = knob_controls(plant.controls, SCORE.resolved)
    heard = hear(sound, 44100)
    distances = {"spectrogram_error": 0.0}
    found = Match(plant, controls, SCORE, sound, sound, 44100, heard, heard, distances)
    files = {path.name for path in found.save(tmp_path / "out")}
    wavs = {"target.wav", "match.wav"}
    assert files == wavs | {"report.html", "controls.json", "controls.csv", "melody.mid"} | {
        "compare.png"
    }
    page = (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "one of sine, square" in page
    assert "2 by 3 of them" in page
    file = read_score(tmp_path / "out" / "controls.json")
    assert (file.plant, file.options) == (organ, {"controls": "organ", "detune": 0.0})
    np.testing.assert_allclose(play(file, organ, 44100), sound, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "plant.py defines 0 plants; a plant's file must define one"),
        (ORGAN + "class Other(Organ):\n    pass\n", "plant.py defines 2 plants"),
        ("1 / 0", r"plant.py cannot be run \(ZeroDivisionError: division by zero\)"),
        ("def", r"plant.py cannot be run \(SyntaxError"),
        ("import no_such_package", r"plant.py cannot be run \(ModuleNotFoundError"),
        (None, "there is no file .*plant.py; give the path"),
    ],
)
def test_a_file_that_is_no_plant(tmp_path: Path, text: str | None, words: str):
    if text is not None:
        (tmp_path / "plant.py").write_text(text)
    with pytest.raises(PlantError, match=words):
        load_plant(str(tmp_path / "plant.py"))
    with pytest.raises(PlantError, match=words):
        Pool(str(tmp_path / "plant.py"), workers=1)


def test_a_file_of_bytes_or_a_folder_is_one_sentence(tmp_path: Path):
    (tmp_path / "bytes.py").write_bytes(b"\xff\x00")
    (tmp_path / "folder.py").mkdir()
    for name in ("bytes.py", "folder.py"):
        with pytest.raises(PlantError):
            load_plant(str(tmp_path / name))


FORGETFUL = """
import numpy as np
from mirrornet.controls import ControlSpace
from mirrornet.plants import NotePlant
from mirrornet.score import DURATION, PITCH

class Drifting(NotePlant):
    name = "drifting"
    control_sets = {"melody": ControlSpace((PITCH, DURATION), "melody")}
    fresh = True
    played = 0

    def __init__(self, controls="melody", sample_rate_hz=8000):
        self.controls, self.sample_rate_hz = self.control_sets[controls], sample_rate_hz

    def note_sound(self, note):
        self.played += 1
        samples = round((note.offset_s - note.onset_s + self.tail_s) * self.sample_rate_hz)
        return np.full(samples, float(self.played), np.float32)
"""


@pytest.mark.slow
def test_a_plant_that_drifts_plays_each_score_in_a_fresh_process(tmp_path: Path):
    (tmp_path / "drifting.py").write_text(FORGETFUL)
    with Pool(str(tmp_path / "drifting.py"), workers=2) as pool:
        melodies = np.full((4, 2, 5), 0.5)
        sounds = list(pool.render(melodies))
        again = list(pool.render(melodies[:1]))
    for sound in (*sounds, *again):
        assert isinstance(sound, np.ndarray)
        assert sorted(set(sound) - {0.0}) == [1, 2, 3, 4, 5]  # its five notes
