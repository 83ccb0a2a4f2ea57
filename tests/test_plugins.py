"""Plug-ins by control maps: maps and their faults; amsynth, if it is installed."""

import importlib
import importlib.util
import multiprocessing
import os
import signal
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest

import mirrornet as mn
from mirrornet.app.cli import main
from mirrornet.features import hear_recording
from mirrornet.plants import find_plant, load_plant, make_plant
from mirrornet.plants.plugin_draft import guess_of
from mirrornet.plants.plugin_map import read_map, shipped_maps
from mirrornet.plants.plugin_state import fxp_of
from mirrornet.plants.probe import probe
from mirrornet.score import Note, Score
from mirrornet.training.sampling import random_melodies

AMSYNTH = Path("/usr/lib/vst/amsynth_vst.so")
HOSTED = AMSYNTH.is_file() and importlib.util.find_spec("dawdreamer") is not None
NEKOBI = next(
    (
        place / "Nekobi.vst3"
        for place in (Path("~/.vst3").expanduser(), Path("/usr/local/lib/vst3"))
        if (place / "Nekobi.vst3").exists()
    ),
    None,
)
needs_nekobi = pytest.mark.skipif(
    NEKOBI is None or importlib.util.find_spec("dawdreamer") is None,
    reason="needs Nekobi (tools/build_nekobi) and dawdreamer",
)
needs_host = pytest.mark.skipif(
    importlib.util.find_spec("dawdreamer") is None, reason="needs dawdreamer"
)
needs_amsynth = pytest.mark.skipif(not HOSTED, reason="needs amsynth (apt) and dawdreamer")
SMALL = """
name = "small"
plugin = "small.vst3"
parameters = 3

[sets]
patch = ["cutoff"]

[fixed]
volume = { index = 2, raw = 0.5 }

[[control]]
name = "cutoff"
parameter = "Filter Cutoff"
index = 1
unit = "Hz"
low = 20
high = 20000
curve = "exponential"
usual = 1000
"""


@pytest.fixture
def small(tmp_path) -> Path:
    path = tmp_path / "small.toml"
    path.write_text(SMALL)
    return path


def test_a_map_makes_a_plant_with_controls_of_its_own(small):
    found = read_map(small)
    (control,) = found.sets["patch"].patch
    assert (control.name, control.unit, control.low, control.high) == ("cutoff", "Hz", 20, 20000)
    assert [control.role for control in found.sets["patch"].own] == ["velocity"]
    with pytest.raises(mn.PlantError, match=r"small\.vst3 was not found"):
        make_plant(str(small))


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "small"', "name = ", "is no TOML file"),
        ("parameters = 3", "parametres = 3", "parametres is no entry of a map"),
        ("parameters = 3", "", "'parameters' is missing"),
        ('"cutoff"]', '"cutof"]', "the set patch names cutof, which is no control"),
        ("usual = 1000", "usual = 10", "cutoff must lie in 20..20000 Hz; got 10"),
        ("usual = 1000", "usual = 1000\nscpoe = 1", "scpoe"),
        ("low = 20\n", "low = 0\n", "its low must be above 0"),
        ("index = 1", "index = 3", "an index is not among the 3 parameters"),
        ("index = 1", "index = 2", "a parameter is used twice"),
        ("usual = 1000", 'usual = 1000\nraw_curve = "cubic"', "raw_curve is one of linear, log"),
        ("usual = 1000", "usual = 1000\nraw = [0.2, 1.5]", "two raw values in 0..1"),
        ("parameters = 3", "parameters = 3\nsettling_notes = -1", "must be whole numbers"),
        ("parameters = 3", "parameters = 3\ntail_s = -5", r"must lie in 0\.\.10 s"),
        ("index = 2,", "index = 2, no = 1,", r"no of volume is no entry of \[fixed\]"),
        ("raw = 0.5", "raw = 7", r"raw values of \[fixed\] must lie in 0"),
        ("usual = 1000", "usual = 1000\nraw = []", "two raw values in 0"),
        ("usual = 1000", 'usual = 1000\nrole = "release"', "its unit must be s or ms"),
        ('name = "cutoff"', 'name = "velocity"', "velocity must have no shape"),
        ('["cutoff"]', '["cutoff", "cutoff"]', "names a control twice"),
        ("index = 1", "index = inf", "infinity"),
        ("[fixed]", '[[control]]\nname = "cutoff"\nparameter = "x"\nindex = 0\nusual = 0\n[fixed]',
         "the control cutoff is there twice"),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_map_is_said(small, old, new, says):
    assert old in SMALL
    small.write_text(SMALL.replace(old, new, 1))
    with pytest.raises(mn.PlantError, match=rf"small\.toml.*{says}"):
        read_map(small)


