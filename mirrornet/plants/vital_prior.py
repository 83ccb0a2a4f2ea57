"""What Vital babbles with its patch for recordings: phrases of one voice, as a player would produce
them: a register, a tempo, an articulation, rests, notes said again, and one patch for all of it.
"""

from collections.abc import Mapping

import numpy as np

from ..controls import ControlSpace
from ..score import Note, Score
from .base import PITCHES_MIDI
from .prior import PHRASE_S, SHORTEST_NOTE_S

MOST_NOTES = 40
BEATS_S = (0.12, 0.8)  # from the quickest to the slowest tempo
LENGTHS = (0.5, 1.0, 1.0, 1.0, 1.5, 2.0, 3.0)  # of notes, in beats
PLUCKED = 5.0  # % of sustain below which a note is over once it has decayed
PURE = 0.3  # wave below which a tone is little else than its fundamental
LOWEST_PURE = 44  # MIDI pitch; the cochlea hears no fundamental below

# How a phrase is played, and how often: as the knobs happen to stand, which seldom is as on an
# instrument; struck, each note ringing into the next ones; or blown and bowed, softly and slurred.
MANNERS = {"any": 0.5, "struck": 0.25, "blown": 0.25}

# Knobs that are mostly at rest in music are so in babble: the power of a uniform number.
RARE = {
    "attack": 1.6,
    "release": 1.4,
    "noise": 6.0,  # in a flood of it no pitch can be heard
    "resonance": 1.5,
    "filter_blend": 3.0,
    "unison": 4.0,
    "detune": 2.0,
    "vibrato_depth": 2.5,
}


# A patch for plain tunes: neither noise nor unison nor vibrato.
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
    """One phrase of `PHRASE_S` with the control set `patch`."""
    manner = str(generator.choice(list(MANNERS), p=list(MANNERS.values())))
    patch = random_patch(space, generator, manner)
    uniform, chance = generator.uniform, generator.random
    low, high = PITCHES_MIDI[0], PITCHES_MIDI[-1]
    if patch["wave"] < PURE:
        low = LOWEST_PURE
    centre, reach = uniform(low + 4, high - 4), uniform(2, 14)
    beat_s = np.exp(uniform(*np.log(BEATS_S)))
    held = generator.choice([uniform(0.25, 0.6), uniform(0.7, 0.95), 1.0])
    if manner == "struck" and chance() < 0.6:
        held = uniform(1, 6)
    elif manner == "blown":
        held = uniform(0.85, 1.15)
    said_again, rests = uniform(0, 0.4), uniform(0, 0.3)
    loudness, swell = uniform(0.5, 1.0), uniform(0, 0.25)
    shared = _physical(space, patch)
    longest_s = audible_s(shared)
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
    return Score(notes, shared, PHRASE_S) if notes else random_phrase(space, generator)


def audible_s(knobs: Mapping[str, float]) -> float:
    """How long a held note can be heard: one without sustain ends when it has decayed."""
    return np.inf if knobs["sustain"] > PLUCKED else knobs["attack"] + knobs["decay"]


def _physical(space: ControlSpace, values: Mapping[str, float]) -> dict[str, float]:
    """Values of controls, 0..1 or beyond, in their units."""
    return {
        name: float(space.named(name).to_physical(np.clip(value, 0, 1)))
        for name, value in values.items()
    }


def random_patch(
    space: ControlSpace, generator: np.random.Generator, manner: str = "any"
) -> dict[str, float]:
    """Knobs of a whole recording, 0..1, for one of the `MANNERS` of playing."""
    patch = {}
    for name in space.patch.names:
        value = generator.random() ** RARE.get(name, 1.0)
        # A knob's end is where many instruments have it.
        if name in ("sustain", "filter_env", "vibrato_depth") and generator.random() < 0.4:
            value = {"sustain": float(generator.random() < 0.5), "filter_env": 0.5}.get(name, 0.0)
        patch[name] = value
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
    """`PLAIN`, but that some knobs stand anywhere: those of the paper's that `drawn` has, in its
    ranges, and wave and sustain."""
    names = ("cutoff", "resonance", "attack", "decay")
    controls = [control for control in drawn if control.name in names]
    controls += [space.named(name) for name in ("wave", "sustain")]
    return PLAIN | {c.name: float(c.to_physical(generator.random())) for c in controls}
