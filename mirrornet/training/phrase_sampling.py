"""Random phrases: how a plant babbles when it prepares for recordings.

A phrase is a few seconds of one voice, as a player would produce it: a register, a tempo, an
articulation, rests, notes said again, and one patch for all of it. The plant that plays it labels
it, so a network can learn to read recordings that come with no labels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int
from safetensors.numpy import load_file

from ..cochlea import CHANNELS
from ..controls import ControlSpace
from ..errors import PlantError
from ..events import Stage
from ..features import FRAME_S, RECORDING_CHANNELS, RECORDING_RATE_HZ, frame_times_s
from ..plants.base import PITCHES_MIDI
from ..plants.pool import Farm
from ..score import Note
from ..storage import write_arrays

PHRASE_S = 4.0
MOST_NOTES = 40
STREAM = 11  # of random numbers, apart from those of melodies
SHARD = 128
SHORTEST_NOTE_S = 0.06
BEATS_S = (0.12, 0.8)  # from the quickest to the slowest tempo
LENGTHS = (0.5, 1.0, 1.0, 1.0, 1.5, 2.0, 3.0)  # of notes, in beats
SOFTEST = 1e-6  # mean of a spectrogram; of what is softer, only the filter's leak is left
PLUCKED = 5.0  # % of sustain below which a note is over once it has decayed
PURE = 0.3  # wave below which a tone is little else than its fundamental
LOWEST_PURE = 44  # MIDI pitch; the cochlea hears no fundamental below

# How a phrase is played, and how often: as the knobs happen to stand, which seldom is as on an
# instrument; struck, each note ringing into the next ones; or blown and bowed, softly and slurred.
MANNERS = {"any": 0.5, "struck": 0.25, "blown": 0.25}

# Knobs that are mostly at rest in music are so in babble: the power of a uniform number.
RARE = {
    "attack": 1.6,
    "release": 1.4,
    "noise": 6.0,  # in a flood of it no pitch can be heard
    "resonance": 1.5,
    "filter_blend": 3.0,
    "unison": 4.0,
    "detune": 2.0,
    "vibrato_depth": 2.5,
}


@dataclass(frozen=True)
class Phrases:
    """Played phrases and what they sound like. Rows of notes beyond a phrase's last are NaN."""

    notes: Float[np.ndarray, "phrase note=40 value=5"]
    """MIDI pitch, onset and offset in seconds, level and tune, 0..1."""
    knobs: Float[np.ndarray, "phrase knob"]
    """The knobs that belong to a whole phrase, 0..1."""
    heard: Float[np.ndarray, "phrase channel=176 frame=500"]
    """As `hearing.hear_wide` hears them, at a mean of 1 below 4 kHz; half precision."""

    def __len__(self) -> int:
        return len(self.knobs)


def shared_knobs(space: ControlSpace) -> list[str]:
    """The controls that belong to a whole recording, in order."""
    return [control.name for control in space.shared]


def random_phrase(space: ControlSpace, generator: np.random.Generator) -> list[Note]:
    """One phrase of `PHRASE_S` on a plant with the control set `patch`."""
    manner = str(generator.choice(list(MANNERS), p=list(MANNERS.values())))
    patch = random_patch(space, generator, manner)
    uniform, chance = generator.uniform, generator.random
    low, high = PITCHES_MIDI[0], PITCHES_MIDI[-1]
    if patch["wave"] < PURE:
        low = LOWEST_PURE
    centre, reach = uniform(low + 4, high - 4), uniform(2, 14)
    beat_s = np.exp(uniform(*np.log(BEATS_S)))
    held = generator.choice([uniform(0.25, 0.6), uniform(0.7, 0.95), 1.0])
    if manner == "struck" and chance() < 0.6:
        held = uniform(1, 6)
    elif manner == "blown":
        held = uniform(0.85, 1.15)
    said_again, rests = uniform(0, 0.4), uniform(0, 0.3)
    loudness, swell = uniform(0.5, 1.0), uniform(0, 0.25)
    shared = _physical(space, patch)
    longest_s = audible_s(shared)
    tune, untrue = 0.5 + 0.2 * generator.standard_normal(), uniform(0, 0.08)
    notes: list[Note] = []
    pitch = centre
    at_s = uniform(0, 0.5) if chance() < 0.5 else 0.0
    while at_s < PHRASE_S - SHORTEST_NOTE_S and len(notes) < MOST_NOTES:
        span_s = max(beat_s * generator.choice(LENGTHS), 1.5 * SHORTEST_NOTE_S)
        if chance() >= rests:
            if chance() >= said_again:
                pitch = centre + 0.7 * (pitch - centre) + reach * 0.5 * generator.standard_normal()
            length_s = max(min(span_s * held, longest_s), SHORTEST_NOTE_S)
            own = {
                "level": loudness + swell * generator.standard_normal(),
                "tune": tune + untrue * generator.standard_normal(),
            }
            knobs = shared | _physical(space, own)
            whole = int(np.clip(round(pitch), low, high))
            notes.append(Note(whole, at_s, min(at_s + length_s, PHRASE_S), knobs))
        at_s += span_s
    return notes or random_phrase(space, generator)


