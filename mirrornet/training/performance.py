"""Random performances of one voice: notes, and what a player or singer does between them.

A performance is drawn as musicians play, not as notes are written: slurs, grace notes and trills,
repeated notes, glides into and out of notes, vibrato that grows, tremolo, drifting tune.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float

from ..plants.prior import PHRASE_S

Style = Literal["struck", "blown", "sung", "whistled"]
STYLES: dict[Style, float] = {"struck": 0.33, "blown": 0.33, "sung": 0.26, "whistled": 0.08}
RANGES: dict[Style, tuple[int, int]] = {
    "struck": (23, 108),
    "blown": (28, 100),
    "sung": (36, 84),
    "whistled": (66, 108),
}
CURVE_HZ = 250  # rate of pitch curves
SHORTEST_S = 0.045
MOST_NOTES = 40
RING_S = 1.5  # time after a note's end that is drawn


@dataclass(frozen=True)
class Played:
    """A note as it is played."""

    pitch: float
    """The sounding pitch, as fractional MIDI."""
    onset_s: float
    offset_s: float
    level_db: float
    slurred: bool = False
    """Whether it continues the note before: without an attack, the pitch gliding to its own."""
    glide_s: float = 0.0
    """How long the pitch takes to come from the note before or, of a note with an attack, from
    `from_semitones` away."""
    from_semitones: float = 0.0
    early: float = 0.0
    """The share of a slurred note's glide that comes before its onset."""
    bend: tuple[float, float] = (0.0, 0.0)
    """A slow bend: by how many semitones, and from which share of the note on."""
    vibrato: tuple[float, float, float] = (0.0, 5.5, 0.2)
    """Depth in semitones, rate in Hz, and the time in s in which it grows."""


@dataclass(frozen=True)
class Performance:
    """A phrase of `PHRASE_S`."""

    style: Style
    notes: list[Played]

    def chains(self) -> list[list[Played]]:
        """The notes, grouped: each group starts with an attack and is slurred."""
        chains: list[list[Played]] = []
        for note in self.notes:
            if note.slurred and chains:
                chains[-1].append(note)
            else:
                chains.append([note])
        return chains


def draw_performance(generator: np.random.Generator) -> Performance:
    """Draw a performance; it has at least one note."""
    uniform, chance = generator.uniform, generator.random
    style: Style = generator.choice(list(STYLES), p=list(STYLES.values()))
    lowest, highest = RANGES[style]
    centre = uniform(lowest + 3, highest - 3)
    reach = uniform(2, 12) if style != "sung" else uniform(1.5, 6)
    beat_s = np.exp(uniform(np.log(0.11), np.log(0.9)))
    held = generator.choice([uniform(0.25, 0.6), uniform(0.7, 0.97), 1.0])
    if style == "sung" and chance() < 0.5:
        held = 1.0
    ringing = style == "struck" and chance() < 0.5
    slurs = chance() ** (0.5 if style == "sung" else 1.5)
    if style == "struck" and chance() < 0.9:
        slurs = 0.0
    again, rests = uniform(0, 0.35), uniform(0, 0.3)
    graces = 0.3 * chance() if chance() < 0.4 else 0.0
    trills = 0.3 * chance() if chance() < 0.2 else 0.0
    manner = _manner(style, generator)
    level_db, swell_db = 0.0, uniform(0, 7)
    detuned, untrue = generator.normal(0, 0.2), uniform(0, 0.08 if style == "struck" else 0.2)
    notes: list[Played] = []
    pitch, at_s = round(centre), uniform(0, 0.6) * (chance() < 0.7)
    after_rest = True

    def add(whole: float, length_s: float, slurred: bool, ornament: bool = False) -> None:
        if at_s > PHRASE_S - SHORTEST_S or len(notes) == MOST_NOTES:
            return
        notes.append(
            Played(
                float(np.clip(whole, lowest, highest))
                + np.clip(detuned, -0.45, 0.45)
                + float(np.clip(untrue * generator.normal(), -0.3, 0.3)),
                at_s,
                min(at_s + length_s, PHRASE_S),
                level_db + swell_db * generator.standard_normal(),
                slurred,
                **manner(length_s, slurred, ornament),
            )
        )

    while at_s < PHRASE_S - 0.1 and len(notes) < MOST_NOTES - 2:
        span_s = max(beat_s * generator.choice([0.5, 1, 1, 1, 1.5, 2, 3, 5]), 0.07)
        if chance() < rests:
            at_s, after_rest = at_s + span_s, True
            continue
        repeated = chance() < again
        if not repeated:
            pitch = round(centre + 0.75 * (pitch - centre) + reach * generator.normal() / 2)
        slurred = not after_rest and chance() < slurs
        step = float(generator.choice([-2, -1, 1, 2]))
        if chance() < graces:
            grace_s = min(uniform(0.045, 0.13), 0.5 * span_s)
            for _ in range(generator.choice([1, 1, 1, 2])):
                add(pitch + step, grace_s, slurred, True)
                at_s, span_s, slurred = at_s + grace_s, max(span_s - grace_s, 0.07), True
                step = step / abs(step) * (3 - abs(step))
            if style == "struck":
                slurred = False
        elif span_s > 0.3 and chance() < trills:
            turn_s = uniform(0.06, 0.14)
            for turn in range(int(span_s / turn_s)):
                add(pitch + step * (turn % 2), turn_s, slurred, True)
                at_s, slurred = at_s + turn_s, style != "struck"
            after_rest = False
            continue
        share = held if chance() < 0.85 else uniform(0.3, 1.0)
        length_s = max(span_s * share, SHORTEST_S)
        add(pitch, span_s * uniform(1, 6) if ringing else length_s, slurred)
        at_s += span_s * (1 + 0.02 * generator.normal())
        after_rest = share < 0.97
    return Performance(style, notes) if notes else draw_performance(generator)