def test_no_map_and_a_folder_in_its_place(tmp_path):
    with pytest.raises(mn.PlantError, match="cannot be read"):
        read_map(tmp_path / "gone.toml")
    with pytest.raises(mn.PlantError, match="cannot be read"):
        read_map(tmp_path)


@pytest.mark.parametrize("name", ["../../up", "a/b", "\\u001b[2J", "x" * 65, " "])
@pytest.mark.parametrize("place", ['name = "small"', "patch = "], ids=["of a plant", "of a set"])
def test_a_name_that_no_folder_should_have_is_refused(small, name, place):
    """Runs and results are kept under them, and they are printed."""
    new = f'name = "{name}"' if "small" in place else f'"{name}" = '
    small.write_text(SMALL.replace(place, new, 1))
    with pytest.raises(mn.PlantError, match=r"small\.toml has the name .*; names of plants and"):
        find_plant(str(small))


def test_links_in_a_circle_are_no_map(tmp_path):
    (tmp_path / "a.toml").symlink_to("b.toml")
    (tmp_path / "b.toml").symlink_to("a.toml")
    with pytest.raises(mn.PlantError, match=r"cannot be read \(Too many levels"):
        find_plant(str(tmp_path / "a.toml"))


@needs_host
@pytest.mark.slow
@pytest.mark.parametrize("file", ["small.toml", ".", "pipe", "/dev/zero", "circle", "/etc/passwd"])
def test_a_map_that_names_no_plug_in_is_refused_in_a_process_of_its_own(small, file):
    os.mkfifo(small.with_name("pipe"))
    small.with_name("circle").symlink_to("circle")
    small.write_text(SMALL.replace("small.vst3", file))
    with pytest.raises(mn.PlantError, match=r"cannot be loaded as a plug-in|was not found"):
        load_plant(str(small))


@pytest.mark.parametrize("path", shipped_maps().values(), ids=shipped_maps())
def test_raw_values_of_shipped_maps_stay_in_their_range(path):
    for one in read_map(path).of.values():
        control = one.control
        places = np.linspace(0, 1, control.steps or 9)
        raws = [one.raw_of(control.check(control.to_physical(place).item())) for place in places]
        assert min(raws) >= min(one.raw) - 1e-9
        assert max(raws) <= max(one.raw) + 1e-9
        assert len(set(raws)) == len(places), control.name


def test_a_state_that_is_no_bank_is_refused():
    with pytest.raises(mn.PlantError, match="no VST2 bank"):
        fxp_of(b"VC2!" + bytes(400), "x")


@needs_amsynth
def test_another_plug_in_or_another_order_is_refused(tmp_path, monkeypatch):
    text = shipped_maps()["amsynth"].read_text()
    for old, new, says in (
        ("parameters = 41", "parameters = 42", "has 41 parameters, and the map .* is for 42"),
        ('parameter = "filter_cutoff"\nindex = 11', 'parameter = "filter_cutoff"\nindex = 14',
         "used twice"),
        ('parameter = "filter_cutoff"', 'parameter = "Cutoff"',
         "parameter 11 of .* is 'filter_cutoff', and in the map .* it is 'Cutoff'"),
    ):  # fmt: skip
        assert old in text
        (tmp_path / "mine.toml").write_text(text.replace(old, new, 1))
        with pytest.raises(mn.PlantError, match=says):
            make_plant(str(tmp_path / "mine.toml"))
    # The map's folder comes first, the current one never.
    (tmp_path / "amsynth_vst.so").write_bytes(b"no plug-in" * 100)
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(mn.PlantError, match="cannot be loaded as a plug-in; install amsynth again"):
        make_plant(str(tmp_path / "mine.toml"))
    monkeypatch.chdir(tmp_path)
    assert make_plant("amsynth").name == "amsynth"


