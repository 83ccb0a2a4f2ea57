"""Transcription of a recording: notes and one patch.

The note finder detects onsets and pitches frame by frame; here frames become notes. The encoder
estimates the patch from each note, and here these estimates become one patch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch.nn import functional as F

from ..cochlea import CHANNELS
from ..features import FRAME_S
from ..models.mirrornet import MirrorNet
from ..models.notes import SILENT, Frames, NoteFinder, shipped_finder
from ..models.reader import centroid
from ..models.salience import LOWEST_MIDI, POOLED
from ..models.transcriber import UNSURE, Opinions, Transcriber
from ..runtime import own_settings
from ..score import Note

ONSET = 0.15  # least probability of an onset
LATE = 0.5  # frames by which onsets are found too late, on average
AROUND = 6  # frames on either side over which a soft onset is spread: 50 ms
APART = 7  # least distance between two onsets, in frames
# A slur is a change of pitch without an onset: by `STEP` semitones at least, where for `STEADY`
# frames before and after, `PASSING` from the change, the pitch moves by less than `FLAT`.
STEADY, PASSING, FLAT, STEP = 6, 2, 0.25, 0.7
SLURRED = 8  # least distance of a slur from the nearest onset, in frames
# An onset counts as none if the note before goes on: if it is held in all frames around (`GOES_ON`
# before and 2 after), and the pitch `BESIDE` it stays within `SAME`; and if the onset is less
# probable than `AGAIN`, or nothing dips in loudness, as where a voice sings on with another vowel.
AGAIN, GOES_ON, BESIDE, SAME = 0.3, 6, 12, 0.5
DIP, BESIDE_DIP = 3, 6  # frames on either side in which a dip is sought; those beyond, to compare
# One with another pitch counts as none, too, if the pitch slides to it, by less than `LEAP` in
# `LEAP_FRAMES`, and does not rest for `RESTING` frames before it or after it.
LEAP, LEAP_FRAMES, RESTING = 0.85, 8, 10
SHORTEST = 2  # frames of a note, at least
TOO_SURE = 1.5  # actual over estimated standard deviation of knobs, on held-out babble
CONFIDENT = 0.1  # least confidence of a note that is played
HELD = 0.5  # least probability of a frame in which a note is held
LONGEST_GAP = 3  # frames below it that do not end a note, at most
LONGEST_ATTACK = 12  # the same directly after its onset
FARTHEST = 7  # semitones from a note's pitch in which a glide is sought
CYCLE = 22  # frames of a vibrato of 5.7 Hz
SHORTEST_GLIDE, LEAST_GLIDE = 10, 0.5  # frames of a note, and semitones
GLIDE_LEAP = 0.8  # semitones between neighbours of `POOLED` frames; more is no glide
GLIDE_STEP = 4  # frames from point to point
WINDOW, CONTEXT = 2500, 152  # frames read at once, and context on either side
AT_ONCE = 256  # notes whose estimates are computed at once


@dataclass(frozen=True)
class HeardNote:
    """A note of a recording, with its confidence, 0..1."""

    pitch_midi: int
    tune: float
    """-1..1: from half a semitone below to half a semitone above."""
    onset_s: float
    offset_s: float
    level: float
    """In units of the range of the plant's level, up to an offset common to all notes."""
    confidence: float
    knobs: tuple[float, ...] = ()
    """0..1: the rows of a patch for this note, shrunk about halfway towards that of all notes."""
    own: tuple[float, ...] = ()
    """0..1: the rows of its own controls except level and tune."""
    glide: tuple[tuple[float, float], ...] = ()
    """As in `score.Note`."""


@dataclass(frozen=True)
class Transcript:
    """The notes and the patch read from a recording."""

    notes: list[HeardNote]
    knobs: Float[np.ndarray, " knob"]
    """0..1: the rows of the patch."""
    confidence: Float[np.ndarray, " knob"]
    """0..1: the reduction of each row's uncertainty; 0 is no knowledge, 1 is certainty."""
    one_voice: float = 1.0
    """0..1: near 1 if no other pitch classes sound beside the notes (`voice_share`)."""


