"""The Vital synthesizer, run by `vita`: one saw, a band-pass filter, one envelope, vibrato.

Vital is not a pure function of its parameters by default; it is made one here:

- Every random phase is 0 and effects are off.
- Vital smooths the filter's cutoff and the oscillator's level over tens of milliseconds, so a
  change would leak into the next note. Both parameters stay at the bottom of their range and are
  driven by macros instead, which Vital does not smooth. One silent note at the start lets the two
  fixed parameters settle.
- The release ends within each note's tail.

The control `level` is the oscillator's. The filter after it saturates slightly: 20 dB less from the
oscillator is 17 to 18 dB less sound level.

The macros are also the parameters a musician wants to change: the preset names them CUTOFF and
LEVEL.
"""

import json
import math
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from vita import Synth  # pyright: ignore[reportPrivateImportUsage]

from ..controls import Control, ControlSpace, Value
from ..errors import PlantError
from ..score import DURATION, PITCH, Note, Score
from . import vital_48, vital_preset, vital_prior, vital_wavetable, wavetable_prior
from . import vital_patch as patch
from .base import TAIL_S, Artifact, NotePlant
from .vital_48 import SET_48
from .vital_patch import PATCH, SINE
from .vital_preset import LOWEST_CUTOFF_MIDI
from .vital_wavetable import WAVETABLE

SET1 = ControlSpace(
    (
        PITCH,
        DURATION,
        Control("level", "dB", -20.0, 0.0, meaning="oscillator level", role="level"),
        Control("cutoff", "Hz", 200.0, 3200.0, "exponential", "band-pass filter's centre"),
        Control("resonance", "%", 0.0, 75.0, meaning="filter resonance; above 75 % it rings"),
        Control("attack", "s", 0.003, 0.15, "exponential", "time to full level"),
        Control("decay", "s", 0.05, 1.0, "exponential", "time to silence, sustain being 0"),
    ),
    "set1",
)
SET2 = ControlSpace((*SET1, *patch.VIBRATO), "set2")
CONTROL_SETS = {space.name: space for space in (SET1, SET2, PATCH, SET_48, WAVETABLE)}
# Where knobs and base preset of a control set are.
PATCHES = {"patch": patch, "48": vital_48, "wavetable": vital_wavetable}

# Ranges, in 0..1, of the paper's second set of melodies, from the authors' code.
PAPER_RANGES = {
    "level": (0.6, 1.0),
    "cutoff": (0.3, 0.6),
    "resonance": (0.1, 0.4),
    "attack": (0.2, 0.4),
    "decay": (0.3, 0.5),
    "vibrato_rate": (0.3, 0.5),
    "vibrato_depth": (0.3, 0.7),
    "vibrato_phase": (0.0, 0.3),
}

RELEASE_S = 0.02
PATCH_COMMENTS = (
    "Matched to a recording by MirrorNet. Play melody.mid with it. "
    "CUTOFF moves the filter; TUNE tunes all notes (0.25: A = 440 Hz)."
)
TIMBRE_COMMENTS = (
    "Wavetables and noise matched to a recording by MirrorNet. Play melody.mid with it. "
    "TUNE tunes all notes (0.25: A = 440 Hz)."
)
NOTE_COMMENTS = (
    "One note of a melody that MirrorNet matched. "
    "CUTOFF moves the filter, LEVEL the oscillator's level."
)
FAINT = 0.001  # an inaudible velocity; 0 would be no note
MODULATIONS = (
    ("macro_control_1", "filter_1_cutoff"),
    ("macro_control_2", "osc_1_level"),
    ("lfo_1", "osc_1_tune"),
)


