"""Any recording of one voice -> `Match`: its notes, and one patch that plays them.

What a single note does not determine is estimated from the whole recording: one patch for all
notes, a common tuning for notes near it, and levels measured by comparing the sound with the
plant's render of the notes.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

from ..audio import Sound, take_sound
from ..budget import budgeted
from ..controls import ControlSpace
from ..errors import AudioError, ControlError
from ..events import Progress
from ..export.match import Match
from ..features import hear_recording
from ..models.mirrornet import MirrorNet
from ..plants import Plant
from ..plants.base import PITCHES_MIDI
from ..score import Note, Score, as_score, knob_controls, note_name, on_tick
from .beyond import notes_beyond
from .candidates import DRAWS, different, other_patches
from .given import NOTHING, Given
from .levels import SHORTEST_S, Played, Spectrogram, play_at_levels
from .one_shot import ONE_SHOT, is_one_shot, may_be_one_shot, one_shots
from .refine import refine_recording
from .search import search_patch, without_patch
from .surrogate import PatchSurrogate, note_values, optimise_transcript, recalled_patches
from .timbre import TimbreMatch, fit_notes, timbre_plant
from .transcribe import CONFIDENT, HeardNote, Transcript, transcribe

PatchScope = Literal["shared", "per-note"]
TimbreScope = Literal["knobs", "wavetable", "auto"]

IN_TUNE_CENTS = 8.0  # a note closer than this to the common tuning gets the common tuning
MOST_PATCHES = 200  # per-note
# Below it a recording counts as polyphonic. Chosen on the twenty tuning instruments;
# `bench/beyond.py` counts its errors.
ONE_VOICE = 0.92
TIMBRE_RENDERS = 2  # at once: the first shows how the plant differs from the prediction
# If neither is closer by this factor at once, knobs and timbre share the renders of refinement.
NEAR = 1.5
RECALLED = 24  # patches of the memory to try
DOUBTFUL = 0.5  # mean confidence of notes below which the user is warned


def match_recording(
    sound: Sound,
    plant: Plant,
    model: MirrorNet,
    search: bool = False,
    refine: int | None = None,
    seconds: float | None = None,
    candidates: int = 1,
    patch: PatchScope = "shared",
    seed: int = 0,
    given: Given = NOTHING,
    timbre: TimbreScope = "knobs",
    progress: Progress | None = None,
    known: Sequence[Note] = (),
) -> Match:
    """Match a recording of 0.01 s to 10 minutes: its notes and the patch that plays them.

    The arguments are those of `match.match`; the plant has the model's controls. With `search` the
    model finds the notes only. Then, and if the model remembers patches, half of the limits of
    refinement are for a search of the patch, unless a whole patch is `given` to start at.
    With the `timbre` "wavetable" notes and vibrato are played by the plant's control set that has a
    timbre, fitted to the recording; with "auto" if that is closer.
    Refinement renders an excerpt, or the whole recording if the patch is "per-note". If notes are
    `known`, with the plant's keys, their pitches and times are not read.

    Raises AudioError for a sound that cannot be used or has no notes, ControlError for more notes
    than can have a patch each.
    """
    progress = progress or Progress()
    rate_hz = plant.sample_rate_hz
    target, warnings = take_sound(sound, rate_hz)
    duration_s = len(target) / rate_hz
    target_heard = hear_recording(target, rate_hz)
    known = [replace(note, pitch_midi=note.pitch_midi + plant.transposition) for note in known]
    if search:
        transcript = read(model, target_heard, patch=False, known=known)
        transcript = without_patch(transcript, plant, seed)
        transcript = given.transcript(transcript, plant.controls.patch)
    else:
        transcript = read(model, target_heard, given=given, known=known)
    locked = given.locked(plant.controls.patch)
    score = plant_score(plant, transcript, duration_s, patch)
    progress.found(score.notes)
    instrument = timbre_plant(plant) if timbre != "knobs" else None
    fits, is_shot, by_likeness = [], False, 0
    if instrument and score.notes:
        fit = TimbreMatch if known else fit_notes
        fits = [fit(instrument, score, target, target_heard)]
        by_likeness = sum(
            note.pitch_midi != old.pitch_midi
            for note, old in zip(fits[0].score.notes, score.notes, strict=True)
        )
        score = fits[0].score
    if instrument and _certainty(transcript) < DOUBTFUL and may_be_one_shot(target_heard):
        scores = one_shots(instrument, target, target_heard, duration_s)
        shots = [TimbreMatch(instrument, one, target, target_heard) for one in scores]
        if is_shot := is_one_shot(fits[0] if fits else None, shots):
            score, fits = scores[0], shots
    unplayed = sum(not _has_key(plant, note) for note in transcript.notes)
    if unplayed and not is_shot:
        warnings.append(f"{unplayed} notes that were heard lie beyond the keys of {plant.name}.")
    if not score.notes:
        raise AudioError(
            "no notes were heard in the sound; give a recording of one voice at a time, sung or "
            "played, between A0 and C8."
        )
    if patch == "per-note" and len(score.notes) > MOST_PATCHES:
        raise ControlError(
            f"{len(score.notes)} notes were heard, and {MOST_PATCHES} can have a patch each; leave "
            "out per-note, or cut the recording."
        )
    limited = (refine, seconds) != (None, None)
    about = {
        "confidence": {} if search else _by_control(plant.controls.patch, transcript.confidence),
        "one_voice": transcript.one_voice,
        "warnings": warnings,
    }
    if is_shot:
        warnings.append(ONE_SHOT)
    else:
        warnings += _warnings(transcript, score.notes, target, rate_hz)
    if by_likeness and not is_shot:
        warnings.append(
            f"{by_likeness} of {len(score.notes)} pitches were taken from other notes that sound "
            "alike, as those of bells and bars are hard to read."
        )
    first: Played | None = None
    table: Match | None = None
    if instrument:
        tried = []
        for fit in fits:
            with budgeted(progress, TIMBRE_RENDERS, None, "Fitting the timbre") as budget:
                tried.append((fit.play(budget), fit))
        played, fit = min(tried, key=lambda one: one[0].error)
        if timbre == "auto" and not is_shot:
            first = play_at_levels(plant, score, target, target_heard)
        lead = first.error / played.error if first else math.inf
        renders = limited and 0 not in (refine, seconds) and not progress.cancelled
        if renders and lead > 1 / NEAR:
            share = (refine, seconds) if lead > NEAR else _halves(refine, seconds)
            with budgeted(progress, *share, "Refining the timbre") as budget:
                played = fit.play(budget)
            refine, seconds = budget.left_of(refine, seconds)
        table = _answer(instrument, played, target, target_heard, about | {"confidence": {}})
        if lead > (NEAR if renders else 1):
            return table
    searched = patch == "shared" and not given.start.keys() >= {*plant.controls.patch.names}
    if searched and limited and (search or len(model.encoder.memory)):
        half = _halves(refine, seconds)
        recalled = [] if search else recall(model, transcript, target_heard)
        with budgeted(progress, *half, "Searching") as budget:
            score = search_patch(plant, score, target, budget, recalled, seed, locked)
        refine, seconds, first = None if refine is None else refine - refine // 2, half[1], None
    first = first or play_at_levels(plant, score, target, target_heard)
    scores = [first.score]
    if candidates > 1:
        draws = 1 + DRAWS * (candidates - 1)
        with budgeted(progress, draws, None, "Trying other patches") as budget:
            scores += other_patches(
                plant,
                first.score,
                transcript.confidence,
                target,
                candidates - 1,
                budget,
                seed,
                locked,
            )
    found = [first, *(play_at_levels(plant, one, target, target_heard) for one in scores[1:])]
    for number, played in enumerate(found):
        renders, time_s = _share(refine, seconds, number, len(found))
        unlimited = (renders, time_s) == (None, None)
        if progress.cancelled or 0 in (renders, time_s) or unlimited:
            continue
        name = f"Refining {number + 1} of {len(found)}" if len(found) > 1 else "Refining"
        with budgeted(progress, renders, time_s, name) as budget:
            # The decoder predicts one patch only, and would move all candidates to the same one.
            foreseen = played.score.one_patch and not number and not search
            surrogate = partial(PatchSurrogate, model, seed=seed) if foreseen else None
            better = refine_recording(plant, played.score, target, budget, surrogate, seed, locked)
        refined = play_at_levels(plant, better, target, target_heard)
        found[number] = min(played, refined, key=lambda played: played.error)
    kept: list[Played] = []
    for played in sorted(found, key=lambda played: played.error):
        if all(different(played.heard, one.heard, target_heard) for one in kept):
            kept.append(played)
    if len(kept) < candidates:
        about["warnings"].append(
            f"Of {candidates} candidates, {len(kept)} that sound different were found."
        )
    if table is not None and table.distances["spectrogram_error"] < kept[0].error:
        return table
    matches = [_answer(plant, played, target, target_heard, about) for played in kept]
    return replace(matches[0], others=matches[1:])


def _answer(
    plant: Plant,
    played: Played,
    target: Float[np.ndarray, " sample"],
    target_heard: Spectrogram,
    about: dict[str, Any],
) -> Match:
    return Match(
        plant,
        knob_controls(plant.controls, played.score.resolved),
        played.score,
        played.audio,
        target,
        plant.sample_rate_hz,
        target_heard,
        played.heard,
        {"spectrogram_error": played.error},
        **about,
    )


def read(
    model: MirrorNet,
    heard: Float[np.ndarray, "channel=176 frame"],
    patch: bool = True,
    given: Given = NOTHING,
    known: Sequence[Note] = (),
) -> Transcript:
    """Transcribe a recording and, with `patch`, optimise its patch through the decoder; without
    renders. Values that are `given` are taken, or kept; `known` notes are as in `transcribe`."""
    transcript = transcribe(model, heard, known)
    if not patch or not transcript.notes:
        return transcript
    transcript = given.transcript(transcript, model.controls.patch)
    better = optimise_transcript(model, transcript, heard, given)
    return Given(lock=given.lock).transcript(better, model.controls.patch)


def recall(
    model: MirrorNet, transcript: Transcript, heard: Float[np.ndarray, "channel=176 frame"]
) -> list[Float[np.ndarray, " row"]]:
    """Patches of the model's memory that may sound as the recording; the most promising first."""
    notes = [note for note in transcript.notes if note.confidence >= CONFIDENT]
    if not notes:
        return []
    return recalled_patches(model, note_values(model, notes), heard, RECALLED)


