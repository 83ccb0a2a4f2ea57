"""Faust programs (.dsp) as plants: a sound in each, its sliders and check boxes the controls.

A program is a voice in Faust's convention: `freq`, `gain` and `gate` are the note, gain is the
velocity / 127. Units, logarithmic scales and menus are those of Faust's metadata; besides,
`[role:cutoff]` names a role and `[set:melody]` puts a control into the set for the paper's
melodies. `declare tail "0.5";` says how long a note sounds after its end. `dawdreamer` compiles it;
each note starts from the program's initial state, so it is pure as it is.
"""

import re
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

from ..controls import Control, ControlSpace
from ..errors import ControlError, PlantError
from ..score import DURATION, PITCH, Note
from .base import NotePlant
from .plugin import quiet
from .plugin_map import LONGEST_TAIL_S, seconds

INSTRUMENTS = Path(__file__).parent / "faust_instruments"
INSTALL = "pip install 'dawdreamer>=0.9'"
BLOCK = 512
VELOCITY = Control("velocity", "MIDI", 1, 127, kind="integer", role="velocity")
USUAL_VELOCITY = 100
NOTE = ("freq", "gain", "gate")
LARGEST = 1 << 20  # bytes of a program
NUMBER = r"\s*,\s*([+-]?[\d.]+(?:e[+-]?\d+)?)"
SLIDER = re.compile(r'(hslider|vslider|nentry)\s*\(\s*"([^"]*)"' + 4 * NUMBER + r"\s*\)")
ANY_SLIDER = re.compile(r'(?:hslider|vslider|nentry)\s*\(\s*"([^"]*)"')
CHECKBOX = re.compile(r'checkbox\s*\(\s*"([^"]*)"')
METADATA = re.compile(r"\[\s*(\w+)\s*:\s*([^\]]*)\]")
MENU = re.compile(r"'([^']*)'\s*:\s*([+-]?[\d.]+)")
GATE = re.compile(r'button\s*\(\s*"(?:[^"/]*/)*gate\s*(?:\[[^"]*)?"')
TAIL = re.compile(r'declare\s+tail\s+"([\d.]+)"')
COMMENT = re.compile(r'("[^"]*")|//[^\n]*|/\*.*?\*/', re.DOTALL)  # but for those in texts


class Widget(NamedTuple):
    """A slider, menu or check box."""

    label: str
    control: Control
    usual: Any
    values: tuple[float, ...]
    """Those of a menu, by the order of its choices."""
    in_melodies: bool


class Faust(NotePlant):
    """A Faust program. Raises PlantError if dawdreamer is missing, or it does not compile."""

    path: Path
    widgets: dict[str, Widget]
    own_rate_hz = 44100  # digital filters and delays depend on it
    foreign = True

    @classmethod
    def to_install(cls) -> str:
        return "" if find_spec("dawdreamer") else INSTALL

    def __init__(self, controls: str | None = None, sample_rate_hz: int = 44100):
        self.choose(controls, sample_rate_hz)
        try:
            dawdreamer = import_module("dawdreamer")
        except ImportError as error:
            raise PlantError(f"{self.name} needs dawdreamer ({error}): {INSTALL}") from error
        self._engine = dawdreamer.RenderEngine(sample_rate_hz, BLOCK)
        self._voice = self._engine.make_faust_processor("voice")
        try:
            self._voice.set_dsp_string(self.path.read_text("utf-8"))
            self._voice.num_voices = 1
            with quiet():
                self._voice.compile()
        except RuntimeError as error:
            raise PlantError(f"{self.path} does not compile: {error}") from error
        self._engine.load_graph([(self._voice, [])])
        compiled = self._voice.get_parameters_description()
        self._index = {one["label"]: one["index"] for one in compiled}
        if missing := self.widgets.keys() ^ self._index.keys():
            raise PlantError(
                f"the controls {', '.join(sorted(missing))} of {self.path} cannot be read from its "
                "text; write every slider in it once, with numbers, and no meters."
            )
        self._sound(60, USUAL_VELOCITY, 0.1, 0.2)  # the first note of all starts in another state

    @classmethod
    def options_of(cls, suffix: str) -> dict[str, Any] | None:
        return {"controls": suffix} if suffix in cls.control_sets else None

    def note_tail_s(self, note: Note) -> float:
        releases = [
            seconds(one.control, note.controls.get(one.control.name, one.usual))
            for one in self.widgets.values()
            if one.control.role == "release"
        ]
        return min(self.tail_s + sum(releases), LONGEST_TAIL_S)

    def note_sound(self, note: Note) -> Float[np.ndarray, " sample"]:
        for label, one in self.widgets.items():
            value = note.controls.get(one.control.name, one.usual)
            if one.values:
                value = one.values[one.control.choices.index(str(value))]
            self._voice.set_parameter(self._index[label], float(value))
        gate_s = note.offset_s - note.onset_s
        velocity = int(note.controls.get("velocity", USUAL_VELOCITY))
        return self._sound(int(note.pitch_midi), velocity, gate_s, gate_s + self.note_tail_s(note))

    def _sound(
        self, key: int, velocity: int, gate_s: float, length_s: float
    ) -> Float[np.ndarray, " sample"]:
        self._voice.clear_midi()
        self._voice.add_midi_note(key, velocity, 0.0, gate_s)
        self._engine.render(length_s + BLOCK / self.sample_rate_hz)
        sound = self._voice.get_audio()[:, : round(length_s * self.sample_rate_hz)]
        return sound.mean(0, dtype=np.float32)


