"""The default prior of plants for babbling: one voice that is a random walk in pitch, with uniform
controls."""

import numpy as np
from jaxtyping import Float

from ..controls import Control, ControlSpace
from ..score import MELODY_S, Note, Score, melody_score

PHRASE_S = 4.0
BABBLED_MIDI = range(24, 97)  # sounding pitches
NOTES = 5  # of a melody
BEATS_S = (0.15, 0.8)  # length of a beat, from the fastest to the slowest tempo
LENGTHS = (0.5, 1.0, 1.0, 1.0, 1.5, 2.0)  # of notes, in beats
REST, AGAIN = 0.15, 0.2  # probability of a rest, and of a repeated pitch
SHORTEST_NOTE_S = 0.06


def random_score(
    space: ControlSpace,
    pitches: range,
    generator: np.random.Generator,
    duration_s: float = PHRASE_S,
) -> Score:
    """Draw a patch, and a random walk in pitch in the beats of one tempo.

    Controls of the patch are uniform in their ranges; all values of a choice, a switch or an
    integer are equally likely. Own controls vary around one value. A melody's control space gives
    a melody.
    """
    if space.is_melody:
        controls = generator.random((len(space.rows), NOTES))
        return melody_score(space, controls, MELODY_S)
    uniform, chance = generator.uniform, generator.random
    patch = space.patch.from_vector(_even(space.patch, chance(len(space.patch.rows))))
    centre, reach = uniform(pitches[0] + 6, pitches[-1] - 6), uniform(2, 12)
    beat_s, held = np.exp(uniform(*np.log(BEATS_S))), uniform(0.4, 1.0)
    own, swell = _even(space.own, chance(len(space.own.rows))), uniform(0, 0.25)
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


def even(control: Control, draw: float) -> float:
    """A uniform draw of 0..1, with equal shares for all values of a control that has few: rounded,
    its first and its last would be half as likely as the others."""
    steps = control.steps
    return draw if steps is None else min(int(draw * steps), steps - 1) / (steps - 1)


def _even(space: ControlSpace, draws: Float[np.ndarray, " row"]) -> Float[np.ndarray, " row"]:
    return np.array([even(row, draw) for row, draw in zip(space.rows, draws, strict=True)])
