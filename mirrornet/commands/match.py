"""`mirrornet demo`, `match` and `render`: from a sound to files, and from those to a sound."""

import json
import os
import sys
from collections.abc import Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import MirrorNetError, OutputError
from ..options import (
    Candidates,
    ControlSet,
    ControlsFile,
    DemoFolder,
    MatchFolder,
    Model,
    PatchScope,
    Plant,
    PlantOfFile,
    Refine,
    Seconds,
    Seed,
    Sound,
    WavFile,
)

if TYPE_CHECKING:
    from ..matched import Match

DATA = Path(__file__).parents[1] / "data"
DEMO_RENDERS = 40
MOST_NAMED = 24  # notes
WHAT_FILES_ARE = {
    "report.html": "open this first, in a browser: both sounds, a picture, each note's knobs",
    "match.wav": "the plant playing what was found, as loud as your sound",
    "target.wav": "your sound, as it was heard",
    "melody.mid": "the notes, as MIDI",
    "match.vital": "the patch that plays them: a preset to load into the synthesizer",
    "presets": "a preset for each note, to load into the synthesizer",
    "controls.json": "notes and knobs in physical units; `mirrornet render` plays it",
    "controls.csv": "the same as a table",
    "compare.png": "the picture",
}


def demo(out: DemoFolder = None) -> None:
    """Match a melody that ships with mirrornet: five notes on an electric piano."""
    if out is None:
        names = (f"mirrornet-demo-{number}" for number in count(2))
        out = wanted = Path("mirrornet-demo")
        while not _is_free(out):
            out = Path(next(names))
        if out != wanted:
            print(f"{wanted} holds files already, so this goes to {out}.")
    truth = json.loads((DATA / "demo-melody.json").read_text("utf-8"))
    played = [note["pitch_midi"] for note in truth["notes"]]
    _match(DATA / "demo-melody.flac", "vital", "patch", None, out, played, refine=DEMO_RENDERS)


def match(
    sound: Sound,
    plant: Plant = "vital",
    controls: ControlSet = "patch",
    model: Model = None,
    refine: Refine = None,
    seconds: Seconds = None,
    candidates: Candidates = 1,
    patch: PatchScope = "shared",
    seed: Seed = 0,
    out: MatchFolder = None,
) -> None:
    """Find the notes and knob settings that make a synthesizer sound like a recording.

    Any recording of one voice will do; what comes out is a preset for all of its notes, and a MIDI
    file that plays them. Of a folder, every sound file is matched, several at a time, with a page
    and a table of all; the same command again goes on where it was stopped.
    """
    place = sound.resolve()
    out = Path(f"{place.name if place.is_dir() else place.stem}-match") if out is None else out
    how = {
        "refine": refine,
        "seconds": seconds,
        "candidates": candidates,
        "patch": patch,
        "seed": seed,
    }
    if sound.is_dir():
        _match_folder(sound, plant, controls, model, out, how)
        return
    _match(sound, plant, controls, model, out, **how)


def render(controls: ControlsFile, plant: PlantOfFile = None, out: WavFile = None) -> None:
    """Play a controls.json, as `mirrornet match` writes it, to a WAV file at 44.1 kHz."""
    from ..audio import check_wav, save_audio
    from ..files import check_place
    from ..matching import EXPORT_RATE_HZ
    from ..playing import play_notes, read_notes

    out = Path(f"{controls.stem}.wav") if out is None else out
    if os.path.lexists(out):
        raise OutputError(f"{out} exists already; name another file with --out.")
    check_wav(out)
    check_place(out, parents=False, instead="name another file with --out")
    named, notes = read_notes(controls)
    audio = play_notes(notes, plant or named, EXPORT_RATE_HZ)
    save_audio(out, audio, EXPORT_RATE_HZ)
    print(f"{len(notes)} notes, {len(audio) / EXPORT_RATE_HZ:.2f} s, written to {out}.")


def _match(
    sound: Path,
    plant: str,
    controls: str,
    model: Path | None,
    out: Path,
    played: Sequence[int] = (),
    **how: Any,
) -> None:
    """Match, say what was found as soon as it is, and save, with the place for the results checked
    before the work; `played`: the true pitches."""
    _check_place(out)
    print(f"Listening to {sound} ...", flush=True)
    from ..matching import load_reader, match

    found = match(sound, plant, load_reader(model, controls), **how)
    _say_found(found, played)
    found.save(out)
    _say_files(found, out)


def _match_folder(
    folder: Path, plant: str, controls: str, model: Path | None, out: Path, how: dict[str, Any]
) -> None:
    from ..checkpoints import fingerprint
    from ..folders import LONGEST_S, match_folder
    from ..matching import load_reader
    from ..plants.farm import usable_cores

    if (how["seconds"] or 0) > LONGEST_S / 2:
        raise MirrorNetError(f"of a folder, each sound may take {LONGEST_S / 2:g} seconds at most.")
    reader = load_reader(model, controls)  # said once, not for each file, if there is none
    chosen = {"plant": plant, "controls": controls, "model": model and model.resolve(), **how}
    options = [
        word
        for name, value in chosen.items()
        if value is not None
        for word in (f"--{name}", str(value))
    ]
    weights = fingerprint(*(tensor.numpy() for tensor in reader.state_dict().values()))
    try:
        found = match_folder(folder, out, options, usable_cores(), weights)
    except KeyboardInterrupt:
        print(f"\n{out} keeps what is done; the same command goes on from there.", file=sys.stderr)
        raise
    failed = sum(bool(one.problem) for one in found)
    if failed == len(found):
        raise MirrorNetError(f"none of the {failed} sounds could be matched; see above.")
    print(f"{len(found) - failed} of {len(found)} sounds matched; open {out / 'index.html'}.")


def _say_found(found: "Match", played: Sequence[int]) -> None:
    """What was heard, and how close it is."""
    from ..melody import note_name
    from ..report import verdict

    if played:
        print(f"Played: {' '.join(map(note_name, played))}")
    names = [note_name(note.pitch_midi) for note in found.notes]
    more = f" ... ({len(names)} notes)" if len(names) > MOST_NAMED else ""
    print(f"Heard:  {' '.join(names[:MOST_NAMED])}{more}")
    for warning in found.warnings:
        print(f"Beware: {warning}")
    print(verdict(found.distances["spectrogram_error"]), flush=True)


def _say_files(found: "Match", folder: Path) -> None:
    """Which files to open."""
    from ..report import candidate_path, percent

    for number, other in enumerate(found.others, 2):
        error = percent(other.distances["spectrogram_error"])
        print(f"Another answer, in {folder / candidate_path(number)}: {error}.")
    print(f"In {folder}:")
    for name, what in WHAT_FILES_ARE.items():
        if (folder / name).exists():
            print(f"  {name:13}  {what}")


def _is_free(folder: Path) -> bool:
    """Whether `folder` is new or empty."""
    return not any(folder.iterdir()) if folder.is_dir() else not os.path.lexists(folder)


def _check_place(folder: Path) -> None:
    """OutputError unless results can be written to `folder`."""
    from ..files import check_place

    instead = "name another folder with --out"
    try:
        free = _is_free(folder)
    except OSError as error:
        raise OutputError(f"{folder} cannot be written ({error.strerror}); {instead}.") from error
    if not free:
        raise OutputError(f"{folder} is taken already; name a new folder with --out.")
    check_place(folder, instead=instead)
