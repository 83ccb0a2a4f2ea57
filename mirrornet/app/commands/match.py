"""`mirrornet demo`, `match` and `render`: from a sound to files, and from those to a sound."""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...errors import MirrorNetError, OutputError
from ..interrupts import deferred_interrupt
from ..options import (
    Candidates,
    ControlSet,
    ControlsFile,
    DemoFolder,
    Lock,
    MatchFolder,
    Model,
    PatchScope,
    Plant,
    PlantOfFile,
    PresetFile,
    Quantize,
    Refine,
    Seconds,
    Seed,
    Sound,
    StartPreset,
    Tempo,
    Timbre,
    WavFile,
)
from ..terminal import say

if TYPE_CHECKING:
    from ...export.match import Match
    from ...models.mirrornet import MirrorNet
    from ...plants import Plant as SoundPlant
    from ...plants.base import Artifact
    from ...score import Note

DATA = Path(__file__).parents[2] / "data"
DEMO_RENDERS = 40
MOST_NAMED = 24  # notes
WHAT_FILES_ARE = {
    "report.html": "open this first, in a browser: both sounds, a picture, each note's knobs",
    "match.wav": "the plant playing what was found, as loud as your sound",
    "target.wav": "your sound, as it was heard",
    "melody.mid": "the notes, as MIDI",
    "melody-mpe.mid": "the same with whole glides, for instruments with MPE",
    "controls.json": "notes and knobs in physical units; `mirrornet render` plays it",
    "controls.csv": "the same as a table",
    "compare.png": "the picture",
    "timbre.png": "the harmonics and the noise of the patch, over time",
}


def demo(out: DemoFolder = None) -> None:
    """Match a melody that ships with mirrornet: five notes on an electric piano."""
    if out is None:
        names = (f"mirrornet-demo-{number}" for number in count(2))
        out = wanted = Path("mirrornet-demo")
        while not _is_free(out):
            out = Path(next(names))
        if out != wanted:
            say(f"{wanted} holds files already, so this goes to {out}.")
    truth = json.loads((DATA / "demo-melody.json").read_text("utf-8"))
    played = [note["pitch_midi"] for note in truth["notes"]]
    _match(DATA / "demo-melody.flac", "vital", None, None, out, played, refine=DEMO_RENDERS)


def match(
    sound: Sound,
    plant: Plant = "vital",
    controls: ControlSet = None,
    model: Model = None,
    refine: Refine = None,
    seconds: Seconds = None,
    candidates: Candidates = 1,
    patch: PatchScope = "shared",
    timbre: Timbre = None,
    tempo: Tempo = "auto",
    quantize: Quantize = None,
    seed: Seed = 0,
    start: StartPreset = None,
    lock: Lock = "",
    out: MatchFolder = None,
) -> int:
    """Find the notes and knob settings that make a synthesizer sound like a recording.

    Any recording of one voice will do; what comes out is a preset for all of its notes, and a MIDI
    file that plays them. Of a folder, every sound file is matched, several at a time, with a page
    and a table of all; the same command again goes on where it was stopped. The exit code is 1 if
    some could not be matched.
    """
    place = Path(os.path.realpath(sound))
    name = place.name if place.is_dir() else place.stem  # of the root of a disk there is none
    out = Path(f"{name or 'sounds'}-match") if out is None else out
    how = {
        "refine": refine,
        "seconds": seconds,
        "candidates": candidates,
        "patch": patch,
        "seed": seed,
    }
    if timbre is not None:
        how |= {"timbre": timbre}
    if tempo != "auto" or quantize is not None:
        how |= {"tempo": tempo, "quantize": quantize}
    if start is not None or lock:
        how |= {"start": start, "lock": lock}
    if sound.is_dir():
        return _match_folder(sound, plant, controls, model, out, how)
    _match(sound, plant, controls, model, out, **how)
    return 0


