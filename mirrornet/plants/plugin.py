"""Audio plug-ins (VST2, VST3) as plants, hosted without a window by `dawdreamer`.

A plug-in is made a pure function of its parameters by a recipe of its map: each note is rendered
alone, after unheard notes of the same pitch, in which smoothed parameters arrive and oscillators
start as they always do. (Silence settles nothing: ramps advance only while a voice sounds.) Each
begins at the beginning of a block.

A plug-in must be made on a process's main thread, and may crash it; so `load_plant` and `Pool` play
it in processes of their own.
"""

import math
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from html import escape
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ..errors import PlantError
from ..score import Note, Score, note_name
from .base import Artifact, NotePlant
from .plugin_map import LONGEST_TAIL_S, PluginMap, read_map, seconds
from .plugin_state import fxp_of

INSTALL = "pip install 'dawdreamer>=0.9'"
BLOCK = 512  # samples
VELOCITY = 100  # where a note has none of its own
GAP_S = 0.03  # after a settling note, besides the tail
SUFFIX = ".fxp"
GUIDE = """\
<li>Put the plug-in {plugin} on the track, and load <code>{where}</code> as its preset: it then
plays the MIDI file as <code>match.wav</code> does.</li>
<li>The preset plays at the plug-in’s own level; <code>match.wav</code> was brought to the
target’s.</li>"""
MIDI_CC = ("MIDI Ch. ", "MIDI CC ")  # hosts add some 2,000 parameters of these to a VST3
FOLDERS = {  # where plug-ins are installed
    "linux": "~/.vst3 /usr/lib/vst3 /usr/local/lib/vst3 ~/.vst /usr/lib/vst /usr/local/lib/vst",
    "darwin": "~/Library/Audio/Plug-Ins/VST3 /Library/Audio/Plug-Ins/VST3 "
    "~/Library/Audio/Plug-Ins/VST /Library/Audio/Plug-Ins/VST",
    "win32": "%COMMONPROGRAMFILES%/VST3 %PROGRAMFILES%/VstPlugins",
}


