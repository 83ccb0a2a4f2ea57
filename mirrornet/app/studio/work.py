"""The jobs of the studio: what its worker processes do. See `workshop.py`.

A job is a function of the worker's desk, a progress and arguments. Arrays of sounds stay in files
of the visitor's folder; jobs return what is ready for JSON, or bytes as `wire.py` packs them.
"""

import math
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ...audio import resample, take_sound
from ...budget import budgeted
from ...errors import AudioError, ControlError, MirrorNetError
from ...events import Event, Progress
from ...export.answer import Answer
from ...export.files import save_match
from ...export.midi import midi
from ...export.report import in_words, percent
from ...export.score_json import as_json, score_json
from ...export.views import shown
from ...features import (
    FRAME_S,
    compressed,
    hear_recording,
    hear_wide,
    uncompressed,
)
from ...matching.forward import ForwardModel
from ...matching.match import EXPORT_RATE_HZ
from ...matching.match import match as find
from ...matching.refine import refine_recording
from ...matching.surrogate import PatchSurrogate
from ...matching.timbre import TimbreMatch
from ...metrics import spectrogram_error
from ...models.mirrornet import MirrorNet, shipped, ships
from ...plants import Plant, find_plant, load_plant, plant_kinds, usual_controls
from ...plants.base import PlantSpec
from ...score import Score, knob_controls
from ...tempo import Tempo
from ..fine_tuning import adapt, split_folder
from .desk import AUDIO, Desk, checked, played
from .learning import model_so_far
from .listening import ANCHOR_HZ
from .wire import packed

TARGET, HEARD = "target.npy", "heard.npy"  # in folders of sounds and of matches
FIRST_S = 0.4  # of the sound with which a worker gets ready

NOTHING: Mapping[str, Any] = {}

Tell = Callable[[dict[str, Any]], None]


def progress_of(tell: Tell) -> Progress:
    """A progress whose events are told as JSON-ready objects."""

    def hear(event: Event) -> None:
        if event.kind == "say":
            tell({"kind": "say", "text": event.text})
        elif event.kind == "notes":
            tell({"kind": "notes", "notes": score_json(Score(event.notes))["notes"]})
        else:
            found = {"kind": event.kind, "stage": event.stage, "number": event.number}
            found |= {"done": event.done, "total": event.total, "note": event.note}
            if event.best is not None and event.kind == "advance":
                best = event.best
                first = best.notes[0].controls if best.notes else {}
                found["best"] = {
                    "error": best.error,
                    "controls": {name: as_json(value) for name, value in first.items()},
                }
            tell(found)

    return Progress(hear)


def get_ready_to_play(desk: Desk) -> None:
    """Load what playing and predicting need."""
    for controls in (usual_controls("vital"), find_plant("vital").timbre_set):
        if controls:
            desk.plant(PlantSpec("vital", {"controls": controls, "sample_rate_hz": EXPORT_RATE_HZ}))
    hear_recording(np.zeros(EXPORT_RATE_HZ, np.float32), EXPORT_RATE_HZ)


def get_ready_to_match(desk: Desk) -> None:
    """Load what a match needs, by a short one."""
    times_s = np.arange(round(FIRST_S * EXPORT_RATE_HZ)) / EXPORT_RATE_HZ
    find((0.1 * np.sin(2 * np.pi * 440 * times_s), EXPORT_RATE_HZ))


def list_plants(desk: Desk, progress: Progress, files: Sequence[str]) -> list[dict[str, Any]]:
    """The plants that can match recordings: those that are installed, and those of `files`."""
    found = []
    for name, kind in plant_kinds().items():
        if all(space.is_melody for space in kind.control_sets.values()):
            continue
        controls = usual_controls(name)
        found.append(
            {
                "name": name,
                "label": name,
                "weights": ships(kind.control_sets[controls], kind.name),
                "to_install": kind.to_install(),
            }
        )
    for file in files:
        found.append({"name": file, "label": Path(file).name, "weights": False, "to_install": ""})
    return found


def hear(desk: Desk, progress: Progress, upload: str, folder: str, name: str) -> dict[str, Any]:
    """Decode an uploaded file; its sound and spectrogram are written to the folder."""
    try:
        target, warnings = take_sound(upload, EXPORT_RATE_HZ)
    except MirrorNetError as error:  # a visitor need not know where the file is
        raise AudioError(str(error).replace(upload, name)) from error
    heard = hear_recording(target, EXPORT_RATE_HZ)
    np.save(Path(folder) / TARGET, target)
    np.save(Path(folder) / HEARD, heard)
    said = [warning.replace(upload, name) for warning in warnings]
    return {"duration_s": len(target) / EXPORT_RATE_HZ, "warnings": said}