def render(
    controls: ControlsFile,
    plant: PlantOfFile = None,
    out: WavFile = None,
    preset: PresetFile = None,
) -> None:
    """Play a controls.json, as `mirrornet match` writes it, to a WAV file at 44.1 kHz; or write the
    synthesizer's preset that plays it."""
    from ...audio import check_wav, save_audio
    from ...export.playing import artifacts, play, read_score
    from ...matching.match import EXPORT_RATE_HZ
    from ...storage import check_place

    if preset is None or out is not None:
        out = Path(f"{controls.stem}.wav") if out is None else out
        _refuse_existing(out, "--out")
        check_wav(out)
    for place, option in ((out, "--out"), (preset, "--preset")):
        if place is not None:
            check_place(place, parents=False, instead=f"name another file with {option}")
    file = read_score(controls)
    if preset is not None:
        made, score = artifacts(file, plant), file.score
        _write_presets(preset, score.notes, made, score.one_patch)
    if out is None:
        return
    audio = play(file, plant, EXPORT_RATE_HZ)
    save_audio(out, audio, EXPORT_RATE_HZ)
    notes = len(file.score.notes)
    say(f"{notes} notes, {len(audio) / EXPORT_RATE_HZ:.2f} s, written to {out}.")


def _write_presets(
    place: Path, notes: Sequence["Note"], artifacts: Sequence["Artifact"], one_patch: bool
) -> None:
    """One preset to `place`, or one for each note beside it; OutputError if one exists, or the
    name is not one that the synthesizer opens."""
    from ...score import note_name
    from ...storage import write_atomically

    suffix = Path(artifacts[0].path).suffix
    if place.suffix != suffix:
        raise OutputError(
            f"the synthesizer opens presets whose names end in {suffix}, so {place} must, too."
        )
    shared = [one for one in artifacts if one.note is None]
    artifacts, places = shared or artifacts, [place]
    if shared and one_patch:  # others are the same in other forms
        artifacts = shared[:1]
    elif len(shared) > 1:
        places = [place.with_stem(f"{place.stem}-{n}") for n in range(1, len(shared) + 1)]
    elif not shared:
        names = (f"{n}-{note_name(note.pitch_midi)}" for n, note in enumerate(notes, 1))
        places = [place.with_stem(f"{place.stem}-{name}") for name in names]
    for path in places:
        _refuse_existing(path, "--preset")
    for path, one in zip(places, artifacts, strict=True):
        content = one.make()
        write_atomically(path, lambda file, content=content: file.write_bytes(content))
    say(f"{len(places)} preset{'s' * (len(places) > 1)} written to {', '.join(map(str, places))}.")


def _refuse_existing(path: Path, option: str) -> None:
    if os.path.lexists(path):
        raise OutputError(f"{path} exists already; name another file with {option}.")


def _match(
    sound: Path,
    plant: str,
    controls: str | None,
    model: Path | None,
    out: Path,
    played: Sequence[int] = (),
    **how: Any,
) -> None:
    """Match, say what was found as soon as it is, and save, with the place for the results checked
    before the work; `played`: the true pitches."""
    _check_place(out)
    say(f"Listening to {sound} ...")
    from ...matching.given import parsed_lock
    from ...matching.match import allows_renders, match
    from ..console import Console

    progress = Console().progress
    renders = allows_renders(how.get("refine"), how.get("seconds"))
    player, reader = _plant_and_model(plant, controls, model, renders)
    if "lock" in how and not player.controls.is_melody:
        words = [word for word in how["lock"].split(",") if word.strip()]
        how["lock"] = parsed_lock(words, player.controls)
    found = match(sound, player, reader if model else None, progress=progress, **how)
    _say_found(found, played)
    with deferred_interrupt() as interrupt:
        found.save(out)
    if interrupt.asked:
        raise KeyboardInterrupt
    _say_files(found, out)


def _plant_and_model(
    plant: str, controls: str | None, path: Path | None, renders: bool
) -> tuple["SoundPlant", "MirrorNet"]:
    """The plant with a control set, and the model at `path` or the one that ships.

    Raises CheckpointError if none ships, and no `renders` are allowed for a search.
    """
    from ...matching.match import plant_for, shipped_for
    from ...models.mirrornet import load_model

    if path is not None:
        model = load_model(path)
        return plant_for(plant, model), model
    player = plant_for(plant, controls=controls)
    return player, shipped_for(player, renders)


