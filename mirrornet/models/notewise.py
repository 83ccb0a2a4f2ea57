"""The default decoder for melodies: a forward model that predicts one note at a time.

Each frame is predicted from the note that sounds in it: that note's controls, the time since its
onset and the time since its release. So the same weights serve any number of notes of any length.
It predicts log energies z up to the common level that loudness compression removes:
with S = exp(z), log1p(4 S / mean(S)) / 4 = softplus(z - log mean exp(z) + log 4) / 4.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from ..cochlea import CHANNELS
from ..features import FRAME_S
from ..score import GAP_S, PITCH_SPAN, note_spans
from .vibrato import Vibrato

TIME_SCALES_S = (0.006, 0.02, 0.06, 0.2, 0.6)


class NotewiseDecoder(nn.Module):
    """`(batch, control, note) -> (batch, channel=128, frame)`, loudness-compressed.

    The `controls` rows are pitch, duration and the knobs, as in the plant's control space, 0..1.
    """

    def __init__(
        self, controls: int, vibrato: Vibrato | None = None, width: int = 256, blocks: int = 2
    ):
        super().__init__()
        self.vibrato = vibrato
        self.pitch = nn.Embedding(PITCH_SPAN + 1, width)
        self.knobs = nn.Linear(controls - 2, width)
        self.note = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.shift = nn.Linear(width, width)
        self.scale = nn.Linear(width, width)
        self.time = nn.Sequential(
            nn.Linear(4 * len(TIME_SCALES_S), width), nn.SiLU(), nn.Linear(width, width)
        )
        if vibrato:
            self.swing = nn.Sequential(nn.Linear(4, width), nn.SiLU(), nn.Linear(width, width))
        self.blocks = nn.ModuleList(Block(width) for _ in range(blocks))
        self.energy = nn.Linear(width, CHANNELS)

    def forward(
        self, controls: Float[Tensor, "batch control note"], frames: int = 250
    ) -> Float[Tensor, "batch channel=128 frame"]:
        spans_s = note_spans(controls[:, 1], frames * FRAME_S)
        ends_s = spans_s.cumsum(-1)
        offsets_s = ends_s - torch.clamp(0.5 * spans_s, max=GAP_S)
        return self.sing(controls[:, 0], controls[:, 2:], ends_s - spans_s, offsets_s, frames)

    def sing(
        self,
        pitch: Float[Tensor, "batch note"],
        knobs: Float[Tensor, "batch knob note"],
        onsets_s: Float[Tensor, "batch note"],
        offsets_s: Float[Tensor, "batch note"],
        frames: int,
    ) -> Float[Tensor, "batch channel=128 frame"]:
        """Predict notes at arbitrary times; pitch and knobs are 0..1, onsets must ascend."""
        note = self.note(self._pitch(pitch) + self.knobs(2 * knobs.transpose(1, 2) - 1))
        # A frame's value is sampled at its end (NSL wav2aud).
        times_s = FRAME_S * torch.arange(1, frames + 1, device=pitch.device)
        sounding = (times_s[:, None] > onsets_s[:, None, :]).sum(-1).sub(1).clamp(min=0)
        since_onset = times_s - onsets_s.gather(1, sounding)
        since_offset = times_s - offsets_s.gather(1, sounding)
        time = self.time(time_features(since_onset, since_offset))
        if self.vibrato:
            sounding_knobs = _of_note(knobs.transpose(1, 2), sounding)
            time = time + self.swing(self.vibrato.swing(sounding_knobs, since_onset))
        hidden = _of_note(self.shift(note), sounding) + time * _of_note(self.scale(note), sounding)
        for block in self.blocks:
            hidden = block(hidden)
        # In full precision: predictions are more accurate than half precision can represent.
        with torch.autocast(hidden.device.type, enabled=False):
            return as_heard(self.energy(hidden.float()).transpose(1, 2))

    def _pitch(self, pitch: Float[Tensor, "batch note"]) -> Float[Tensor, "batch note width"]:
        """Embedding of a pitch in 0..1, interpolated linearly between semitones, so that e_c has a
        gradient with respect to the encoder's expected pitch."""
        semitones = (pitch * PITCH_SPAN).clamp(0, PITCH_SPAN)
        below = semitones.detach().floor().nan_to_num().clamp(max=PITCH_SPAN - 1).long()
        weight = (semitones - below)[..., None]
        return (1 - weight) * self.pitch(below) + weight * self.pitch(below + 1)


class Block(nn.Module):
    """Residual two-layer perceptron; initially it adds only a constant (zero last weights)."""

    def __init__(self, width: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
        )
        nn.init.zeros_(self.layers[-1].weight)  # type: ignore[arg-type]

    def forward(self, x: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
        return x + self.layers(x)


def as_heard(
    z: Float[Tensor, "batch channel frame"],
) -> Float[Tensor, "batch channel frame"]:
    """Numerically stable `loudness_compress(exp(z))`, for log energies `z`."""
    size = z.shape[-1] * z.shape[-2]
    log_mean = z.flatten(1).logsumexp(-1)[:, None, None] - math.log(size)
    return F.softplus(z - log_mean + math.log(4)) / 4


def _of_note(note: Tensor, sounding: Tensor) -> Tensor:
    """Per-note vectors `(batch, note, width)`, gathered for the note `sounding` in each frame."""
    return note.gather(1, sounding[..., None].expand(-1, -1, note.shape[-1]))


def time_features(
    since_onset: Float[Tensor, "batch *frame"], since_offset: Float[Tensor, "batch *frame"]
) -> Float[Tensor, "batch *frame feature"]:
    """Features of the times since onset, t, and since release, r, in units of each time scale:
    1 - exp(-t), log(1 + t), 1 - exp(-r) and t exp(-t). Arguments in seconds."""
    scales = torch.tensor(TIME_SCALES_S, device=since_onset.device)
    onset = since_onset[..., None].clamp(min=0) / scales
    offset = since_offset[..., None].clamp(min=0) / scales
    return torch.cat(
        [
            1 - torch.exp(-onset),
            torch.log1p(onset),
            1 - torch.exp(-offset),
            torch.exp(-onset) * onset,
        ],
        dim=-1,
    )
