"""Any recording of one voice -> `Match`: its notes, and one patch that plays them.

What cannot be heard of a single note alone is taken from the whole: one set of knobs for all
notes, a tuning that all share where none strays from it, and levels measured on the sound itself,
once the plant has played the notes.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Float

from ..audio import Sound, take_sound
from ..budget import budgeted
from ..controls import ControlSpace
from ..errors import AudioError, ControlError
from ..events import Progress
from ..export.match import Match
from ..features import hear_recording
from ..metrics import spectrogram_error
from ..models.recording import SURE_ENOUGH, RecordingModel, Transcript
from ..plants import Plant
from ..plants.base import PITCHES_MIDI
from ..score import TICKS_PER_S, Note, duration_controls, midi_velocity, note_name
from ..training.phrase_sampling import shared_knobs
from .beyond import notes_beyond
from .candidates import DRAWS, different, other_patches
from .note_patching import improve_notes
from .patching import improve_patch
from .surrogate import imagine_transcript

PatchScope = Literal["shared", "per-note"]

IN_TUNE_CENTS = 8.0  # a note closer to the recording's tuning than this is in tune
SHORTEST_S = 0.02
MOST_PATCHES = 200
# Chosen by the twenty tuning instruments; `bench/beyond.py` counts what it tells apart.
ONE_VOICE = 0.92
DOUBTFUL = 0.5  # mean sureness of notes below which a user is warned
HOPELESS_DB = 25.0  # a note that the plant plays this much too soft does not set the others' level


def match_recording(
    sound: Sound,
    plant: Plant,
    model: RecordingModel,
    refine: int | None = None,
    seconds: float | None = None,
    candidates: int = 1,
    patch: PatchScope = "shared",
    seed: int = 0,
    progress: Progress | None = None,
) -> Match:
    """The notes of a recording, 0.1 s to 10 minutes long, and the patch that plays them, improved
    by `refine` renders of an excerpt, or for so many `seconds`. Of several candidates, which share
    these, the best; the others are its `others`. With the patch "per-note" each note has its own,
    and renders are of the whole.

    Raises AudioError for a sound that cannot be used, or in which no notes are heard.
    """
    progress = progress or Progress()
    rate_hz = plant.sample_rate_hz
    target, warnings = take_sound(sound, rate_hz)
    target_heard = hear_recording(target, rate_hz)
    transcript = read(model, target_heard)
    notes = plant_notes(plant, transcript, len(target) / rate_hz, patch)
    if not notes:
        raise AudioError(
            "no notes were heard in the sound; give a recording of one voice at a time, sung or "
            "played, between C1 and C7."
        )
    if patch == "per-note" and len(notes) > MOST_PATCHES:
        raise ControlError(
            f"{len(notes)} notes were heard, and {MOST_PATCHES} can have a patch each; leave out "
            "per-note, or cut the recording."
        )
    first = play_at_levels(plant, notes, target, target_heard)
    patches = [first.notes]
    if candidates > 1:
        draws = 1 + DRAWS * (candidates - 1)
        with budgeted(progress, draws, None, "Trying other patches") as budget:
            patches += other_patches(
                plant, first.notes, transcript.sure, target, candidates - 1, budget, seed
            )
    found = [first, *(play_at_levels(plant, one, target, target_heard) for one in patches[1:])]
    for number, played in enumerate(found):
        renders, time_s = _share(refine, seconds, number, len(found))
        if progress.cancelled or 0 in (renders, time_s) or (renders, time_s) == (None, None):
            continue
        what = f"Refining {number + 1} of {len(found)}" if len(found) > 1 else "Refining"
        with budgeted(progress, renders, time_s, what) as budget:
            if patch == "shared":
                # The decoder would bring all candidates to the same patch.
                ear = None if number else model
                better = improve_patch(plant, played.notes, target, budget, ear, seed)
            else:
                better = improve_notes(plant, played.notes, target, budget, seed)
        refined = play_at_levels(plant, better, target, target_heard)
        found[number] = min(played, refined, key=lambda played: played.error)
    kept: list[Played] = []
    for played in sorted(found, key=lambda played: played.error):
        if all(different(played.heard, one.heard, target_heard) for one in kept):
            kept.append(played)
    warnings += _warnings(transcript, first.notes, target, rate_hz)
    if len(kept) < candidates:
        warnings.append(f"Of {candidates} candidates, {len(kept)} that sound different were found.")
    sure = dict(zip(shared_knobs(plant.controls), transcript.sure.tolist(), strict=True))
    matches = [
        Match(
            plant,
            as_controls(plant.controls, played.notes, len(target) / rate_hz),
            played.notes,
            played.audio,
            target,
            rate_hz,
            target_heard,
            played.heard,
            {"spectrogram_error": played.error},
            sure=sure,
            one_voice=transcript.one_voice,
            warnings=warnings,
        )
        for played in kept
    ]
    return replace(matches[0], others=matches[1:])


def read(model: RecordingModel, heard: Float[np.ndarray, "channel=176 frame"]) -> Transcript:
    """What is heard of a recording, and the knobs with which the decoder expects it. No render."""
    transcript = model.transcribe(heard)
    return imagine_transcript(model, transcript, heard) if transcript.notes else transcript


def _share(
    refine: int | None, seconds: float | None, number: int, parts: int
) -> tuple[int | None, float | None]:
    """What one of several candidates may spend; the first get what is left over."""
    renders = None if refine is None else refine // parts + (number < refine % parts)
    return renders, None if seconds is None else seconds / parts


class Played(NamedTuple):
    """Notes, and how they sound in comparison with a target."""

    notes: list[Note]
    audio: Float[np.ndarray, " sample"]
    heard: Float[np.ndarray, "channel=176 frame"]
    error: float


def play_at_levels(
    plant: Plant,
    notes: Sequence[Note],
    target: Float[np.ndarray, " sample"],
    target_heard: Float[np.ndarray, "channel=176 frame"],
) -> Played:
    """The notes at the levels that the target has, and how they sound."""
    # The plant's velocity scales a note and changes nothing else: each is played once.
    top = plant.controls[plant.controls.row("level")].high
    loudest = [replace(note, controls=note.controls | {"level": top}) for note in notes]
    sounds = [
        plant.play([replace(note, onset_s=0.0, offset_s=note.offset_s - note.onset_s)])
        for note in loudest
    ]
    for _ in range(2):  # notes ring into each other, so what is measured changes with the levels
        audio = _mixed(plant, notes, sounds, len(target))
        notes = with_levels(plant, notes, target, audio)
    audio = _mixed(plant, notes, sounds, len(target))
    del sounds  # of ten minutes, hundreds of megabytes
    heard = hear_recording(audio, plant.sample_rate_hz)
    return Played(list(notes), audio, heard, spectrogram_error(target_heard, heard))


def _mixed(
    plant: Plant,
    notes: Sequence[Note],
    sounds: Sequence[Float[np.ndarray, " sample"]],
    samples: int,
) -> Float[np.ndarray, " sample"]:
    """What `plant.play` plays, from the sounds of its notes at their loudest."""
    audio = np.zeros(samples, np.float32)
    for note, sound in zip(notes, sounds, strict=True):
        start = round(note.onset_s * plant.sample_rate_hz)
        room = audio[start : start + len(sound)]
        room += np.float32((midi_velocity(note.controls["level"]) / 127) ** 2) * sound[: len(room)]
    return audio


def plant_notes(
    plant: Plant, transcript: Transcript, duration_s: float, patch: PatchScope = "shared"
) -> list[Note]:
    """What was heard as notes for the plant, in physical units; times as a MIDI file can say
    them."""
    space = plant.controls
    tune, level = (space[space.row(name)] for name in ("tune", "level"))
    kept = [
        note
        for note in transcript.notes
        if note.sure >= SURE_ENOUGH
        and note.pitch_midi in PITCHES_MIDI
        and _on_tick(note.onset_s) < duration_s
    ]
    if not kept:
        return []
    cents = np.array([tune.to_physical(0.5 + 0.5 * note.tune) for note in kept])
    common = float(np.median(cents))
    cents = np.where(np.abs(cents - common) < IN_TUNE_CENTS, common, cents)
    loudest = max(note.level for note in kept)
    onsets_s = [_on_tick(note.onset_s) for note in kept]
    notes = []
    for note, own_tune, onset_s, next_s in zip(
        kept, cents, onsets_s, [*onsets_s[1:], duration_s], strict=True
    ):
        offset_s = _on_tick(min(max(note.offset_s, onset_s + SHORTEST_S), next_s))
        own = {
            "level": float(level.to_physical(np.clip(1 + note.level - loudest, 0, 1))),
            "tune": float(own_tune),
        }
        knobs = transcript.knobs if patch == "shared" else note.knobs
        shared = {
            control.name: float(control.to_physical(value))
            for control, value in zip(space.shared, knobs, strict=True)
        }
        if offset_s > onset_s:
            notes.append(Note(note.pitch_midi, onset_s, offset_s, own | shared, note.sure))
    return notes


def as_controls(
    space: ControlSpace, notes: Sequence[Note], duration_s: float
) -> Float[np.ndarray, "control note"]:
    """The notes as controls: `duration` is the time to the next note, in proportion to others'."""
    onsets_s = np.array([note.onset_s for note in notes])
    spans_s = np.diff(onsets_s, append=max(duration_s, onsets_s[-1] + SHORTEST_S))
    rows = {
        "pitch": space[space.row("pitch")].from_physical([note.pitch_midi for note in notes]),
        "duration": duration_controls(np.maximum(spans_s, 1e-3)),
    }
    for control in space:
        if control.name not in rows:
            values = [note.controls[control.name] for note in notes]
            rows[control.name] = np.clip(control.from_physical(values), 0, 1)
    return np.stack([rows[name] for name in space.names])