def audible_s(knobs: Mapping[str, float]) -> float:
    """How long a held note can be heard: one without sustain ends when it has decayed."""
    return np.inf if knobs["sustain"] > PLUCKED else knobs["attack"] + knobs["decay"]


def _physical(space: ControlSpace, values: Mapping[str, float]) -> dict[str, float]:
    """Values of controls, 0..1 or beyond, in their units."""
    return {
        name: float(space[space.row(name)].to_physical(np.clip(value, 0, 1)))
        for name, value in values.items()
    }


def random_patch(
    space: ControlSpace, generator: np.random.Generator, manner: str = "any"
) -> dict[str, float]:
    """Knobs of a whole recording, 0..1, for one of the `MANNERS` of playing."""
    patch = {}
    for name in shared_knobs(space):
        value = generator.random() ** RARE.get(name, 1.0)
        # A knob's end is where many instruments have it.
        if name in ("sustain", "filter_env", "vibrato_depth") and generator.random() < 0.4:
            value = {"sustain": float(generator.random() < 0.5), "filter_env": 0.5}.get(name, 0.0)
        patch[name] = value
    chance = generator.random
    if manner == "struck":
        patch |= {"sustain": 0.0, "attack": 0.3 * chance(), "decay": 0.4 + 0.6 * chance()}
    elif manner == "blown":
        patch |= {"sustain": 0.5 + 0.5 * chance(), "attack": 0.3 + 0.6 * chance()}
        patch |= {"release": 0.25 + 0.6 * chance(), "wave": chance() ** 1.5}
    return patch


def one_voice(phrase: Sequence[Note]) -> list[Note]:
    """The notes as they are heard: each until the next starts, though it may ring on."""
    ends_s = [note.onset_s for note in phrase[1:]] + [np.inf]
    return [
        replace(note, offset_s=min(note.offset_s, end_s))
        for note, end_s in zip(phrase, ends_s, strict=True)
    ]


def babble_phrases(
    farm: Farm, count: int, seed: int, folder: Path, first: int = 0, what: str = "Babbling"
) -> Phrases:
    """Random phrases number `first` to `first + count` of a seed, as `hear_phrases` gives them.

    Raises PlantError if the plant could play none.
    """

    def phrase(number: int) -> list[Note]:
        return random_phrase(farm.controls, np.random.default_rng((seed, number, STREAM)))

    phrases = hear_phrases(farm, phrase, range(first, first + count), folder, what)
    if not len(phrases):
        raise PlantError(f"{farm.name} could not play any of {count} phrases; see above.")
    return phrases


