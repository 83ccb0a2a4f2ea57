"""What a plant babbles unless it says otherwise: a voice that wanders, with controls that stand
anywhere."""

import numpy as np

from ..controls import ControlSpace
from ..score import MELODY_S, Note, Score, melody_score

PHRASE_S = 4.0
NOTES = 5  # of a melody
BEATS_S = (0.15, 0.8)  # from the quickest to the slowest tempo
LENGTHS = (0.5, 1.0, 1.0, 1.0, 1.5, 2.0)  # of notes, in beats
REST, AGAIN = 0.15, 0.2  # how likely a rest is, and the same pitch again
SHORTEST_NOTE_S = 0.06


def random_score(
    space: ControlSpace,
    pitches: range,
    generator: np.random.Generator,
    duration_s: float = PHRASE_S,
) -> Score:
    """A random walk in the steps of a tempo, one patch, and own controls that change little by
    little; where the controls are a melody's, such a melody. Choices are equally likely."""
    if space.is_melody:
        controls = generator.random((len(space.rows), NOTES))
        return melody_score(space, controls, MELODY_S)
    uniform, chance = generator.uniform, generator.random
    patch = space.patch.from_vector(chance(len(space.patch.rows)))
    centre, reach = uniform(pitches[0] + 6, pitches[-1] - 6), uniform(2, 12)
    beat_s, held = np.exp(uniform(*np.log(BEATS_S))), uniform(0.4, 1.0)
    own, swell = chance(len(space.own.rows)), uniform(0, 0.25)
    pitch, at_s = centre, uniform(0, 0.4)
    notes: list[Note] = []
    while at_s < duration_s - SHORTEST_NOTE_S:
        span_s = max(beat_s * generator.choice(LENGTHS), 1.5 * SHORTEST_NOTE_S)
        if chance() >= REST:
            if chance() >= AGAIN:
                pitch = centre + 0.7 * (pitch - centre) + reach * 0.5 * generator.standard_normal()
            end_s = min(at_s + max(span_s * held, SHORTEST_NOTE_S), duration_s)
            moved = own + swell * generator.standard_normal(len(own))
            key = int(np.clip(round(pitch), pitches[0], pitches[-1]))
            notes.append(Note(key, at_s, end_s, space.own.from_vector(moved)))
        at_s += span_s
    if not notes:
        return random_score(space, pitches, generator, duration_s)
    return Score(notes, patch, duration_s)