class Vital(NotePlant):
    """Vital with the paper's controls (`set1`: the first seven, `set2`: all ten), or with the
    control sets `patch`, `48` and `wavetable` for recordings.

    Raises PlantError for other options.
    """

    name = "vital"
    control_sets = CONTROL_SETS
    timbre_set = WAVETABLE.name

    def __init__(
        self,
        controls: Literal["set1", "set2", "patch", "48", "wavetable"] = "set1",
        sample_rate_hz: int = 16000,
    ):
        self.choose(controls, sample_rate_hz)
        self._patch = PATCHES.get(self.controls.name)
        self.level_is_gain = self._patch is not None
        self._knobs = self._patch.knobs if self._patch else _knobs
        self._set: dict[str, float] = {}
        self._has_tables = self._patch is vital_wavetable
        self._settled: int | None = None  # the key on which all voices have settled, with tables
        # The patch whose tables are loaded, and the preset that has them.
        self._filled: tuple[Float[np.ndarray, " row"], dict[str, Any]] | None = None
        self._synth = Synth()
        self._synth.set_sample_rate(sample_rate_hz)
        make = self._patch.base_preset if self._patch else _base_preset
        self._base = make(self._synth)
        self._load(self._base)

    @classmethod
    def options_of(cls, suffix: str) -> dict[str, Any] | None:
        return {"controls": suffix} if suffix in CONTROL_SETS else None

    def note_tail_s(self, note: Note) -> float:
        return note.controls.get("release", 0.0) + TAIL_S

    def _render_score(self, score: Score, duration_s: float) -> Float[np.ndarray, " sample"]:
        if self._patch and self._patch.REMEMBERS:
            self._set = {}  # so that the first note settles
        if self._has_tables:  # settles on each key once
            score = replace(score, notes=sorted(score.notes, key=lambda note: note.pitch_midi))
        return super()._render_score(score, duration_s)

    def note_sound(self, note: Note) -> Float[np.ndarray, " sample"]:
        if self._has_tables:
            self._load_tables(note)
        knobs = self._knobs(note)
        changed = {name: value for name, value in knobs.items() if self._set.get(name) != value}
        for name, value in changed.items():
            self._handles[name].set(value)
        self._set = knobs
        pitch, gate_s = int(note.pitch_midi), note.offset_s - note.onset_s
        strength, tail_s = 1.0, self.note_tail_s(note)

        def quietly(gate_s: float, after_s: float) -> np.ndarray:
            return self._render(pitch, gate_s, gate_s + after_s, FAINT)

        if self._patch:
            strength = patch.velocity(note) / 127
            other_key = self._has_tables and pitch != self._settled
            if other_key or not all(name.startswith("macro") for name in changed):
                # Parameters that no macro drives are smoothed: inaudible notes let them settle.
                self._patch.settle(quietly, self._handles, tail_s)
                self._settled = pitch
        # Vital is mono here: both channels are the same.
        sound = self._render(pitch, gate_s, gate_s + tail_s, strength)
        # Successive notes alternate between two SIMD lanes, whose rounding differs by 1e-7. A
        # second, discarded note restores the lane, so that equal notes are equal, bit for bit.
        if self._has_tables:  # which have long releases
            vital_48.play_all_voices(quietly, self._handles, 1)
        else:
            self._render(pitch, 0.001, tail_s, FAINT if self._patch else 1.0)
        return sound

    def _render(
        self, pitch: int, gate_s: float, duration_s: float, strength: float = 1.0
    ) -> np.ndarray:
        sound = self._synth.render(pitch, strength, gate_s, duration_s)[0]
        # Vital leaves denormals flushed to zero in this thread, which affects all arithmetic.
        torch.set_flush_denormal(False)
        return sound

    def sample(self, generator: np.random.Generator) -> Score:
        if self._has_tables:
            return wavetable_prior.random_phrase(self.controls, generator)
        if self._patch:
            return vital_prior.random_phrase(self.controls, generator)
        return super().sample(generator)

    def read_preset(self, data: bytes) -> dict[str, Value]:
        if not self._patch or self._has_tables:
            return super().read_preset(data)
        modulations = self._patch.MODULATIONS
        return vital_preset.patch_of(data, self.controls, self._knobs, modulations)

    def artifacts(self, score: Score) -> list[Artifact]:
        return vital_preset.artifacts(score, self.preset)

    def guide(self, score: Score) -> str:
        macros = "Its macro TUNE is" if self._has_tables else "Its macros CUTOFF and TUNE are"
        return vital_preset.guide(score, macros)

    def preset(self, note: Note) -> str:
        """The text of a `.vital` preset that sounds as `note` does when played at its pitch and
        length. The note must have all its controls."""
        preset = json.loads(self._base)
        preset["settings"].update(self._knobs(note))
        about = "Keys", NOTE_COMMENTS
        if self._has_tables:
            vital_wavetable.fill(preset, note)
            vital_wavetable.draw_pitch(preset, note)
            about = vital_wavetable.style(note), TIMBRE_COMMENTS
        elif self._patch:
            about = patch.style(note), PATCH_COMMENTS
        return vital_preset.preset_text(preset, *about)

    def automation(self, score: Score) -> list[dict[str, float]]:
        moved = [] if score.one_patch else score.resolved
        return [self._shares(note) for note in moved] or [{} for _ in score.notes]

    def _shares(self, note: Note) -> dict[str, float]:
        """Vital's parameters for a note, by displayed name, as shares of their ranges."""
        preset = json.loads(self._base)
        shares = {}
        for name, value in self._knobs(note).items():
            reach = self._synth.get_control_details(name)
            label = preset.get(name.replace("_control_", ""))  # of a macro, beside its number
            shown = f"{reach.display_name} ({label})" if label else reach.display_name
            shares[shown] = (value - reach.min) / (reach.max - reach.min)
        return shares

    def _load_tables(self, note: Note) -> None:
        """Load the tables of the patch and the curve of the pitch, if they are others."""
        rows, changed = self.controls.patch.to_vector(note.controls), False
        if self._filled is None or not np.array_equal(rows, self._filled[0]):
            self._filled, changed = (rows, json.loads(self._base)), True
            vital_wavetable.fill(self._filled[1], note)
        preset = self._filled[1]
        if vital_wavetable.draw_pitch(preset, note) or changed:
            preset["settings"].update(self._knobs(note))
            self._load(json.dumps(preset))
            self._render(60, 1.5, 1.5)  # in the other lane
            self._set = self._knobs(note)

    def _load(self, preset: str) -> None:
        if not self._synth.load_json(preset):
            raise PlantError(
                "vita refused its own preset; reinstall it with: pip install vita>=0.1.0"
            )
        # Handles from before a load no longer affect the synthesizer.
        self._handles, self._set, self._settled = self._synth.get_controls(), {}, None
        self._render(60, 1.5, 1.5)


