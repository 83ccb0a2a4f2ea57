"""From what is heard of a recording to its notes and to the knobs of one patch that plays them."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn import functional as F

from ..cochlea import CHANNELS
from ..controls import ControlSpace, plant_and_controls
from ..errors import CheckpointError, ControlError
from ..features import FRAME_S
from ..runtime import own_settings
from .checkpoints import load_checkpoint, save_checkpoint
from .phrasewise import PhraseDecoder
from .reader import centroid
from .salience import POOLED
from .transcriber import LOWEST_MIDI, SILENT, UNSURE, Frames, Opinions, Transcriber

TRANSCRIBER = "transcriber"  # as cards call a model that reads recordings
ONSET = 0.25  # how likely an onset must be
AROUND = 6  # frames on either side among which a soft onset is spread: 50 ms
APART = 6  # frames between two onsets, at least
STEADY = 8  # frames that two pitches must last for one to follow the other without an onset
SLURRED = 12  # frames to the nearest onset, at least, for such a change to be a start
SHORTEST = 2  # frames of a note
TOO_SURE = 1.5  # knobs of held-out babble are off by so many times what they are said to be
SURE_ENOUGH = 0.1  # of a note; what is less sure is not played
HELD = 0.5  # how likely a frame of a note is one in which it is held
LONGEST_GAP = 3  # frames in which a held note may be missed
LONGEST_ATTACK = 12  # frames after its onset in which it need not be heard yet
WINDOW, CONTEXT = 2500, 152  # frames read at once, and those on either side that are only context
SEEN = 160  # frames of a sound that the decoder foresees in a step of learning
AT_ONCE = 256  # notes that are asked for opinions at once


@dataclass(frozen=True)
class HeardNote:
    """A note of a recording, and how sure it is, 0..1."""

    pitch_midi: int
    tune: float
    """-1..1: from half a semitone below to half a semitone above."""
    onset_s: float
    offset_s: float
    level: float
    """0..1 in the range of the plant's level, up to an offset that all notes share."""
    sure: float
    knobs: tuple[float, ...] = ()
    """0..1: the knobs of a patch for this note alone, held halfway to what all notes agree on."""


@dataclass(frozen=True)
class Transcript:
    """What was heard in a recording."""

    notes: list[HeardNote]
    knobs: Float[np.ndarray, " knob"]
    """0..1, one for each control that belongs to a whole recording."""
    sure: Float[np.ndarray, " knob"]
    """0..1: how much of what was not known of a knob is known now."""
    one_voice: float = 1.0
    """0..1: how little else sounds beside the notes, in other pitch classes."""


