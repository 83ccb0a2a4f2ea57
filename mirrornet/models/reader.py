"""The default encoder for melodies: detect note onsets, then read each note separately.

A small dilated network detects onsets frame by frame. Around each onset a window of the spectrogram
is cut out, aligned to a fraction of a frame, and one note network estimates pitch and knobs from
it. The same weights serve any number of notes. Everything but the selection of peaks is
differentiable, so e_c has gradients with respect to onsets, pitches and knobs.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..cochlea import CHANNELS
from ..errors import ControlError
from ..score import PITCH_SPAN, note_spans
from .vibrato import BANDS, Vibrato, drift

BEFORE, WINDOW = 4, 88  # frames before an onset, and in all, of the note network's input: 0.7 s
APART = 12  # least distance between two onsets, in frames
REACH = 3  # an onset's exact time is the centroid over this many frames on either side of its peak


class Reading(NamedTuple):
    """The encoder's estimates for a sound with `note` notes."""

    onset_logits: Float[Tensor, "batch frame"]
    onsets: Float[Tensor, "batch note"]
    """In frames, fractional, ascending."""
    pitch_logits: Float[Tensor, "batch note semitone"]
    knobs: Float[Tensor, "batch knob note"]
    """0..1; a vibrato's phase, which is circular, as a fraction of a turn."""


class NoteReader(nn.Module):
    """`(batch, channel=128, frame) -> (batch, control, note)` for any number of notes."""

    def __init__(self, controls: int, vibrato: Vibrato | None = None, width: int = 256):
        super().__init__()
        self.vibrato = vibrato
        self.onset = OnsetFinder()
        self.note = nn.Sequential(
            *window_layers(CHANNELS + 1, width),
            nn.Linear(width // 2 * WINDOW // 8, width),
            nn.SiLU(),
            nn.Linear(width, features := PITCH_SPAN + 1 + controls - 2 + bool(vibrato)),
        )
        if vibrato:
            self.drift = nn.Sequential(
                nn.Linear((BANDS + 2) * WINDOW, width),
                nn.SiLU(),
                nn.Linear(width, width),
                nn.SiLU(),
                nn.Linear(width, features),
            )

    def forward(
        self, heard: Float[Tensor, "batch channel=128 frame"], notes: int = 5
    ) -> Float[Tensor, "batch control note"]:
        """Controls of melodies; pitch is the expectation over semitones, not rounded."""
        reading = self.read(heard, notes=notes)
        ends = torch.full_like(reading.onsets[:, :1], heard.shape[-1])
        spans = torch.diff(reading.onsets, dim=-1, append=ends)
        semitones = torch.arange(PITCH_SPAN + 1, device=heard.device) / PITCH_SPAN
        pitch = reading.pitch_logits.softmax(-1) @ semitones
        knobs = self.vibrato.held(reading.knobs) if self.vibrato else reading.knobs
        return torch.cat([torch.stack([pitch, centred_durations(spans)], 1), knobs], 1)

    def read(
        self,
        heard: Float[Tensor, "batch channel=128 frame"],
        notes: int | None = None,
        onsets: Float[Tensor, "batch note"] | None = None,
    ) -> Reading:
        """Read `notes` notes at detected onsets, the first at 0; or notes at `onsets` (frames)."""
        logits = self.onset(heard)
        if onsets is None:
            assert notes is not None
            onsets = pick_onsets(logits, notes)
        windows = note_windows(heard, onsets).flatten(0, 1)
        read = self.note(windows)
        if self.vibrato:
            loudness = windows[:, :-1].mean(1, keepdim=True)
            moving = torch.cat([drift(windows), loudness, windows[:, -1:]], 1)
            read = read + self.drift(moving.flatten(1))
        read = read.float().unflatten(0, onsets.shape)
        pitch_logits, knobs = read[..., : PITCH_SPAN + 1], read[..., PITCH_SPAN + 1 :]
        return Reading(logits, onsets, pitch_logits, self._knobs(knobs.transpose(1, 2)))

    def _knobs(self, read: Float[Tensor, "batch feature note"]) -> Float[Tensor, "batch knob note"]:
        """Knobs, 0..1. A phase is read as a point in the plane; its y is the last feature."""
        if not self.vibrato:
            return read.sigmoid()
        knobs = list(read[:, :-1].sigmoid().unbind(1))
        knobs[self.vibrato.phase] = self.vibrato.turn(read[:, self.vibrato.phase], read[:, -1])
        return torch.stack(knobs, 1)

    def babble_loss(
        self,
        heard: Float[Tensor, "batch channel=128 frame"],
        controls: Float[Tensor, "batch control note"],
        plain: int,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, ""]:
        """Loss of estimating the known `controls` of random melodies. Sounds after the first
        `plain` ones are augmented, which hides the knobs: of these only the notes count.
        """
        spans = note_spans(controls[:, 1], heard.shape[-1])
        true = spans.cumsum(-1) - spans
        # The note network must tolerate small errors of the onset finder.
        jitter = 0.3 * torch.randn(true.shape, generator=generator).to(true.device)
        reading = self.read(heard, onsets=(true + jitter).clamp(min=0))
        target = onset_marks(true, heard.shape[-1])
        marks = F.binary_cross_entropy_with_logits(reading.onset_logits, target)
        late = (centroid(reading.onset_logits, true.round().long()) - true).abs().mean()
        semitones = (controls[:, 0] * PITCH_SPAN).round().long()
        pitch = F.cross_entropy(reading.pitch_logits.transpose(1, 2), semitones)
        read, told = reading.knobs[:plain], controls[:plain, 2:]
        off = self.vibrato.errors(read, told) if self.vibrato else read - told
        knobs = off.square().sum() / max(off.numel(), 1)  # a plant may have none
        return 10 * marks + 0.2 * late + 0.2 * pitch + 10 * knobs


class OnsetFinder(nn.Module):
    """`(batch, channel=128, frame) -> (batch, frame)`: logits of a note onset in a frame."""

    def __init__(self, width: int = 64):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(CHANNELS, width, 5, padding=2),
            *(ConvBlock(width, dilation) for dilation in (1, 2, 4, 8)),
            nn.SiLU(),
            nn.Conv1d(width, 1, 1),
        )

    def forward(
        self, heard: Float[Tensor, "batch channel=128 frame"]
    ) -> Float[Tensor, "batch frame"]:
        return self.layers(heard).float().squeeze(1)


