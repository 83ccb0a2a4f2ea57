"""One target sound -> `Match`: the controls with which a plant sounds like it.

Recordings are matched in `recordings.py`, the melodies of the paper (five notes in 2 s) here.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float

from .. import notebook
from ..audio import Sound
from ..budget import budgeted
from ..controls import ControlSpace, Value
from ..errors import CheckpointError, ControlError
from ..events import Progress
from ..export.match import Match
from ..features import hear, hear_recording
from ..metrics import spectrogram_error
from ..models.mirrornet import MirrorNet, load_model, shipped, ships
from ..plants import Plant, find_plant, is_file, load_plant, usual_controls
from ..runtime import ONE_THREAD, own_settings
from ..score import LOWEST_PITCH_MIDI, PITCH_SPAN, melody_score, note_name
from ..tempo import parts_of, tempo_of
from .given import given_of
from .melody_sound import melody_sound
from .melody_surrogate import MelodySurrogate, optimise_melody, round_pitch
from .objective import MelodyObjective
from .recordings import PatchScope, TimbreScope, match_recording, voice_warnings
from .refine import refine_melody
from .timbre import knobs_plant
from .transcribe import transcribe

EXPORT_RATE_HZ = 44100
NOTES = 5
CLEARLY = 0.5  # least confidence of a note outside the melodies' octave to be counted


def check_plays(model: MirrorNet, plant: str, controls: ControlSpace) -> None:
    """Raise CheckpointError unless the model was trained on this plant with these controls."""
    if plant != model.plant:
        raise CheckpointError(
            f"the model plays {model.plant}, not {plant}; choose that plant, or a model for this "
            f"one (--model; `mirrornet learn --plant {plant}` makes it)."
        )
    if controls.fingerprint != model.controls.fingerprint:
        raise CheckpointError(
            f"the controls of {plant} are not those that the model plays "
            f"({'; '.join(model.controls.differences(controls))}); choose the plant it learned on."
        )


@own_settings()
def match(
    sound: Sound,
    plant: str | Plant = "vital",
    model: MirrorNet | str | Path | None = None,
    refine: int | None = None,
    seconds: float | None = None,
    candidates: int = 1,
    patch: PatchScope = "shared",
    seed: int = 0,
    start: str | Path | Mapping[str, Value] | None = None,
    lock: Mapping[str, Value | None] | None = None,
    timbre: TimbreScope | None = None,
    tempo: float | str = "auto",
    quantize: str | None = None,
    progress: Progress | None = None,
) -> Match:
    """Find the notes and knob settings that make `plant` sound like `sound`.

    Args:
        sound: a sound file, or `(samples, sample_rate_hz)`: one voice, 0.01 s to 10 minutes. With
            a `model` for melodies: five notes in 2 s (1.5 to 2.5 s are cut or padded to 2 s).
        plant: a plant, rendered at its sample rate; or a plant's name, rendered at
            `EXPORT_RATE_HZ`.
        model: a model or its path, for recordings or for the melodies of the paper. None: the
            shipped model for the plant and its control set; for a plant's name, the one for
            recordings. If none ships, the patch is searched with the renders of `refine` or
            the time of `seconds`.
        refine, seconds: limits of refinement in renders and in seconds; it ends at the first that
            is reached. With neither, the answer is that of encoder and decoder, without refinement.
        candidates: number of answers for a recording that sound different: the best is returned,
            with the others as its `others`. They share the limits of refinement.
        patch: for recordings: "shared", one patch for all notes, which a preset and a MIDI file can
            play; or "per-note", as in the melodies of the paper.
        seed: random seed of refinement and candidates; the same seed gives the same match, unless
            `seconds` is given.
        start: for recordings: where the patch begins: a preset of the plant's synthesizer, a
            `controls.json`, or values of controls by name.
        lock: for recordings: controls of the patch that stay, with their values; None is the value
            of `start`.
        timbre: for recordings: "knobs", a patch of the plant's knobs; "wavetable", amplitudes of
            harmonics and noise over time, fitted to the recording, for plants that can play them;
            "auto", the one that sounds closer, which takes two renders (of a drum up to four)
            beside those of refinement. None: "auto" for a plant with its usual controls that can,
            unless a model is named, or something that only knobs have; else "knobs".
        tempo: of a recording's MIDI file: "auto", estimated from the notes; 20 to 400 beats per
            minute; or "none", 120. Notes stay where they were heard, unless quantized.
        quantize: "1/4", "1/8", "1/12", "1/16", "1/24" or "1/32" of a whole note, to whose multiples
            notes move in the MIDI file.
        progress: receives reports; `progress.cancel()`, from any thread, ends refinement with the
            best answer so far. None: bars in a notebook, else nothing.

    Raises AudioError, PlantError, CheckpointError or ControlError; the message says what to do.
    """
    if refine is not None and refine < 0:
        raise ControlError(f"refine is a number of renders, 0 or more; got {refine}.")
    if seconds is not None and not 0 <= seconds < math.inf:
        raise ControlError(f"seconds is a time, 0 or more; got {seconds}.")
    if candidates < 1:
        raise ControlError(f"candidates is a number of answers, 1 or more; got {candidates}.")
    if patch not in get_args(PatchScope):
        raise ControlError(f"a patch is {' or '.join(get_args(PatchScope))}, not {patch!r}.")
    if timbre not in (None, *get_args(TimbreScope)):
        raise ControlError(f"a timbre is {' or '.join(get_args(TimbreScope))}, not {timbre!r}.")
    usual = model is None
    if isinstance(model, str | Path):
        model = load_model(model)
    if isinstance(plant, str):
        plant = plant_for(plant, model)
    if plant.controls.name == plant.timbre_set:  # notes and vibrato are read for its knobs
        timbre, plant = "wavetable", knobs_plant(plant, model and model.controls.name)
    for_knobs = candidates > 1 or patch == "per-note" or start is not None or bool(lock)
    able = plant.timbre_set is not None and not plant.controls.is_melody
    if timbre is None:
        usual = usual and able and plant.controls.name == usual_controls(plant.spec.name)
        timbre = "auto" if usual and not for_knobs else "knobs"
    if timbre == "wavetable" and not able:
        raise ControlError(
            f"{plant.name} ({plant.controls.name}) plays no wavetables; leave out timbre, or match "
            "a recording with vital."
        )
    if timbre != "knobs" and for_knobs:
        raise ControlError(
            "candidates, patch, start and lock are for knobs; leave them out, or leave out timbre."
        )
    if candidates > 1 and patch == "per-note":
        raise ControlError("several candidates are for one shared patch; leave out one of the two.")
    parts = 0 if quantize is None else parts_of(quantize)
    tempo_of(tempo, [])  # refuse a bad one before the work
    if parts and tempo == "none":
        raise ControlError("notes are quantized to the beats of a tempo; leave out one of the two.")
    search = model is None and not ships(plant.controls, plant.name)
    if model is None:
        model = shipped_for(plant, allows_renders(refine, seconds))
    if not search:
        check_plays(model, plant.name, plant.controls)
    if search and patch == "per-note":
        raise ControlError("without weights for the plant, one patch is searched; leave out patch.")
    progress = progress or notebook.progress()
    with ONE_THREAD:
        if model.architecture == "recording":
            given = given_of(plant, start, lock)
            how = (refine, seconds, candidates, patch, seed, given, timbre, progress)
            found = match_recording(sound, plant, model, search, *how)
            beats = tempo_of(tempo, [note.onset_s for note in found.score.notes])
            if parts and beats is None:
                found.warnings.append(
                    "There are too few notes to tell a tempo, so none was quantized; give it with "
                    "tempo."
                )
            others = [replace(one, tempo=beats, quantized=parts) for one in found.others]
            return replace(found, tempo=beats, quantized=parts, others=others)
        if tempo != "auto" or parts:
            raise ControlError("tempo and quantize are for recordings; leave them out.")
        if start is not None or lock:
            raise ControlError("start and lock are for recordings; leave them out.")
        if candidates > 1:
            raise ControlError("a melody of the paper has one answer; leave out candidates.")
        if patch == "per-note":
            raise ControlError(
                "a melody of the paper has its knobs per note anyway; leave out patch."
            )
        return _match_melody(sound, plant, model, refine, seconds, seed, progress)


def plant_for(name: str, model: MirrorNet | None = None, controls: str | None = None) -> Plant:
    """The plant of that name at `EXPORT_RATE_HZ`, with the given control set; else with that of the
    model, if it has it; else with the usual one.

    Raises PlantError if there is no such plant or control set.
    """
    kind = find_plant(name)
    if controls is None and kind.timbre_set == usual_controls(name):
        controls = kind.timbre_set
    if controls is None and model and model.controls.name in kind.control_sets:
        controls = model.controls.name
    controls = controls or usual_controls(name)
    return load_plant(name, controls=controls, sample_rate_hz=EXPORT_RATE_HZ)


def allows_renders(refine: int | None, seconds: float | None) -> bool:
    """Whether limits of refinement allow any render."""
    return (refine is not None or seconds is not None) and 0 not in (refine, seconds)


def shipped_for(plant: Plant, renders: bool) -> MirrorNet:
    """The weights that ship for the plant; if none do, those that find notes, whose patch is to be
    searched with renders.

    Raises CheckpointError if a patch cannot be searched.
    """
    if ships(plant.controls, plant.name):
        return MirrorNet.load(shipped(plant.controls.name, plant.name))
    if plant.controls.name == plant.timbre_set:
        return MirrorNet.load(shipped("patch"))
    if plant.controls.is_melody or not renders:
        search, how = "add --refine 500 to search with renders, or ", " --start shipped"
        if plant.controls.is_melody:
            search = how = ""
        name = plant.spec.name if is_file(plant.spec.name) else plant.name
        raise CheckpointError(
            f"no weights ship for {plant.name} ({plant.controls.name}); {search}learn some with "
            f"`mirrornet learn --plant {name}{how}`, and name them with --model."
        )
    return MirrorNet.load(shipped("patch"))


def _match_melody(
    sound: Sound,
    plant: Plant,
    model: MirrorNet,
    refine: int | None,
    seconds: float | None,
    seed: int,
    progress: Progress,
) -> Match:
    """Match a melody of five notes in 2 s, with knobs for each note."""
    rate_hz = plant.sample_rate_hz
    target, warnings = melody_sound(sound, rate_hz)
    target_heard = hear(target, rate_hz)
    listened = torch.from_numpy(hear(target, rate_hz, model.hearing))
    controls = model.guess(listened[None], NOTES)[0].numpy().astype(np.float64)
    if model.hearing == "loudness":
        controls = optimise_melody(model, listened, controls)
    if (refine or seconds) and 0 not in (refine, seconds):
        with budgeted(progress, refine, seconds) as budget:
            start = round_pitch(model.controls, controls)
            objective = MelodyObjective(model.controls, target_heard, start)
            ear = MelodySurrogate(model, objective) if model.hearing == "loudness" else None
            controls = refine_melody(plant, objective, budget, ear, seed)
    one_voice, more = _what_else_sounds(target, rate_hz)
    score = melody_score(plant.controls, controls)
    audio = plant.render(score)
    heard = hear(audio, rate_hz)
    error = spectrogram_error(target_heard, heard)
    return Match(
        plant,
        controls,
        score,
        audio,
        target,
        rate_hz,
        target_heard,
        heard,
        {"spectrogram_error": error},
        one_voice=one_voice,
        warnings=warnings + more,
    )


def _what_else_sounds(
    target: Float[np.ndarray, " sample"], sample_rate_hz: int
) -> tuple[float, list[str]]:
    """The confidence that a melody is one voice, and warnings about chords and notes outside the
    paper's octave, which networks for melodies cannot read; from the model for recordings."""
    heard = hear_recording(target, sample_rate_hz)
    transcript = transcribe(MirrorNet.load(shipped("patch")), heard)
    pitches = [note.pitch_midi for note in transcript.notes if note.confidence >= CLEARLY]
    lowest, highest = LOWEST_PITCH_MIDI, LOWEST_PITCH_MIDI + PITCH_SPAN
    beyond = sum(not lowest <= pitch <= highest for pitch in pitches)
    warnings = voice_warnings(transcript)
    if beyond > 1:  # one may be a deep vibrato at the edge
        warnings.append(
            f"{beyond} of {len(pitches)} notes seem to lie beyond {note_name(lowest)} to "
            f"{note_name(highest)}, which is all that this control set plays; for other notes "
            "leave out --controls."
        )
    return transcript.one_voice, warnings