def faust_kind(path: Path) -> type[Faust]:
    """The kind of plant that a Faust program defines; nothing of it is run.

    Raises PlantError if it cannot be read, or has no controls.
    """
    try:
        if path.stat().st_size > LARGEST:
            raise PlantError(f"{path} is too large for a Faust program.")
        text = COMMENT.sub(lambda found: found[1] or "", path.read_text("utf-8"))
    except OSError as error:
        raise PlantError(f"the program {path} cannot be read ({error.strerror}).") from error
    except UnicodeDecodeError as error:
        raise PlantError(f"{path} is no text, and so no Faust program.") from error
    try:
        widgets = _widgets(text)
        tail = TAIL.search(text)
        tail_s = min(float(tail.group(1)), LONGEST_TAIL_S) if tail else NotePlant.tail_s
    except (ControlError, ValueError) as error:
        raise PlantError(f"the controls of {path} cannot be used: {error}") from error
    if not widgets:
        raise PlantError(f"{path} has no sliders or check boxes; a plant needs controls.")
    if not GATE.search(text) or not any(
        _label(one)[0] == "freq" for one in ANY_SLIDER.findall(text)
    ):
        raise PlantError(
            f'{path} needs a slider "freq" and a button "gate", to be played by notes.'
        )
    facts = {
        "name": f"faust-{path.stem}" if path.parent == INSTRUMENTS else path.stem,
        "path": path,
        "widgets": widgets,
        "control_sets": _sets(widgets),
        "tail_s": tail_s,
        "__module__": __name__,
    }
    return type("Faust", (Faust,), facts)


def shipped_programs() -> dict[str, Path]:
    """The programs that ship, by the plant's name."""
    return {f"faust-{path.stem}": path for path in sorted(INSTRUMENTS.glob("*.dsp"))}


def _sets(widgets: dict[str, Widget]) -> dict[str, ControlSpace]:
    patch = (one.control for one in widgets.values() if one.control.role != "level")
    sets = {"patch": ControlSpace((VELOCITY, *patch), "patch")}
    own = [
        Control.from_json({**one.control.as_json(), "scope": "note"})
        for one in widgets.values()
        if one.in_melodies
    ]
    if own:
        sets["melody"] = ControlSpace((PITCH, DURATION, *own), "melody")
    return sets


def _widgets(text: str) -> dict[str, Widget]:
    """The sliders, menus and check boxes of a program without comments, by label."""
    found: list[Widget] = []
    sliders = {match.group(2): match for match in SLIDER.finditer(text)}
    for written in ANY_SLIDER.findall(text):
        label, metadata = _label(written)
        if label in NOTE:
            continue
        if written not in sliders:
            raise ValueError(f"write the range of the slider {label} in numbers.")
        usual, low, high, step = map(float, sliders[written].groups()[2:])
        found.append(_slider(label, metadata, usual, low, high, step))
    for written in CHECKBOX.findall(text):
        label, metadata = _label(written)
        control = Control(_name(label), kind="switch", scope="patch", role=metadata.get("role"))
        found.append(Widget(label, control, False, (), metadata.get("set") == "melody"))
    for one in found:
        if one.control.role == "release":
            seconds(one.control, one.usual)
    widgets = {one.label: one for one in found}
    if len({one.control.name for one in found}) < len(found):
        raise ValueError("two have the same label.")
    return widgets


def _slider(
    label: str, metadata: dict[str, str], usual: float, low: float, high: float, step: float
) -> Widget:
    name, role = _name(label), metadata.get("role")
    in_melodies = metadata.get("set") == "melody"
    if menu := MENU.findall(metadata.get("style", "")):
        names, values = [text for text, _ in menu], tuple(float(value) for _, value in menu)
        control = Control(name, kind="choice", choices=tuple(names), scope="patch", role=role)
        first = names[values.index(usual)] if usual in values else names[0]
        return Widget(label, control, first, values, in_melodies)
    whole = step == 1 and low == int(low) and high == int(high)
    control = Control(
        name,
        metadata.get("unit", ""),
        low,
        high,
        "exponential" if metadata.get("scale") == "log" else "linear",
        kind="integer" if whole else "continuous",
        scope="patch",
        role=role,
    )
    return Widget(label, control, control.check(usual), (), in_melodies)


def _label(written: str) -> tuple[str, dict[str, str]]:
    """A widget's label without its groups, and its metadata."""
    metadata = {key: value.strip() for key, value in METADATA.findall(written)}
    return METADATA.sub("", written).split("/")[-1].strip(), metadata


def _name(label: str) -> str:
    return re.sub(r"\W+", "_", label.lower()).strip("_")
