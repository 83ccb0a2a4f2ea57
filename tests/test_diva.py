"""Diva, the paper's synthesizer, without a licence: its maps against lists of its parameters, in a
host that only knows these."""

import json
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import mirrornet as mn
from mirrornet.plants import make_plant
from mirrornet.plants.plugin_map import read_map, shipped_maps
from mirrornet.score import Note

LISTS = json.loads((Path(__file__).parent / "golden" / "diva_names.json").read_text())
# The map, the names that the plug-in shows, and the same with the module of each.
VERSIONS = [("diva", "vst3_1.4.7_bare", "vst3_1.4.7"), ("diva-vst2", "vst2_2018", "vst2_2018")]
# The ten controls of the poster, pitch and duration aside.
POSTER = ["OSC: Volume2", "VCF1: Frequency", "VCF1: Resonance", "ENV1: Attack", "ENV1: Decay"]
POSTER += ["LFO1: Rate", "OSC: Vibrato", "LFO1: Phase"]
# Some of the settings that the authors fix.
FIXED = {"OSC: Volume1": 0, "ENV1: Sustain": 0, "VCF1: Model": 0.5, "OPT: TuneSlop": 0}


class Host:
    """dawdreamer's engine and processor, with a plug-in that plays silence."""

    names: list[str]

    def __init__(self, *_: object):
        self.set: dict[int, float] = {}

    def make_plugin_processor(self, name: str, path: str) -> "Host":
        return self

    def load_graph(self, graph: object) -> None:
        pass

    def get_plugin_parameter_size(self) -> int:
        return len(self.names)

    def get_parameter_name(self, index: int) -> str:
        return self.names[index]

    def set_parameter(self, index: int, value: float) -> None:
        self.set[index] = value

    def clear_midi(self) -> None:
        pass

    def add_midi_note(self, key: int, velocity: int, start_s: float, length_s: float) -> None:
        pass

    def render(self, duration_s: float) -> None:
        self.samples = round(duration_s * 16000)

    def get_audio(self) -> np.ndarray:
        return np.zeros((2, self.samples))


@pytest.fixture
def hosted(monkeypatch, tmp_path):
    """Makes the plant of a map, with a plug-in that has the given names."""

    def make(name: str, names: list[str], controls: str = "set2"):
        module = ModuleType("dawdreamer")
        module.RenderEngine = type("Hosted", (Host,), {"names": names})  # pyright: ignore
        monkeypatch.setitem(sys.modules, "dawdreamer", module)
        found = read_map(shipped_maps()[name])
        (tmp_path / found.plugin).touch()
        (tmp_path / "diva.toml").write_text(found.path.read_text())
        return make_plant(str(tmp_path / "diva.toml"), controls=controls, sample_rate_hz=16000)

    return make


@pytest.mark.parametrize(("name", "shown", "qualified"), VERSIONS)
def test_its_controls_and_fixed_settings_are_the_papers(hosted, name, shown, qualified):
    midi = [f"MIDI Ch. {n} CC 1" for n in range(16)]  # as a VST3 shows them
    plant = hosted(name, [*LISTS[shown], *midi])
    values = {c.name: c.low for c in plant.controls.own} | {"cutoff": 90.0}
    plant.play([Note(60, 0.0, 0.1, values)], 0.1)
    at = {what: plant._plugin.set[index] for index, what in enumerate(LISTS[qualified])
          if index in plant._plugin.set}  # fmt: skip
    assert set(POSTER) <= set(at)
    assert at["VCF1: Frequency"] == pytest.approx(0.5)  # 90 of 30 to 150
    assert {what: at[what] for what in FIXED} == FIXED
    assert all(at[what] == 0 for what in at if what.endswith(": Wet"))
    own = {one.index for one in read_map(shipped_maps()[name]).of.values()}
    assert {LISTS[qualified][index] for index in own} == set(POSTER)
    assert plant.fresh  # reported: it repeats itself in fresh processes only


@pytest.mark.parametrize(("name", "shown", "qualified"), VERSIONS)
def test_another_version_is_refused_with_the_first_difference(hosted, name, shown, qualified):
    swapped = list(LISTS[shown])
    first, other = 30, swapped.index(LISTS[shown][60])
    swapped[first], swapped[other] = swapped[other], swapped[first]
    with pytest.raises(mn.PlantError, match=rf"parameter {first} of .* is '{swapped[first]}'"):
        hosted(name, swapped)
    with pytest.raises(mn.PlantError, match=r"has 280 parameters, and the map .* is for 281"):
        hosted(name, LISTS[shown][:-1])


def test_without_it_the_message_says_where_it_comes_from():
    with pytest.raises(mn.PlantError, match=r"Diva\.vst3 was not found; install it \(from u-he"):
        make_plant("diva")