def _manner(style: Style, generator: np.random.Generator):
    """How one player plays: draws glide, bend and vibrato of a note from its length."""
    uniform, chance = generator.uniform, generator.random
    vibrato_share = {"struck": 0.05, "blown": 0.55, "sung": 0.6, "whistled": 0.4}[style]
    depth = uniform(0.05, 0.6) ** (1.0 if style == "sung" else 1.5) * 1.6
    vibrato = (depth if chance() < vibrato_share else 0.0, uniform(3.5, 8.0))
    smooth = style in ("sung", "whistled") or (style == "blown" and chance() < 0.25)
    scoops = uniform(0, 0.7) if smooth else 0.05
    bends = 0.25 if chance() < 0.2 else 0.02

    def manner(length_s: float, slurred: bool, ornament: bool) -> dict:
        found: dict = {"glide_s": uniform(0.04, 0.16) if smooth else uniform(0, 0.03)}
        found["glide_s"] = min(found["glide_s"], 0.6 * length_s)
        if slurred and style == "sung":
            found["early"] = uniform(0, 1)
        if not slurred and not ornament and chance() < scoops:
            found["from_semitones"] = float(generator.normal(-1.0, 1.5))
        if length_s > 0.15 and chance() < bends:
            found["bend"] = (float(generator.normal(0, 1.5)), uniform(0.3, 0.9))
        if length_s > 0.2 and not ornament:
            found["vibrato"] = (vibrato[0] * uniform(0.6, 1.2), vibrato[1], uniform(0.02, 0.5))
        return found

    return manner


def pitch_curve(
    chain: list[Played], generator: np.random.Generator
) -> tuple[Float[np.ndarray, " time"], Float[np.ndarray, " time"]]:
    """Times in s at `CURVE_HZ`, from the first onset on, and the sounding pitch (fractional MIDI).
    It goes on for `RING_S` after the last note."""
    start_s, end_s = chain[0].onset_s, min(chain[-1].offset_s + RING_S, PHRASE_S)
    times_s = start_s + np.arange(max(int((end_s - start_s) * CURVE_HZ), 1) + 1) / CURVE_HZ
    pitch = np.full_like(times_s, chain[0].pitch)
    before = chain[0].pitch + chain[0].from_semitones
    for number, note in enumerate(chain):
        until_s = chain[number + 1].onset_s if number + 1 < len(chain) else end_s
        early_s = note.early * note.glide_s
        own = (times_s >= note.onset_s - early_s) & (times_s < until_s + 1 / CURVE_HZ)
        since_s = times_s[own] - note.onset_s
        length_s = max(note.offset_s - note.onset_s, 0.01)
        way = np.clip((since_s + early_s) / max(note.glide_s, 1e-3), 0, 1)
        depth, rate_hz, grows_s = note.vibrato
        swing = depth * np.clip(since_s / grows_s, 0, 1)
        phase = generator.random()
        semitones, share = note.bend
        late = np.clip((since_s / length_s - share) / max(1 - share, 0.05), 0, 1)
        pitch[own] = (
            before
            + (note.pitch - before) * (0.5 - 0.5 * np.cos(np.pi * way))
            + swing * np.sin(2 * np.pi * (rate_hz * since_s + phase))
            + semitones * late
        )
        before = note.pitch
    return times_s, pitch
