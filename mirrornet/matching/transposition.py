"""Which pitches a plant plays: what is heard may lie octaves above the keys that are played."""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ..features import hear_recording
from ..models.mirrornet import MirrorNet
from .transcribe import transcribe


def heard_transposition(
    model: MirrorNet,
    sounds: Sequence[Float[np.ndarray, " sample"]],
    keys: Sequence[int],
    sample_rate_hz: int,
) -> int | None:
    """How many semitones above its key each of these notes sounds, if most of them agree."""
    found = Counter()
    for sound, key in zip(sounds, keys, strict=True):
        notes = transcribe(model, hear_recording(sound, sample_rate_hz)).notes
        if notes:
            longest = max(notes, key=lambda note: note.offset_s - note.onset_s)
            found[longest.pitch_midi - key] += 1
    most = found.most_common(1)
    return most[0][0] if most and 2 * most[0][1] > len(keys) else None
