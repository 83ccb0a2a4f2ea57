"""The control set `wavetable` of Vital, for recordings: the sound itself as controls.

The oscillators play wavetables made for the patch: amplitudes of harmonics over the time since a
note's onset. A drawn one-shot LFO moves all through their frames. One oscillator holds the low
register and the other the high one; the key lowers the level of the first and raises that of the
second. A third one, tuned four octaves lower, holds partials beside the harmonics. A sample of
shaped noise, which belongs to no recording, plays beside them.

The pitch follows another one-shot LFO: the patch's bend, and a note's own glide.

A change of the patch needs new tables, so it loads a preset, which takes half a second.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Float
from vita import Synth  # pyright: ignore[reportPrivateImportUsage]

from ..controls import Control, ControlSpace, Value
from ..score import Note
from . import vital_patch as patch
from .timbre import (
    BAND_HZ,
    BANDS_HZ,
    HARMONICS,
    HIGHEST_PARTIAL,
    LOWEST_PARTIAL,
    PARTIALS,
    REGISTERS,
    TIMES_S,
    Curve,
    between,
    pitch_curve,
)
from .vital_48 import SHORT_S, VOICES, play_all_voices
from .vital_patch import PATCH, VIBRATO, WAVE_SAMPLES, packed

BEND_SEMITONES = 48.0  # the range of Vital's transposition
LOWERED_SEMITONES = 48  # of the oscillator of the partials, so that they are harmonics of it
RELEASE_CURVES = (0.3, 8.0)

WAVETABLE = ControlSpace(
    (
        *PATCH.own,
        Control(
            "harmonics",
            "dB",
            -100.0,
            0.0,
            meaning="amplitudes, by register, time since the onset, and harmonic",
            scope="patch",
            shape=(REGISTERS, len(TIMES_S), len(HARMONICS)),
            role="harmonics",
        ),
        Control(
            "noise",
            "dB",
            -100.0,
            0.0,
            meaning=f"amplitudes in bands of {BAND_HZ:g} Hz, by time (up to {TIMES_S[-1]:g} s) and "
            "frequency",
            scope="patch",
            shape=(len(TIMES_S), len(BANDS_HZ)),
            role="noise",
        ),
        Control(
            "partials",
            "",
            LOWEST_PARTIAL,
            HIGHEST_PARTIAL,
            "exponential",
            "frequencies of partials beside the harmonics, over the pitch",
            scope="patch",
            shape=(PARTIALS,),
            role="partials",
        ),
        Control(
            "partial_levels",
            "dB",
            -100.0,
            0.0,
            meaning="amplitudes of these partials, by time since the onset",
            scope="patch",
            shape=(len(TIMES_S), PARTIALS),
            role="partial_levels",
        ),
        Control(
            "bend",
            "semitones",
            -BEND_SEMITONES,
            BEND_SEMITONES,
            meaning="pitch beside the key's, by time since the onset",
            scope="patch",
            shape=(len(TIMES_S),),
            role="bend",
        ),
        Control("low_key", "MIDI", 0.0, 116.0, scope="patch", role="low_key"),
        Control("high_key", "MIDI", 12.0, 128.0, scope="patch", role="high_key"),
        Control(
            "release",
            "s",
            0.02,
            8.0,
            "exponential",
            "time to silence after a note's end",
            scope="patch",
            role="release",
        ),
        Control(
            "release_curve",
            "",
            *RELEASE_CURVES,
            "exponential",
            "curvature of the fall after a note's end: a parabola if low, exponential if high",
            scope="patch",
            role="release_curve",
        ),
        *(replace(control, scope="patch") for control in VIBRATO),
    ),
    "wavetable",
)

REMEMBERS = False
SETTLING_S = 0.1
KEYS = 128  # Vital's modulation source "note" is the key divided by this
SAMPLE_GAIN = math.sqrt(2)  # level of an oscillator over that of a sample
SAMPLE_RATE_HZ = 44100
PHASE_SEED, NOISE_SEED = 5, 0
LOWEST_NOISE_HZ = 40.0
MODULATIONS = (
    ("velocity", "voice_amplitude", 1.0),
    ("macro_control_2", "osc_1_tune", 1.0),
    ("macro_control_2", "osc_2_tune", 1.0),
    ("lfo_2", "osc_1_wave_frame", 1.0),
    ("lfo_2", "osc_2_wave_frame", 1.0),
    ("note", "osc_1_level", -1.0),
    ("note", "osc_2_level", 1.0),
    ("macro_control_3", "osc_2_level", 0.0),
    ("lfo_1", "osc_1_tune", 0.0),
    ("lfo_1", "osc_2_tune", 0.0),
    ("lfo_3", "osc_1_transpose", 0.0),
    ("lfo_3", "osc_2_transpose", 0.0),
    ("macro_control_2", "osc_3_tune", 1.0),
    ("lfo_2", "osc_3_wave_frame", 1.0),
    ("lfo_1", "osc_3_tune", 0.0),
    ("lfo_3", "osc_3_transpose", 0.0),
)
MOST_POINTS = 80  # of an LFO; Vital reads 100
FIXED = {
    "osc_2_on": 1.0,
    "osc_2_phase": 0.0,
    "osc_2_stereo_spread": 0.0,
    "osc_2_tune": -0.5,
    "osc_2_level": 0.0,
    "osc_3_phase": 0.0,
    "osc_3_stereo_spread": 0.0,
    "osc_3_tune": -0.5,
    "osc_3_level": 1.0,
    "osc_3_transpose": -LOWERED_SEMITONES,
    "osc_1_destination": 3.0,  # beside the filters
    "osc_2_destination": 3.0,
    "osc_3_destination": 3.0,
    "sample_destination": 3.0,
    "sample_loop": 0.0,
    "filter_1_on": 0.0,
    "env_1_attack": 0.0,
    "env_1_sustain": 1.0,
    "modulation_4_bipolar": 0.0,
    "modulation_5_bipolar": 0.0,
    "modulation_14_bipolar": 0.0,
    "lfo_2_sync": 0.0,
    "lfo_2_sync_type": 2.0,  # once for each note
    "lfo_2_frequency": -math.log2(TIMES_S[-1]),
    "lfo_2_smooth_mode": 0.0,
    "lfo_3_sync": 0.0,
    "lfo_3_sync_type": 2.0,
    "lfo_3_smooth_mode": 0.0,
    "macro_control_3": 1.0,
}


def style(note: Note) -> str:
    """The style of a note's preset in Vital's browser: "Lead" if it sustains, else "Keys"."""
    loud = np.asarray(note.controls["harmonics"]).max((0, 2))
    held = loud[int(np.searchsorted(TIMES_S, 1.0))]
    return "Lead" if held > loud.max() - 12 else "Keys"


def knobs(note: Note) -> dict[str, float]:
    """The raw values of Vital's parameters for the controls of a note, but for the tables."""
    value = note.controls
    low, high = _keys(value)
    vibrato = value["vibrato_depth"] / 100
    times_s, semitones = _pitch_curve(note)
    moves = float(np.any(semitones))
    return {
        "macro_control_2": (value["tune"] + 50) / 200,
        "env_1_release": value["release"] ** 0.25,
        "env_1_release_power": -value["release_curve"],
        "osc_1_level": high / KEYS,
        "modulation_8_amount": -low / KEYS,
        "modulation_9_amount": vibrato,
        "modulation_10_amount": vibrato,
        "lfo_1_frequency": math.log2(value["vibrato_rate"]),
        "lfo_1_phase": value["vibrato_phase"],
        "modulation_11_amount": moves,
        "modulation_12_amount": moves,
        "modulation_15_amount": vibrato,
        "modulation_16_amount": moves,
        "lfo_3_frequency": -math.log2(times_s[-1]),
    }


