"""Vital's prior for babbling with the control sets `patch` and `48`: monophonic phrases as of a
player, each with a register, a tempo, an articulation, rests, repeated notes, and one patch.
"""

from collections.abc import Mapping

import numpy as np

from ..controls import ControlSpace
from ..score import Note, Score
from .prior import BABBLED_MIDI, PHRASE_S, SHORTEST_NOTE_S, even

MOST_NOTES = 40
BEATS_S = (0.12, 0.8)  # length of a beat, from the fastest to the slowest tempo
LENGTHS = (0.5, 1.0, 1.0, 1.0, 1.5, 2.0, 3.0)  # of notes, in beats
PLUCKED = 5.0  # % of sustain up to which a note ends when it has decayed
PURE = 0.3  # wave, 0..1, below which a tone is little more than its fundamental
LOWEST_PURE = 44  # MIDI pitch; the cochlea passes no fundamental below

# Manners of playing and their probabilities: any controls, which are seldom those of an instrument;
# struck, each note ringing into the next ones; blown (or bowed), with soft attacks and slurred.
MANNERS = {"any": 0.5, "struck": 0.25, "blown": 0.25}

# Controls that are usually low in music are so in babble: the exponent of a uniform number.
RARE = {
    "attack": 1.6,
    "release": 1.4,
    "noise": 6.0,  # in loud noise no pitch is audible
    "resonance": 1.5,
    "filter_blend": 3.0,
    "unison": 4.0,
    "detune": 2.0,
    "vibrato_depth": 2.5,
    "filter_attack": 1.6,
    "filter2_resonance": 1.5,
    "filter2_blend": 3.0,
    "osc2_unison": 4.0,
    "osc2_detune": 2.0,
    "filter_drive": 2.0,
    "lfo2_cutoff": 2.0,
    "lfo2_wave": 2.0,
    "pitch_decay": 1.5,
}
# Controls that many patches leave at a value, 0..1, without effect, and how often.
IDLE = {
    "sustain": (None, 0.4),  # 0 or 1
    "filter_env": (0.5, 0.4),
    "vibrato_depth": (0.0, 0.4),
    "warp": (0.0, 0.5),
    "morph": (0.0, 0.6),
    "osc2_mix": (0.0, 0.35),
    "osc2_warp": (0.0, 0.6),
    "wave_env": (0.5, 0.5),
    "filter2": (0.0, 0.6),
    "lfo2_cutoff": (0.0, 0.6),
    "lfo2_wave": (0.0, 0.6),
    "pitch_env": (0.5, 0.7),
    "vibrato_fade": (0.0, 0.5),
}
# Of oscillator 2, in semitones, and how often; 0 and octaves are usual.
TRANSPOSED = {0: 8, 12: 5, -12: 5, 7: 2, 19: 2, 24: 2, -24: 1, 5: 1, -5: 1}


# A patch for plain melodies: no noise, unison or vibrato.
PLAIN = {
    "level": 0.0,
    "tune": 0.0,
    "release": 0.02,
    "noise": 0.0,
    "filter_blend": 50.0,  # band-pass, as the paper's
    "filter_track": 0.0,
    "filter_env": 0.0,
    "unison": 1.0,
    "detune": 0.0,
    "vibrato_rate": 5.0,
    "vibrato_depth": 0.0,
    "vibrato_phase": 0.0,
}


def random_phrase(space: ControlSpace, generator: np.random.Generator) -> Score:
    """Draw a phrase of `PHRASE_S` with the control sets `patch` or `48`."""
    manner = str(generator.choice(list(MANNERS), p=list(MANNERS.values())))
    patch = random_patch(space, generator, manner)
    shared = _physical(space, patch)
    lowest = LOWEST_PURE if patch["wave"] < PURE else BABBLED_MIDI[0]
    notes = random_notes(space, generator, manner, audible_s(shared), lowest)
    return Score(notes, shared, PHRASE_S) if notes else random_phrase(space, generator)


