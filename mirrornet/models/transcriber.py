"""The encoder for recordings: what is played in every frame, and what each note says of the patch.

Two readers share one idea with the encoder for melodies (`reader.py`). A dilated network listens
frame by frame, here for onsets and for whether a note is held, beside a network that judges every
pitch by its harmonics (`salience.py`). A note network reads windows cut out around onsets, here the
level of the note and what it tells about the knobs of the patch, each with how sure it is of it. Of
all notes' opinions on a knob, the surer count more; so a recording of any number of notes has one
patch, and knobs that cannot be heard in it say so.
"""

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn import functional as F

from ..cochlea import CHANNELS
from ..controls import ControlSpace
from ..score import PITCH_VALUE
from .reader import WINDOW, ConvBlock, centroid, note_windows, onset_marks, window_layers
from .rows import NoteColumns, RowCode
from .salience import A3_CHANNEL, A3_MIDI, LOWEST_MIDI, PITCHES, Salience
from .vibrato import BANDS, drift

SILENT = PITCHES  # the class of frames in which no note is held
DILATIONS = (1, 2, 4, 8, 16, 32, 64)
ASKED = 6  # notes of a phrase that are asked for opinions in a step
BELOW = 12  # channels under a note's fundamental that are seen with it
UNSURE = 0.29  # standard deviation of a knob nothing is known of: uniform in 0..1


class Frames(NamedTuple):
    """What is played in every frame."""

    onset_logits: Float[Tensor, "batch frame"]
    pitch_logits: Float[Tensor, "batch class=74 frame"]
    """Log probabilities of MIDI 24 to 96, and of no note being held."""
    tune: Float[Tensor, "batch pitch=73 frame"]
    """If it were each pitch: -1..1, from half a semitone below to half a semitone above."""


class Opinions(NamedTuple):
    """What notes say of themselves and of the knobs of the patch they are played with."""

    level: Float[Tensor, "batch note"]
    knobs: Float[Tensor, "batch value note"]
    """The patch, as `RowCode` has it."""
    sureness: Float[Tensor, "batch value note"]
    """The inverse of the variance they give themselves."""
    own: Float[Tensor, "batch own note"]
    """Controls of the note itself but for level and tune, as `RowCode` has them."""