def with_levels(
    plant: Plant,
    notes: Sequence[Note],
    target: Float[np.ndarray, " sample"],
    audio: Float[np.ndarray, " sample"],
) -> list[Note]:
    """The notes as loud, in relation to each other, as the target has them, judged by `audio`,
    which is the plant playing them. The loudest gets the highest level."""
    level = plant.controls[plant.controls.row("level")]
    ends_s = [note.onset_s for note in notes[1:]] + [len(target) / plant.sample_rate_hz]
    missing_db = np.empty(len(notes))
    for number, (note, end_s) in enumerate(zip(notes, ends_s, strict=True)):
        end_s = min(max(end_s, note.onset_s + SHORTEST_S), note.offset_s + SHORTEST_S)
        span = slice(
            int(note.onset_s * plant.sample_rate_hz), int(end_s * plant.sample_rate_hz) + 1
        )
        missing_db[number] = _loudness_db(target[span]) - _loudness_db(audio[span])
    wanted_db = np.array([note.controls["level"] for note in notes]) + missing_db
    hopeless = missing_db > np.median(missing_db) + HOPELESS_DB
    wanted_db += level.high - wanted_db[~hopeless].max()
    return [
        replace(note, controls=note.controls | {"level": float(np.clip(db, level.low, level.high))})
        for note, db in zip(notes, wanted_db, strict=True)
    ]


