"""The note finder: onsets and pitches, frame by frame, in the sound of any instrument or voice.

A dilated network finds onsets and frames in which a note is held, from the spectrogram and the
pitch salience (`salience.py`). It is trained on random performances (`training/notes.py`), not on
babble of a plant, so all plants share it.
"""

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..errors import CheckpointError
from ..features import RECORDING_CHANNELS
from .checkpoints import fingerprint, load_checkpoint, save_checkpoint
from .reader import ConvBlock, centroid, onset_marks
from .salience import LOWEST_MIDI, PITCHES, Salience

SILENT = PITCHES  # the class of frames in which no note is held
DILATIONS = (1, 2, 4, 8, 16, 32, 64)


class Frames(NamedTuple):
    """Notes, frame by frame."""

    onset_logits: Float[Tensor, "batch frame"]
    """Of a note starting in each frame."""
    pitch_logits: Float[Tensor, "batch class=89 frame"]
    """Log probabilities of MIDI 21 to 108, and of no note being held."""
    tune: Float[Tensor, "batch pitch=88 frame"]
    """Given each pitch: -1..1, from half a semitone below to half a semitone above."""


class NoteFinder(nn.Module):
    """Reads spectrograms of any length."""

    def __init__(self, width: int = 160):
        super().__init__()
        self.salience = Salience()
        self.frames = nn.Sequential(
            nn.Conv1d(RECORDING_CHANNELS + PITCHES, width, 5, padding=2),
            *(ConvBlock(width, dilation) for dilation in DILATIONS),
            nn.SiLU(),
            nn.Conv1d(width, 2, 1),
        )

    def forward(self, heard: Float[Tensor, "batch channel=176 frame"]) -> Frames:
        """Find onsets, pitches and tunes, frame by frame; `heard` is as from
        `features.hear_recording`."""
        salience, tune = self.salience(heard)
        # Log probability of each pitch given that a note is held, plus that of a note being held.
        pitches = salience - salience.logsumexp(1, keepdim=True)
        read = self.frames(torch.cat([heard, 0.1 * salience], 1)).float()
        held = read[:, 1:2]
        logits = torch.cat([pitches + F.logsigmoid(held), F.logsigmoid(-held)], 1)
        return Frames(read[:, 0], logits, tune)

    def loss(
        self,
        heard: Float[Tensor, "batch channel=176 frame"],
        onsets: Float[Tensor, "batch note"],
        pitch: Float[Tensor, "batch frame"],
    ) -> Float[Tensor, ""]:
        """Loss of onsets, pitches and tunes.

        Args:
            heard: as in `forward`.
            onsets: of all notes, in frames; NaN where there are no more.
            pitch: of the note that is held in each frame, as fractional MIDI; NaN where none is.
        """
        frames = self(heard)
        real = ~onsets.isnan()
        target = onset_marks(onsets.nan_to_num(nan=-9.0), heard.shape[-1])
        marks = F.binary_cross_entropy_with_logits(frames.onset_logits, target)
        peaks = onsets.nan_to_num().round().long().clamp(0, heard.shape[-1] - 1)
        late = (centroid(frames.onset_logits, peaks) - onsets).abs()[real].mean()
        whole = pitch.nan_to_num(nan=-9.0).round()
        classes = whole.long() - LOWEST_MIDI
        playing = (classes >= 0) & (classes < PITCHES)
        missed = F.nll_loss(frames.pitch_logits, torch.where(playing, classes, SILENT))
        read = frames.tune.gather(1, classes.clamp(0, PITCHES - 1)[:, None])[:, 0]
        tune = 2 * (pitch - whole)
        out_of_tune = F.smooth_l1_loss(read[playing], tune[playing], beta=0.1)
        return 10 * marks + 0.1 * late + missed + out_of_tune

    @property
    def fingerprint(self) -> str:
        """The sha256 of the weights."""
        return fingerprint(*(tensor.cpu().numpy() for tensor in self.state_dict().values()))

    def save(self, path: str | Path, card: dict[str, Any], half: bool = False) -> Path:
        """Write the weights, in half precision if `half`, and a card with these entries."""
        tensors = self.state_dict()
        if half:
            tensors = {key: tensor.half() for key, tensor in tensors.items()}
        return save_checkpoint(path, tensors, {"architecture": "notes", **card})

    @classmethod
    def load(cls, path: str | Path) -> "NoteFinder":
        """Load the note finder whose card is at `path`.

        Raises CheckpointError if it is missing, damaged or no note finder.
        """
        tensors, _ = load_checkpoint(path)
        finder = cls()
        try:
            finder.load_state_dict(tensors)
        except RuntimeError as error:
            raise CheckpointError(f"{path} is no note finder of this version.") from error
        return finder.eval()


SHIPPED = Path(__file__).parents[1] / "data" / "notes.json"


@lru_cache(maxsize=1)
def shipped_finder() -> NoteFinder:
    """The note finder that ships."""
    return NoteFinder.load(SHIPPED)