@own_settings()
@torch.inference_mode()
def transcribe(
    model: MirrorNet, heard: Float[np.ndarray, "channel=176 frame"], known: Sequence[Note] = ()
) -> Transcript:
    """Read notes and patch of a recording of any length; without notes, all rows are 0.5.

    `heard` is from `features.hear_recording`. Pitches are sounding ones, not keys. If notes are
    `known`, with sounding pitches, their pitches and times are not read.
    """
    encoder: Transcriber = model.encoder
    frames = _frames(shipped_finder(), heard)
    notes = known_notes(frames, known) if known else find_notes(frames, heard.sum(0))
    if not notes:
        rows = encoder.code.rows
        return Transcript([], np.full(rows, 0.5), np.zeros(rows))
    said = _opinions(encoder, heard[:CHANNELS], notes)
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
    """The confidence of each row: of a number by its variance, of a choice by its probability."""
    code = encoder.code
    confidence = np.empty(code.rows)
    doubt = TOO_SURE * variance[0, : len(code.numbers)].sqrt() / UNSURE
    confidence[code.numbers] = 1 - doubt.clamp(max=1).numpy().astype(float)
    for (row, count), logits in zip(code.classes, code.logits(agreed), strict=True):
        likely = float(logits.softmax(1).max())
        confidence[row] = (likely - 1 / count) / (1 - 1 / count)
    return confidence


def _frames(finder: NoteFinder, heard: Float[np.ndarray, "channel=176 frame"]) -> Frames:
    """What the finder finds, window by window to limit memory."""
    parts = []
    frames = heard.shape[-1]
    for start in range(0, frames, WINDOW):
        low, high = max(start - CONTEXT, 0), min(start + WINDOW + CONTEXT, frames)
        read = finder(torch.from_numpy(heard[None, :, low:high]))
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


def find_notes(frames: Frames, loudness: Float[np.ndarray, " frame"]) -> list[HeardNote]:
    """Segment the frames of one recording into the notes of one voice; `loudness` is the sum of its
    spectrogram's channels."""
    classes = frames.pitch_logits[0]
    held = 1 - classes[SILENT].exp()
    starts, likely = _starts(frames, loudness)
    if not starts:
        return []
    onsets = centroid(frames.onset_logits, torch.tensor([starts]))[0]
    notes, held_list = [], held.tolist()
    for start, onset, end in zip(starts, onsets, [*starts[1:], len(held)], strict=True):
        stop = _held_until(held_list, start, end)
        if stop - start < SHORTEST:
            continue
        own = slice(start + 1, stop)
        pitch, sure = _pitch(frames, own, held)
        notes.append(
            HeardNote(
                round(pitch),
                2 * (pitch - round(pitch)),
                max(float(onset) - LATE, 0.0) * FRAME_S,
                (stop - 0.5) * FRAME_S,
                0.0,
                float(likely[start].clamp(max=1)) * sure,
                glide=find_glide(frames, own, pitch),
            )
        )
    return notes


def _pitch(frames: Frames, own: slice, held: Float[torch.Tensor, " frame"]) -> tuple[float, float]:
    """The pitch of a note (fractional MIDI) in its own frames, and its probability.

    The frames vote, each for its pitch and half for its neighbours; the pitch is the median of
    those that agree. So neither vibrato nor a glide moves it.
    """
    weight = held[own] / held[own].sum()
    pitches = frames.pitch_logits[0, :SILENT, own].exp()
    votes = (pitches * weight).sum(1)
    near = F.pad(votes, (1, 1))
    winner = int((votes + 0.5 * (near[:-2] + near[2:])).argmax())
    likely = float(near[winner : winner + 3].sum())
    strongest = pitches.argmax(0)
    exact = strongest + 0.5 * frames.tune[0, :, own].gather(0, strongest[None])[0]
    agree = (strongest - winner).abs() <= 1
    if not agree.any():
        return float(LOWEST_MIDI + winner), likely
    order = exact[agree].argsort()
    passed = weight[agree][order].cumsum(0)
    median = exact[agree][order][int((passed >= 0.5 * passed[-1]).nonzero()[0])]
    return LOWEST_MIDI + float(median), likely


