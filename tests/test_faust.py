"""Faust programs as plants: those that ship, and a user's own."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import mirrornet as mn
from mirrornet.export.report import render_report
from mirrornet.plants import load_plant, make_plant
from mirrornet.plants.faust import faust_kind, shipped_programs
from mirrornet.score import Note, Score

needs_dawdreamer = pytest.mark.skipif(
    importlib.util.find_spec("dawdreamer") is None, reason="needs dawdreamer"
)
MINE = """
import("stdfaust.lib");
// hslider("commented out", 0, 0, 1, 0.1)
freq = hslider("freq", 440, 20, 20000, 0.01);
gain = hslider("gain", 0.5, 0, 1, 0.001);
gate = button("gate");
cutoff = hslider("h:filter/Cut Off[tooltip:http://x.y][unit:Hz][scale:log][role:cutoff]",
  2000, 50, 12000, 1);
wave = nentry("wave[style:menu{'saw':0;'square':4}]", 4, 0, 4, 4);
voices = nentry("voices", 1, 1, 3, 1);
sub = checkbox("sub");
osc = select2(wave > 2, os.sawtooth(freq), os.square(freq));
process = hgroup("voice", (osc * voices + sub * os.osc(freq / 2)) : fi.lowpass(2, cutoff))
  * gain * gate;
"""


@pytest.fixture
def mine(tmp_path) -> Path:
    path = tmp_path / "mine.dsp"
    path.write_text(MINE)
    return path


def test_sliders_menus_and_check_boxes_are_controls(mine):
    space = faust_kind(mine).control_sets["patch"]
    assert space.names == ("velocity", "cut_off", "wave", "voices", "sub")
    cutoff = space.named("cut_off")
    assert (cutoff.low, cutoff.high, cutoff.unit, cutoff.curve) == (50, 12000, "Hz", "exponential")
    assert cutoff.role == "cutoff"
    assert space.named("wave").choices == ("saw", "square")
    assert space.named("voices").kind == "integer"
    assert space.named("sub").kind == "switch"


@needs_dawdreamer
def test_a_users_program_is_played_with_its_menu_and_pitch(mine):
    plant = make_plant(str(mine), sample_rate_hz=44100)
    patch = {"cut_off": 12000.0, "voices": 1, "sub": False}

    def spectrum(wave: str) -> np.ndarray:
        note = Note(69, 0.0, 1.0, {"velocity": 100})
        sound = plant.render(Score([note], patch | {"wave": wave}, 1.0))
        return np.abs(np.fft.rfft(sound))

    saw, square = spectrum("saw"), spectrum("square")
    assert saw.argmax() == square.argmax() == 440
    assert saw[880] > 0.3 * saw[440]  # even harmonics
    assert square[880] < 0.05 * square[440]


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("12000, 1)", "ma.SR / 2, 1)", "write the range of the slider Cut Off in numbers"),
        ("50, 12000, 1)", "0, 12000, 1)", "its low must be above 0"),
        ('"wave[style', '"sub[style', "two have the same label"),
        ('checkbox("sub")', 'checkbox("cut-off")', "two have the same label"),
        ("2000, 50", "20, 50", "cut_off must lie in 50..12000 Hz"),
    ],
)
def test_what_is_wrong_with_a_program_is_said(mine, old, new, says):
    assert old in MINE
    mine.write_text(MINE.replace(old, new))
    with pytest.raises(mn.PlantError, match=rf"mine\.dsp cannot be used: .*{says}"):
        faust_kind(mine)


def test_no_program(tmp_path):
    (tmp_path / "binary.dsp").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "empty.dsp").write_text("process = _;")
    (tmp_path / "drone.dsp").write_text(MINE.replace('button("gate")', "1"))
    with pytest.raises(mn.PlantError, match='needs a slider "freq" and a button "gate"'):
        load_plant(str(tmp_path / "drone.dsp"))
    with pytest.raises(mn.PlantError, match="is no text"):
        load_plant(str(tmp_path / "binary.dsp"))
    with pytest.raises(mn.PlantError, match="has no sliders"):
        load_plant(str(tmp_path / "empty.dsp"))
    with pytest.raises(mn.PlantError, match="cannot be read"):
        load_plant(str(tmp_path / "gone.dsp"))


@needs_dawdreamer
def test_a_program_that_does_not_compile_or_hides_controls_is_said(mine):
    mine.write_text(MINE.replace("process =", "process = foo :"))
    with pytest.raises(mn.PlantError, match=r"does not compile: .*undefined symbol : foo"):
        make_plant(str(mine))
    mine.write_text(MINE.replace("* gain", '* gain * par(i, 1, hslider("x%i", 1, 0, 1, 0.1))'))
    with pytest.raises(mn.PlantError, match="cannot be read from its text"):
        make_plant(str(mine))


@needs_dawdreamer
@pytest.mark.parametrize("name", shipped_programs())
def test_instruments_that_ship_are_pure_and_in_tune(name):
    plant, fresh = (make_plant(name, sample_rate_hz=32000) for _ in range(2))
    scores = [plant.sample(np.random.default_rng(seed)) for seed in range(10)]
    sounds = [plant.render(score) for score in scores]
    for number in reversed(range(10)):
        again = fresh.render(scores[number])
        np.testing.assert_allclose(again, sounds[number], rtol=0, atol=1e-6)
        assert np.abs(again).max() > 1e-3
    widgets = faust_kind(shipped_programs()[name]).widgets
    usual = {one.control.name: one.usual for one in widgets.values()}
    knobs = {key: value for key, value in usual.items() if key in plant.controls.names}
    note = Note(69, 0.0, 1.0, {"velocity": 100})
    spectrum = np.abs(np.fft.rfft(plant.render(Score([note], knobs, 1.0))))
    harmonics = [spectrum[435 * n : 445 * n + 1].argmax() + 435 * n for n in (1, 2)]
    assert harmonics == [pytest.approx(440, abs=2), pytest.approx(880, abs=4)]


@needs_dawdreamer
@pytest.mark.slow
@pytest.mark.parametrize("name", shipped_programs())
def test_instruments_that_ship_are_matched_without_training(name):
    plant = load_plant(name)
    keys = (60, 64, 67, 62)
    notes = [Note(key, 0.1 + 0.5 * n, 0.55 + 0.5 * n, {}) for n, key in enumerate(keys)]
    patch = plant.sample(np.random.default_rng(4)).patch
    whole = [Note(n.pitch_midi, n.onset_s, n.offset_s, {"velocity": 100}) for n in notes]
    sound = plant.render(Score(whole, patch, 2.5))
    few = mn.match((sound, 44100), plant, refine=2)
    found = mn.match((sound, 44100), plant, refine=80)
    assert found.distances["spectrogram_error"] < 0.9 * few.distances["spectrogram_error"]
    assert found.confidence == {}  # nothing was read
    assert '<th scope="col">how sure' not in render_report(found, b"", b"", b"", [], [])


@needs_dawdreamer
@pytest.mark.slow
def test_without_weights_and_renders_there_is_no_match():
    plant = load_plant("faust-subtractive")
    score = plant.sample(np.random.default_rng(4))
    sound = plant.render(score), 44100
    for renders, seconds in ((None, None), (0, None), (0, 2.0)):
        with pytest.raises(mn.CheckpointError, match="add --refine 500 to search with renders"):
            mn.match(sound, plant, refine=renders, seconds=seconds)
    with pytest.raises(mn.ControlError, match="one patch is searched; leave out patch"):
        mn.match(sound, plant, refine=2, patch="per-note")
    assert mn.match(sound, plant, refine=1).notes