def plant_score(
    plant: Plant, transcript: Transcript, duration_s: float, patch: PatchScope = "shared"
) -> Score:
    """A transcript as a score for the plant, with times rounded to ticks of a MIDI file."""
    space = plant.controls
    kept = [
        note
        for note in transcript.notes
        if note.confidence >= CONFIDENT
        and _has_key(plant, note)
        and on_tick(note.onset_s) < duration_s
    ]
    if not kept:
        return Score([], {}, duration_s)
    owns = _own_controls(space.own, kept)
    onsets_s = [on_tick(note.onset_s) for note in kept]
    notes = []
    for note, own, onset_s, next_s in zip(
        kept, owns, onsets_s, [*onsets_s[1:], duration_s], strict=True
    ):
        offset_s = on_tick(min(max(note.offset_s, onset_s + SHORTEST_S), next_s))
        rows = transcript.knobs if patch == "shared" else np.array(note.knobs)
        if offset_s > onset_s:
            controls = own | space.patch.from_vector(rows)
            key = note.pitch_midi - plant.transposition
            notes.append(Note(key, onset_s, offset_s, controls, note.confidence, note.glide))
    return as_score(space, notes, duration_s)


def _has_key(plant: Plant, note: HeardNote) -> bool:
    return note.pitch_midi - plant.transposition in PITCHES_MIDI


