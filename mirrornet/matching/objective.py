"""The objective of refinement: the error of a plant's render against a target, as a function of a
place.

A place is the vector of the numbers to optimise: the rows of one patch or of a patch for each note,
or the knobs and onsets of a melody. Frames belong to blocks (a note, or the whole sound), and each
number affects certain blocks. In one render every block can try a change of its own.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from ..budget import Budget
from ..cochlea import CHANNELS
from ..controls import Control, ControlSpace
from ..errors import PlantError
from ..events import Best
from ..features import (
    FRAME_S,
    RECORDING_RATE_HZ,
    SOUNDING_MEAN,
    frame_times_s,
    hear,
    hear_recording,
    hear_wide,
    sounding_mean,
)
from ..plants import Plant
from ..score import (
    Note,
    Score,
    duration_controls,
    melody_score,
    note_spans,
)

EXCERPT_S = 8.0
NEARLY_ALL_S = EXCERPT_S - 0.4  # notes that start later are too short in the excerpt
MOST_NOTES = 12  # in an excerpt; each takes a render
ONSET_UNIT_S = 0.02  # unit of onsets in a place: as much as the whole range of a knob
CLASSES = ("choice", "switch")

Place = Float[np.ndarray, " place"]
Spectrogram = Float[np.ndarray, "channel frame"]


class Heard:
    """A place, the spectrogram of its render (uncompressed and compressed), and the error."""

    def __init__(self, objective: "Objective", place: Place, linear: Spectrogram):
        self.place, self.linear = place, linear.astype(objective.target.dtype, copy=False)
        self.gain = objective.gain(self.linear)
        self.compressed = np.log1p(self.linear * self.linear.dtype.type(4 / self.gain)) / 4
        self.by_frame = np.square(objective.target - self.compressed).sum(0)
        self.error = float(self.by_frame.sum()) / objective.scale
        """As a share of the target's variance."""


class Objective(ABC):
    """What is refined. Places have bounds, except for circular numbers and onsets."""

    start: Place
    target: Spectrogram
    """Loudness-compressed."""
    rows: Sequence[Control | None]
    """The control of each number of a place; None for an onset."""
    touches: Bool[np.ndarray, "place block"]
    """Which numbers affect which blocks."""
    probes: Sequence[float]
    """Step sizes for the measurement of slopes (finite differences), decreasing."""
    damping: float
    """Initial damping, as a share of the mean curvature."""
    change: float
    """Initial standard deviation of random changes."""
    locked: Bool[np.ndarray, " place"]
    """Which numbers stay at the start."""
    pull: float = 0.0
    """Weight of the squared distance from the start in the cost: numbers that make no audible
    difference stay."""

    def __init__(self) -> None:
        self.scale = (float(np.var(self.target)) or 1.0) * self.target.size
        circular = [row is not None and row.circular for row in self.rows]
        self.circular = np.array(circular, dtype=bool)
        self.onsets = np.array([row is None for row in self.rows], dtype=bool)
        classes = [row is not None and row.kind in CLASSES for row in self.rows]
        self.classes = np.array(classes, dtype=bool)
        self.locked = np.zeros(len(self.rows), dtype=bool)
        free = self.circular | self.onsets
        self.low, self.high = np.where(free, -np.inf, 0.0), np.where(free, np.inf, 1.0)

    @property
    def groups(self) -> list[Int[np.ndarray, " _"]]:
        """Numbers whose slopes are measured in one render, as no two affect the same block."""
        return self._apart(np.flatnonzero(~self.classes & ~self.locked))

    @property
    def class_groups(self) -> list[Int[np.ndarray, " _"]]:
        """Choices and switches tried in one render: the same control in every block."""
        return self._apart(np.flatnonzero(self.classes & ~self.locked))

    def _apart(self, places: Int[np.ndarray, " _"]) -> list[Int[np.ndarray, " _"]]:
        """Groups of numbers of which no two affect the same block, in order."""
        left, groups = list(places), []
        while left:
            taken, group = np.zeros(self.touches.shape[1], dtype=bool), []
            for at in left:
                if not (taken & self.touches[at]).any():
                    group.append(at)
                    taken |= self.touches[at]
            groups.append(np.array(group))
            left = [at for at in left if at not in group]
        return groups

    @property
    def components(self) -> list[Int[np.ndarray, " _"]]:
        """Groups of blocks that are connected by shared numbers, and so are changed together."""
        blocks = self.touches.shape[1]
        label = np.arange(blocks)
        for row in self.touches:
            joined = np.flatnonzero(row)
            if len(joined) > 1:
                label[np.isin(label, label[joined])] = label[joined].min()
        return [np.flatnonzero(label == one) for one in np.unique(label)]

    def probe(self, at: Place, size: float) -> Place:
        """The change of each number in the measurement of its slope: `size` for knobs (one step for
        discrete ones), towards the middle of the range; half of `size`, later, for onsets."""
        steps = [1 / (row.steps - 1) if row and row.steps else size for row in self.rows]
        return np.where(self.onsets, 0.5 * size, np.where(at < 0.5, steps, -np.array(steps)))

    def way(self, start: Place, end: Place) -> Place:
        """The difference from a place to another, for circular numbers the shorter one."""
        return end - start - np.where(self.circular, np.rint(end - start), 0)

    def valid(self, place: Place) -> Place:
        """The nearest place that can be rendered."""
        bounded = np.clip(place, self.low, self.high)
        return np.where(self.circular, bounded % 1, bounded)

    @abstractmethod
    def frame_blocks(self, place: Place) -> Int[np.ndarray, " frame"]:
        """The block of each frame; -1 for none."""

    @abstractmethod
    def gain(self, linear: Spectrogram) -> float:
        """The divisor of a spectrogram before compression."""

    @abstractmethod
    def gain_slopes(self, linear: Spectrogram) -> Float[np.ndarray, "channel frame"]:
        """The derivative of the gain with respect to each point of the spectrogram."""


