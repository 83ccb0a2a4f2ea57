"""The control set `48` of Vital, for recordings: a patch as sound designers make them.

It is `patch` with a second oscillator, warps, a spectral morph, a second filter in series, an
envelope each for filter and pitch, and a second LFO. As in `patch`, only level and tune differ
between notes. Vital's effects are left out: they remember the notes before.

Two patches would sound the same if their oscillators were swapped. So the first oscillator always
plays the key, and where both do, the prior lets the first be the louder one.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from vita import Synth  # pyright: ignore[reportPrivateImportUsage]

from ..controls import Control, ControlSpace
from ..score import Note
from . import vital_patch as patch
from .vital_patch import PATCH

# Vital's model and style of each type of filter.
FILTERS = {
    "analog 12 dB": (0, 0),
    "analog 24 dB": (0, 1),
    "dirty": (1, 1),
    "ladder": (2, 1),
    "digital": (3, 0),
}
WARPS = {"none": 0, "sync": 1, "formant": 2, "bend": 4, "squeeze": 5, "pulse": 6}
WARPS_1 = WARPS | {"fm from 2": 7}
MORPHS = {
    "none": 0,
    "formant scale": 2,
    "harmonic stretch": 3,
    "inharmonic stretch": 4,
    "smear": 5,
    "low pass": 7,
    "high pass": 8,
}
SECOND_LFO_HZ = 0.3, 12.0

NEW = (
    Control("warp", kind="choice", choices=tuple(WARPS_1), meaning="of oscillator 1"),
    Control("warp_amount", "%", 0.0, 100.0),
    Control("morph", kind="choice", choices=tuple(MORPHS), meaning="of oscillator 1's harmonics"),
    Control("morph_amount", "%", 0.0, 100.0),
    Control("osc2_mix", "%", 0.0, 100.0, meaning="oscillator 2's share of both oscillators"),
    Control("osc2_wave", "%", 0.0, 100.0, meaning="as wave"),
    Control("osc2_transpose", "semitones", -24.0, 24.0, kind="integer"),
    Control("osc2_tune", "cents", -30.0, 30.0, meaning="above oscillator 1"),
    Control("osc2_warp", kind="choice", choices=tuple(WARPS)),
    Control("osc2_warp_amount", "%", 0.0, 100.0),
    Control("osc2_unison", "voices", 1.0, 5.0, meaning="rounded", kind="integer"),
    Control("osc2_detune", "%", 0.0, 25.0),
    Control("filter_type", kind="choice", choices=tuple(FILTERS)),
    Control("filter_drive", "dB", 0.0, 12.0),
    Control("filter_attack", "s", 0.003, 0.5, "exponential", "of the filter's envelope"),
    Control("filter_decay", "s", 0.03, 4.0, "exponential", "of the filter's envelope"),
    Control("filter_sustain", "%", 0.0, 100.0, meaning="of the filter's envelope"),
    Control("wave_env", "%", -100.0, 100.0, meaning="wave at the filter envelope's height"),
    Control("filter2", kind="switch", meaning="a second filter after the first"),
    Control("filter2_type", kind="choice", choices=tuple(FILTERS)),
    Control("filter2_cutoff", "Hz", 60.0, 12000.0, "exponential", "for middle C"),
    Control("filter2_resonance", "%", 0.0, 75.0),
    Control("filter2_blend", "%", 0.0, 100.0, meaning="low-pass, band-pass, high-pass"),
    Control("filter2_track", "%", 0.0, 100.0, meaning="how far the cutoff follows the keys"),
    Control("vibrato_fade", "s", 0.0, 1.0, meaning="in which the vibrato reaches its depth"),
    Control("lfo2_rate", "Hz", *SECOND_LFO_HZ, "exponential"),
    Control("lfo2_cutoff", "semitones", 0.0, 36.0, meaning="how far LFO 2 moves the cutoff"),
    Control("lfo2_wave", "%", 0.0, 100.0, meaning="how far LFO 2 moves the wave"),
    Control("pitch_env", "semitones", -24.0, 24.0, meaning="pitch at a note's start"),
    Control("pitch_decay", "s", 0.01, 0.5, "exponential", "from there to the note's own"),
)
SET_48 = ControlSpace((*PATCH, *(replace(control, scope="patch") for control in NEW)), "48")

MODULATIONS = (
    *patch.MODULATIONS,
    ("macro_control_2", "osc_2_tune", 1.0),
    ("lfo_1", "osc_2_tune", 0.0),
    ("env_2", "osc_1_wave_frame", 0.0),
    ("lfo_2", "filter_1_cutoff", 0.0),
    ("lfo_2", "osc_1_wave_frame", 0.0),
    ("env_3", "osc_1_transpose", 0.0),
    ("env_3", "osc_2_transpose", 0.0),
)
FIXED = {
    "osc_2_on": 1.0,
    "osc_2_phase": 0.0,
    "osc_2_stereo_spread": 0.0,
    "osc_2_destination": 0.0,  # filter 1, as oscillator 1
    "filter_2_filter_input": 1.0,  # fed by filter 1
    "lfo_2_sync": 0.0,  # free, in Hz
    "lfo_2_sync_type": 0.0,  # retriggered by each note
    "env_3_attack": 0.0,
    "env_3_sustain": 0.0,
}
SETTLING_S = 1.5
VOICES = 32  # Vital uses them in turn, and a voice's filters remember its last note
REMEMBERS = True
SHORT_S = 0.01  # of a voice whose note has ended
AMPLITUDE = 0.5  # of both oscillators together; Vital's default for one


def knobs(note: Note) -> dict[str, float]:
    """The raw values of Vital's parameters for the controls of a note."""
    value = note.controls
    share = math.pi / 2 * value["osc2_mix"] / 100
    model, style = FILTERS[value["filter_type"]]
    model_2, style_2 = FILTERS[value["filter2_type"]]
    values = patch.knobs(note) | {
        "osc_1_level": math.sqrt(AMPLITUDE * max(math.cos(share), 0.0)),
        "osc_1_distortion_type": float(WARPS_1[value["warp"]]),
        "osc_1_distortion_amount": value["warp_amount"] / 100,
        "osc_1_spectral_morph_type": float(MORPHS[value["morph"]]),
        "osc_1_spectral_morph_amount": value["morph_amount"] / 100,
        "osc_2_level": math.sqrt(AMPLITUDE * math.sin(share)),
        "osc_2_wave_frame": 2.56 * value["osc2_wave"],
        "osc_2_transpose": float(round(value["osc2_transpose"])),
        "osc_2_tune": (value["osc2_tune"] - 50) / 100,
        "osc_2_distortion_type": float(WARPS[value["osc2_warp"]]),
        "osc_2_distortion_amount": value["osc2_warp_amount"] / 100,
        "osc_2_unison_voices": float(round(value["osc2_unison"])),
        "osc_2_unison_detune": math.sqrt(value["osc2_detune"]),
        "filter_1_model": float(model),
        "filter_1_style": float(style),
        "filter_1_drive": value["filter_drive"],
        "env_2_attack": value["filter_attack"] ** 0.25,
        "env_2_decay": value["filter_decay"] ** 0.25,
        "env_2_sustain": value["filter_sustain"] / 100,
        "env_2_release": value["release"] ** 0.25,
        "filter_2_on": float(value["filter2"]),
        "filter_2_model": float(model_2),
        "filter_2_style": float(style_2),
        "filter_2_cutoff": 69 + 12 * math.log2(value["filter2_cutoff"] / 440),
        "filter_2_resonance": value["filter2_resonance"] / 100,
        "filter_2_blend": value["filter2_blend"] / 50,
        "filter_2_keytrack": value["filter2_track"] / 100,
        "lfo_1_fade_time": value["vibrato_fade"],
        "lfo_2_frequency": math.log2(value["lfo2_rate"]),
        "env_3_decay": value["pitch_decay"] ** 0.25,
    }
    moved = {
        ("lfo_1", "osc_2_tune"): value["vibrato_depth"] / 100,
        ("env_2", "osc_1_wave_frame"): value["wave_env"] / 100,
        ("lfo_2", "filter_1_cutoff"): value["lfo2_cutoff"] / 128,
        ("lfo_2", "osc_1_wave_frame"): value["lfo2_wave"] / 100,
        ("env_3", "osc_1_transpose"): value["pitch_env"] / 96,
        ("env_3", "osc_2_transpose"): value["pitch_env"] / 96,
    }
    for number, (source, destination, _) in enumerate(MODULATIONS, 1):
        if (source, destination) in moved:
            values[f"modulation_{number}_amount"] = moved[source, destination]
    return values


def settle(play: Callable[[float, float], Any], handles: Mapping[str, Any], tail_s: float) -> None:
    """As `vital_patch.settle`; and give all voices the same last note."""
    play(SETTLING_S, tail_s)
    play_all_voices(play, handles, VOICES + 1)


def play_all_voices(
    play: Callable[[float, float], Any], handles: Mapping[str, Any], notes: int
) -> None:
    """Play so many short notes, at least one in each voice."""
    release = handles["env_1_release"].value()
    handles["env_1_release"].set(SHORT_S**0.25)
    for _ in range(notes):
        play(0.001, 2 * SHORT_S)
    handles["env_1_release"].set(release)


def base_preset(synth: Synth) -> str:
    """As `vital_patch.base_preset`."""
    return patch.base_preset(synth, MODULATIONS, FIXED, oscillators=2)