def _match_folder(
    folder: Path,
    plant: str,
    controls: str | None,
    model: Path | None,
    out: Path,
    how: dict[str, Any],
) -> int:
    """The exit code: 1 if some could not be matched."""
    from ...matching.match import allows_renders
    from ...models.notes import shipped_finder
    from ...runtime import free_memory, usable_cores
    from ...tempo import parts_of, tempo_of
    from ..batch import LONGEST_S, MATCH_BYTES, match_folder
    from ..console import Console

    if (how["seconds"] or 0) > LONGEST_S / 2:
        raise MirrorNetError(f"of a folder, each sound may take {LONGEST_S / 2:g} seconds at most.")
    # Said once, not for each file: a bad option, or if there is no model.
    tempo_of(how.get("tempo", "auto"), [])
    if how.get("quantize") is not None:
        parts_of(how["quantize"])
    renders = allows_renders(how["refine"], how["seconds"])
    player, reader = _plant_and_model(plant, controls, model, renders)
    own = {key: path and os.path.realpath(path) for key, path in how.items() if key == "start"}
    own["model"] = model and os.path.realpath(model)
    chosen = {"plant": plant, "controls": player.controls.name, **how, **own}
    options = [
        word
        for name, value in chosen.items()
        if value is not None
        for word in (f"--{name}", str(value))
    ]
    workers = max(1, int(min(usable_cores(), free_memory() / MATCH_BYTES)))
    try:
        weights = f"{reader.fingerprint} {shipped_finder().fingerprint}"
        found = match_folder(folder, out, options, workers, weights, Console().progress)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        say(f"{out} keeps what is done; the same command goes on from there.", sys.stderr)
        raise
    failed = sum(bool(one.problem) for one in found)
    if failed == len(found):
        raise MirrorNetError(f"none of the {failed} sounds could be matched; see above.")
    missed = f", {failed} not" if failed else ""
    say(f"{len(found) - failed} sounds matched{missed}; open {out / 'index.html'}.")
    return 1 if failed else 0


def _say_found(found: "Match", played: Sequence[int]) -> None:
    """What was heard, and how close it is."""
    from ...export.report import tempo_in_words, verdict
    from ...score import note_name

    if played:
        say(f"Played: {' '.join(map(note_name, played))}")
    names = [note_name(note.pitch_midi + found.plant.transposition) for note in found.notes]
    more = f" ... ({len(names)} notes)" if len(names) > MOST_NAMED else ""
    say(f"Heard:  {' '.join(names[:MOST_NAMED])}{more}")
    for warning in found.warnings:
        say(f"Beware: {warning}")
    if found.tempo:
        say(f"Tempo:  {tempo_in_words(found.tempo)}")
    say(verdict(found.distances["spectrogram_error"]))


def _say_files(found: "Match", folder: Path) -> None:
    """Which files to open."""
    from ...export.files import FAULTS
    from ...export.report import candidate_path, percent

    for number, other in enumerate(found.others, 2):
        error = percent(other.distances["spectrogram_error"])
        say(f"Another answer, in {folder / candidate_path(number)}: {error}.")
    say(f"In {folder}:")
    presets: dict[str, str] = {}
    with suppress(*FAULTS):  # of a plant's own code; the report tells
        presets = {Path(a.path).parts[0]: a.what for a in found.plant.artifacts(found.score)}
    names = [*WHAT_FILES_ARE]
    whats = {**{name: WHAT_FILES_ARE[name] for name in names[:4]}, **presets, **WHAT_FILES_ARE}
    for name, what in whats.items():
        if (folder / name).exists():
            say(f"  {name:14}  {what}")


def _is_free(folder: Path) -> bool:
    """Whether `folder` is new or empty."""
    return not any(folder.iterdir()) if folder.is_dir() else not os.path.lexists(folder)


def _check_place(folder: Path) -> None:
    """OutputError unless results can be written to `folder`."""
    from ...storage import check_place

    instead = "name another folder with --out"
    try:
        free = _is_free(folder)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror}); {instead}.") from error
    if not free:
        raise OutputError(f"{folder} is taken already; name a new folder with --out.")
    check_place(folder, instead=instead)