def _pitch_curve(note: Note) -> Curve:
    times_s, semitones = pitch_curve(note.controls["bend"], note.glide)
    if len(times_s) > MOST_POINTS:
        fewer_s = np.linspace(0, times_s[-1], MOST_POINTS)
        times_s, semitones = fewer_s, np.interp(fewer_s, times_s, semitones)
    return times_s, semitones.clip(-BEND_SEMITONES, BEND_SEMITONES)


def _keys(controls: Mapping[str, Value]) -> tuple[float, float]:
    """The keys of the registers, an octave apart at least."""
    low, high = controls["low_key"], controls["high_key"]
    return low, max(high, low + 12)


def settle(play: Callable[[float, float], Any], handles: Mapping[str, Any], tail_s: float) -> None:
    """Let the levels, which follow the key, settle in both lanes, then in all voices; and leave
    these as a note on this key does, so that the next one need not settle. The notes are too faint
    to be heard in the next one, so their ends are not awaited."""
    play(SETTLING_S, SHORT_S)
    play(SETTLING_S, SHORT_S)
    play_all_voices(play, handles, VOICES)
    play(SETTLING_S, SHORT_S)
    play_all_voices(play, handles, 1)


def base_preset(synth: Synth) -> str:
    """The text of a preset with everything that does not depend on the patch."""
    return patch.base_preset(synth, MODULATIONS, FIXED, oscillators=3)