class MelodyObjective(Objective):
    """A melody of the paper: knobs and onsets of each note; pitches are fixed."""

    probes = (0.02, 0.008, 0.0032)
    damping = 1e-3
    change = 0.02

    def __init__(
        self, space: ControlSpace, target: Spectrogram, controls: Float[np.ndarray, "control note"]
    ):
        self.space, self.target = space, target.astype(np.float64)
        self.like, self.notes = controls, controls.shape[-1]
        self.melody_s = target.shape[-1] * FRAME_S
        self.duration = space.row_of_role("duration")
        times = ("pitch", "duration")
        self.knobs = [n for n, control in enumerate(space.rows) if control.role not in times]
        moved = [space.rows[row] for row in self.knobs]
        self.rows = [None] * (self.notes - 1) + [row for row in moved for _ in range(self.notes)]
        own = np.eye(self.notes, dtype=bool)
        self.touches = np.concatenate([own[:-1] | own[1:], np.tile(own, (len(moved), 1))])
        self.start = self.place_of(controls)
        super().__init__()

    def place_of(self, controls: Float[np.ndarray, "control note"]) -> Place:
        """The place of controls: onsets from the second note on, in `ONSET_UNIT_S`, then knobs."""
        onsets_s = np.cumsum(note_spans(controls[self.duration], self.melody_s))[:-1]
        return np.concatenate([onsets_s / ONSET_UNIT_S, controls[self.knobs].ravel()])

    def controls_at(self, place: Place) -> Float[np.ndarray, "control note"]:
        """The controls that come closest to a place."""
        controls = self.like.copy()
        onsets_s = place[: self.notes - 1] * ONSET_UNIT_S
        if self.notes > 1:
            spans_s = np.diff(onsets_s, prepend=0.0, append=self.melody_s)
            controls[self.duration] = duration_controls(spans_s.clip(min=0.01))
        knobs = super().valid(place)[self.notes - 1 :]
        controls[self.knobs] = knobs.reshape(-1, self.notes)
        return controls

    def valid(self, place: Place) -> Place:
        return self.place_of(self.controls_at(place))

    def frame_blocks(self, place: Place) -> Int[np.ndarray, " frame"]:
        onsets_s = place[: self.notes - 1] * ONSET_UNIT_S
        return np.searchsorted(onsets_s, frame_times_s(self.target.shape[-1]))

    def gain(self, linear: Spectrogram) -> float:
        return float(linear.mean()) or 1.0

    def gain_slopes(self, linear: Spectrogram) -> Float[np.ndarray, "channel frame"]:
        return np.full_like(linear, 1 / linear.size)

    def play(self, plant: Plant, place: Place) -> tuple[Spectrogram, Score, np.ndarray]:
        """Render a place: its spectrogram, uncompressed, its score and its sound."""
        controls = self.controls_at(place)
        audio = plant.render(controls)
        linear = hear(audio, plant.sample_rate_hz, "linear")
        return linear, melody_score(self.space, controls), audio