def random_notes(
    space: ControlSpace,
    generator: np.random.Generator,
    manner: str,
    longest_s: float,
    low: int = BABBLED_MIDI[0],
) -> list[Note]:
    """Draw the notes of a phrase, each with its level and tune; perhaps none. A patch whose notes
    are audible for `longest_s` plays them, from the pitch `low` on."""
    uniform, chance = generator.uniform, generator.random
    high = BABBLED_MIDI[-1]
    centre, reach = uniform(low + 4, high - 4), uniform(2, 14)
    beat_s = np.exp(uniform(*np.log(BEATS_S)))
    held = generator.choice([uniform(0.25, 0.6), uniform(0.7, 0.95), 1.0])
    if manner == "struck" and chance() < 0.6:
        held = uniform(1, 6)
    elif manner == "blown":
        held = uniform(0.85, 1.15)
    said_again, rests = uniform(0, 0.4), uniform(0, 0.3)
    loudness, swell = uniform(0.5, 1.0), uniform(0, 0.25)
    tune, untrue = 0.5 + 0.2 * generator.standard_normal(), uniform(0, 0.08)
    notes: list[Note] = []
    pitch = centre
    at_s = uniform(0, 0.5) if chance() < 0.5 else 0.0
    while at_s < PHRASE_S - SHORTEST_NOTE_S and len(notes) < MOST_NOTES:
        span_s = max(beat_s * generator.choice(LENGTHS), 1.5 * SHORTEST_NOTE_S)
        if chance() >= rests:
            if chance() >= said_again:
                pitch = centre + 0.7 * (pitch - centre) + reach * 0.5 * generator.standard_normal()
            length_s = max(min(span_s * held, longest_s), SHORTEST_NOTE_S)
            own = {
                "level": loudness + swell * generator.standard_normal(),
                "tune": tune + untrue * generator.standard_normal(),
            }
            whole = int(np.clip(round(pitch), low, high))
            end_s = min(at_s + length_s, PHRASE_S)
            notes.append(Note(whole, at_s, end_s, _physical(space, own)))
        at_s += span_s
    return notes


def audible_s(knobs: Mapping[str, float]) -> float:
    """How long a held note is audible: one without sustain ends when it has decayed."""
    return np.inf if knobs["sustain"] > PLUCKED else knobs["attack"] + knobs["decay"]


def _physical(space: ControlSpace, values: Mapping[str, float]) -> dict[str, float]:
    """Convert values of controls, clipped to 0..1, to their units."""
    return {
        name: space.named(name).to_physical(np.clip(value, 0, 1)).item()
        for name, value in values.items()
    }


def random_patch(
    space: ControlSpace, generator: np.random.Generator, manner: str = "any"
) -> dict[str, float]:
    """Draw the controls of a patch, 0..1, for one of the `MANNERS` of playing."""
    patch = {}
    for control in space.patch:
        value = generator.random() ** RARE.get(control.name, 1.0)
        if control.kind in ("choice", "switch"):
            value = even(control, value)
        idle, share = IDLE.get(control.name, (None, 0.0))
        if share and generator.random() < share:
            end = float(generator.random() < 0.5)
            value = end if idle is None else idle
        patch[control.name] = value
    if "osc2_transpose" in patch:
        shifts, shares = np.array([*TRANSPOSED]), np.array([*TRANSPOSED.values()], float)
        shift = generator.choice(shifts, p=shares / shares.sum())
        patch["osc2_transpose"] = float(space.named("osc2_transpose").from_physical(shift))
        patch["osc2_tune"] = 0.5 + 0.15 * generator.standard_normal()
        if shift == 0:  # the oscillators could be swapped: the first is the louder one
            patch["osc2_mix"] *= 0.5
    chance = generator.random
    if manner == "struck":
        patch |= {"sustain": 0.0, "attack": 0.3 * chance(), "decay": 0.4 + 0.6 * chance()}
    elif manner == "blown":
        patch |= {"sustain": 0.5 + 0.5 * chance(), "attack": 0.3 + 0.6 * chance()}
        patch |= {"release": 0.25 + 0.6 * chance(), "wave": chance() ** 1.5}
    return patch


def plain_patch(
    drawn: ControlSpace, space: ControlSpace, generator: np.random.Generator
) -> dict[str, float]:
    """Draw a patch: `PLAIN`, with uniform values of the paper's controls in `drawn`, in its ranges,
    and of wave and sustain."""
    names = ("cutoff", "resonance", "attack", "decay")
    controls = [control for control in drawn if control.name in names]
    controls += [space.named(name) for name in ("wave", "sustain")]
    return PLAIN | {c.name: float(c.to_physical(generator.random())) for c in controls}
