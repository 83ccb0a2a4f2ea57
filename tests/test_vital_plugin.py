"""The map of Vital as a plug-in, without the plug-in: vita is the same program, and has the same
parameters."""

import numpy as np
import pytest
import vita

from mirrornet.plants.plugin_map import read_map, shipped_maps
from mirrornet.plants.vital_patch import PATCH, knobs
from mirrornet.score import Note

MAP = read_map(shipped_maps()["vital-plugin"])
SYNTH = vita.Synth()  # pyright: ignore[reportPrivateImportUsage]
DETAILS = {name: SYNTH.get_control_details(name) for name in SYNTH.get_controls()}
# As the plug-in makes them: `compareValueDetails` in Vital's `synth_parameters.cpp`.
ORDER = sorted(DETAILS, key=lambda name: (DETAILS[name].version_added, name))
USUAL = {one.index: one.raw_of(one.usual) for one in MAP.of.values()}
KEY = 72  # not middle C, at which the filter's tracking does nothing
FIXED = {index: raw for index, (_, raw) in MAP.fixed.items()}


def engine_value(index: int, raw: float) -> float:
    """What the plug-in makes of a value, 0..1 (`ValueBridge::convertToEngineValue`)."""
    about = DETAILS[ORDER[index]]
    value = raw * (about.max - about.min) + about.min
    return round(value) if about.is_discrete else value


def play(raw: dict[int, float]) -> np.ndarray:
    synth = vita.Synth()  # pyright: ignore[reportPrivateImportUsage]
    controls = synth.get_controls()
    for index, value in raw.items():
        controls[ORDER[index]].set(engine_value(index, value))
    synth.render(KEY, 0.0, 0.1, 1.0)  # unheard
    return synth.render(KEY, 0.7, 0.3, 0.6).mean(0)


def test_its_parameters_are_at_their_places():
    assert len(ORDER) == MAP.parameters
    wanted = {one.index: one.name for one in MAP.of.values()}
    wanted |= {index: name for index, (name, _) in MAP.fixed.items()}
    assert {index: DETAILS[ORDER[index]].display_name for index in wanted} == wanted


@pytest.mark.parametrize("place", [0.0, 0.3, 1.0])
def test_its_values_are_those_of_the_plant_vital(place: float):
    """Where both have the control: the same value of the same parameter."""
    values = {c.name: c.check(c.to_physical(place).item()) for c in PATCH}
    told = knobs(Note(60, 0.0, 0.1, values))
    for name in ("attack", "decay", "sustain", "release", "resonance", "filter_blend", "unison"):
        one = MAP.of[name]
        raw = one.raw_of(values[name])
        assert engine_value(one.index, raw) == pytest.approx(told[ORDER[one.index]], rel=1e-4)
    cutoff = MAP.of["cutoff"]
    key = engine_value(cutoff.index, cutoff.raw_of(values["cutoff"]))
    assert 440 * 2 ** ((key - 69) / 12) == pytest.approx(values["cutoff"], rel=1e-3)


def test_each_control_is_heard():
    first = play(FIXED | USUAL)
    assert np.abs(first).max() > 0.05
    warped = {MAP.of["warp"].index: MAP.of["warp"].raw_of("bend")}
    spread = {MAP.of["unison"].index: 1.0, MAP.of["detune"].index: 1.0}
    with_two = {MAP.of["osc2_level"].index: 1.0}
    decaying = {MAP.of["sustain"].index: 0.0}
    near = {"warp_amount": warped, "detune": spread, "osc2_transpose": with_two, "decay": decaying}
    for name, one in MAP.of.items():
        start = FIXED | USUAL | near.get(name, {})
        low, high = (play(start | {one.index: raw}) for raw in (one.raw[0], one.raw[-1]))
        assert np.abs(low - high).max() > 0.01, name
