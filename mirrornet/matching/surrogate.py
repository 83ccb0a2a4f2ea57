"""Surrogate optimisation of a patch: fit it so that the decoder predicts the recording. Without
renders.

Gradient descent through the decoder (Adam, D. Kingma and J. Ba 2014), from the patch that was read
and from random ones near it, of which the best are continued. The notes' levels are optimised, too.
A penalty keeps the patch near the one that was read, since the encoder's prior knowledge of patches
also covers what is inaudible in the spectrogram.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..controls import way, within
from ..features import frame_times_s, uncompressed
from ..models.mirrornet import MirrorNet
from ..models.recording import at_frames
from ..models.rows import NoteColumns
from ..score import OFFSET_VALUE, ONSET_VALUE, PITCH_VALUE, TIMES, to_arrays
from .given import NOTHING, Given
from .objective import Heard, Place, RecordingObjective
from .refine import Slopes
from .transcribe import CONFIDENT, HeardNote, Transcript

STARTS = 4  # for each patch that is asked for
APART = 0.15  # standard deviation of the other starts' distances
STEPS, TOGETHER = 50, 20  # steps, and how many of them for all starts
SEEN = 80  # frames of a step, drawn at random
RINGING_S = 0.3  # after a note's end that still counts
KNOB_RATE, LEVEL_RATE = 0.2, 0.02  # initial learning rates of Adam; knobs as logits
PULL = 0.2  # weight of the squared distance from the knobs that were read, as a share of variance
TRUSTED = 0.05  # a decoder's error for which this holds; it grows with the square of the error
RECALLED = 128  # patches of the memory that the decoder compares
FAR = 1.0  # weight of a memory's distance, which is relative to the median of all
# A number of fewer values (an octave, a ratio of frequencies) stays as it was remembered: a decoder
# is smooth, and the sound of what lies between two values, or beyond the next one, is another.
STEPPED = 64
NEARBY = 0.02  # step size of finite differences
EDGE = 0.02  # least distance of a start from the ends of the range
PROPOSED = 2  # patches that are proposed to refinement
EVERY = 4  # frames, of which slopes are computed for one

Knobs = Float[np.ndarray, " knob"]


def optimise_transcript(
    model: MirrorNet,
    transcript: Transcript,
    heard: Float[np.ndarray, "channel=176 frame"],
    given: Given = NOTHING,
) -> Transcript:
    """Optimise the patch of a transcript of `heard`; patches of single notes are changed by the
    same difference. Values that are `given` are taken, or kept."""
    notes = [note for note in transcript.notes if note.confidence >= CONFIDENT]
    if not notes:
        return transcript
    shared = model.controls.patch.rows
    values, start = note_values(model, notes), transcript.knobs
    if recalled := recalled_patches(model, values, heard, 1):
        start = recalled[0]
    start, locked = given.rows(model.controls.patch, start), given.locked(model.controls.patch)
    better = optimise_patch(model, values, heard, start, locked=locked)[0]
    moved = way(shared, transcript.knobs, better)
    return replace(
        transcript,
        knobs=better,
        notes=[
            replace(note, knobs=tuple(within(shared, np.array(note.knobs) + moved).tolist()))
            for note in transcript.notes
        ],
    )


def note_values(model: MirrorNet, notes: Sequence[HeardNote]) -> Float[np.ndarray, "note value"]:
    """Notes of a transcript as values, in the columns of `score.ScoreArrays`."""
    columns: NoteColumns = model.decoder.columns
    values = np.zeros((len(notes), TIMES + len(model.controls.own.rows)))
    for row, note in zip(values, notes, strict=True):
        row[:TIMES] = note.pitch_midi, note.onset_s, note.offset_s
        if columns.level is not None:
            row[columns.level] = note.level
        if columns.tune is not None:
            row[columns.tune] = 0.5 + 0.5 * note.tune
        row[columns.others] = note.own
    return values


def recalled_patches(
    model: MirrorNet,
    notes: Float[np.ndarray, "note value"],
    heard: Float[np.ndarray, "channel=176 frame"],
    count: int,
) -> list[Knobs]:
    """Patches of the model's memory whose sounds, remembered and predicted for these notes, are
    closest to `heard`; the closest first. None if it remembers none."""
    memory = model.encoder.memory
    if not len(memory):
        return []
    sound = torch.from_numpy(uncompressed(heard))[None].float()
    patches, far = memory.recall(sound, torch.from_numpy(notes)[None].float(), RECALLED)
    chance = torch.Generator().manual_seed(0)
    surrogate = _Surrogate(model, notes, heard, patches[0].double().numpy(), chance)
    if len(surrogate.audible):
        with torch.no_grad():
            levels = surrogate.levels().expand(len(patches), -1)
            missed = []
            for some, level in zip(patches.split(32), levels.split(32), strict=True):
                chance.manual_seed(0)  # the same frames for all
                missed.append(surrogate.missed(some, level, 2 * SEEN))
        far = FAR * far + torch.cat(missed)
    return list(patches[far.argsort()[:count]].double().numpy())


def optimise_patch(
    model: MirrorNet,
    notes: Float[np.ndarray, "note value"],
    heard: Float[np.ndarray, "channel=176 frame"],
    knobs: Knobs,
    keep: int = 1,
    seed: int = 0,
    locked: Bool[np.ndarray, " knob"] | None = None,
) -> list[Knobs]:
    """Fit patches so that the decoder predicts `heard` while the notes sound.

    `notes` are as in `dataset.Phrases`, `heard` is from `features.hear_recording`, and `knobs`, the
    rows of a patch, 0..1, are the start; `locked` ones stay. Returns the rows of the `keep` best
    patches, the best first; only `knobs` if no frame has a note.
    """
    chance = torch.Generator().manual_seed(seed)
    surrogate = _Surrogate(model, notes, heard, knobs, chance)
    if locked is not None:
        surrogate.locked = torch.from_numpy(locked)
    if not len(surrogate.audible):
        return [knobs]
    starts = surrogate.read.repeat(STARTS * keep, 1)
    starts[1:] += APART * torch.randn(starts[1:].shape, generator=chance)
    levels = surrogate.levels().repeat(len(starts), 1)
    if not len(model.encoder.memory):
        surrogate.choose_classes()  # patches that are remembered have them right
    logits = torch.logit(starts.clamp(EDGE, 1 - EDGE))
    for steps in (range(TOGETHER), range(TOGETHER, STEPS)):
        places = [logits.requires_grad_(), levels.requires_grad_()]
        adams = [Adam(place) for place in places]
        for step in steps:
            off = surrogate.off(logits, levels, SEEN)
            slopes = torch.autograd.grad(off.sum(), places, materialize_grads=True)
            for adam, slope, rate in zip(adams, slopes, (KNOB_RATE, LEVEL_RATE), strict=True):
                adam.step(slope, rate * (1 - step / STEPS))
        with torch.no_grad():
            best = surrogate.off(logits, levels, 4 * SEEN).argsort()[:keep]
            logits, levels = logits[best], levels[best]
    return list(surrogate.patches(logits).double().numpy())


class _Surrogate:
    """The error of the decoder's predictions for patches, in frames in which notes sound."""

    def __init__(
        self,
        model: MirrorNet,
        notes: Float[np.ndarray, "note value"],
        heard: Float[np.ndarray, "channel=176 frame"],
        knobs: Knobs,
        chance: torch.Generator,
    ):
        self.decoder, self.chance = model.decoder, chance
        memory = model.encoder.memory
        doubt = float(memory.decoder_error) / TRUSTED if len(memory) else 0.0
        self.pull = PULL * max(1.0, doubt**2)
        times_s = frame_times_s(heard.shape[-1])
        begun = np.searchsorted(notes[:, ONSET_VALUE], times_s)
        last = np.maximum.accumulate(notes[:, OFFSET_VALUE])[begun - 1]
        self.audible = np.flatnonzero((begun > 0) & (times_s < last + RINGING_S))
        target = torch.from_numpy(uncompressed(heard[:, self.audible]))[None].float()
        self.target = target / target.mean().clamp(min=1e-6)
        self.variance = (torch.log1p(4 * self.target) / 4).var().clamp(min=1e-6)
        self.times = torch.from_numpy(times_s[self.audible])[None].float()
        self.notes = torch.from_numpy(notes)[None].float()
        self.read = torch.from_numpy(knobs).float()
        """The patch that was read; its choices and switches are replaced by the best ones."""
        self.is_class = torch.zeros(len(knobs), dtype=torch.bool)
        self.locked = torch.zeros(len(knobs), dtype=torch.bool)
        self.is_class[[row for row, _ in self.decoder.code.classes]] = True
        if len(memory):
            rows = model.controls.patch.rows
            few = [row.kind == "integer" and row.high - row.low < STEPPED for row in rows]
            self.is_class |= torch.tensor(few)

    def levels(self) -> Float[Tensor, "1 note"]:
        """Levels of the notes, 0..1; zeros for a plant without this control."""
        column = self.decoder.columns.level
        return torch.zeros_like(self.notes[..., 0]) if column is None else self.notes[..., column]

    def patches(self, logits: Float[Tensor, "start row"]) -> Float[Tensor, "start row"]:
        """Patches, 0..1: numbers from their logits, choices and switches from `read`."""
        return torch.where(self.is_class | self.locked, self.read, logits.sigmoid())

    def off(
        self, logits: Float[Tensor, "start row"], levels: Float[Tensor, "start note"], seen: int
    ) -> Float[Tensor, " start"]:
        """The cost: the error of patches, and the penalty for the distance from `read`."""
        missed = self.missed(self.patches(logits), levels, seen)
        return missed + self.pull * (self.patches(logits) - self.read).square().sum(1)

    def missed(
        self, patches: Float[Tensor, "start row"], levels: Float[Tensor, "start note"], seen: int
    ) -> Float[Tensor, " start"]:
        """Mean squared errors as shares of the variance, on `seen` random frames."""
        frames = torch.randint(len(self.audible), (1, seen), generator=self.chance)
        own = self.notes.expand(len(patches), -1, -1)
        if (column := self.decoder.columns.level) is not None:
            own = torch.cat([own[..., :column], levels[..., None], own[..., column + 1 :]], -1)
        times = self.times.gather(1, frames).expand(len(patches), -1)
        expected = self.decoder(own, patches, times)
        missed = expected - at_frames(self.target, frames)
        return missed.square().mean((1, 2)) / self.variance

    @torch.no_grad()
    def choose_classes(self) -> None:
        """Try every value of each choice and switch, and keep the best."""
        for row, count in self.decoder.code.classes:
            if self.locked[row]:
                continue
            tries = self.read.repeat(count, 1)
            tries[:, row] = torch.arange(count) / (count - 1)
            missed = self.missed(tries, self.levels().expand(count, -1), 4 * SEEN)
            self.read = tries[missed.argmin()]


