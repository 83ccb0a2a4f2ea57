"""`Answer`: the result for one target, from which all files of a match are made."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from ..plants import Plant
from ..score import Note, Score
from ..tempo import Tempo


@dataclass(frozen=True)
class Answer:
    """The result for one target: score, sounds, spectrograms and distances."""

    plant: Plant
    """The plant that rendered `audio`."""
    controls: Float[np.ndarray, "row note"]
    """0..1, a row for each of `plant.controls` (for a table, a row for each entry)."""
    score: Score
    """The same in physical units, with times and, for a recording, the patch."""
    audio: Float[np.ndarray, " sample"] = field(repr=False)
    """The score rendered by the plant, at the plant's own level."""
    target: Float[np.ndarray, " sample"] = field(repr=False)
    """The target at the same sample rate and length, at its own level."""
    sample_rate_hz: int
    target_heard: Float[np.ndarray, "channel frame"] = field(repr=False)
    """Loudness-compressed auditory spectrogram of the target."""
    heard: Float[np.ndarray, "channel frame"] = field(repr=False)
    """The same of `audio`."""
    distances: dict[str, float]
    """Distances of `audio` to the target; 0 is perfect. `spectrogram_error`: mean squared
    difference of the loudness-compressed auditory spectrograms, as a share of the target's
    variance."""
    confidence: dict[str, float] = field(default_factory=dict)
    """For a recording: confidence in each control of the patch, 0..1; 0 if the sound does not
    determine it. Empty if the patch was not read, but searched or fitted."""
    one_voice: float | None = None
    """Confidence that one note sounds at a time, 0..1: `Transcript.one_voice`. Below about 0.9 for
    chords, of which only the strongest line is matched."""
    warnings: list[str] = field(default_factory=list)
    """Warnings about limits of the result, as sentences for users."""
    tempo: Tempo | None = None
    """The beats on which the notes lie; None if unknown."""
    quantized: int = 0
    """In MIDI files, notes start and end at whole parts of a whole note: 16 for sixteenths; 0 where
    they were heard."""
    others: Sequence["Answer"] = field(default_factory=list, repr=False)
    """Other answers that sound different, in order of increasing error."""

    @property
    def notes(self) -> list[Note]:
        """The notes with all their controls, those of the patch included."""
        return self.score.resolved

    @property
    def one_patch(self) -> bool:
        """Whether all notes share the same patch."""
        return self.score.one_patch

    @property
    def read(self) -> bool:
        """Whether the notes were transcribed from a recording and so have confidences."""
        return all(note.confidence is not None for note in self.score.notes)
