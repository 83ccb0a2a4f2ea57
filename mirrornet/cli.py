"""The command line: `mirrornet demo`, `match`, `learn`, `experiment`, `bench`, `render`,
`plants`, `doctor`.

Each command is a function; its arguments are the options and its docstring is the help. Commands
import what they need when they run, so that `mirrornet --help` answers at once.
"""

import io
import json
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib.metadata import version
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tyro

from .errors import MirrorNetError, OutputError
from .options import (
    BenchBudget,
    BenchNumber,
    Budget,
    Candidates,
    ControlSet,
    ControlsFile,
    DemoFolder,
    Device,
    ExperimentNumber,
    MatchFolder,
    Model,
    PatchScope,
    Plant,
    PlantOfFile,
    Recipe,
    Recordings,
    Refine,
    Resume,
    RunFolder,
    Seconds,
    Seed,
    Sound,
    Start,
    Targets,
    Variant,
    WavFile,
)

if TYPE_CHECKING:
    from .controls import Control
    from .matched import Match

DATA = Path(__file__).parent / "data"
DEMO_RENDERS = 40
MOST_NAMED = 24  # notes
SEED_TARGETS = 400  # as in the poster
# From nothing to a model, on two cores: quick as measured, full in proportion to its steps.
ABOUT = {
    ("mirror", "quick"): "12 minutes",
    ("mirror", "full"): "45 minutes",
    ("paper", "quick"): "25 minutes",
    ("paper", "full"): "3 hours",
}
ABOUT_STARTED = "4 minutes"  # one that knows the plant, and only listens
ABOUT_PHRASES = {"quick": "12 minutes", "full": "45 minutes"}  # estimated from their steps
ABOUT_BENCH = {  # estimates from the cost of a render, of a melody learned from, and of a score
    (1, "quick"): "30 minutes",
    (1, "full"): "4 hours",
    (3, "quick"): "30 minutes",
    (3, "full"): "6 hours",
}
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
    found = _match(DATA / "demo-melody.flac", "vital", "patch", None, out, refine=DEMO_RENDERS)
    _say_result(found, out, [note["pitch_midi"] for note in truth["notes"]])


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
    out = Path(f"{sound.resolve().stem}-match") if out is None else out
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
    _say_result(_match(sound, plant, controls, model, out, **how), out)


def learn(
    recipe: Recipe = "mirror",
    budget: Budget = "quick",
    plant: Plant = "vital",
    controls: ControlSet = "set1",
    targets: Targets = "0",
    start: Start = None,
    out: RunFolder = None,
    resume: Resume = False,
    seed: Seed = 0,
    device: Device = "auto",
) -> None:
    """Learn to play a synthesizer by listening to it.

    The synthesizer babbles, the networks learn what its knobs do, and with that to play the
    targets. No target comes with its knob settings. With `--controls patch` it babbles phrases, and
    learns to read recordings; that needs no targets. Ctrl-C stops, `--resume` goes on.
    """
    if controls == "patch":
        _learn_recordings(recipe, budget, plant, targets, start, out, resume, seed, device)
        return
    from .learning import PaperRecipe, plan_from
    from .learning import learn as learn_to_play
    from .mirror import HEARING
    from .plants.farm import Farm
    from .runs import check_folder
    from .targets import folder_targets, seed_targets

    _check_device(device)
    out = Path("runs") / f"{plant}-{controls}-{recipe}-{budget}" if out is None else out
    check_folder(out, resume)
    plan, begin = plan_from(recipe, budget, start, controls)
    hearing = HEARING[plan.architecture]
    recordings = None if targets.isdecimal() else folder_targets(targets, hearing)
    with Farm(plant, controls=controls) as farm:
        if recordings is None:
            _, heard = seed_targets(farm, "targets", SEED_TARGETS, int(targets), hearing)
            about = f"{len(heard)} melodies of the plant, seed {int(targets)}"
        else:
            heard, about = recordings, f"{len(recordings)} sounds from {targets}"
        if isinstance(plan, PaperRecipe):
            plays = f"plays {len(heard)} guesses in each of {plan.rounds} rounds"
        else:
            plays = f"babbles {plan.babble} melodies"
        print(
            f"{farm.name} {plays}; learning takes about {_about(recipe, budget, start)} on two "
            "cores. Ctrl-C stops it and keeps what was learned.",
            flush=True,
        )
        learn_to_play(plan, farm, heard, out, seed, resume, device, about, begin)
    print(f"Learned. To use it: mirrornet match SOUND --model {out}")