def fill(preset: dict[str, Any], note: Note) -> None:
    """Write a patch's tables, its noise, and the LFO that moves through the tables."""
    value, settings = note.controls, preset["settings"]
    preset |= {"macro1": "MACRO 1", "macro3": "REGISTERS"}
    low, high = _keys(value)
    harmonics = _amplitudes(value["harmonics"])
    harmonics = harmonics @ between(np.arange(1.0, HARMONICS[-1] + 1), HARMONICS).T
    beside = _partials(value["partials"], _amplitudes(value["partial_levels"]))
    cycles = [_cycles(table) for table in (*harmonics, beside)]
    noise = SAMPLE_GAIN * _noise(_amplitudes(value["noise"]))
    loudest = max(*(np.abs(table).max() for table in cycles), np.abs(noise).max(), 1e-9)
    # The levels' law reaches 1 for keys 128 apart; so the data are larger than 1.
    gain = (KEYS / (high - low)) ** 2
    names = ("Low register", "High register", "Partials")
    for number, (table, own_gain) in enumerate(zip(cycles, (gain, gain, 1), strict=True)):
        settings["wavetables"][number] |= {
            "name": names[number],
            "full_normalize": False,
            "remove_all_dc": False,
            "groups": [{"components": [_component(own_gain / loudest * table)]}],
        }
    settings["osc_3_on"] = float(beside.any())
    ways = 1 - np.arange(len(TIMES_S)) / (len(TIMES_S) - 1)
    settings["lfos"][1] = _drawn("Time since onset", np.array(TIMES_S), ways)
    peak = max(np.abs(noise).max(), 1e-9)
    settings["sample_level"] = math.sqrt(peak / loudest)
    settings["sample"] = {
        "name": "Noise",
        "length": len(noise),
        "sample_rate": SAMPLE_RATE_HZ,
        "samples": packed(32767 * noise / peak, "<i2"),
    }


def draw_pitch(preset: dict[str, Any], note: Note) -> bool:
    """Write the LFO of the pitch, if it moves; return whether this changes it."""
    times_s, semitones = _pitch_curve(note)
    if not semitones.any():
        return False
    places = 0.5 - 0.5 * semitones / BEND_SEMITONES
    before, drawn = preset["settings"]["lfos"][2], _drawn("Pitch", times_s, places)
    preset["settings"]["lfos"][2] = drawn
    return drawn != before


def _drawn(
    name: str, times_s: Float[np.ndarray, " point"], places: Float[np.ndarray, " point"]
) -> dict[str, Any]:
    """An LFO's shape, from time 0 on; places are 0..1, 0 at the top."""
    points = np.stack([times_s / times_s[-1], places], 1)
    return {
        "name": name,
        "num_points": len(points),
        "points": points.ravel().tolist(),
        "powers": [0.0] * len(points),
        "smooth": False,
    }


def _amplitudes(level_db: Value) -> Float[np.ndarray, "*table"]:
    level_db = np.asarray(level_db, float)
    lowest = -100.0
    return np.where(level_db > lowest, 10 ** (level_db / 20), 0.0)


def _partials(
    ratios: Value, amplitudes: Float[np.ndarray, "time partial"]
) -> Float[np.ndarray, "time harmonic"]:
    """Partials as harmonics of the lowered oscillator: to the nearest sixteenth of the pitch."""
    lowered = 2 ** (LOWERED_SEMITONES / 12)
    table = np.zeros((len(TIMES_S), round(HIGHEST_PARTIAL * lowered)))
    places = np.round(np.asarray(ratios) * lowered).astype(int) - 1
    for place, course in zip(places, amplitudes.T, strict=True):
        table[:, place] += course
    return table


def _cycles(table: Float[np.ndarray, "time harmonic"]) -> Float[np.ndarray, "time sample"]:
    """A cycle for each time. All have the same phases, so that amplitudes add in between; random
    ones, as the peaks are then low."""
    turns = np.random.default_rng(PHASE_SEED).random(table.shape[1])
    bins = np.zeros((len(table), WAVE_SAMPLES // 2 + 1), complex)
    bins[:, 1 : table.shape[1] + 1] = table * np.exp(2j * np.pi * turns)
    return np.fft.irfft(bins, WAVE_SAMPLES) * (WAVE_SAMPLES / 2)


def _component(cycles: Float[np.ndarray, "time sample"]) -> dict[str, Any]:
    frames = np.linspace(0, 256, len(cycles)).round().astype(int).tolist()
    return {
        "type": "Wave Source",
        "interpolation": 0,  # of amplitudes
        "interpolation_style": 1,  # linear
        "keyframes": [
            {"position": frame, "wave_data": packed(cycle, "<f4")}
            for frame, cycle in zip(frames, cycles, strict=True)
        ],
    }


def _noise(bands: Float[np.ndarray, "time band"]) -> Float[np.ndarray, " sample"]:
    """Noise whose amplitudes in the bands change over the times."""
    count = round(TIMES_S[-1] * SAMPLE_RATE_HZ)
    white = np.fft.rfft(np.random.default_rng(NOISE_SEED).standard_normal(count))
    at_hz = np.fft.rfftfreq(count, 1 / SAMPLE_RATE_HZ)
    inside = between(np.log(at_hz.clip(min=1)), np.log(BANDS_HZ).tolist())
    inside[at_hz < LOWEST_NOISE_HZ] = 0
    # White noise of variance 1 has the power 2 / rate per Hz; a sinusoid's is amplitude^2 / 2.
    shapes = np.sqrt(inside @ np.square(bands).T * SAMPLE_RATE_HZ / (4 * BAND_HZ))
    times = between(np.arange(count) / SAMPLE_RATE_HZ, TIMES_S)
    sounds = np.fft.irfft(white * shapes.T, count)
    return np.einsum("nt,tn->n", times, sounds)