def target(desk: Desk, progress: Progress, folder: str) -> bytes:
    """The sound and the spectrogram of a target."""
    return _shown({}, np.load(Path(folder) / TARGET), np.load(Path(folder) / HEARD))


def match(
    desk: Desk, progress: Progress, sound: str, folder: str, plant: str, options: dict[str, Any]
) -> dict[str, Any]:
    """Match a sound that was heard; the answer's sound and spectrogram are written to `folder`."""
    target = np.load(Path(sound) / TARGET)
    found = find((target, EXPORT_RATE_HZ), plant, progress=progress, **options)
    about = _kept(found, Path(folder))
    about["others"] = [_about(other) for other in found.others]
    return about


def matched(desk: Desk, progress: Progress, folder: str) -> bytes:
    """The sound and the spectrogram of a match as it was found."""
    return _shown({}, np.load(Path(folder) / AUDIO), np.load(Path(folder) / HEARD))


def play(
    desk: Desk,
    progress: Progress,
    sound: str,
    folder: str,
    plant: PlantSpec,
    score: dict[str, Any],
    start_s: float,
    end_s: float,
) -> bytes:
    """The plant's sound of a part of a score, and its spectrogram, with the gain of the match."""
    player, _ = desk.plant(plant)
    audio = played(desk, player, checked(player, score), start_s, end_s)
    S = hear_wide(audio, player.sample_rate_hz)
    return _shown({"start_s": start_s}, audio, compressed(S, desk.gain(Path(folder))))


def predict(
    desk: Desk,
    progress: Progress,
    sound: str,
    folder: str,
    plant: PlantSpec,
    score: dict[str, Any],
    start_s: float,
    end_s: float,
    every: int,
) -> bytes:
    """The spectrogram that the forward model expects of a part of a score, as loud as the target
    there."""
    player, forward = desk.plant(plant)
    if forward is None:
        raise ControlError(f"no weights ship for {player.name}, so nothing is predicted.")
    frames = max(round((end_s - start_s) / FRAME_S), 1)
    energies = forward.expected(checked(player, score), start_s, frames, every)
    first = round(start_s / FRAME_S)
    target = uncompressed(np.load(Path(sound) / HEARD, mmap_mode="r")[:, first : first + frames])
    louder = float(target.mean()) if target.size else 1.0
    heard = np.log1p(4 * louder * energies) / 4
    return packed({"start_s": start_s, "every": every}, heard=shown(heard))


def refine(
    desk: Desk,
    progress: Progress,
    sound: str,
    folder: str,
    plant: PlantSpec,
    score: dict[str, Any],
    locked: Sequence[str],
    renders: int | None,
    seconds: float | None,
) -> dict[str, Any]:
    """Refine the patch of a score, with the locked controls as they are."""
    player, forward = desk.plant(plant)
    target = np.load(Path(sound) / TARGET)
    start = checked(player, score)
    if player.controls.name == player.timbre_set:
        fit = TimbreMatch(player, start, target, np.load(Path(sound) / HEARD), locked)
        with budgeted(progress, renders, seconds, "Refining the timbre") as budget:
            better = fit.play(budget).score
        return _answered(player, better, Path(sound), Path(folder))
    space = player.controls.patch
    rows = np.array([control.name in locked for control in space.rows])
    model = forward.model if forward else None
    surrogate = partial(PatchSurrogate, model) if model and start.one_patch else None
    with budgeted(progress, renders, seconds) as budget:
        better = refine_recording(player, start, target, budget, surrogate, 0, rows)
    return _answered(player, better, Path(sound), Path(folder))


def save(
    desk: Desk,
    progress: Progress,
    sound: str,
    folder: str,
    name: str,
    score: dict[str, Any],
    about: dict[str, Any],
    kind: str,
) -> str:
    """Write files of a score: its MIDI file, its preset, or a zip of all; returns the path."""
    player, _ = desk.plant(about["plant"])
    checked_score = checked(player, score)
    if kind == "zip":
        with tempfile.TemporaryDirectory(dir=folder) as scratch:
            place = Path(scratch) / name
            save_match(_answer(player, checked_score, Path(sound), about), place)
            archive = shutil.make_archive(str(Path(folder) / name), "zip", scratch, name)
        return archive
    if kind == "midi":
        answer = _unplayed(player, checked_score, Path(sound), about)
        made, suffix = midi(answer, [("melody", answer.notes)], True), ".mid"
    else:
        shared = [one for one in player.artifacts(checked_score) if one.note is None]
        if not shared:
            raise ControlError(f"{player.name} has no preset for all notes; take the zip.")
        made, suffix = shared[0].make(), Path(shared[0].path).suffix
    path = Path(folder) / f"{name}{suffix}"
    path.write_bytes(made)
    return str(path)