def _own_controls(own: ControlSpace, notes: Sequence[HeardNote]) -> list[dict[str, Any]]:
    """The notes' own controls: tunes near the common one (the median) are set to it, and the
    loudest note gets the highest level."""
    tune, level = own.of_role("tune"), own.of_role("level")
    others = ControlSpace(c for c in own if c.role not in ("level", "tune"))
    found: list[dict[str, Any]] = [others.from_vector(np.array(note.own)) for note in notes]
    if tune:
        cents = np.array([tune.to_physical(0.5 + 0.5 * note.tune) for note in notes])
        common = float(np.median(cents))
        cents = np.where(np.abs(cents - common) < IN_TUNE_CENTS, common, cents)
        for controls, value in zip(found, cents, strict=True):
            controls[tune.name] = float(value)
    if level:
        loudest = max(note.level for note in notes)
        for controls, note in zip(found, notes, strict=True):
            place = np.clip(1 + note.level - loudest, 0, 1)
            controls[level.name] = float(level.to_physical(place))
    return found


def _certainty(transcript: Transcript) -> float:
    """The mean confidence of the notes that are played; 0 without any."""
    sure = [note.confidence for note in transcript.notes if note.confidence >= CONFIDENT]
    return float(np.mean(sure)) if sure else 0.0


def _by_control(space: ControlSpace, rows: Float[np.ndarray, " row"]) -> dict[str, float]:
    """The mean of each control's rows."""
    starts = {control.name: space.row(control.name) for control in space}
    return {c.name: float(rows[starts[c.name] : starts[c.name] + c.size].mean()) for c in space}


def _halves(refine: int | None, seconds: float | None) -> tuple[int | None, float | None]:
    return None if refine is None else refine // 2, None if seconds is None else seconds / 2


def _share(
    refine: int | None, seconds: float | None, number: int, parts: int
) -> tuple[int | None, float | None]:
    """The limits of refinement for one of several candidates; the first ones get the remainder."""
    renders = None if refine is None else refine // parts + (number < refine % parts)
    return renders, None if seconds is None else seconds / parts


def voice_warnings(transcript: Transcript, allowance: float = 0.0) -> list[str]:
    """A warning if several notes sound at once; `allowance` lowers the threshold `ONE_VOICE`."""
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
    """Warnings about polyphony, notes outside the range, and low confidence."""
    above, below = notes_beyond(target, sample_rate_hz, notes, PITCHES_MIDI)
    # A note outside the range is read as several pitches at once.
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
    confidence = _certainty(transcript)
    if confidence < DOUBTFUL:
        warnings.append(
            f"Much of what was heard is a guess (notes are {100 * confidence:.0f} % sure on "
            "average); the sound may hold no single voice, or be full of noise or room."
        )
    return warnings
