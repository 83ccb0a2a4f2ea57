"""The decoder for recordings: predicts the sound of overlapping notes of one patch.

Like the decoder for melodies (`notewise.py`) it predicts a frame from notes, their controls, and
the times since onset and release; but notes ring on, so a frame is the sum of the last few notes.
Known acoustics is built in, not learned: a note's harmonics shift along the cochlea's logarithmic
frequency axis with pitch, tune and vibrato, its level scales it, and its noise does not shift.
"""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ..controls import ControlSpace
from ..features import RECORDING_CHANNELS
from ..score import TIMES
from .notewise import TIME_SCALES_S, Block, as_heard, time_features
from .rows import NoteColumns, RowCode
from .salience import A3_CHANNEL, A3_MIDI
from .transcriber import KEYS, LOWEST_KEY
from .vibrato import Vibrato

RINGING = 3  # notes that are summed in a frame, at most: the last to start
BELOW, ABOVE = 12, 180  # channels below and above a note's fundamental that its tone covers
CHANNELS_PER_SEMITONE = 2
SILENCE = -12.0  # log energy


class PhraseDecoder(nn.Module):
    """Predicts the spectrogram of notes and the patch that they share."""

    def __init__(self, space: ControlSpace, width: int = 192):
        super().__init__()
        level, tune = space.own.of_role("level"), space.own.of_role("tune")
        depth = space.patch.of_role("vibrato_depth")
        self.range_db = level.high - level.low if level else 0.0
        self.range_semitones = (tune.high - tune.low) / 100 if tune else 0.0
        self.deepest_semitones = depth.high / 100 if depth else 0.0
        self.vibrato = Vibrato.of(space.patch)
        self.code, self.columns = RowCode(space.patch.rows), NoteColumns(space)
        self.pitch = nn.Embedding(KEYS, width)
        if self.code.inputs:
            self.knobs = nn.Linear(self.code.inputs, width)
        if self.columns.others:
            self.own = nn.Linear(self.columns.code.inputs, width)
        self.note = nn.Sequential(nn.SiLU(), nn.Linear(width, width), nn.SiLU())
        self.shift = nn.Linear(width, width)
        self.scale = nn.Linear(width, width)
        self.time = nn.Sequential(
            nn.Linear(4 * len(TIME_SCALES_S) + (4 if self.vibrato else 0), width),
            nn.SiLU(),
            nn.Linear(width, width),
        )
        self.blocks = nn.Sequential(*(Block(width) for _ in range(2)))
        self.tone = nn.Linear(width, BELOW + ABOVE)
        self.noise = nn.Linear(width, RECORDING_CHANNELS)

    def forward(
        self,
        notes: Float[Tensor, "batch note value"],
        knobs: Float[Tensor, "batch knob"],
        times_s: Float[Tensor, "batch frame"],
    ) -> Float[Tensor, "batch channel=176 frame"]:
        """Predict frames, loudness-compressed after division by their mean.

        `notes` and `knobs` are `notes` and `patches` of `dataset.Phrases`, with ascending onsets;
        `times_s` are the ends of the frames.
        """
        begun = (times_s[:, :, None] > notes[:, None, :, 1]).sum(-1)
        last = begun[..., None] - 1 - torch.arange(RINGING, device=notes.device)
        heard = self._ringing(notes, knobs, last.clamp(min=0), times_s)
        heard = heard.masked_fill(last[..., None] < 0, SILENCE)
        floor = torch.full_like(heard[:, :, :1], SILENCE)
        return as_heard(torch.cat([heard, floor], 2).logsumexp(2).mT)

    def _ringing(
        self,
        notes: Float[Tensor, "batch note value"],
        knobs: Float[Tensor, "batch knob"],
        which: Int[Tensor, "batch frame ringing"],
        times_s: Float[Tensor, "batch frame"],
    ) -> Float[Tensor, "batch frame ringing channel=176"]:
        """Log energies of the notes with indices `which`, in every frame."""
        notes = notes.nan_to_num()
        pitch, onset_s, offset_s = notes[..., :TIMES].unbind(-1)
        key = (pitch.round().long() - LOWEST_KEY).clamp(0, KEYS - 1)
        told = self.pitch(key)
        if self.code.inputs:
            told = told + self.knobs(self.code.input(knobs))[:, None]
        if self.columns.others:
            told = told + self.own(self.columns.code.input(notes[..., self.columns.others]))
        note = self.note(told)

        def of_note(values: Tensor) -> Tensor:
            index = which.flatten(1)
            if values.dim() == 3:
                index = index[..., None].expand(-1, -1, values.shape[-1])
            return values.gather(1, index).unflatten(1, which.shape[1:])

        since_onset = times_s[..., None] - of_note(onset_s)
        since_offset = times_s[..., None] - of_note(offset_s)
        times = time_features(since_onset, since_offset)
        bend = self.range_semitones * (of_note(self.columns.tunes(notes)) - 0.5)
        if self.vibrato:
            swing = self.vibrato.swing(knobs[:, None, None], since_onset)
            times = torch.cat([times, swing], -1)
            bend = bend - self.deepest_semitones * swing[..., 0]  # phase 0 is the lowest pitch
        hidden = of_note(self.shift(note)) + self.time(times) * of_note(self.scale(note))
        hidden = self.blocks(hidden)
        # In full precision: predictions are more accurate than half precision can represent.
        with torch.autocast(hidden.device.type, enabled=False):
            hidden = hidden.float()
            semitones = of_note(pitch) - A3_MIDI + bend
            fundamental = A3_CHANNEL + CHANNELS_PER_SEMITONE * semitones
            tone, noise = moved(self.tone(hidden), fundamental), self.noise(hidden)
            sound = torch.logaddexp(tone, noise)
            if self.columns.level is None:
                return sound
            level = of_note(notes[..., self.columns.level])
            return sound + math.log(10) / 20 * self.range_db * (level - 1)[..., None]


def moved(
    tone: Float[Tensor, "*place reach"], fundamental: Float[Tensor, "*place"]
) -> Float[Tensor, "*place channel=176"]:
    """Shift a tone, given relative to its fundamental, to the channel of the fundamental, with
    linear interpolation between channels; `SILENCE` beyond the range the tone covers."""
    at = torch.arange(RECORDING_CHANNELS, device=tone.device) - fundamental[..., None] + BELOW
    low = at.detach().floor()
    weight = at - low
    index = low.long().clamp(0, tone.shape[-1] - 2)
    here, following = tone.gather(-1, index), tone.gather(-1, index + 1)
    inside = (low >= 0) & (low < tone.shape[-1] - 1)
    return torch.where(inside, here + weight * (following - here), SILENCE)
