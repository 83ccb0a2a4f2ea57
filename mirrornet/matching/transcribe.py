"""What is heard of a recording, as notes and one patch: a transcript.

The encoder says for every frame what sounds in it; here frames become notes, and what the notes say
of the patch becomes one patch.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from torch.nn import functional as F

from ..cochlea import CHANNELS
from ..features import FRAME_S
from ..models.mirrornet import MirrorNet
from ..models.reader import centroid
from ..models.salience import POOLED
from ..models.transcriber import LOWEST_MIDI, SILENT, UNSURE, Frames, Opinions, Transcriber
from ..runtime import own_settings

ONSET = 0.25  # how likely an onset must be
AROUND = 6  # frames on either side among which a soft onset is spread: 50 ms
APART = 6  # frames between two onsets, at least
STEADY = 8  # frames that two pitches must last for one to follow the other without an onset
SLURRED = 12  # frames to the nearest onset, at least, for such a change to be a start
SHORTEST = 2  # frames of a note
TOO_SURE = 1.5  # knobs of held-out babble are off by so many times what they are said to be
CONFIDENT = 0.1  # of a note; what is less sure is not played
HELD = 0.5  # how likely a frame of a note is one in which it is held
LONGEST_GAP = 3  # frames in which a held note may be missed
LONGEST_ATTACK = 12  # frames after its onset in which it need not be heard yet
WINDOW, CONTEXT = 2500, 152  # frames read at once, and those on either side that are only context
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
    confidence: float
    knobs: tuple[float, ...] = ()
    """0..1: the rows of a patch for this note alone, held halfway to what all notes agree on."""
    own: tuple[float, ...] = ()
    """0..1: the rows of its own controls but for level and tune."""


@dataclass(frozen=True)
class Transcript:
    """What was heard in a recording."""

    notes: list[HeardNote]
    knobs: Float[np.ndarray, " knob"]
    """0..1: the rows of the patch."""
    confidence: Float[np.ndarray, " knob"]
    """0..1: how much of what was not known of each row is known now."""
    one_voice: float = 1.0
    """0..1: how little else sounds beside the notes, in other pitch classes."""


@own_settings()
@torch.inference_mode()
def transcribe(model: MirrorNet, heard: Float[np.ndarray, "channel=176 frame"]) -> Transcript:
    """Notes and patch of a recording of any length; none if it holds no notes.

    `heard` is as `features.hear_recording` gives it. Pitches are those that are heard.
    """
    encoder: Transcriber = model.encoder
    low = heard[:CHANNELS]  # what notes and knobs are read from
    frames = _frames(encoder, low)
    notes = find_notes(frames)
    if not notes:
        rows = encoder.code.rows
        return Transcript([], np.full(rows, 0.5), np.zeros(rows))
    said = _opinions(encoder, low, notes)
    agreed, variance = encoder.agree(said, torch.ones(1, len(notes)))
    knobs = encoder.code.rows_of(agreed)[0].clamp(0, 1).numpy()
    usual = said.sureness.mean(-1, keepdim=True)
    held = (said.sureness * said.knobs + usual * agreed[..., None]) / (said.sureness + usual)
    patches = encoder.code.rows_of(held[0].T).clamp(0, 1).tolist()
    own = encoder.columns.code.rows_of(said.own[0].T).clamp(0, 1).tolist()
    notes = [
        replace(note, level=level, knobs=tuple(patch), own=tuple(others))
        for note, level, patch, others in zip(
            notes, said.level[0].tolist(), patches, own, strict=True
        )
    ]
    confidence = _confidence(encoder, agreed, variance)
    return Transcript(notes, knobs.astype(float), confidence, voice_share(frames, notes))


def _confidence(encoder: Transcriber, agreed: torch.Tensor, variance: torch.Tensor) -> np.ndarray:
    """Of each row: of a number by its variance, of a choice by how likely it is."""
    code = encoder.code
    confidence = np.empty(code.rows)
    doubt = TOO_SURE * variance[0, : len(code.numbers)].sqrt() / UNSURE
    confidence[code.numbers] = 1 - doubt.clamp(max=1).numpy().astype(float)
    for (row, count), logits in zip(code.classes, code.logits(agreed), strict=True):
        likely = float(logits.softmax(1).max())
        confidence[row] = (likely - 1 / count) / (1 - 1 / count)
    return confidence


def _frames(encoder: Transcriber, heard: Float[np.ndarray, "channel=128 frame"]) -> Frames:
    """Window by window, so that a long recording takes no more memory than a short one."""
    parts = []
    frames = heard.shape[-1]
    for start in range(0, frames, WINDOW):
        low, high = max(start - CONTEXT, 0), min(start + WINDOW + CONTEXT, frames)
        read = encoder.listen(torch.from_numpy(heard[None, :, low:high]))
        own = slice(start - low, min(start + WINDOW, frames) - low)
        parts.append([part[..., own] for part in read])
    return Frames(*(torch.cat(part, -1) for part in zip(*parts, strict=True)))


def _opinions(
    encoder: Transcriber, heard: Float[np.ndarray, "channel=128 frame"], notes: list[HeardNote]
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
        parts.append(encoder.opinions(excerpt, *own))
    return Opinions(*(torch.cat(part, -1) for part in zip(*parts, strict=True)))


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


def _starts(frames: Frames) -> tuple[list[int], Float[torch.Tensor, " frame"]]:
    """In which frames notes start, and how likely each frame is a start: by an onset that is heard,
    or, as in a slur, because from there on another pitch is."""
    onset = frames.onset_logits[0].sigmoid()
    window = torch.hann_window(2 * AROUND + 3, periodic=False)[None, None, 1:-1]
    likely = F.conv1d(onset[None, None], window, padding=AROUND)[0, 0]
    nearest = F.max_pool1d(likely[None], 2 * APART + 1, 1, APART)[0]
    heard = torch.nonzero((likely == nearest) & (likely > ONSET))[:, 0].tolist()
    classes = frames.pitch_logits[0]
    confidence, pitch = classes[:SILENT].exp().max(0)
    steady = torch.where(confidence > HELD, pitch, -1).tolist()
    slurs = []
    for change in range(STEADY, len(steady) - STEADY):
        before, after = steady[change - STEADY : change], steady[change : change + STEADY]
        if len({*before}) == len({*after}) == 1 and -1 not in (before[0], after[0]):
            around = onset[change - POOLED : change + POOLED + 1]
            start = change - POOLED + int(around.argmax())
            if before[0] != after[0] and all(abs(start - other) > SLURRED for other in heard):
                slurs.append(start)
                likely[start] = torch.maximum(
                    likely[start], confidence[change : change + STEADY].mean()
                )
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
