"""The control set `patch` of Vital, for recordings.

A musician plays one patch with many notes, so most controls belong to the patch: only pitch, tune
and level differ between notes, as keys, pitch wheel and velocity of a keyboard can express them. A
preset with these controls, loaded into Vital and played by the MIDI file, sounds as the match does.

An oscillator reads a wavetable from sine over triangle, square and saw to a narrow pulse; white
noise is added; a filter that blends from low-pass over band-pass to high-pass follows the keys and
an envelope; another envelope shapes the amplitude; the vibrato is that of `set2`.
"""

import base64
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from jaxtyping import Float
from vita import Synth  # pyright: ignore[reportPrivateImportUsage]

from ..controls import Control, ControlSpace
from ..errors import PlantError
from ..score import Note, midi_velocity
from .vital_preset import LOWEST_CUTOFF_MIDI

VIBRATO = (
    Control("vibrato_rate", "Hz", 2.0, 10.0, "exponential", role="vibrato_rate"),
    Control("vibrato_depth", "cents", 0.0, 100.0, role="vibrato_depth"),
    Control(
        "vibrato_phase",
        "turns",
        meaning="0 and 1 are the same",
        circular=True,
        role="vibrato_start",
    ),
)
# Set once for a whole recording.
SHARED = (
    Control("attack", "s", 0.003, 0.5, "exponential", "time to full level"),
    Control("decay", "s", 0.03, 4.0, "exponential", "time from there to the sustain level"),
    Control("sustain", "%", 0.0, 100.0, meaning="level while a note is held"),
    Control("release", "s", 0.01, 1.0, "exponential", "time to silence after a note's end"),
    Control("wave", "%", 0.0, 100.0, meaning="sine, triangle, square, saw, narrow pulse"),
    Control("noise", "%", 0.0, 100.0, meaning="white noise beside the wave"),
    Control("cutoff", "Hz", 60.0, 12000.0, "exponential", "the filter's, for middle C"),
    Control("resonance", "%", 0.0, 75.0, meaning="filter resonance"),
    Control("filter_blend", "%", 0.0, 100.0, meaning="low-pass, band-pass, high-pass"),
    Control("filter_track", "%", 0.0, 100.0, meaning="how far the cutoff follows the keys"),
    Control("filter_env", "semitones", -48.0, 48.0, meaning="cutoff at a note's height"),
    Control("unison", "voices", 1.0, 5.0, meaning="rounded", kind="integer"),
    Control("detune", "%", 0.0, 25.0, meaning="how far the unison's voices are apart"),
    *VIBRATO,
)
PATCH = ControlSpace(
    (
        Control("level", "dB", -30.0, 0.0, meaning="of each note: its MIDI velocity", role="level"),
        Control(
            "tune", "cents", -50.0, 50.0, meaning="of each note: beside its MIDI pitch", role="tune"
        ),
        *(replace(control, scope="patch") for control in SHARED),
    ),
    "patch",
)

WAVE_SAMPLES = 2048  # per cycle in Vital's wavetables
HARMONICS = 1000
PULSE_WIDTH = 0.1
SETTLING_S = 0.4  # in which a smoothed parameter settles
REMEMBERS = False  # whether a note depends on notes of the score before
NOISE_SEED = 0
SINE = {
    "name": "Sine",
    "num_points": 3,
    "points": [0.0, 1.0, 0.5, 0.0, 1.0, 1.0],
    "powers": [0.0, 0.0, 0.0],
    "smooth": True,
}
Modulation = tuple[str, str, float]  # source, destination, amount
# Vital does not smooth modulation by a macro or the velocity.
MODULATIONS: tuple[Modulation, ...] = (
    ("velocity", "voice_amplitude", 1.0),  # amplitude = velocity squared
    ("macro_control_1", "filter_1_cutoff", 1.0),
    ("macro_control_2", "osc_1_tune", 1.0),
    ("env_2", "filter_1_cutoff", 0.0),
    ("lfo_1", "osc_1_tune", 0.0),
)


def velocity(note: Note) -> int:
    """The MIDI velocity, 1 to 127, of a note's level: 40 log10(velocity / 127) dB."""
    return midi_velocity(note.controls["level"])


def style(note: Note) -> str:
    """The style of a note's preset in Vital's browser: "Lead" if it sustains, else "Keys"."""
    return "Lead" if note.controls["sustain"] >= 50 else "Keys"


def knobs(note: Note) -> dict[str, float]:
    """The raw values of Vital's parameters for the controls of a note."""
    value = note.controls
    cutoff_midi = 69 + 12 * math.log2(value["cutoff"] / 440)
    return {
        "macro_control_1": (cutoff_midi - LOWEST_CUTOFF_MIDI) / 128,
        # Vital's tune spans 200 cents; the macro adds to its base value of -50 cents.
        "macro_control_2": (value["tune"] + 50) / 200,
        "env_1_attack": value["attack"] ** 0.25,
        "env_1_decay": value["decay"] ** 0.25,
        "env_1_sustain": value["sustain"] / 100,
        "env_1_release": value["release"] ** 0.25,
        "env_2_attack": value["attack"] ** 0.25,
        "env_2_decay": value["decay"] ** 0.25,
        "osc_1_wave_frame": 2.56 * value["wave"],
        "sample_level": 0.01 * value["noise"],
        "filter_1_resonance": value["resonance"] / 100,
        "filter_1_blend": value["filter_blend"] / 50,
        "filter_1_keytrack": value["filter_track"] / 100,
        "modulation_4_amount": value["filter_env"] / 128,
        "osc_1_unison_voices": float(round(value["unison"])),
        "osc_1_unison_detune": math.sqrt(value["detune"]),
        "modulation_5_amount": value["vibrato_depth"] / 100,
        "lfo_1_frequency": math.log2(value["vibrato_rate"]),
        "lfo_1_phase": value["vibrato_phase"],
    }