class Plugin(NotePlant):
    """A plug-in that a control map describes. Only the map names the file that is loaded.

    Raises PlantError if the plug-in or dawdreamer is missing, if the plug-in cannot be loaded, or
    if its parameters are not those of the map.
    """

    map: PluginMap
    foreign = True

    def __init__(self, controls: str | None = None, sample_rate_hz: int = 44100):
        self.choose(controls, sample_rate_hz)
        path = find_plugin(self.map)
        self._is_vst2 = path.suffix.lower() != ".vst3"
        try:
            dawdreamer = import_module("dawdreamer")
        except ImportError as error:
            raise PlantError(f"{self.name} needs dawdreamer ({error}): {INSTALL}") from error
        self._engine = dawdreamer.RenderEngine(sample_rate_hz, BLOCK)
        try:
            with quiet():
                self._plugin = self._engine.make_plugin_processor("plugin", str(path))
        except RuntimeError as error:
            raise PlantError(
                f"{path} cannot be loaded as a plug-in; install {self.name} again"
                f"{f' ({self.map.install})' if self.map.install else ''}."
            ) from error
        self._engine.load_graph([(self._plugin, [])])
        self._check_parameters(path)
        self._set: dict[int, float] = {}
        for index, (_, raw) in self.map.fixed.items():
            self._plugin.set_parameter(index, raw)

    @classmethod
    def options_of(cls, suffix: str) -> dict[str, Any] | None:
        return {"controls": suffix} if suffix in cls.control_sets else None

    def note_tail_s(self, note: Note) -> float:
        releases = [
            seconds(one.control, note.controls.get(name, one.usual))
            for name, one in self.map.of.items()
            if one.control.role == "release"
        ]
        return min(self.map.tail_s + sum(releases), LONGEST_TAIL_S)

    def note_sound(self, note: Note) -> Float[np.ndarray, " sample"]:
        self._move(self._raw(note))
        key, gate_s = int(note.pitch_midi), note.offset_s - note.onset_s
        tail_s = self.note_tail_s(note)
        velocity = int(note.controls.get("velocity", VELOCITY))
        block_s = BLOCK / self.sample_rate_hz
        apart_s = math.ceil((self.map.settling_s + tail_s + GAP_S) / block_s) * block_s
        start_s = self.map.settling_notes * apart_s
        self._plugin.clear_midi()
        for number in range(self.map.settling_notes):
            self._plugin.add_midi_note(key, velocity, number * apart_s, self.map.settling_s)
        self._plugin.add_midi_note(key, velocity, start_s, gate_s)
        length_s = gate_s + tail_s
        self._engine.render(start_s + length_s + block_s)
        start = round(start_s * self.sample_rate_hz)
        heard = self._plugin.get_audio()[:, start : start + round(length_s * self.sample_rate_hz)]
        return heard.mean(0, dtype=np.float32) * np.float32(10 ** (self._gain_db(note) / 20))

    def _raw(self, note: Note) -> dict[int, float]:
        """The raw value of each parameter that is a control, by index."""
        return {
            one.index: one.raw[-1] if one.gain else one.raw_of(note.controls.get(name, one.usual))
            for name, one in self.map.of.items()
        }

    def artifacts(self, score: Score) -> list[Artifact]:
        notes = score.resolved
        if not self._is_vst2 or not notes:
            return []
        if score.one_patch:
            what = "the patch that plays them: a preset to load into the plug-in"
            return [Artifact(f"match{SUFFIX}", lambda: self.preset(notes[0]), what)]
        digits = len(str(len(notes)))
        return [
            Artifact(
                f"presets/note-{number:0{digits}}-{note_name(note.pitch_midi)}{SUFFIX}",
                lambda note=note: self.preset(note),
                "a preset for each note, to load into the plug-in",
                number - 1,
            )
            for number, note in enumerate(notes, 1)
        ]

    def guide(self, score: Score) -> str:
        if not self._is_vst2:
            return ""
        where = f"match{SUFFIX}" if score.one_patch else f"presets/note-…{SUFFIX}"
        return GUIDE.format(plugin=escape(self.name), where=where)

    def preset(self, note: Note) -> bytes:
        """A preset (.fxp) with which the plug-in plays the note, which has all its controls."""
        raw = self._raw(note)
        for name, one in self.map.of.items():
            if one.gain:
                raw[one.index] = one.raw_of(note.controls.get(name, one.usual))
        self._move(raw)
        with tempfile.TemporaryDirectory() as folder:
            state = Path(folder) / "state"
            self._plugin.save_state(str(state))
            return fxp_of(state.read_bytes(), "MirrorNet")

    def _move(self, raw: Mapping[int, float]) -> None:
        for index, value in raw.items():
            if self._set.get(index) != value:
                self._plugin.set_parameter(index, value)
                self._set[index] = value

    def _gain_db(self, note: Note) -> float:
        gains = (
            float(np.asarray(note.controls.get(name, one.usual))) - one.control.high
            for name, one in self.map.of.items()
            if one.gain
        )
        return sum(gains)

    def _check_parameters(self, path: Path) -> None:
        """PlantError unless the plug-in has the parameters of the map."""
        wanted = {one.index: one.name for one in self.map.of.values()}
        wanted |= {index: name for index, (name, _) in self.map.fixed.items()}
        count = self._plugin.get_plugin_parameter_size()
        names = [self._plugin.get_parameter_name(index) for index in range(count)]
        own = [name for name in names if not name.startswith(MIDI_CC)]
        if len(own) != self.map.parameters:
            raise PlantError(
                f"{path} has {len(own)} parameters, and the map {self.map.path} is for "
                f"{self.map.parameters}: another version? Make a map with: mirrornet plants map"
            )
        wanted |= dict(enumerate(self.map.names))
        for index, name in wanted.items():
            if names[index] != name:
                raise PlantError(
                    f"parameter {index} of {path} is {names[index]!r}, and in the map "
                    f"{self.map.path} it is {name!r}: another version? Make a map with: "
                    "mirrornet plants map"
                )


def plugin_kind(path: Path) -> type[Plugin]:
    """The kind of plant that a control map describes. Raises PlantError if it is no map."""
    found = read_map(path)
    facts = {"map": found, "name": found.name, "control_sets": found.sets, "__module__": __name__}
    facts |= {"transposition": found.transposition, "fresh": found.fresh}
    return type("Plugin", (Plugin,), facts)


def find_plugin(found: PluginMap) -> Path:
    """The plug-in's file: where the map says, seen from its folder, or where plug-ins usually are.

    Raises PlantError if it is not there.
    """
    name = found.plugin
    places = [found.path.parent / name]
    for folder in FOLDERS.get(sys.platform, "").split():
        places.append(Path(os.path.expandvars(folder)).expanduser() / name)
    for place in places:
        if place.exists():
            return place
    how = f"install it ({found.install}), or " if found.install else ""
    raise PlantError(
        f"the plug-in {name} was not found; {how}give its path as `plugin` in a copy of the map "
        f"{found.path}."
    )


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what native code prints from standard output and standard error."""
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(number) for number in (1, 2)]
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        for number in (1, 2):
            os.dup2(nowhere, number)
        yield
    finally:
        for number, own in zip((1, 2), kept, strict=True):
            os.dup2(own, number)
            os.close(own)
        with suppress(OSError):
            os.close(nowhere)
