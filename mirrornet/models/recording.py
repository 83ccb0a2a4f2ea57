"""The architecture for recordings: any number of notes, one patch.

A score is two tensors here: values of notes and rows of the patch, as in `dataset.Phrases`. The
encoder is given pitches and times of the notes and estimates levels, other controls and the patch;
the decoder predicts randomly drawn frames, since all frames of a sound are too many for a step.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from ..cochlea import CHANNELS
from ..controls import ControlSpace
from ..features import FRAME_S
from ..score import ONSET_VALUE, PITCH_VALUE
from .phrasewise import PhraseDecoder
from .reader import next_onsets
from .transcriber import Transcriber

SEEN = 160  # frames of a sound that the decoder predicts in a training step

Notes = Float[Tensor, "batch note value"]
Rows = Float[Tensor, "batch row"]
Spectrogram = Float[Tensor, "batch channel=176 frame"]


class Recording:
    """See `mirrornet.Architecture`. Spectrograms are uncompressed (`features.hear_wide`)."""

    hearing = "wide"

    @staticmethod
    def networks(space: ControlSpace) -> tuple[nn.Module, nn.Module]:
        return Transcriber(space), PhraseDecoder(space)

    @staticmethod
    def encode(
        encoder: Transcriber, decoder: PhraseDecoder, S: Spectrogram, notes: Notes
    ) -> tuple[Notes, Rows]:
        """The encoder's score for sounds with known `notes`. Vibrato controls get no gradient; see
        `Vibrato.held`."""
        notes, patch = read_patch(encoder, S, notes)
        if decoder.vibrato:
            patch = decoder.vibrato.held(patch[..., None])[..., 0]
        return notes, patch

    @staticmethod
    def view(
        S: Spectrogram,
        ends: Float[Tensor, " batch"] | None = None,
        chance: torch.Generator | None = None,
    ) -> tuple[Float[Tensor, "batch channel=176 seen"], Float[Tensor, "batch seen"]]:
        """`SEEN` frames of each sound, drawn at random before its end (`ends`, in frames),
        loudness-compressed after division by their mean, and their times in seconds."""
        if ends is None:
            ends = torch.full((len(S),), float(S.shape[-1])).to(S)
        drawn = torch.rand(len(S), SEEN, generator=chance).to(S)
        frames = (drawn * ends[:, None]).long().clamp(max=S.shape[-1] - 1)
        return at_frames(S, frames), FRAME_S * (frames + 1)

    @staticmethod
    def distance(expected: Tensor, heard: Tensor) -> Float[Tensor, ""]:
        """Mean squared error as a share of the variance of `heard`."""
        return F.mse_loss(expected, heard) / heard.var().clamp(min=1e-6)


def read_patch(encoder: Transcriber, S: Spectrogram, notes: Notes) -> tuple[Notes, Rows]:
    """Estimate levels and other controls of known `notes`, and the patch, from an uncompressed `S`.
    Returns the notes with these values (the loudest has level 1; tunes are kept) and the rows of
    the patch. All but the levels are clipped to 0..1."""
    real = ~notes[..., PITCH_VALUE].isnan()
    onsets = notes[..., ONSET_VALUE] / FRAME_S
    ends = next_onsets(onsets, S.shape[-1])
    places = notes[..., PITCH_VALUE].nan_to_num(), onsets.nan_to_num(nan=-9.0), ends
    said = encoder.opinions(torch.log1p(4 * S[:, :CHANNELS]) / 4, *places)
    agreed, _ = encoder.agree(said, real.float())
    columns = list(notes.unbind(-1))
    if encoder.columns.level is not None:
        loudest = said.level.masked_fill(~real, -torch.inf).amax(1, keepdim=True)
        columns[encoder.columns.level] = 1 + said.level - loudest
    if encoder.columns.others:
        own = encoder.columns.code.rows_of(said.own.mT.flatten(0, 1)).clamp(0, 1)
        for at, row in zip(encoder.columns.others, own.unbind(-1), strict=True):
            columns[at] = row.view_as(real)
    return torch.stack(columns, -1), encoder.code.rows_of(agreed).clamp(0, 1)


def at_frames(
    S: Float[Tensor, "batch channel=176 frame"], frames: Int[Tensor, "batch seen"]
) -> Float[Tensor, "batch channel=176 seen"]:
    """The given `frames` of `S`, loudness-compressed after division by their mean."""
    S = S.gather(2, frames[:, None].expand(-1, S.shape[1], -1))
    mean = S.mean((1, 2), keepdim=True).clamp(min=1e-6)
    return torch.log1p(4 * S / mean) / 4