class Transcriber(nn.Module):
    """Reads spectrograms of any length."""

    def __init__(self, space: ControlSpace, width: int = 128):
        super().__init__()
        self.code, self.columns = RowCode(space.patch.rows), NoteColumns(space)
        values = self.code.values
        self.salience = Salience()
        self.frames = nn.Sequential(
            nn.Conv1d(CHANNELS + PITCHES, width, 5, padding=2),
            *(ConvBlock(width, dilation) for dilation in DILATIONS),
            nn.SiLU(),
            nn.Conv1d(width, 2, 1),
        )
        wide = 256
        self.note = nn.Sequential(
            nn.Dropout1d(0.1),  # a patch babbled once is soon known by heart
            *window_layers(CHANNELS + 2 + BANDS, wide),
            nn.Dropout(0.3),
            nn.Linear(wide // 2 * WINDOW // 8, wide),
            nn.SiLU(),
            nn.Dropout(0.3),
            nn.Linear(wide, 1 + 2 * values + self.columns.code.values),
        )
        # What all notes get wrong alike does not average out.
        self.common_error = nn.Parameter(torch.full((values,), -3.0))

    def note_weights(self) -> list[nn.Parameter]:
        """Of the part that hears notes."""
        return [*self.salience.parameters(), *self.frames.parameters()]

    def patch_weights(self) -> list[nn.Parameter]:
        """Of the part that reads the patch."""
        return [*self.note.parameters(), self.common_error]

    @property
    def reads_patches(self) -> bool:
        """Whether there is anything to read of notes but when and how high they are."""
        columns = self.columns
        return bool(self.code.values or columns.others) or columns.level is not None

    def listen(self, heard: Float[Tensor, "batch channel=128 frame"]) -> Frames:
        salience, tune = self.salience(heard)
        # Pitches against each other, and all against none.
        pitches = salience - salience.logsumexp(1, keepdim=True)
        read = self.frames(torch.cat([heard, 0.1 * salience], 1)).float()
        held = read[:, 1:2]
        logits = torch.cat([pitches + F.logsigmoid(held), F.logsigmoid(-held)], 1)
        return Frames(read[:, 0], logits, tune)

    def opinions(
        self,
        heard: Float[Tensor, "batch channel=128 frame"],
        pitches: Float[Tensor, "batch note"],
        onsets: Float[Tensor, "batch note"],
        ends: Float[Tensor, "batch note"],
    ) -> Opinions:
        """Of notes of MIDI pitches, from their onsets to the next one's, both in frames."""
        windows = note_windows(heard, onsets, ends).flatten(0, 1)
        pitch = (pitches.flatten()[:, None, None] - LOWEST_MIDI) / PITCHES
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
        """What the `real` notes (1; others 0) of a recording agree on, and the variance of it."""
        weights = said.sureness * real[:, None]
        total = weights.sum(-1).clamp(min=1e-3)
        mean = (weights * said.knobs).sum(-1) / total
        return mean, 1 / total + F.softplus(self.common_error) ** 2

    def frame_loss(
        self,
        heard: Float[Tensor, "batch channel=128 frame"],
        notes: Float[Tensor, "batch note value"],
        held: Int[Tensor, "batch frame"],
        frame_s: float,
    ) -> Float[Tensor, ""]:
        """How badly it hears onsets, pitches and tunes. `notes` are as in `dataset.Phrases`,
        `held` as `dataset.frame_labels` gives them."""
        frames = self.listen(heard)
        onsets = notes[..., 1] / frame_s
        real = ~onsets.isnan()
        target = onset_marks(onsets.nan_to_num(nan=-9.0), heard.shape[-1])
        marks = F.binary_cross_entropy_with_logits(frames.onset_logits, target)
        peaks = onsets.nan_to_num().round().long().clamp(0, heard.shape[-1] - 1)
        late = (centroid(frames.onset_logits, peaks) - onsets).abs()[real].mean()
        at = held.clamp(min=0)
        pitches = notes[..., 0].gather(1, at).nan_to_num().round().long() - LOWEST_MIDI
        playing = (held >= 0) & (pitches >= 0) & (pitches < PITCHES)
        pitch = F.nll_loss(frames.pitch_logits, torch.where(playing, pitches, SILENT))
        tune = 2 * self.columns.tunes(notes).gather(1, at) - 1
        read = frames.tune.gather(1, pitches.clamp(0, PITCHES - 1)[:, None])[:, 0]
        out_of_tune = F.smooth_l1_loss(read[playing], tune[playing], beta=0.1)
        return 10 * marks + 0.1 * late + pitch + out_of_tune

    def patch_loss(
        self,
        heard: Float[Tensor, "batch channel=128 frame"],
        notes: Float[Tensor, "batch note value"],
        knobs: Float[Tensor, "batch knob"],
        frame_s: float,
        generator: torch.Generator,
    ) -> Float[Tensor, ""]:
        """How badly level and knobs are read: the negative log likelihood of what some notes agree
        on, and of each one's own opinion."""
        onsets = notes[..., 1] / frame_s
        ends = torch.cat([onsets[:, 1:], torch.full_like(onsets[:, :1], torch.nan)], 1)
        ends = ends.nan_to_num(nan=float(heard.shape[-1]))
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
        """How badly levels and other controls of single notes are read."""
        loss = values.new_zeros(())
        if self.columns.level is not None:
            # Loudness is relative: only differences within a recording can be heard.
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
    """What is read, numbers brought to 0..1."""
    return torch.cat([read[:, : code.measured].sigmoid(), read[:, code.measured :]], 1)


def from_fundamental(
    windows: Float[Tensor, "note channel window"], pitches: Float[Tensor, " note"]
) -> Float[Tensor, "note channel window"]:
    """Windows moved along frequency so that all notes' harmonics lie in the same channels; the last
    channel, which says where the note is, stays."""
    lowest = A3_CHANNEL + 2 * (pitches.round().long() - A3_MIDI) - BELOW
    count = windows.shape[1] - 1
    channels = lowest[:, None] + torch.arange(count, device=windows.device)
    inside = (channels >= 0) & (channels < count)
    index = channels.clamp(0, count - 1)[..., None].expand(-1, -1, windows.shape[-1])
    moved = windows[:, :-1].gather(1, index) * inside[..., None]
    return torch.cat([moved, windows[:, -1:]], 1)
