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
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ..controls import Value
from ..errors import PlantError
from ..score import Note, Score, note_name
from .base import Artifact, NotePlant
from .plugin_map import LONGEST_TAIL_S, PluginMap, read_map, seconds
from .plugin_state import MAGIC, class_id_of, fxp_of, vstpreset_of

INSTALL = "pip install 'dawdreamer>=0.9'"
BLOCK = 512  # samples
VELOCITY = 100  # where a note has none of its own
GAP_S = 0.03  # after a settling note, besides the tail
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
    own_rate_hz = 44100  # of some plug-ins even the filters depend on it
    foreign = True

    def __init__(self, controls: str | None = None, sample_rate_hz: int = 44100):
        self.choose(controls, sample_rate_hz)
        self._path = path = find_plugin(self.map)
        self._is_vst3 = path.suffix.lower() == ".vst3"
        self._suffix = ".vstpreset" if self._is_vst3 else ".fxp"
        try:
            import_module("dawdreamer")
        except ImportError as error:
            raise PlantError(f"{self.name} needs dawdreamer ({error}): {INSTALL}") from error
        try:
            self._engine, self._plugin = self._instance()
        except RuntimeError as error:
            raise PlantError(
                f"{path} cannot be loaded as a plug-in; install {self.name} again"
                f"{f' ({self.map.install})' if self.map.install else ''}."
            ) from error
        self._reader: tuple[Any, Any] | None = None
        self._places = own_parameters(self._plugin)
        self._check_parameters(path)
        self._set: dict[int, float]
        self._hold()

    @classmethod
    def to_install(cls) -> str:
        if not find_spec("dawdreamer"):
            return INSTALL
        try:
            find_plugin(cls.map)
        except PlantError:
            return cls.map.install or f"its plug-in, {cls.map.plugin}"
        return ""

    @classmethod
    def options_of(cls, suffix: str) -> dict[str, Any] | None:
        return {"controls": suffix} if suffix in cls.control_sets else None

    def _hold(self) -> None:
        """Set what is held, whatever the plug-in has."""
        self._set = {}
        fixed = {index: raw for index, (_, raw) in self.map.fixed.items()}
        # What a plug-in has before a value is set need not be what it makes of that value; and
        # hosts do not pass on a value that is no change.
        controls = [one.index for one in self.map.of.values()]
        self._move({index: 0.0 if raw > 0.5 else 1.0 for index, raw in fixed.items()})
        self._move(dict.fromkeys(controls, 1.0))
        self._engine.render(BLOCK / self.sample_rate_hz)
        self._move(fixed | dict.fromkeys(controls, 0.0))

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

    def read_preset(self, data: bytes) -> dict[str, Value]:
        if self._is_vst3:
            kind = "VST3 preset (.vstpreset)"
            known = data[:4] == b"VST3" and data[8:40] == class_id_of(self._path).encode("ascii")
        else:
            kind = "VST2 preset (.fxp)"
            known = data[:4] == MAGIC and data[16:20] == self._own_id
        if not known:  # hosts load presets of other plug-ins, too
            raise PlantError(f"this is no {kind} of {self.name}.")
        # In an instance of its own: a preset may hold more than parameters, which would stay. It is
        # kept, since some plug-ins do not end well.
        engine, other = self._reader = self._reader or self._instance()
        with tempfile.TemporaryDirectory() as folder, quiet():
            path = Path(folder) / f"preset{self._suffix}"
            path.write_bytes(data)
            loaded = (other.load_vst3_preset if self._is_vst3 else other.load_preset)(str(path))
            engine.render(BLOCK / self.sample_rate_hz)
        if not loaded:
            raise PlantError(f"{self.name} does not load this preset.")
        return {
            name: one.value_of(float(other.get_parameter(self._places[one.index])))
            for name, one in self.map.of.items()
            if name in self.controls.patch.names
        }

    def _instance(self) -> tuple[Any, Any]:
        """An engine, and the plug-in in it."""
        engine = import_module("dawdreamer").RenderEngine(self.sample_rate_hz, BLOCK)
        with quiet():
            plugin = engine.make_plugin_processor("plugin", str(self._path))
        engine.load_graph([(plugin, [])])
        return engine, plugin

    @property
    def _own_id(self) -> bytes:
        """The four letters of a VST2 plug-in, as presets hold them."""
        with tempfile.TemporaryDirectory() as folder:
            state = Path(folder) / "state"
            self._plugin.save_state(str(state))
            return fxp_of(state.read_bytes(), "")[16:20]

    def artifacts(self, score: Score) -> list[Artifact]:
        notes = score.resolved
        if not notes:
            return []
        if score.one_patch:
            what = "the patch that plays them: a preset to load into the plug-in"
            return [Artifact(f"match{self._suffix}", lambda: self.preset(notes[0]), what)]
        digits = len(str(len(notes)))
        return [
            Artifact(
                f"presets/note-{number:0{digits}}-{note_name(note.pitch_midi)}{self._suffix}",
                lambda note=note: self.preset(note),
                "a preset for each note, to load into the plug-in",
                number - 1,
            )
            for number, note in enumerate(notes, 1)
        ]

    def guide(self, score: Score) -> str:
        where = "match" if score.one_patch else "presets/note-…"
        return GUIDE.format(plugin=escape(self.name), where=where + self._suffix)

    def preset(self, note: Note) -> bytes:
        """A preset (.fxp or .vstpreset) with which the plug-in plays the note.

        The note must have all its controls.
        """
        raw = self._raw(note)
        for name, one in self.map.of.items():
            if one.gain:
                raw[one.index] = one.raw_of(note.controls.get(name, one.usual))
        self._move(raw)
        self._plugin.clear_midi()
        self._engine.render(BLOCK / self.sample_rate_hz)  # some take them only while they play
        with tempfile.TemporaryDirectory() as folder:
            state = Path(folder) / "state"
            self._plugin.save_state(str(state))
            if self._is_vst3:
                return vstpreset_of(state.read_bytes(), class_id_of(self._path))
            return fxp_of(state.read_bytes(), "MirrorNet")

    def _move(self, raw: Mapping[int, float]) -> None:
        for index, value in raw.items():
            if self._set.get(index) != value:
                self._plugin.set_parameter(self._places[index], value)
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
        names = [self._plugin.get_parameter_name(place) for place in self._places]
        if len(names) != self.map.parameters:
            raise PlantError(
                f"{path} has {len(names)} parameters, and the map {self.map.path} is for "
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


def own_parameters(plugin: Any) -> list[int]:
    """Where a plug-in's own parameters are among those that dawdreamer counts, in order."""
    names = map(plugin.get_parameter_name, range(plugin.get_plugin_parameter_size()))
    return [place for place, name in enumerate(names) if not name.startswith(MIDI_CC)]


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
