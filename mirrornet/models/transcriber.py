"""The encoder for recordings: an estimate of the patch from each note.

The notes are found by the note finder (`notes.py`). Here a network estimates, from windows around
onsets, the level of the note and the patch, each patch value with a variance. The estimates of all
notes are averaged, weighted by inverse variance; so any number of notes gives one patch, and
inaudible values keep a large variance.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..cochlea import CHANNELS
from ..controls import ControlSpace
from ..score import PITCH_VALUE
from .memory import Memory
from .reader import WINDOW, next_onsets, note_windows, window_layers
from .rows import NoteColumns, RowCode
from .salience import from_fundamental
from .vibrato import BANDS, drift

LOWEST_KEY, KEYS = 24, 73  # of babble
ASKED = 6  # notes of a phrase whose estimates are trained in a step
UNSURE = 0.29  # standard deviation of an unknown knob: uniform in 0..1


class Opinions(NamedTuple):
    """Estimates from single notes: of their own controls and of the patch."""

    level: Float[Tensor, "batch note"]
    knobs: Float[Tensor, "batch value note"]
    """The patch, as `RowCode` values."""
    sureness: Float[Tensor, "batch value note"]
    """Inverse of the estimated variance of `knobs`."""
    own: Float[Tensor, "batch own note"]
    """The note's own controls except level and tune, as `RowCode` values."""


class Transcriber(nn.Module):
    """Encoder for recordings of any length, whose notes are known."""

    def __init__(self, space: ControlSpace):
        super().__init__()
        self.code, self.columns = RowCode(space.patch.rows), NoteColumns(space)
        values = self.code.values
        wide = 256
        self.note = nn.Sequential(
            nn.Dropout1d(0.1),  # against memorising the patches of the training data
            *window_layers(CHANNELS + 2 + BANDS, wide),
            nn.Dropout(0.3),
            nn.Linear(wide // 2 * WINDOW // 8, wide),
            nn.SiLU(),
            nn.Dropout(0.3),
            nn.Linear(wide, 1 + 2 * values + self.columns.code.values),
        )
        self.memory = Memory(len(space.patch.rows))
        # Errors common to all notes do not average out.
        self.common_error = nn.Parameter(torch.full((values,), -3.0))

    def patch_weights(self) -> list[nn.Parameter]:
        """Parameters of the network that reads levels, controls and the patch."""
        return [*self.note.parameters(), self.common_error]

    @property
    def reads_patches(self) -> bool:
        """Whether there is anything to read beside times, pitches and tunes of notes."""
        columns = self.columns
        return bool(self.code.values or columns.others) or columns.level is not None

    def opinions(
        self,
        heard: Float[Tensor, "batch channel=128 frame"],
        pitches: Float[Tensor, "batch note"],
        onsets: Float[Tensor, "batch note"],
        ends: Float[Tensor, "batch note"],
    ) -> Opinions:
        """Estimates from notes with MIDI `pitches`; each is read from its onset to the next note's
        onset (`ends`), both in frames."""
        windows = note_windows(heard, onsets, ends).flatten(0, 1)
        pitch = (pitches.flatten()[:, None, None] - LOWEST_KEY) / KEYS
        pitch = pitch.expand(-1, -1, windows.shape[-1])
        seen = torch.cat([from_fundamental(windows, pitches.flatten()), pitch, drift(windows)], 1)
        read = self.note(seen).float().unflatten(0, onsets.shape)
        values = self.code.values
        sizes = 1, values, values, self.columns.code.values
        level, knobs, unsure, own = (part.mT for part in read.split(sizes, -1))
        sureness = (UNSURE * (2 * unsure.clamp(-4, 2)).exp().sqrt()) ** -2
        knobs, own = _measured(self.code, knobs), _measured(self.columns.code, own)
        return Opinions(level[:, 0], knobs, sureness, own)

    def agree(
        self, said: Opinions, real: Float[Tensor, "batch note"]
    ) -> tuple[Float[Tensor, "batch value"], Float[Tensor, "batch value"]]:
        """Mean and variance of the patch, from all `real` notes (1; others 0) of a recording."""
        weights = said.sureness * real[:, None]
        total = weights.sum(-1).clamp(min=1e-3)
        mean = (weights * said.knobs).sum(-1) / total
        return mean, 1 / total + F.softplus(self.common_error) ** 2

    def patch_loss(
        self,
        heard: Float[Tensor, "batch channel=128 frame"],
        notes: Float[Tensor, "batch note value"],
        knobs: Float[Tensor, "batch knob"],
        frame_s: float,
        generator: torch.Generator,
    ) -> Float[Tensor, ""]:
        """Loss of the patch (negative log likelihood of the mean estimate of some notes, and of
        each note's) and of the notes' levels and other controls. `notes` and `knobs` are `notes`
        and `patches` of `dataset.Phrases`."""
        onsets = notes[..., 1] / frame_s
        ends = next_onsets(onsets, heard.shape[-1])
        real = ~onsets.isnan()
        chance = torch.rand(onsets.shape, generator=generator).to(onsets.device)
        some = (chance + real).topk(min(ASKED, onsets.shape[1])).indices
        onsets, ends, real = (t.gather(1, some) for t in (onsets, ends, real))
        values = notes.nan_to_num().gather(1, some[..., None].expand(-1, -1, notes.shape[-1]))
        pitches = values[..., PITCH_VALUE]
        jitter = 0.3 * torch.randn(onsets.shape, generator=generator).to(onsets.device)
        said = self.opinions(heard, pitches, onsets.nan_to_num(nan=-9.0) + jitter, ends)
        agreed, variance = self.agree(said, real.float())
        loss = self.code.class_loss(agreed, knobs) + self._note_loss(said, values, real)
        if not self.code.measured:
            return loss
        true, measured = self.code.measures(knobs), slice(self.code.measured)
        together = F.gaussian_nll_loss(agreed[:, measured], true, variance[:, measured])
        heard_of = said.knobs[:, measured]
        alone = F.gaussian_nll_loss(
            heard_of,
            true[..., None].expand_as(heard_of),
            1 / said.sureness[:, measured],
            reduction="none",
        )
        return together + 0.3 * alone.mean(1)[real].mean() + loss

    def _note_loss(
        self,
        said: Opinions,
        values: Float[Tensor, "batch note value"],
        real: Bool[Tensor, "batch note"],
    ) -> Float[Tensor, ""]:
        """Loss of the levels and other controls of single notes."""
        loss = values.new_zeros(())
        if self.columns.level is not None:
            # Levels are relative: only differences within a recording are audible.
            level = torch.where(real, values[..., self.columns.level] - said.level, 0)
            level = torch.where(real, level - (level.sum(1) / real.sum(1))[:, None], 0)
            loss = 10 * level.square().sum() / real.sum()
        if self.columns.others:
            code, rows = self.columns.code, values[..., self.columns.others][real]
            read = said.own.mT[real]
            off = read[:, : code.measured] - code.measures(rows)
            loss = loss + 10 * off.square().sum() / max(off.numel(), 1)
            loss = loss + code.class_loss(read, rows)
        return loss


def _measured(code: RowCode, read: Float[Tensor, "batch value note"]) -> Tensor:
    """Network outputs with the numbers mapped to 0..1."""
    return torch.cat([read[:, : code.measured].sigmoid(), read[:, code.measured :]], 1)