def find_glide(frames: Frames, own: slice, pitch: float) -> tuple[tuple[float, float], ...]:
    """The glide in a note's own frames, beside its `pitch` (fractional MIDI); none if it stays near
    it but for a vibrato."""
    near = torch.arange(SILENT) + LOWEST_MIDI - pitch
    likely = frames.pitch_logits[0, :SILENT, own].masked_fill(near.abs()[:, None] > FARTHEST, -1e9)
    strongest = likely.argmax(0)
    beside = near[strongest] + 0.5 * frames.tune[0, :, own].gather(0, strongest[None])[0]
    count = len(beside)
    leaps = (beside[POOLED:] - beside[:-POOLED]).abs()
    if count < SHORTEST_GLIDE or bool((leaps > GLIDE_LEAP).any()):
        return ()
    # The mean over a cycle of vibrato; at both ends over what there is of it.
    sums = F.pad(beside.cumsum(0), (1, 0)).tolist()
    curve = []
    for frame in range(count):
        low, high = max(frame - CYCLE // 2, 0), min(frame + CYCLE // 2 + 1, count)
        curve.append((sums[high] - sums[low]) / (high - low))
    inner = slice(CYCLE // 2, max(count - CYCLE // 2, CYCLE // 2))
    swings = [abs(value - mean) for value, mean in zip(beside.tolist(), curve, strict=True)][inner]
    # At both ends a deep vibrato does not cancel.
    if max(map(abs, curve)) < LEAST_GLIDE + 0.65 * (np.quantile(swings, 0.9) if swings else 0.0):
        return ()
    points = sorted({*range(0, count, GLIDE_STEP), count - 1})
    return tuple((round(FRAME_S * (at + 1), 4), round(curve[at], 3)) for at in points)


def known_notes(frames: Frames, known: Sequence[Note]) -> list[HeardNote]:
    """Notes whose pitches and times are known, with the tunes that are heard."""
    held = 1 - frames.pitch_logits[0, SILENT].exp()
    notes = []
    for note in known:
        onset_s, offset_s = float(note.onset_s), float(note.offset_s)
        start = min(round(onset_s / FRAME_S), len(held) - 1)
        own = slice(start, max(round(offset_s / FRAME_S), start + 1))
        pitch = min(max(note.pitch_midi - LOWEST_MIDI, 0), SILENT - 1)
        tune = _tune(frames, pitch, own, held[own])
        notes.append(HeardNote(note.pitch_midi, tune, onset_s, offset_s, 0.0, 1.0))
    return notes


def _tune(frames: Frames, pitch: int, own: slice, weight: torch.Tensor) -> float:
    """The tune of a note, -1..1, averaged over its own frames with these weights."""
    tune = float((frames.tune[0, pitch, own] * weight).sum() / weight.sum().clamp(min=1e-9))
    return min(max(tune, -1.0), 1.0)


def voice_share(frames: Frames, notes: list[HeardNote]) -> float:
    """The share of the pitch probabilities, while notes are held, that belongs to the strongest
    pitch class of each frame or a neighbour: 0..1, nearly 1 for one voice, less for chords."""
    pitches = frames.pitch_logits[0, :SILENT].exp()
    held = torch.zeros(pitches.shape[-1], dtype=torch.bool)
    for note in notes:
        held[int(note.onset_s / FRAME_S) + SHORTEST : int(note.offset_s / FRAME_S)] = True
    pitches = pitches[:, held]
    apart = (torch.arange(SILENT)[:, None] - pitches.argmax(0)) % 12
    own = (pitches * ((apart <= 1) | (apart == 11))).sum()
    return float(own / pitches.sum()) if held.any() else 1.0


def _starts(
    frames: Frames, loudness: Float[np.ndarray, " frame"]
) -> tuple[list[int], Float[torch.Tensor, " frame"]]:
    """The frames in which notes start, and the probability of a start in each frame: by a detected
    onset or, in a slur, by a change of pitch."""
    onset = frames.onset_logits[0].sigmoid()
    window = torch.hann_window(2 * AROUND + 3, periodic=False)[None, None, 1:-1]
    likely = F.conv1d(onset[None, None], window, padding=AROUND)[0, 0]
    nearest = F.max_pool1d(likely[None], 2 * APART + 1, 1, APART)[0]
    heard = torch.nonzero((likely == nearest) & (likely > ONSET))[:, 0].tolist()
    classes = frames.pitch_logits[0]
    confidence, pitch = classes[:SILENT].exp().max(0)
    exact = pitch + 0.5 * frames.tune[0].gather(0, pitch[None])[0]
    moving = torch.where(confidence > HELD, exact, torch.nan).numpy()
    reach = STEADY + PASSING
    slurs: list[int] = []
    for change in range(reach, len(moving) - reach):
        before = moving[change - reach : change - PASSING]
        after = moving[change + PASSING : change + reach]
        flat = np.ptp(before) < FLAT and np.ptp(after) < FLAT
        if flat and abs(after.mean() - before.mean()) > STEP:
            around = onset[change - POOLED : change + POOLED + 1]
            start = change - POOLED + int(around.argmax())
            if all(abs(start - other) > SLURRED for other in (*heard, *slurs)):
                slurs.append(start)
                sure = confidence[change + PASSING : change + reach].mean()
                likely[start] = torch.maximum(likely[start], sure)
    starts: list[int] = []
    held = (1 - classes[SILENT].exp() > HELD).numpy()
    for start, end in pairwise([*sorted({*heard, *slurs}), len(onset)]):
        if not starts or not _goes_on(moving, held, loudness, likely, starts[-1], start, end):
            starts.append(start)
    return starts, likely


def _goes_on(
    pitch: Float[np.ndarray, " frame"],
    held: Bool[np.ndarray, " frame"],
    loudness: Float[np.ndarray, " frame"],
    likely: Float[torch.Tensor, " frame"],
    begun: int,
    start: int,
    end: int,
) -> bool:
    """Whether the note from `begun` goes on beyond `start`, where another one seems to start, until
    `end`: held at the same pitch, if the start is doubtful or does not dip, or sliding."""
    if not held[max(start - GOES_ON, 0) : start + 3].all():
        return False
    before = pitch[max(begun + 2, start - BESIDE) : start - 1]
    after = pitch[start + 3 : min(start + BESIDE + 3, end)]
    around = pitch[max(start - BESIDE, begun) : min(start + BESIDE, end)]
    before, after = (part[~np.isnan(part)] for part in (before, after))
    if not len(before) or not len(after):
        return False
    if abs(np.median(after) - np.median(before)) < SAME:
        return float(likely[start]) < AGAIN or not _dips(loudness, start)
    leaps = np.abs(around[LEAP_FRAMES:] - around[:-LEAP_FRAMES])
    slides = not (leaps > LEAP).any() and not np.isnan(around).any()
    return slides and not (_rests(pitch[begun + 3 : start]) and _rests(pitch[start:end]))


def _dips(loudness: Float[np.ndarray, " frame"], start: int) -> bool:
    """Whether it is softer around `start` than before and than after."""
    before = loudness[max(start - DIP - BESIDE_DIP, 0) : start - DIP].mean()
    after = loudness[start + DIP : start + DIP + BESIDE_DIP].mean()
    return bool(loudness[start - DIP : start + DIP].min() < min(before, after))


def _rests(pitch: Float[np.ndarray, " frame"]) -> bool:
    """Whether a pitch stays for a while."""
    if len(pitch) < RESTING:
        return False
    windows = np.lib.stride_tricks.sliding_window_view(pitch, RESTING)
    return bool((np.ptp(windows, 1) < FLAT).any())


def _held_until(held: list[float], start: int, end: int) -> int:
    """The frame after the last one in which the note from `start` is held, `end` at most."""
    missed, stop, longest = 0, start + 1, LONGEST_ATTACK
    for frame in range(start + 1, end):
        if held[frame] > HELD:
            missed, stop, longest = 0, frame + 1, LONGEST_GAP
        elif (missed := missed + 1) > longest:
            break
    return stop