@needs_amsynth
def test_melodies_are_pure_and_their_pitch_and_level_are_right():
    plant = make_plant("amsynth-melody", sample_rate_hz=16000)
    melodies = random_melodies(plant.controls, "babble", 4, 0)
    sounds = plant.render(melodies)
    fresh = make_plant("amsynth-melody", sample_rate_hz=16000)
    np.testing.assert_allclose(fresh.render(melodies[::-1])[::-1], sounds, rtol=0, atol=1e-6)
    note = {"level": 0.0, "cutoff": 4.0, "resonance": 0.0, "attack": 0.003, "decay": 2.0}
    loud = plant.play([Note(69, 0.0, 1.0, note)], 1.0)
    assert np.abs(np.fft.rfft(loud)).argmax() == pytest.approx(440, abs=1)
    soft = plant.play([Note(69, 0.0, 1.0, note | {"level": -12.0})], 1.0)
    assert 20 * np.log10(np.abs(soft).max() / np.abs(loud).max()) == pytest.approx(-12, abs=1e-3)


def _played_elsewhere(
    plugin: Path, preset: Path, note: Note, length_s: float, settling_notes: int, settling_s: float
) -> np.ndarray:
    """What a host plays that knows the plug-in and a preset only; run in a process of its own."""
    dawdreamer = importlib.import_module("dawdreamer")
    engine = dawdreamer.RenderEngine(44100, 512)
    processor = engine.make_plugin_processor("plugin", str(plugin))
    engine.load_graph([(processor, [])])
    load = processor.load_preset if preset.suffix == ".fxp" else processor.load_vst3_preset
    assert load(str(preset))
    key, velocity = note.pitch_midi, int(note.controls["velocity"])
    start = 600 * 512
    for number in range(settling_notes):
        processor.add_midi_note(key, velocity, number, settling_s)
    processor.add_midi_note(key, velocity, start / 44100, note.offset_s - note.onset_s)
    engine.render(start / 44100 + length_s + 0.1)
    return processor.get_audio().mean(0)[start:]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "plugin", "file"),
    [
        pytest.param("amsynth", AMSYNTH, "match.fxp", marks=needs_amsynth),
        pytest.param("nekobi", NEKOBI, "match.vstpreset", marks=needs_nekobi),
    ],
)
def test_a_preset_loaded_elsewhere_sounds_as_the_match(tmp_path, name, plugin, file):
    plant = load_plant(name)
    score = plant.sample(np.random.default_rng(3))
    note = replace(score.resolved[0], onset_s=0.0, offset_s=0.4)
    own = {key: note.controls[key] for key in plant.controls.own.names}
    (preset,) = plant.artifacts(Score([replace(note, controls=own)], score.patch, 1.0))
    assert preset.path == file
    (tmp_path / file).write_bytes(preset.make())
    wanted = plant.play([note])
    with multiprocessing.get_context("spawn").Pool(1) as host:
        settling = read_map(shipped_maps()[name])
        told = (plugin, tmp_path / file, note, len(wanted) / 44100)
        how = (settling.settling_notes, settling.settling_s)
        heard = host.apply(_played_elsewhere, told + how)[: len(wanted)]
    # LFOs and oscillators run on between notes, so they start elsewhere: the spectrograms agree.
    seen, told = (hear_recording(sound, 44100) for sound in (heard, wanted))
    assert np.square(seen - told).mean() < 0.02 * told.var()


@needs_nekobi
@pytest.mark.slow
def test_a_plug_in_without_a_map_goes_from_probing_to_a_match(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["plants", "map", str(NEKOBI), "--out", "mine.toml"]) == 0
    assert "repeat themselves" in capsys.readouterr().out
    made, ships = read_map(tmp_path / "mine.toml"), read_map(shipped_maps()["nekobi"])
    for name, one in ships.of.items():
        guessed = next(other for other in made.of.values() if other.name == one.name)
        assert guessed.index == one.index, name
    assert made.settling_notes >= 2
    plant = load_plant("./mine.toml")
    loud = {"velocity": 100}
    notes = [Note(k, 0.1 + 0.5 * n, 0.5 + 0.5 * n, loud) for n, k in enumerate((48, 55, 52))]
    patch = plant.sample(np.random.default_rng(5)).patch | {"tuning": 0.0}
    sound = plant.render(Score(notes, patch, 1.8))
    found = mn.match((sound, 44100), "./mine.toml", refine=100)
    # Of a patch drawn at random a note may be read as two.
    assert [pitch for pitch, _ in groupby(n.pitch_midi for n in found.notes)] == [48, 55, 52]
    assert found.distances["spectrogram_error"] < 0.2