def _knobs(note: Note) -> dict[str, float]:
    """The raw values of Vital's parameters for the controls of a note."""
    value = note.controls
    cutoff_midi = 69 + 12 * math.log2(value["cutoff"] / 440)
    depth = value.get("vibrato_depth", 0.0)
    return {
        "macro_control_1": (cutoff_midi - LOWEST_CUTOFF_MIDI) / 128,
        # Vital's level parameter is the square root of the amplitude.
        "macro_control_2": 10 ** (value["level"] / 40),
        "filter_1_resonance": value["resonance"] / 100,
        "env_1_attack": value["attack"] ** 0.25,
        "env_1_decay": value["decay"] ** 0.25,
        "modulation_3_amount": depth / 100,
        "lfo_1_frequency": math.log2(value.get("vibrato_rate", 5.0)),
        "lfo_1_phase": value.get("vibrato_phase", 0.0),
    }


def _base_preset(synth: Synth) -> str:
    """The text of a preset with everything that does not depend on the note."""
    knobs = synth.get_controls()
    for name in knobs:
        if name.endswith("random_phase"):
            knobs[name].set(0.0)
    fixed = {
        "osc_1_level": 0.0,
        "osc_1_phase": 0.0,
        "filter_1_on": 1.0,
        "filter_1_model": 0.0,  # analog
        "filter_1_style": 0.0,  # 12 dB
        "filter_1_blend": 1.0,  # band-pass
        "filter_1_cutoff": LOWEST_CUTOFF_MIDI,
        "env_1_sustain": 0.0,
        "env_1_release": RELEASE_S**0.25,
        "velocity_track": 0.0,
        "lfo_1_sync": 0.0,  # free, in Hz
        "lfo_1_sync_type": 0.0,  # retriggered by each note
    }
    for name, value in fixed.items():
        knobs[name].set(value)
    for source, destination in MODULATIONS:
        if not synth.connect_modulation(source, destination):
            raise PlantError(
                f"vita cannot connect {source} to {destination}; vita>=0.1.0 is needed."
            )
    preset = json.loads(synth.to_json())
    settings = preset["settings"]
    settings |= {"modulation_1_amount": 1.0, "modulation_2_amount": 1.0, "modulation_3_amount": 0.0}
    settings["modulation_3_bipolar"] = 1.0
    settings["lfos"][0] = SINE
    settings["sample"] = patch.white_noise()  # not played, but Vital's default is random
    preset |= {"macro1": "CUTOFF", "macro2": "LEVEL", "preset_name": "MirrorNet note"}
    return json.dumps(preset)
