"""`Match`: the answer for one target."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ..plants import Plant
from ..score import Note, one_patch


@dataclass(frozen=True)
class Match:
    """The answer for one target."""

    plant: Plant
    """It played `audio`."""
    controls: Float[np.ndarray, "control note"]
    """0..1, in the order of `plant.controls`. The pitches of a recording may lie beyond the octave
    of the paper's melodies, and so beyond 0..1."""
    notes: list[Note]
    """The same in physical units, with times."""
    audio: Float[np.ndarray, " sample"] = field(repr=False)
    """The plant playing `notes`, at the plant's own level."""
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
    sure: dict[str, float] = field(default_factory=dict)
    """Of a recording: how much of what can be known of each control was heard, 0..1."""
    one_voice: float | None = None
    """How surely one note sounds at a time, 0..1: `Transcript.one_voice`. Of chords, whose
    strongest line is matched, below about 0.9."""
    warnings: list[str] = field(default_factory=list)
    """What a user should know before trusting the answer, in sentences."""
    others: list["Match"] = field(default_factory=list, repr=False)
    """Other answers, the better first, that sound different."""

    @property
    def one_patch(self) -> bool:
        """Whether all notes are played with the same preset, as a musician would."""
        return one_patch(self.plant.controls, self.notes)

    @property
    def read(self) -> bool:
        """Whether the notes were read from a recording, and so come with how sure they are."""
        return all(note.sure is not None for note in self.notes)

    def save(self, folder: str | Path) -> list[Path]:
        """Write every file a user wants into `folder`, which must be new or empty.

        Raises OutputError, having written nothing, if it is not or cannot be written.
        """
        from .files import save_match

        return save_match(self, folder)