class RecordingObjective(Objective):
    """The patch for an excerpt of a recording, or a patch for each note of the whole recording."""

    probes = (0.08,)
    damping = 0.03
    change = 0.15

    def __init__(
        self,
        plant: Plant,
        score: Score,
        target: Float[np.ndarray, " sample"],
        locked: Bool[np.ndarray, " row"] | None = None,
    ):
        self.space = plant.controls.patch
        rate_hz = plant.sample_rate_hz
        if score.one_patch:
            start_s, end_s, notes = excerpt(score.notes, len(target) / rate_hz)
            target = target[round(start_s * rate_hz) : round(end_s * rate_hz)]
            self.start, self.pull = self.space.to_vector(score.patch), 0.3
            blocks = 1
        else:
            notes = score.resolved
            self.start = np.concatenate([self.space.to_vector(note.controls) for note in notes])
            blocks = len(notes)
        self.target = hear_recording(target, rate_hz)
        self.plant = plant
        if rate_hz > RECORDING_RATE_HZ and not plant.own_rate_hz:  # faster, and enough
            self.plant = plant.at_rate(RECORDING_RATE_HZ)
        self.score = Score(notes, score.patch, self.target.shape[-1] * FRAME_S)
        self.rows = self.space.rows * blocks
        self.touches = np.repeat(np.eye(blocks, dtype=bool), len(self.space.rows), 0)
        super().__init__()
        if locked is not None:
            self.locked = np.tile(locked, blocks)
            self.low = np.where(self.locked, self.start, self.low)
            self.high = np.where(self.locked, self.start, self.high)

    def score_at(self, place: Place, score: Score) -> Score:
        """`score`, the whole or the excerpt, with the patch or patches of a place."""
        patches = self.valid(place).reshape(self.touches.shape[1], -1)
        if len(patches) == 1 and score.patch:
            return score.with_patch(self.space.from_vector(patches[0]))
        notes = [
            replace(note, controls={**note.controls, **self.space.from_vector(patch)})
            for note, patch in zip(score.resolved, patches, strict=True)
        ]
        return replace(score, notes=notes, patch={})

    def frame_blocks(self, place: Place) -> Int[np.ndarray, " frame"]:
        times_s = frame_times_s(self.target.shape[-1])
        if self.touches.shape[1] == 1:
            return np.zeros(len(times_s), dtype=int)
        onsets_s = [note.onset_s for note in self.score.notes]
        return np.searchsorted(onsets_s, times_s, "right") - 1

    def gain(self, linear: Spectrogram) -> float:
        return sounding_mean(linear) / SOUNDING_MEAN

    def gain_slopes(self, linear: Spectrogram) -> Float[np.ndarray, "channel frame"]:
        slopes = np.zeros_like(linear)
        loudness = linear[:CHANNELS].mean(0, dtype=np.float64)
        if total := loudness.sum():
            by_frame = (2 * loudness - np.square(loudness).sum() / total) / total
            slopes[:CHANNELS] = by_frame / (SOUNDING_MEAN * CHANNELS)
        return slopes

    def play(self, place: Place) -> tuple[Spectrogram, Score, np.ndarray]:
        """Render a place: uncompressed spectrogram, score and sound; silence if the plant fails."""
        score = self.score_at(place, self.score)
        rate_hz = self.plant.sample_rate_hz
        try:
            audio = self.plant.render(score)
        except PlantError:
            audio = np.zeros(round((score.duration_s or 0) * rate_hz), np.float32)
        return hear_wide(audio, rate_hz), score, audio

    def hear(self, place: Place, budget: Budget) -> Heard:
        """Render a place, count the render in `budget` and report it."""
        linear, score, audio = self.play(place)
        heard, rate_hz = Heard(self, place, linear), self.plant.sample_rate_hz
        budget.spend(heard.error, lambda: Best(heard.error, score.resolved, audio, rate_hz))
        return heard


def excerpt(notes: Sequence[Note], duration_s: float) -> tuple[float, float, list[Note]]:
    """The excerpt of a recording, up to `EXCERPT_S` long, with as many notes as possible, up to
    `MOST_NOTES`. It ends before the next note that does not belong to it.

    Returns start and end in seconds, and the notes, with times relative to the start.
    """
    inside = [
        [note for note in notes[n : n + MOST_NOTES] if note.onset_s < first.onset_s + NEARLY_ALL_S]
        for n, first in enumerate(notes)
    ]
    most = max(range(len(notes)), key=lambda n: len(inside[n]))
    chosen = inside[most]
    start_s = chosen[0].onset_s
    later = notes[most + len(chosen) :]
    end_s = min(later[0].onset_s if later else duration_s, start_s + EXCERPT_S)
    moved = (
        replace(note, onset_s=note.onset_s - start_s, offset_s=min(note.offset_s, end_s) - start_s)
        for note in chosen
    )
    return start_s, end_s, list(moved)
