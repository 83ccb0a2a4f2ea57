"""The options of the command line: their types, metavariables and help texts."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg
from tyro.constructors import PrimitiveConstructorSpec

HIGHEST_SEED = 2**31 - 1


def seed_from(text: str) -> int:
    """Parse a random seed. Raises ValueError unless it is a whole number up to `HIGHEST_SEED`.

    >>> seed_from("7")
    7
    """
    if text.isdecimal() and int(text) <= HIGHEST_SEED:
        return int(text)
    raise ValueError(f"a seed is a whole number from 0 to {HIGHEST_SEED}, not {text}.")


def _explained(metavar: str, help: str) -> object:
    """An option whose help text states its default itself."""
    return arg(metavar=metavar, help=help, help_behavior_hint="")


Sound = Annotated[
    Path,
    arg(
        metavar="SOUND",
        help="the recording, WAV, FLAC, OGG, MP3, M4A or most others, or a video, or a folder of "
        "them: one voice, sung or played, 0.01 s to 10 minutes; with --controls set1 or set2 a "
        "melody of five notes in 2 s",
    ),
]
ControlsFile = Annotated[
    Path,
    arg(
        metavar="CONTROLS_JSON",
        help="what to play; its notes may be edited: MIDI pitch, times in s, controls in units",
    ),
]
ExperimentNumber = Annotated[Literal[1, 2, 3], arg(help="which; see above")]
BenchNumber = Annotated[Literal[1, 3], arg(help="whose sounds to match; see above")]
Variant = Annotated[
    str | None, _explained("NAME", "which variant of it, see above; default: the first named")
]
Start = Annotated[
    str | None,
    _explained(
        "shipped|PATH",
        "start from the weights that ship, or from a model of your own, and only fine-tune on the "
        "targets (required for recordings); default: start from random weights",
    ),
]

Plant = Annotated[
    str,
    arg(
        metavar="NAME|FILE.py",
        help="the synthesizer: a name that `mirrornet plants` lists, or a file that defines one",
    ),
]
PlantsToList = Annotated[
    str | None, _explained("NAME|FILE", "list the controls of this one; default: an overview")
]
PlantToExamine = Annotated[
    str | None,
    _explained("NAME|FILE", "examine this synthesizer only; default: all, and the rest"),
]
PluginFile = Annotated[Path, arg(metavar="PLUGIN", help="the file (or VST3 folder) of a plug-in")]
MapFile = Annotated[
    Path | None, _explained("TOML", "the new file to write; default: the name of PLUGIN")
]
PlantOfFile = Annotated[
    str | None,
    _explained("NAME|FILE.py", "the synthesizer to play; default: the one the file names"),
]
ControlSet = Annotated[
    str | None,
    _explained(
        "SET",
        "the control set; `mirrornet plants` lists them: of vital, patch for recordings, set1 and "
        "set2 for melodies of five notes in 2 s, with controls of each note; default: the first "
        "for recordings, or the model's",
    ),
]
LearnedControls = Annotated[
    str | None,
    _explained(
        "SET",
        "the control set; `mirrornet plants` lists them; default: patch for a folder of "
        "recordings, set1 for melodies of the synthesizer's own",
    ),
]
Model = Annotated[
    Path | None,
    _explained(
        "PATH",
        "the model: a folder that `mirrornet learn` wrote, or a model's .json file; default: the "
        "weights that ship for the synthesizer and its controls",
    ),
]
Refine = Annotated[
    int | None,
    _explained(
        "TIMES",
        "how many renders refinement may spend; Ctrl-C ends it with the best so far; default: "
        "none, or, with --seconds, as many as there is time for",
    ),
]
Seconds = Annotated[
    float | None,
    _explained("SECONDS", "how much time refinement may take; default: no limit"),
]
Candidates = Annotated[
    int,
    arg(
        metavar="NUMBER",
        help="how many answers to a recording, which sound different; each beyond the first takes "
        "16 renders, and all share the renders of --refine and the time of --seconds",
    ),
]
PatchScope = Annotated[
    Literal["shared", "per-note"],
    arg(
        help="of a recording: one preset that plays all notes; or controls of each note, as MIDI "
        "controllers and a preset for each"
    ),
]

Timbre = Annotated[
    Literal["knobs", "wavetable", "auto"] | None,
    _explained(
        "knobs|wavetable|auto",
        "of a recording: a patch of the synthesizer's knobs; or, for Vital, wavetables and noise "
        "made for this sound; or whichever sounds closer; default: auto for Vital, but knobs with "
        "a --model, other --controls, or an option that is for knobs",
    ),
]
StartPreset = Annotated[
    Path | None,
    _explained(
        "PRESET",
        "begin at a patch of yours: a .vital, .syx, .fxp or .vstpreset of the synthesizer, or a "
        "controls.json; default: at what the model reads",
    ),
]
Tempo = Annotated[
    str,
    arg(
        metavar="auto|BPM|none",
        help="beats per minute of the MIDI file, 20 to 400, whose bars start where the music does; "
        "auto: estimated from the notes; none: 120, from the start of the file",
    ),
]
Quantize = Annotated[
    str | None,
    _explained(
        "1/16",
        "in the MIDI file, move notes to multiples of 1/4, 1/8, 1/12, 1/16, 1/24 or 1/32 of a "
        "whole note, from the first beat on; default: leave them where they were heard",
    ),
]
Lock = Annotated[
    str,
    arg(
        metavar="NAME[=VALUE],...",
        help="controls that stay: at these values, or at those of --start",
    ),
]
Recipe = Annotated[
    Literal["mirror", "paper"],
    arg(help="how to train: mirror is ours, paper is the paper's networks and schedule"),
]
LearnedRecipe = Annotated[
    Literal["mirror", "paper", "notes"],
    arg(
        help="how to train: mirror is ours, paper is the paper's networks and schedule; notes "
        "trains the network that finds the notes of recordings, without a synthesizer"
    ),
]
Budget = Annotated[
    Literal["quick", "full"], arg(help="quick: a good model soon; full: the best one")
]
PlantToBench = Annotated[
    str | None,
    _explained(
        "NAME|FILE.py",
        "in place of an experiment: patches of this synthesizer for recordings, also with many "
        "controls, as vital-48 or dx7-all",
    ),
]
BenchBudget = Annotated[
    Literal["quick", "full"],
    arg(help="babble and renders; quick: a rough comparison; full: the one in docs/"),
]
Recordings = Annotated[
    bool,
    arg(
        help="in place of an experiment: recordings of the synthesizer itself, of ten instruments "
        "that no model was trained on, of a synthetic voice, and real ones"
    ),
]
Targets = Annotated[
    str,
    arg(
        metavar="FOLDER|SEED",
        help="the sounds to train on: a folder of recordings (with --controls set1 or set2, of "
        "five notes in 2 s each), or a number, the seed of 400 melodies of the synthesizer",
    ),
]
Where = Annotated[
    str,
    arg(
        metavar="local|ray|ray://HOST:PORT",
        help="where the synthesizer plays: in processes of this machine, or on a Ray cluster "
        "(docs/scale.md)",
    ),
]
Port = Annotated[int, arg(metavar="PORT", help="the port of the page; 0: any that is free")]
NoOpen = Annotated[bool, arg(help="do not open the page in a browser")]
PlantsFolder = Annotated[
    Path | None,
    _explained(
        "FOLDER",
        "plants of your own that the page offers, too: Python files, control maps and Faust "
        "programs; they are run, so name only what you trust",
    ),
]
RunsFolder = Annotated[
    Path, arg(metavar="FOLDER", help="the folder of runs of learning that the page shows")
]
CompareFolders = Annotated[
    tuple[Path, ...],
    _explained(
        "FOLDER",
        "sounds for the listening test: a folder of trials (folders with target.wav and others), "
        "or several that `mirrornet match FOLDER` wrote, of the same sounds by different methods",
    ),
]
Resume = Annotated[bool, arg(help="continue an interrupted run")]
Device = Annotated[Literal["auto", "cpu", "cuda"], arg(help="auto: a CUDA GPU if there is one")]
Seed = Annotated[
    int,
    arg(help="random seed: the same seed gives the same results, unless a time limit is set"),
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="NUMBER",
        instance_from_str=lambda words: seed_from(words[0]),
        is_instance=lambda seed: isinstance(seed, int),
        str_from_instance=lambda seed: [str(seed)],
    ),
]

DemoFolder = Annotated[
    Path | None,
    _explained(
        "FOLDER",
        "for the results, new or empty; default: mirrornet-demo, or where that is taken "
        "mirrornet-demo-2, -3, ...",
    ),
]
MatchFolder = Annotated[
    Path | None,
    _explained("FOLDER", 'for the results, new or empty; default: the sound\'s name and "-match"'),
]
RunFolder = Annotated[
    Path | None,
    _explained(
        "FOLDER",
        "for log, state and model; default: runs/PLANT-CONTROLS-RECIPE-BUDGET, for recordings "
        "runs/PLANT-CONTROLS-BUDGET or runs/FOLDER-CONTROLS, for notes runs/notes-BUDGET",
    ),
]
WavFile = Annotated[
    Path | None,
    _explained("WAV", "the new file to write; default: the name of CONTROLS_JSON"),
]
PresetFile = Annotated[
    Path | None,
    _explained(
        "VITAL",
        "write the synthesizer's preset to this new file, in place of the sound; where notes have "
        "controls of their own, one for each, numbered; default: no preset",
    ),
]