def _learn_recordings(
    recipe: str,
    budget: str,
    plant: str,
    targets: str,
    start: str | None,
    out: Path | None,
    resume: bool,
    seed: int,
    device: str,
) -> None:
    if recipe != "mirror" or targets != "0" or start is not None:
        raise MirrorNetError(
            "with --controls patch a model learns from babble alone; leave out --recipe, --targets "
            "and --start."
        )
    from .learning_phrases import PHRASE_RECIPES, learn_phrases
    from .plants.farm import Farm
    from .runs import check_folder

    _check_device(device)
    out = Path("runs") / f"{plant}-patch-{budget}" if out is None else out
    check_folder(out, resume)
    plan = PHRASE_RECIPES[budget]
    with Farm(plant, controls="patch") as farm:
        print(
            f"{farm.name} babbles {plan.phrases} phrases; learning takes about "
            f"{ABOUT_PHRASES[budget]} on two cores. Ctrl-C stops it and keeps what was learned.",
            flush=True,
        )
        learn_phrases(plan, farm, out, seed, resume, device)
    print(f"Learned. To use it: mirrornet match SOUND --model {out}")


def experiment(
    number: ExperimentNumber,
    variant: Variant = None,
    recipe: Recipe = "mirror",
    budget: Budget = "quick",
    start: Start = None,
    seed: Seed = 0,
    resume: Resume = False,
    device: Device = "auto",
) -> None:
    """Run an experiment of the MirrorNet poster: learn, and score on held-out sounds.

    1: melodies of the synthesizer itself. 2: melodies with vibrato, learned with it (variants ten,
    ten-paper) or without (seven, seven-paper). 3: another instrument (rhodes, strings, flute,
    organ, trumpet, guitar). The table, the figure's panels and sounds go into results/, the
    learning into runs/.
    """
    from .experiments.run import run_experiment
    from .experiments.settings import find_setting

    _check_device(device)
    setting = find_setting(number, variant)
    print(f"{setting.what[0].upper()}{setting.what[1:]}.")
    print(f"Learning takes about {_about(recipe, budget, start)} on two cores.", flush=True)
    written = run_experiment(setting, recipe, budget, start, seed, resume=resume, device=device)
    print(f"Written to {written}.")


def bench(
    experiment: BenchNumber = 1,
    variant: Variant = None,
    budget: BenchBudget = "quick",
    recordings: Recordings = False,
    seed: Seed = 0,
    resume: Resume = False,
) -> None:
    """Compare with other methods under one budget of renders, on an experiment's held-out sounds.

    Learned peers hear the same babble for the same time; searches and our refinement play the
    synthesizer as often, CMA-ES ten times as often for another instrument. 1: melodies of the
    synthesizer itself. 3: another instrument (rhodes, strings, flute, organ, trumpet, guitar).
    With --recordings: how well notes are read, against pYIN with onset detection, and how close the
    patch is, against CMA-ES and the nearest of the babble in the same time.

    Needs mirrornet[bench]. Tables and a picture go into results/, what is learned and found into
    runs/.
    """
    if recordings:
        from .experiments.recordings import run_recordings
        from .mirror import shipped
        from .transcription import RecordingModel

        model = RecordingModel.load(shipped("patch"))
        print(f"Written to {run_recordings(model, seed, resume=resume)}.")
        return
    from .experiments.benchmark import run_benchmark
    from .experiments.settings import find_setting

    setting = find_setting(experiment, variant)
    print(f"{setting.what[0].upper()}{setting.what[1:]}.")
    about = ABOUT_BENCH[experiment, budget]
    print(f"The comparison takes about {about} on two cores.", flush=True)
    print(f"Written to {run_benchmark(setting, budget, seed, resume=resume)}.")


def render(controls: ControlsFile, plant: PlantOfFile = None, out: WavFile = None) -> None:
    """Play a controls.json, as `mirrornet match` writes it, to a WAV file at 44.1 kHz."""
    from .audio import save_audio
    from .matching import EXPORT_RATE_HZ
    from .playing import play_notes, read_notes

    out = Path(f"{controls.stem}.wav") if out is None else out
    if os.path.lexists(out):
        raise OutputError(f"{out} exists already; name another file with --out.")
    named, notes = read_notes(controls)
    audio = play_notes(notes, plant or named, EXPORT_RATE_HZ)
    save_audio(out, audio, EXPORT_RATE_HZ)
    print(f"{len(notes)} notes, {len(audio) / EXPORT_RATE_HZ:.2f} s, written to {out}.")


def plants() -> None:
    """List the synthesizers, and their controls with units, ranges and meaning."""
    from .plants import PLANTS

    for name, kind in PLANTS.items():
        sets: dict[Control, list[str]] = {}  # a control may be another one in another set
        for space in kind.control_sets.values():
            for control in space:
                sets.setdefault(control, []).append(space.name)
        print(f"Plant {name}\n{'control':14} {'range':22} {'curve':12} {'control sets':16} meaning")
        for control, names in sets.items():
            reach = f"{control.low:g} to {control.high:g} {control.unit}"
            in_sets = " ".join(names)
            print(f"{control.name:14} {reach:22} {control.curve:12} {in_sets:16} {control.meaning}")