def hear_phrases(
    farm: Farm, phrase: Callable[[int], list[Note]], numbers: range, folder: Path, what: str
) -> Phrases:
    """The phrases with these numbers, played and heard, kept in `folder` in shards; what stands
    there is not played again. Phrases the plant failed on, or that are all but silent, are left
    out. PlantError if the plant plays at too low a rate."""
    if farm.sample_rate_hz < RECORDING_RATE_HZ:
        raise PlantError(
            f"{farm.name} plays at {farm.sample_rate_hz} Hz; for recordings let it play at "
            f"{RECORDING_RATE_HZ} Hz or more (sample_rate_hz), or it is not heard whole."
        )
    folder.mkdir(parents=True, exist_ok=True)
    shards = []
    with farm.progress.stage(what, len(numbers)) as stage:
        for start in range(0, len(numbers), SHARD):
            some = numbers[start : start + SHARD]
            file = folder / f"{some[0]:06d}.safetensors"
            if not file.is_file():
                phrases = [phrase(number) for number in some]
                shard = _hear_shard(farm, phrases, stage, start)
                write_arrays(file, shard)
            shards.append(load_file(file))
            stage.at(start + len(some))
    return Phrases(*(np.concatenate([s[k] for s in shards]) for k in ("notes", "knobs", "heard")))


def _hear_shard(
    farm: Farm, phrases: Sequence[Sequence[Note]], stage: Stage, done: int
) -> dict[str, np.ndarray]:
    rows = []
    for number, (phrase, outcome) in enumerate(
        zip(phrases, farm.hear_notes(phrases, PHRASE_S), strict=True), 1
    ):
        if isinstance(outcome, PlantError):
            stage.say(f"left out a phrase: {outcome}")
        elif (mean := float(outcome[:CHANNELS].mean())) > SOFTEST:
            arrays = as_arrays(farm.controls, phrase)
            rows.append((*arrays, (outcome / mean).astype(np.float16)))
        stage.at(done + number)
    frames = round(PHRASE_S / FRAME_S)
    shapes = (MOST_NOTES, 5), (len(farm.controls.shared),), (RECORDING_CHANNELS, frames)
    kinds = np.float32, np.float32, np.float16
    parts = zip(*rows, strict=True) if rows else ((), (), ())
    return {
        name: np.array(part, kind).reshape(len(rows), *shape)
        for name, part, kind, shape in zip(
            ("notes", "knobs", "heard"), parts, kinds, shapes, strict=True
        )
    }


def as_arrays(
    space: ControlSpace, phrase: Sequence[Note]
) -> tuple[Float[np.ndarray, "note=40 value=5"], Float[np.ndarray, " knob"]]:
    """A phrase as numbers: what differs from note to note, and what does not."""
    notes = np.full((MOST_NOTES, 5), np.nan, np.float32)
    for row, note in zip(notes, one_voice(phrase), strict=False):
        own = (_zero_to_one(space, note, name) for name in ("level", "tune"))
        row[:] = note.pitch_midi, note.onset_s, note.offset_s, *own
    knobs = [_zero_to_one(space, phrase[0], name) for name in shared_knobs(space)]
    return notes, np.array(knobs, np.float32)


def as_phrase(
    space: ControlSpace,
    notes: Float[np.ndarray, "note value=5"],
    knobs: Float[np.ndarray, " knob"],
) -> list[Note]:
    """The inverse of `as_arrays`."""
    shared = dict(zip(shared_knobs(space), knobs, strict=True))
    phrase = []
    for pitch, onset_s, offset_s, level, tune in notes[~np.isnan(notes[:, 0])].tolist():
        physical = _physical(space, {"level": level, "tune": tune} | shared)
        phrase.append(Note(round(pitch), onset_s, offset_s, physical))
    return phrase


def _zero_to_one(space: ControlSpace, note: Note, name: str) -> float:
    return float(space[space.row(name)].from_physical(note.controls[name]))


def frame_labels(
    notes: Float[np.ndarray, "phrase note=40 value=5"], frames: int
) -> Int[np.ndarray, "phrase frame"]:
    """In each frame, which note is held, counted from 0 (-1 where none is)."""
    times_s = frame_times_s(frames)
    onsets, offsets = notes[:, :, 1, None], notes[:, :, 2, None]
    with np.errstate(invalid="ignore"):
        held = (times_s > onsets) & (times_s <= offsets + FRAME_S)
    last = held.shape[1] - 1 - held[:, ::-1].argmax(1)
    return np.where(held.any(1), last, -1)
