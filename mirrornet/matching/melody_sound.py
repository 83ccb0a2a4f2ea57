"""The sound of a melody of the paper: exactly two seconds."""

import numpy as np
from jaxtyping import Float

from ..audio import Sound, take_sound
from ..errors import AudioError
from ..score import MELODY_S

SHORTEST_S, LONGEST_S = 1.5, 2.5
FOLDER_RATE_HZ = 44100


def melody_sound(
    sound: Sound, sample_rate_hz: int
) -> tuple[Float[np.ndarray, " sample"], list[str]]:
    """Load a melody with `take_sound` and cut or zero-pad it to 2 s; returns warnings, too.

    Raises AudioError for a sound that cannot be used, or is not `SHORTEST_S` to `LONGEST_S` long.
    """
    audio, warnings = take_sound(sound, sample_rate_hz)
    duration_s = len(audio) / sample_rate_hz
    if not SHORTEST_S <= duration_s <= LONGEST_S:
        raise AudioError(
            f"the sound lasts {duration_s:.3g} s; this version matches melodies of five notes in "
            f"2 s, so cut it to between {SHORTEST_S} and {LONGEST_S} s."
        )
    exact = np.zeros(round(MELODY_S * sample_rate_hz), np.float32)
    exact[: len(audio)] = audio[: len(exact)]
    return exact, warnings