def doctor() -> int:
    """Check that all that mirrornet needs works here, and say what to do where it does not."""
    from .doctor import examine

    return examine()


COMMANDS: dict[str, Callable[..., int | None]] = {
    "demo": demo,
    "match": match,
    "learn": learn,
    "experiment": experiment,
    "bench": bench,
    "render": render,
    "plants": plants,
    "doctor": doctor,
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code.

    0: done. 1: the doctor found a problem. 2: an error, explained in a sentence on stderr. 130:
    stopped by Ctrl-C. A command line that is no command ends in SystemExit with 2.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):  # a file's name need not be text
        sys.stdout.reconfigure(errors="backslashreplace")
    arguments = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    if arguments == ["--version"]:
        print(f"mirrornet {version('mirrornet')}")
        return 0
    try:
        if arguments[0] not in COMMANDS and not arguments[0].startswith("-"):
            raise MirrorNetError(
                f"there is no command {arguments[0]}; choose one of {', '.join(COMMANDS)}."
            )
        code = tyro.extras.subcommand_cli_from_dict(
            COMMANDS,
            prog="mirrornet",
            description="A sound in; out come the notes and knob settings that make a synthesizer "
            "sound like it. Start with: mirrornet demo",
            args=arguments,
            config=(
                tyro.conf.DisallowNone,
                tyro.conf.FlagCreatePairsOff,
                tyro.conf.PositionalRequiredArgs,
            ),
        )
        sys.stdout.flush()
        return code or 0
    except KeyboardInterrupt:
        resumable = arguments[0] in ("learn", "experiment", "bench")
        hint = " To go on where it stopped, add --resume to the same command." if resumable else ""
        print(f"\nmirrornet: stopped.{hint}", file=sys.stderr)
        return 130
    except BrokenPipeError:  # as in `mirrornet plants | head`: nobody reads on
        _give_up_stdout()
        return 0
    except MirrorNetError as error:
        print(f"mirrornet: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"mirrornet: {error.filename or 'a file'}: {error.strerror}.", file=sys.stderr)
        if error.filename is None:
            _give_up_stdout()
        return 2


def _give_up_stdout() -> None:
    """Python flushes what is left at its exit, and would complain again."""
    with suppress(OSError):  # a stand-in for stdout has no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _match(
    sound: Path, plant: str, controls: str, model: Path | None, out: Path, **how: Any
) -> "Match":
    """Match and save, with the place for the results checked before the work."""
    _check_place(out)
    print(f"Listening to {sound} ...", flush=True)
    from .matching import load_reader, match

    found = match(sound, plant, load_reader(model, controls), **how)
    found.save(out)
    return found


def _match_folder(
    folder: Path, plant: str, controls: str, model: Path | None, out: Path, how: dict[str, Any]
) -> None:
    from .folders import match_folder
    from .matching import load_reader
    from .plants.farm import usable_cores

    load_reader(model, controls)  # said once, not for each file, if there is none
    chosen = {"plant": plant, "controls": controls, "model": model and model.resolve(), **how}
    options = [
        word
        for name, value in chosen.items()
        if value is not None
        for word in (f"--{name}", str(value))
    ]
    found = match_folder(folder, out, options, usable_cores())
    failed = sum(bool(one.problem) for one in found)
    if failed == len(found):
        raise MirrorNetError(f"none of the {failed} sounds could be matched; see above.")
    print(f"{len(found) - failed} of {len(found)} sounds matched; open {out / 'index.html'}.")


def _say_result(found: "Match", folder: Path, played: Sequence[int] = ()) -> None:
    """What was heard, how close it is, and which files to open; `played`: the true pitches."""
    from .plots import note_name
    from .report import candidate_path, percent, verdict

    if played:
        print(f"Played: {' '.join(map(note_name, played))}")
    names = [note_name(note.pitch_midi) for note in found.notes]
    more = f" ... ({len(names)} notes)" if len(names) > MOST_NAMED else ""
    print(f"Heard:  {' '.join(names[:MOST_NAMED])}{more}")
    for warning in found.warnings:
        print(f"Beware: {warning}")
    print(verdict(found.distances["spectrogram_error"]))
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
    try:
        if not _is_free(folder):
            raise OutputError(f"{folder} is taken already; name a new folder with --out.")
        parent = next(path for path in (folder, *folder.absolute().parents) if path.exists())
        tempfile.TemporaryFile(dir=parent).close()
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be written ({error.strerror}); name another folder with --out."
        ) from error


def _about(recipe: str, budget: str, start: str | None) -> str:
    return ABOUT[recipe, budget] if start is None else ABOUT_STARTED


def _check_device(device: str) -> None:
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise MirrorNetError("torch finds no CUDA GPU here; leave out --device to use the CPU.")