def _loudness_db(samples: Float[np.ndarray, " sample"]) -> float:
    power = float(np.mean(np.square(samples, dtype=np.float64))) if len(samples) else 0.0
    return 10 * np.log10(max(power, 1e-12))


def _on_tick(time_s: float) -> float:
    return round(max(time_s, 0.0) * TICKS_PER_S) / TICKS_PER_S


def voice_warnings(transcript: Transcript, allowance: float = 0.0) -> list[str]:
    """A sentence for a user if several notes sound at once; `allowance` lowers the threshold."""
    if transcript.one_voice >= ONE_VOICE - allowance:
        return []
    return [
        "Several notes seem to sound at once, and the strongest line was taken (one voice: "
        f"{100 * transcript.one_voice:.0f} % sure); give a recording of one voice."
    ]


def _warnings(
    transcript: Transcript,
    notes: Sequence[Note],
    target: Float[np.ndarray, " sample"],
    sample_rate_hz: int,
) -> list[str]:
    """What a user should know of a recording, in sentences."""
    above, below = notes_beyond(target, sample_rate_hz, notes, PITCHES_MIDI)
    # A note beyond the range is read as several.
    warnings = voice_warnings(transcript, allowance=0.5 * (above + below) / len(notes))
    if warnings:
        below = 0  # some chords have periods as long as low notes
    lowest, highest = note_name(PITCHES_MIDI[0]), note_name(PITCHES_MIDI[-1])
    warnings += [
        f"{count} of {len(notes)} notes seem to lie {where} that is read; they were given other "
        "pitches."
        for count, where in (
            (above, f"above {highest}, the highest"),
            (below, f"below {lowest}, the lowest"),
        )
        if count
    ]
    sure = float(np.mean([n.sure for n in transcript.notes if n.sure >= SURE_ENOUGH]))
    if sure < DOUBTFUL:
        warnings.append(
            f"Much of what was heard is a guess (notes are {100 * sure:.0f} % sure on average); "
            "the sound may hold no single voice, or be full of noise or room."
        )
    return warnings