class ConvBlock(nn.Module):
    """Residual block: a dilated convolution, then a 1x1 convolution."""

    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.SiLU(),
            nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation),
            nn.SiLU(),
            nn.Conv1d(width, width, 1),
        )

    def forward(self, x: Float[Tensor, "batch width frame"]) -> Float[Tensor, "batch width frame"]:
        return x + self.layers(x)


def window_layers(channels: int, width: int) -> list[nn.Module]:
    """The first layers of a note network:
    `(note, channels, window=88) -> (note, width // 2 * window // 8)`."""
    return [
        nn.Conv1d(channels, 192, 5, stride=2, padding=2),
        nn.SiLU(),
        nn.Conv1d(192, width, 5, stride=2, padding=2),
        ConvBlock(width, 1),
        ConvBlock(width, 2),
        nn.SiLU(),
        nn.Conv1d(width, width // 2, 3, stride=2, padding=1),
        ConvBlock(width // 2, 1),
        nn.SiLU(),
        nn.Flatten(),
    ]


def centred_durations(spans: Float[Tensor, "batch note"]) -> Float[Tensor, "batch note"]:
    """`score.duration_controls` for tensors, not clipped, to keep gradients."""
    centre = (spans.amin(-1, keepdim=True) * spans.amax(-1, keepdim=True)).sqrt()
    return (0.6 * spans / centre - 0.4) / 0.5


def onset_marks(onsets: Float[Tensor, "batch note"], frames: int) -> Float[Tensor, "batch frame"]:
    """Training target of onset detection: 1 at each onset, split between the two nearest frames."""
    distance = torch.arange(frames, device=onsets.device)[:, None] - onsets[:, None, :]
    return (1 - distance.abs()).clamp(min=0).sum(-1).clamp(max=1)


def centroid(logits: Float[Tensor, "batch frame"], peaks: Tensor) -> Float[Tensor, "batch note"]:
    """Exact onsets, in frames: the mean frame around each peak, weighted by probability."""
    near = peaks[..., None] + torch.arange(-REACH, REACH + 1, device=logits.device)
    inside = (near >= 0) & (near < logits.shape[-1])
    near = near.clamp(0, logits.shape[-1] - 1)
    likely = F.logsigmoid(logits).gather(1, near.flatten(1)).view_as(near)
    weight = likely.masked_fill(~inside, -torch.inf).softmax(-1)
    return (weight * near).sum(-1)


def pick_onsets(logits: Float[Tensor, "batch frame"], notes: int) -> Float[Tensor, "batch note"]:
    """The `notes` most likely onsets, ascending, at least `APART` frames apart, the first at 0.

    Raises ControlError for more notes than are guaranteed to fit into the frames.
    """
    if notes > (most := logits.shape[-1] // (2 * APART - 1)):
        raise ControlError(f"{logits.shape[-1]} frames have room for {most} notes, not {notes}.")
    score = logits.detach().clone()
    peaks = torch.zeros(len(score), notes, dtype=torch.long, device=logits.device)
    frames = torch.arange(score.shape[-1], device=logits.device)
    for note in range(notes):
        if note:
            peaks[:, note] = score.argmax(-1)
        near = (frames - peaks[:, note, None]).abs() < APART
        score = score.masked_fill(near, -torch.inf)
    peaks = peaks.sort(-1).values
    onsets = centroid(logits, peaks)
    return torch.cat([torch.zeros_like(onsets[:, :1]), onsets[:, 1:]], 1)


def next_onsets(onsets: Float[Tensor, "batch note"], frames: int) -> Float[Tensor, "batch note"]:
    """Where the window of each note ends, in frames: at the next onset, or at the end of the sound.
    Onsets of notes that are no more are NaN."""
    following = F.pad(onsets[:, 1:], (0, 1), value=torch.nan)
    return following.nan_to_num(nan=float(frames))


def note_windows(
    heard: Float[Tensor, "batch channel frame"],
    onsets: Float[Tensor, "batch note"],
    ends: Float[Tensor, "batch note"] | None = None,
) -> Float[Tensor, "batch note channel+1 window=88"]:
    """Windows of the spectrogram, each from `BEFORE` frames before an onset, interpolated to its
    exact time, and zero from the note's end (by default the next onset) on. The last channel is a
    mask: 1 where the note is, else 0. Onsets and ends are in frames."""
    frames = heard.shape[-1]
    at = onsets[..., None] + torch.arange(-BEFORE, WINDOW - BEFORE, device=heard.device)
    if ends is None:
        ends = next_onsets(onsets, frames)
    ends = ends[..., None]
    mine = ((at > onsets[..., None] - BEFORE - 1) & (at >= 0) & (at < ends - 0.5)).float()
    low = at.detach().floor().nan_to_num().clamp(0, frames - 2)
    weight = ((at - low) * mine)[:, None]
    left = low.long().flatten(1)[:, None].expand(-1, heard.shape[1], -1)
    here = heard.gather(2, left).view(*heard.shape[:2], *at.shape[1:])
    following = heard.gather(2, left + 1).view_as(here)
    window = (here + weight * (following - here)) * mine[:, None]
    return torch.cat([window, mine[:, None]], 1).transpose(1, 2)