def learn(
    desk: Desk, progress: Progress, plant: str, sounds: str, run: str, resume: bool
) -> dict[str, Any]:
    """Fine-tune the weights that ship for a plant on a folder of recordings."""
    controls = usual_controls(plant)
    player = load_plant(plant, controls=controls, sample_rate_hz=EXPORT_RATE_HZ)
    if not ships(player.controls, player.name):
        raise ControlError(f"no weights ship for {plant}; learn some on the command line first.")
    start = MirrorNet.load(shipped(player.controls.name, player.name))
    split = split_folder(Path(sounds), Path(run), 0, progress)
    adapt(start, plant, Path(sounds), split, Path(run), progress, resume=resume)
    return {}


def learned_so_far(desk: Desk, progress: Progress, run: str, sound: str) -> bytes:
    """What the model that a run saved last makes of a sound: spectrograms of the target, of what
    the decoder expects and of what the plant plays."""
    model = model_so_far(Path(run))
    if model is None:
        raise ControlError("this run has saved no model for recordings yet.")
    target = take_sound(sound, EXPORT_RATE_HZ)[0]
    found = find((target, EXPORT_RATE_HZ), model.plant, model, progress=progress)
    energies = ForwardModel(found.plant, model).expected(found.score, 0.0, found.heard.shape[-1])
    spectrograms = {
        "target": found.target_heard,
        "belief": compressed(energies),
        "heard": found.heard,
    }
    pictures = {name: shown(heard) for name, heard in spectrograms.items()}
    error = found.distances["spectrogram_error"]
    head = {"verdict": f"{percent(error)}: {in_words(error)}", "notes": len(found.notes)}
    return packed(head, **pictures)


def graded(desk: Desk, progress: Progress, path: str, anchor: bool) -> bytes:
    """A sound of a listening test; of an anchor what is below `ANCHOR_HZ`."""
    audio = take_sound(path, EXPORT_RATE_HZ)[0]
    if anchor:
        low = resample(audio, EXPORT_RATE_HZ, round(2 * ANCHOR_HZ))
        audio = resample(low, round(2 * ANCHOR_HZ), EXPORT_RATE_HZ)[: len(audio)]
    return packed({}, audio=audio.astype(np.float32, copy=False))


def _unplayed(
    plant: Plant, score: Score, sound: Path, about: Mapping[str, Any] = NOTHING
) -> Answer:
    """An answer without a sound; `about` has what was found of the notes."""
    target, target_heard = np.load(sound / TARGET), np.load(sound / HEARD)
    tempo = about.get("tempo")
    return Answer(
        plant,
        knob_controls(plant.controls, score.resolved),
        score,
        np.zeros(0, np.float32),
        target,
        plant.sample_rate_hz,
        target_heard,
        np.zeros_like(target_heard),
        {},
        one_voice=about.get("one_voice"),
        warnings=list(about.get("warnings", ())),
        tempo=Tempo(**tempo) if tempo else None,
    )


def _answer(plant: Plant, score: Score, sound: Path, about: Mapping[str, Any] = NOTHING) -> Answer:
    """The answer with the sound that the plant plays."""
    found = _unplayed(plant, score, sound, about)
    duration_s = len(found.target) / plant.sample_rate_hz
    audio = plant.render(replace(score, duration_s=duration_s))
    heard = hear_recording(audio, plant.sample_rate_hz)
    error = spectrogram_error(found.target_heard, heard)
    return replace(found, audio=audio, heard=heard, distances={"spectrogram_error": error})


def _answered(plant: Plant, score: Score, sound: Path, folder: Path) -> dict[str, Any]:
    return _kept(_answer(plant, score, sound), folder)


def _kept(found: Answer, folder: Path) -> dict[str, Any]:
    """Write the sound and the spectrogram of an answer; returns what the page shows of it."""
    np.save(folder / AUDIO, found.audio)
    np.save(folder / HEARD, found.heard)
    return _about(found)


def _about(found: Answer) -> dict[str, Any]:
    """What the page shows of an answer."""
    error = found.distances["spectrogram_error"]
    return {
        "plant": found.plant.spec,
        "transposition": found.plant.transposition,
        "controls": [control.as_json() for control in found.plant.controls],
        "predicts": ForwardModel.known(found.plant),
        "score": score_json(found.score),
        "error": error if math.isfinite(error) else None,
        "verdict": f"{percent(error)}: {in_words(error)}",
        "warnings": found.warnings,
        "one_voice": found.one_voice,
        "tempo": found.tempo and found.tempo._asdict(),
    }


def _shown(
    head: dict[str, Any],
    audio: Float[np.ndarray, " sample"],
    heard: Float[np.ndarray, "channel frame"],
) -> bytes:
    return packed(head, audio=audio.astype(np.float32, copy=False), heard=shown(heard))
