"""Memory of babble: the patches that were played, each found again by how its notes sounded.

An encoder alone reads a few controls well; of a hundred, many combine to the same sound, and the
mean of all patches that fit does not fit. A remembered patch is one that was really played.

A sound is described by the average of its notes: their windows, shifted so that the harmonics of
all notes lie in the same channels, at the same loudness, in coarse channels and times since onset.
The principal components of that are the memory's keys.
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..cochlea import CHANNELS
from ..features import FRAME_S
from ..score import ONSET_VALUE, PITCH_VALUE
from .reader import BEFORE, WINDOW, next_onsets, note_windows
from .salience import from_fundamental

KEY = 48  # principal components
BAND = 2  # channels that are averaged
# Frames of a window that are averaged: the onset finely, later times coarsely.
EDGES = (0, BEFORE, 5, 6, 8, 10, 13, 18, 26, 40, 60, WINDOW)
STEPS = 255  # values of a row of a patch
TOGETHER = 256  # sounds


class Memory(nn.Module):
    """Patches by their sounds. Empty until `remember`; its size is that of the loaded weights."""

    patches: Tensor
    keys: Tensor
    axes: Tensor
    centre: Tensor
    decoder_error: Tensor
    """The decoder's mean error on what is remembered (e_d), as a share of variance."""

    def __init__(self, rows: int):
        super().__init__()
        described = CHANNELS // BAND * (len(EDGES) - 1)
        self.register_buffer("patches", torch.empty(0, rows, dtype=torch.uint8))
        self.register_buffer("keys", torch.empty(0, KEY))
        self.register_buffer("axes", torch.empty(0, described))
        self.register_buffer("centre", torch.empty(0))
        self.register_buffer("decoder_error", torch.empty(0))

    def __len__(self) -> int:
        return len(self.patches)

    @torch.no_grad()
    def remember(
        self,
        heard: Float[Tensor, "batch channel frame"],
        notes: Float[Tensor, "batch note value"],
        patches: Float[Tensor, "batch row"],
        decoder_error: float,
    ) -> None:
        """Replace all memories by these sounds (uncompressed) and the patches that made them."""
        seen = [
            description(S.float(), told)
            for S, told in zip(heard.split(TOGETHER), notes.split(TOGETHER), strict=True)
        ]
        described = torch.cat(seen)
        self.centre = described.mean(0)
        _, _, axes = torch.linalg.svd(described - self.centre, full_matrices=False)
        self.axes = axes[:KEY]
        self.keys = (described - self.centre) @ self.axes.T
        self.decoder_error = torch.tensor(decoder_error)
        self.patches = (STEPS * patches).round().to(torch.uint8)

    def forget(self, kept: int) -> None:
        """Keep only the first `kept` memories."""
        self.patches, self.keys = self.patches[:kept], self.keys[:kept]

    @torch.no_grad()
    def recall(
        self,
        heard: Float[Tensor, "1 channel frame"],
        notes: Float[Tensor, "1 note value"],
        count: int,
    ) -> tuple[Float[Tensor, "recalled row"], Float[Tensor, " recalled"]]:
        """The `count` patches that sounded most alike, the closest first, and how far they are:
        squared distances as shares of the median of all. Fewer if fewer are remembered."""
        key = (description(heard, notes) - self.centre.float()) @ self.axes.float().T
        far = (self.keys.float() - key).square().sum(1)
        far = far / far.median().clamp(min=1e-9)
        nearest = far.argsort()[:count]
        return self.patches[nearest].float() / STEPS, far[nearest]

    def _load_from_state_dict(self, state_dict, prefix, *rest) -> None:
        """Take the size of what is loaded; models of earlier versions remember nothing."""
        for name, buffer in [*self.named_buffers()]:
            loaded = state_dict.setdefault(prefix + name, buffer)
            setattr(self, name, torch.empty_like(loaded))
        super()._load_from_state_dict(state_dict, prefix, *rest)


def description(
    heard: Float[Tensor, "batch channel frame"], notes: Float[Tensor, "batch note value"]
) -> Float[Tensor, "batch feature"]:
    """The average note of each sound. `heard` is uncompressed; notes that are no more are NaN."""
    onsets = notes[..., ONSET_VALUE] / FRAME_S
    real = ~onsets.isnan()
    ends = next_onsets(onsets, heard.shape[-1])
    windows = note_windows(heard[:, :CHANNELS], onsets.nan_to_num(nan=-9.0), ends)
    pitches = notes[..., PITCH_VALUE].nan_to_num()
    aligned = from_fundamental(windows.flatten(0, 1), pitches.flatten())
    sound, mask = aligned.unflatten(0, onsets.shape).split([CHANNELS, 1], 2)
    mask = mask * real[..., None, None]
    loudness = (sound * mask).sum((2, 3), keepdim=True) / mask.sum((2, 3), keepdim=True).clamp(1)
    loud = torch.log1p(4 * sound / (loudness / CHANNELS).clamp(min=1e-6)) / 4
    count = mask.sum(1)
    mean = (loud * mask).sum(1) / count.clamp(min=1)
    mean = mean.unflatten(1, (CHANNELS // BAND, BAND)).mean(2)
    parts = [mean[..., start:end].mean(-1) for start, end in pairwise(EDGES)]
    return torch.stack(parts, -1).flatten(1)
