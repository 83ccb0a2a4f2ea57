"""`Answer`: what was found for one target, all that the files of a match are made from."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from ..plants import Plant
from ..score import Note, Score


@dataclass(frozen=True)
class Answer:
    """The answer for one target."""

    plant: Plant
    """It played `audio`."""
    controls: Float[np.ndarray, "row note"]
    """0..1, a row for each of `plant.controls` (of a table for each entry)."""
    score: Score
    """The same in physical units, with times and, of a recording, the patch."""
    audio: Float[np.ndarray, " sample"] = field(repr=False)
    """The plant playing the score, at the plant's own level."""
    target: Float[np.ndarray, " sample"] = field(repr=False)
    """The target at the same rate and length, at its own level."""
    sample_rate_hz: int
    target_heard: Float[np.ndarray, "channel frame"] = field(repr=False)
    """Loudness-compressed auditory spectrogram of the target."""
    heard: Float[np.ndarray, "channel frame"] = field(repr=False)
    """The same of `audio`."""
    distances: dict[str, float]
    """How far `audio` is from the target; 0 is perfect. `spectrogram_error`: mean squared
    difference of the loudness-compressed auditory spectrograms, as a share of the target's
    variance."""
    confidence: dict[str, float] = field(default_factory=dict)
    """Of a recording: how much of what can be known of each control was heard, 0..1."""
    one_voice: float | None = None
    """How surely one note sounds at a time, 0..1: `Transcript.one_voice`. Of chords, whose
    strongest line is matched, below about 0.9."""
    warnings: list[str] = field(default_factory=list)
    """What a user should know before trusting the answer, in sentences."""
    others: Sequence["Answer"] = field(default_factory=list, repr=False)
    """Other answers, the better first, that sound different."""

    @property
    def notes(self) -> list[Note]:
        """The notes with all their controls, those of the patch too."""
        return self.score.resolved

    @property
    def one_patch(self) -> bool:
        """Whether all notes are played with the same preset, as a musician would."""
        return self.score.one_patch

    @property
    def read(self) -> bool:
        """Whether the notes were read from a recording, and so come with how sure they are."""
        return all(note.confidence is not None for note in self.score.notes)