class Adam:
    """Adam with its usual constants. (The import of torch.optim takes more than a second, longer
    than all steps here.)"""

    def __init__(self, place: Tensor):
        self.place, self.steps = place, 0
        self.mean, self.square = torch.zeros_like(place), torch.zeros_like(place)

    @torch.no_grad()
    def step(self, slope: Tensor, rate: float) -> None:
        self.steps += 1
        self.mean.lerp_(slope, 0.1)
        self.square.lerp_(slope**2, 0.001)
        mean, square = self.mean / (1 - 0.9**self.steps), self.square / (1 - 0.999**self.steps)
        self.place -= rate * mean / (square.sqrt() + 1e-8)


@torch.no_grad()
def patch_slopes(
    model: MirrorNet,
    notes: Float[np.ndarray, "note value"],
    knobs: Knobs,
    times_s: Float[np.ndarray, " frame"],
) -> Float[np.ndarray, "point knob"]:
    """The Jacobian of the decoder's prediction, by finite differences towards mid-range."""
    change = np.where(knobs < 0.5, NEARBY, -NEARBY)
    tries = np.concatenate([knobs[None], knobs + np.diag(change)])
    rows = torch.from_numpy(notes)[None].float().expand(len(tries), -1, -1)
    times = torch.from_numpy(times_s)[None].float().expand(len(tries), -1)
    expected = model.decoder(rows, torch.from_numpy(tries).float(), times).flatten(1)
    return ((expected[1:] - expected[0]).T.double().numpy()) / change


class PatchSurrogate:
    """The decoder for recordings as a `refine.Surrogate`."""

    def __init__(self, model: MirrorNet, objective: RecordingObjective, seed: int = 0):
        self.model, self.objective, self.seed = model, objective, seed
        self.notes = to_arrays(objective.plant.controls, objective.score).notes
        self.notes[:, PITCH_VALUE] += objective.plant.transposition

    def proposals(self, heard: Heard) -> list[Place]:
        target = self.objective.target
        how = {"seed": self.seed, "locked": self.objective.locked}
        return optimise_patch(self.model, self.notes, target, heard.place, PROPOSED, **how)

    def slopes(self, heard: Heard) -> Slopes:
        frames = np.arange(0, heard.linear.shape[-1], EVERY)
        times_s = frame_times_s(heard.linear.shape[-1])[frames]
        values = patch_slopes(self.model, self.notes, heard.place, times_s)
        shape = len(heard.linear), len(frames), len(heard.place)
        return Slopes([frames], [np.arange(len(heard.place))], [values.reshape(shape)])