class RecordingModel(nn.Module):
    """The MirrorNet of recordings, for one plant and its controls: a transcriber, which is the
    encoder, and a decoder that foresees what the plant will sound like."""

    def __init__(self, plant: str, controls: ControlSpace):
        super().__init__()
        self.plant, self.controls = plant, controls
        shared = controls.shared
        circular = tuple(n for n, control in enumerate(shared) if control.circular)
        self.transcriber = Transcriber(len(shared), circular)
        self.decoder = PhraseDecoder(controls)

    @own_settings()
    @torch.inference_mode()
    def transcribe(self, heard: Float[np.ndarray, "channel=176 frame"]) -> Transcript:
        """Notes and knobs of a recording of any length; none if it holds no notes.

        `heard` is as `hearing.hear_recording` gives it.
        """
        low = heard[:CHANNELS]  # what notes and knobs are read from
        frames = self._frames(low)
        notes = find_notes(frames)
        if not notes:
            shared = self.transcriber.knobs
            return Transcript([], np.full(shared, 0.5), np.zeros(shared))
        said = self._opinions(low, notes)
        agreed, variance = self.transcriber.agree(said, torch.ones(1, len(notes)))
        knobs = self.transcriber.knobs_of(agreed)[0].clamp(0, 1).numpy()
        doubt = (TOO_SURE * variance[0, : len(knobs)].sqrt() / UNSURE).clamp(max=1).numpy()
        usual = said.sureness.mean(-1, keepdim=True)
        held = (said.sureness * said.knobs + usual * agreed[..., None]) / (said.sureness + usual)
        own = self.transcriber.knobs_of(held[0].T).clamp(0, 1).tolist()
        notes = [
            replace(note, level=level, knobs=tuple(own_knobs))
            for note, level, own_knobs in zip(notes, said.level[0].tolist(), own, strict=True)
        ]
        one_voice = voice_share(frames, notes)
        return Transcript(notes, knobs.astype(float), 1 - doubt.astype(float), one_voice)

    def e_d(
        self,
        S: Float[Tensor, "batch channel=176 frame"],
        notes: Float[Tensor, "batch note value=5"],
        knobs: Float[Tensor, "batch knob"],
        chance: torch.Generator,
    ) -> Float[Tensor, ""]:
        """How far off the decoder is: mean square, as a share of variance, over frames drawn by
        chance. `S` is not compressed; `notes` and `knobs` are as in `phrases.Phrases`."""
        ends = torch.full((len(S),), float(S.shape[-1])).to(S)
        heard, times_s = some_frames(S, ends, chance)
        return share_of_variance(self.decoder(notes, knobs, times_s), heard)

    def e_c(
        self,
        S: Float[Tensor, "batch channel=176 frame"],
        notes: Float[Tensor, "batch note value=5"],
        ends: Float[Tensor, " batch"],
        chance: torch.Generator,
    ) -> Float[Tensor, ""]:
        """How far from a sound its notes are, played through the frozen decoder with the levels
        and the knobs that the transcriber reads; as `e_d`, up to each sound's end, in frames. (A
        vibrato gets no gradient here; see `Vibrato.held`.)"""
        levels, knobs = self.read_patch(S, notes)
        knobs = self.decoder.vibrato.held(knobs[..., None])[..., 0]
        notes = torch.cat([notes[..., :3], levels[..., None], notes[..., 4:]], -1)
        heard, times_s = some_frames(S, ends, chance)
        weights = {name: p.detach() for name, p in self.decoder.named_parameters()}
        expected = functional_call(self.decoder, weights, (notes, knobs, times_s))
        return share_of_variance(expected, heard)

    def read_patch(
        self,
        S: Float[Tensor, "batch channel=176 frame"],
        notes: Float[Tensor, "batch note value=5"],
    ) -> tuple[Float[Tensor, "batch note"], Float[Tensor, "batch knob"]]:
        """Levels and knobs, 0..1, for what notes sound like; `S` is not compressed."""
        real = ~notes[..., 0].isnan()
        onsets = notes[..., 1] / FRAME_S
        ends = F.pad(onsets[:, 1:], (0, 1), value=torch.nan).nan_to_num(nan=float(S.shape[-1]))
        places = notes[..., 0].nan_to_num(), onsets.nan_to_num(nan=-9.0), ends
        said = self.transcriber.opinions(torch.log1p(4 * S[:, :CHANNELS]) / 4, *places)
        agreed, _ = self.transcriber.agree(said, real.float())
        loudest = said.level.masked_fill(~real, -torch.inf).amax(1, keepdim=True)
        return 1 + said.level - loudest, self.transcriber.knobs_of(agreed).clamp(0, 1)

    def _frames(self, heard: Float[np.ndarray, "channel=128 frame"]) -> Frames:
        """Window by window, so that a long recording takes no more memory than a short one."""
        parts = []
        frames = heard.shape[-1]
        for start in range(0, frames, WINDOW):
            low, high = max(start - CONTEXT, 0), min(start + WINDOW + CONTEXT, frames)
            read = self.transcriber.listen(torch.from_numpy(heard[None, :, low:high]))
            own = slice(start - low, min(start + WINDOW, frames) - low)
            parts.append([part[..., own] for part in read])
        return Frames(*(torch.cat(part, -1) for part in zip(*parts, strict=True)))

    def _opinions(
        self, heard: Float[np.ndarray, "channel=128 frame"], notes: list[HeardNote]
    ) -> Opinions:
        onsets = torch.tensor([[note.onset_s / FRAME_S for note in notes]])
        ends = torch.cat([onsets[:, 1:], torch.tensor([[float(heard.shape[-1])]])], 1)
        pitches = torch.tensor([[float(note.pitch_midi) for note in notes]])
        parts = []
        for start in range(0, len(notes), AT_ONCE):
            some = slice(start, start + AT_ONCE)
            low = max(int(onsets[0, start]) - 8, 0)
            high = min(int(onsets[0, some][-1]) + 100, heard.shape[-1])
            excerpt = torch.from_numpy(heard[None, :, low:high])
            own = pitches[:, some], onsets[:, some] - low, ends[:, some] - low
            parts.append(self.transcriber.opinions(excerpt, *own))
        return Opinions(*(torch.cat(part, -1) for part in zip(*parts, strict=True)))

    def save(self, path: str | Path, card: dict[str, Any], half: bool = False) -> Path:
        """Write the card `path` (.json) and the weights beside it, in half precision if asked."""
        tensors = self.state_dict()
        if half:
            tensors = {name: tensor.half() for name, tensor in tensors.items()}
        about = {
            "plant": self.plant,
            "control_set": self.controls.name,
            "architecture": TRANSCRIBER,
            "controls": [control.__dict__ for control in self.controls],
        }
        return save_checkpoint(path, tensors, about | card)

    @classmethod
    @own_settings()
    def load(cls, path: str | Path) -> "RecordingModel":
        """The model at `path`, its card. Raises CheckpointError if it is not a sound one."""
        tensors, card = load_checkpoint(path)
        try:
            model = cls(*plant_and_controls(card))
            model.load_state_dict(tensors)
        except (KeyError, TypeError, RuntimeError, ControlError) as error:
            raise CheckpointError(
                f"{path} is a checkpoint, but of no model that this version reads recordings with; "
                "learn one with `mirrornet learn --controls patch`."
            ) from error
        return model.eval()