@needs_amsynth
@pytest.mark.slow
def test_a_plug_in_that_is_killed_costs_nothing(capfd):
    plant = load_plant("amsynth", sample_rate_hz=16000)
    score = plant.sample(np.random.default_rng(0))
    before = plant.render(score)
    os.kill(plant._pool._crew[0]._process.pid, signal.SIGKILL)  # pyright: ignore
    np.testing.assert_array_equal(plant.render(score), before)
    assert capfd.readouterr() == ("", "")


@needs_amsynth
@pytest.mark.slow
def test_it_is_matched_and_its_preset_saved(tmp_path):
    plant = load_plant("amsynth")
    notes = [Note(60 + n, 0.1 + 0.4 * n, 0.4 + 0.4 * n, {"velocity": 100}) for n in range(4)]
    patch = {name: one.usual for name, one in read_map(shipped_maps()["amsynth"]).of.items()}
    del patch["level"]
    sound = plant.render(Score(notes, patch | {"sustain": 80.0}, 2.0))
    found = mn.match((sound, 44100), "amsynth", refine=40)
    assert [note.pitch_midi for note in found.notes] == [60, 61, 62, 63]
    found.save(tmp_path / "out")
    assert (tmp_path / "out" / "match.fxp").read_bytes()[:4] == b"CcnK"
    assert "match.fxp" in (tmp_path / "out" / "report.html").read_text()


NUMBERS = [f"{20 * 1000 ** (n / 100):.4g} Hz" for n in range(101)]


def test_texts_tell_what_a_parameter_is():
    switch = guess_of(["Off"] * 50 + ["On"] * 51, "", 1.0)
    assert switch.entries == {"kind": "switch", "usual": True}
    waves = ["Sine"] * 34 + ["Saw"] * 33 + ["Square"] * 34
    choice = guess_of(waves, "", 0.0)
    assert choice.entries["choices"] == ["Sine", "Saw", "Square"]
    assert choice.entries["raw"] == [0.0, 0.5, 1.0]
    steps = guess_of([str(round(n * 0.24) - 12) for n in range(101)], "", 0.5)
    assert (steps.kind, steps.entries["low"], steps.entries["high"]) == ("integer", -12, 12)
    number = guess_of(NUMBERS, "Hz", 0.5)
    assert number.entries["raw_curve"] == "log"
    assert number.entries["curve"] == "exponential"
    assert number.entries["usual"] == pytest.approx(632.5, rel=0.01)
    assert guess_of([f"{n**0.2:.3f}" for n in range(101)], "", 0.5).entries == {"usual": 0.5}
    assert guess_of(["?"] * 101, "", 0.25).entries == {"usual": 0.25}


@needs_amsynth
@pytest.mark.slow
def test_a_map_made_by_probing_is_played_and_agrees_with_the_one_that_ships(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    assert main(["plants", "map", str(AMSYNTH), "--out", "mine.toml"]) == 0
    assert "41 parameters are audible" in capsys.readouterr().out
    made, ships = read_map(tmp_path / "mine.toml"), read_map(shipped_maps()["amsynth"])
    assert made.parameters == ships.parameters
    roles = {one.name: one.control.role for one in ships.of.values()}
    guessed = {one.name: one.control.role for one in made.of.values()}
    for name in ("amp_attack", "amp_release", "filter_cutoff", "filter_resonance"):
        assert guessed[name] == roles[name], name
    kinds = {one.name: one.control.kind for one in made.of.values()}
    assert kinds["osc1_waveform"] == "choice"
    assert kinds["filter_cutoff"] == "continuous"
    assert "reverb_damp" not in guessed  # without reverb it is inaudible
    cutoff = next(one for one in made.of.values() if one.name == "filter_cutoff")
    assert (cutoff.control.low, cutoff.control.high) == (0.25, 64)
    assert load_plant(str(tmp_path / "mine.toml")).render(Score([], {}, 0.1)).shape == (4410,)
    assert main(["plants", "map", str(AMSYNTH), "--out", "mine.toml"]) == 2
    assert "mine.toml exists already" in capsys.readouterr().err


def test_what_cannot_be_probed_is_said(tmp_path):
    (tmp_path / "junk.so").write_bytes(b"junk")
    with pytest.raises(mn.PlantError, match=r"junk\.so cannot be loaded|need dawdreamer"):
        probe(tmp_path / "junk.so")
    with pytest.raises(mn.PlantError, match="there is no plug-in"):
        probe(tmp_path / "gone.so")
    with pytest.raises(mn.PlantError, match="gave no answer within 0"):
        probe(tmp_path / "junk.so", timeout_s=0.01)