def settle(play: Callable[[float, float], Any], handles: Mapping[str, Any], tail_s: float) -> None:
    """Let the parameters settle. `play` plays an inaudible note; given its length, and the time
    after it, in s."""
    # Two notes: successive ones alternate between SIMD lanes.
    play(SETTLING_S, tail_s)
    play(0.001, tail_s - 0.001)


def base_preset(
    synth: Synth,
    modulations: Sequence[Modulation] = MODULATIONS,
    fixed: Mapping[str, float] = {},
    oscillators: int = 1,
) -> str:
    """The text of a preset with everything that does not depend on the note; `fixed` has settings
    beside those of this control set. Each oscillator has an LFO with a sine, to begin with.

    Raises PlantError if this vita cannot connect the modulations of the patch.
    """
    controls = synth.get_controls()
    for name in controls:
        if name.endswith("random_phase"):
            controls[name].set(0.0)
    for source, destination, _ in modulations:
        if not synth.connect_modulation(source, destination):
            raise PlantError(
                f"vita cannot connect {source} to {destination}; vita>=0.1.0 is needed."
            )
    preset = json.loads(synth.to_json())
    settings = preset["settings"]
    settings |= {
        "osc_1_phase": 0.0,
        "osc_1_stereo_spread": 0.0,
        "osc_1_tune": -0.5,
        "sample_on": 1.0,
        "sample_loop": 1.0,
        "sample_keytrack": 0.0,
        "sample_destination": 0.0,  # filter 1, as the oscillator
        "voice_amplitude": 0.0,
        "velocity_track": 0.0,
        "env_1_attack_power": 2.0,  # Vital squares it: a nearly linear rise, as of instruments
        "filter_1_on": 1.0,
        "filter_1_model": 0.0,  # analog
        "filter_1_style": 0.0,  # 12 dB
        "filter_1_cutoff": LOWEST_CUTOFF_MIDI,
        "env_2_sustain": 0.0,
        "env_2_release": 0.01**0.25,
        "lfo_1_sync": 0.0,  # free, in Hz
        "lfo_1_sync_type": 0.0,  # retriggered by each note
        "pitch_bend_range": 2.0,
        "polyphony": 32.0,  # notes ring on while others start
    }
    for number, (source, _, amount) in enumerate(modulations, 1):
        settings[f"modulation_{number}_amount"] = amount
        settings[f"modulation_{number}_bipolar"] = float(source.startswith("lfo"))
    settings |= fixed
    for number in range(oscillators):
        settings["lfos"][number] = SINE
        settings["wavetables"][number] |= {
            "name": "Sine to pulse",
            "groups": [{"components": [_waves()]}],
        }
    settings["sample"] = white_noise()
    preset |= {"macro1": "CUTOFF", "macro2": "TUNE", "preset_name": "MirrorNet"}
    return json.dumps(preset)


def _waves() -> dict:
    """The wavetable in Vital's format: five cycles, with spectra interpolated in between."""
    n = np.arange(1, HARMONICS + 1)
    odd = n % 2 == 1
    spectra = (
        (n == 1).astype(float),
        odd / n**2,
        odd / n,
        1 / n,
        np.sin(math.pi * PULSE_WIDTH * n) / n,
    )
    phase = 2 * math.pi * np.arange(WAVE_SAMPLES) / WAVE_SAMPLES
    keyframes = []
    for number, amplitudes in enumerate(spectra):
        # Cosines: each harmonic has the same phase in all waves, so that blends do not cancel.
        bins = np.zeros(WAVE_SAMPLES // 2 + 1, complex)
        bins[1 : HARMONICS + 1] = np.abs(amplitudes)
        cycle = np.fft.irfft(bins, len(phase))
        keyframes.append(
            {
                "position": round(256 * number / (len(spectra) - 1)),
                "wave_data": packed(cycle / np.abs(cycle).max(), "<f4"),
            }
        )
    return {
        "type": "Wave Source",
        "interpolation": 1,  # of spectra
        "interpolation_style": 1,  # linear
        "keyframes": keyframes,
    }


@lru_cache(maxsize=1)
def white_noise() -> dict:
    """A fixed noise sample in Vital's format: Vital's default differs in each instance."""
    noise = np.random.default_rng(NOISE_SEED).uniform(-1, 1, 44100)
    return {
        "name": "White noise",
        "length": len(noise),
        "sample_rate": 44100,
        "samples": packed(32767 * noise, "<i2"),
    }


def packed(values: Float[np.ndarray, " value"], kind: str) -> str:
    """Values in Vital's text form: base64 of a little-endian type such as "<f4"."""
    return base64.b64encode(values.astype(kind).tobytes()).decode("ascii")