def some_frames(
    S: Float[Tensor, "batch channel=176 frame"],
    ends: Float[Tensor, " batch"],
    chance: torch.Generator,
) -> tuple[Float[Tensor, "batch channel=176 seen"], Float[Tensor, "batch seen"]]:
    """`SEEN` frames of each sound, drawn by chance before the sound's end (in frames), compressed
    at a mean of 1, and their times."""
    drawn = torch.rand(len(S), SEEN, generator=chance).to(S)
    frames = (drawn * ends[:, None]).long().clamp(max=S.shape[-1] - 1)
    return at_frames(S, frames), FRAME_S * (frames + 1)


def share_of_variance(expected: Tensor, heard: Tensor) -> Float[Tensor, ""]:
    return F.mse_loss(expected, heard) / heard.var().clamp(min=1e-6)


def at_frames(
    S: Float[Tensor, "batch channel=176 frame"], frames: Int[Tensor, "batch seen"]
) -> Float[Tensor, "batch channel=176 seen"]:
    """Some frames, compressed at a mean of 1 over these."""
    S = S.gather(2, frames[:, None].expand(-1, S.shape[1], -1))
    mean = S.mean((1, 2), keepdim=True).clamp(min=1e-6)
    return torch.log1p(4 * S / mean) / 4


def find_notes(frames: Frames) -> list[HeardNote]:
    """The notes of one voice, from what is heard frame by frame in one recording."""
    classes = frames.pitch_logits[0]
    held = 1 - classes[SILENT].exp()
    starts, likely = _starts(frames)
    if not starts:
        return []
    onsets = centroid(frames.onset_logits, torch.tensor([starts]))[0]
    notes, held_list = [], held.tolist()
    for start, onset, end in zip(starts, onsets, [*starts[1:], len(held)], strict=True):
        stop = _held_until(held_list, start, end)
        if stop - start < SHORTEST:
            continue
        own = slice(start + 1, stop)
        weight = held[own]
        scores = (classes[:SILENT, own] * weight).sum(1) / weight.sum()
        pitch = int(scores.argmax())
        tune = float((frames.tune[0, pitch, own] * weight).sum() / weight.sum())
        notes.append(
            HeardNote(
                LOWEST_MIDI + pitch,
                min(max(tune, -1.0), 1.0),
                float(onset) * FRAME_S,
                (stop - 0.5) * FRAME_S,
                0.0,
                float(likely[start].clamp(max=1) * scores[pitch].exp()),
            )
        )
    return notes


def voice_share(frames: Frames, notes: list[HeardNote]) -> float:
    """How much of what is heard while notes are held belongs to one pitch class in each frame, its
    neighbours included, 0..1: of one voice nearly all; of a chord, whose notes share, less."""
    pitches = frames.pitch_logits[0, :SILENT].exp()
    held = torch.zeros(pitches.shape[-1], dtype=torch.bool)
    for note in notes:
        held[int(note.onset_s / FRAME_S) + SHORTEST : int(note.offset_s / FRAME_S)] = True
    pitches = pitches[:, held]
    apart = (torch.arange(SILENT)[:, None] - pitches.argmax(0)) % 12
    own = (pitches * ((apart <= 1) | (apart == 11))).sum()
    return float(own / pitches.sum()) if held.any() else 1.0


def _starts(frames: Frames) -> tuple[list[int], Float[Tensor, " frame"]]:
    """In which frames notes start, and how likely each frame is a start: by an onset that is heard,
    or, as in a slur, because from there on another pitch is."""
    onset = frames.onset_logits[0].sigmoid()
    window = torch.hann_window(2 * AROUND + 3, periodic=False)[None, None, 1:-1]
    likely = F.conv1d(onset[None, None], window, padding=AROUND)[0, 0]
    nearest = F.max_pool1d(likely[None], 2 * APART + 1, 1, APART)[0]
    heard = torch.nonzero((likely == nearest) & (likely > ONSET))[:, 0].tolist()
    classes = frames.pitch_logits[0]
    sure, pitch = classes[:SILENT].exp().max(0)
    steady = torch.where(sure > HELD, pitch, -1).tolist()
    slurs = []
    for change in range(STEADY, len(steady) - STEADY):
        before, after = steady[change - STEADY : change], steady[change : change + STEADY]
        if len({*before}) == len({*after}) == 1 and -1 not in (before[0], after[0]):
            around = onset[change - POOLED : change + POOLED + 1]
            start = change - POOLED + int(around.argmax())
            if before[0] != after[0] and all(abs(start - other) > SLURRED for other in heard):
                slurs.append(start)
                likely[start] = torch.maximum(likely[start], sure[change : change + STEADY].mean())
    return sorted({*heard, *slurs}), likely


def _held_until(held: list[float], start: int, end: int) -> int:
    """The frame after the last in which a note that starts at `start` is held, before `end`."""
    missed, stop, longest = 0, start + 1, LONGEST_ATTACK
    for frame in range(start + 1, end):
        if held[frame] > HELD:
            missed, stop, longest = 0, frame + 1, LONGEST_GAP
        elif (missed := missed + 1) > longest:
            break
    return stop
