"""The options of the command line: their types, what their values are called, and their help."""

from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import arg
from tyro.constructors import PrimitiveConstructorSpec

HIGHEST_SEED = 2**31 - 1


def seed_from(text: str) -> int:
    """A seed as a user writes it; ValueError, with a sentence, if it is none.

    >>> seed_from("7")
    7
    """
    if text.isdecimal() and int(text) <= HIGHEST_SEED:
        return int(text)
    raise ValueError(f"a seed is a whole number from 0 to {HIGHEST_SEED}, not {text}.")


def _explained(metavar: str, help: str) -> object:
    """An option whose help says what is taken where it is left out."""
    return arg(metavar=metavar, help=help, help_behavior_hint="")


Sound = Annotated[
    Path,
    arg(
        metavar="SOUND",
        help="the recording, WAV, FLAC, OGG, MP3, M4A or most others, or a video, or a folder of "
        "them: one voice, sung or played, 0.1 s to 10 minutes; with --controls set1 or set2 a "
        "melody of five notes in 2 s",
    ),
]
ControlsFile = Annotated[
    Path,
    arg(
        metavar="CONTROLS_JSON",
        help="what to play; its notes may be edited: MIDI pitch, times in s, knobs in their units",
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
        "begin with what the weights that ship, or a model of your own, know of the synthesizer, "
        "and only listen to the targets (of recordings, always); default: learn from nothing",
    ),
]

Plant = Annotated[
    str,
    arg(
        metavar="NAME|FILE.py",
        help="the synthesizer to play; `mirrornet plants` lists them; or a file that defines one",
    ),
]
PlantOfFile = Annotated[
    str | None,
    _explained("NAME|FILE.py", "the synthesizer to play; default: the one the file names"),
]
ControlSet = Annotated[
    str | None,
    _explained(
        "SET",
        "which of its knobs to use; `mirrornet plants` lists them: of vital, patch for recordings, "
        "set1 and set2 for melodies of five notes in 2 s, whose knobs move from note to note; "
        "default: the first for recordings, or the model's",
    ),
]
LearnedControls = Annotated[
    str | None,
    _explained(
        "SET",
        "which of its knobs to use; `mirrornet plants` lists them; default: patch for a folder of "
        "recordings, set1 for melodies of the synthesizer's own",
    ),
]
Model = Annotated[
    Path | None,
    _explained(
        "PATH",
        "what was learned: a folder that `mirrornet learn` wrote, or a model's .json file; "
        "default: what ships for vital and these controls",
    ),
]
Refine = Annotated[
    int | None,
    _explained(
        "TIMES",
        "how often the synthesizer may be played to improve on the first answer; Ctrl-C ends that "
        "with the best so far; default: not at all, or, with --seconds, as often as there is time",
    ),
]
Seconds = Annotated[
    float | None,
    _explained(
        "SECONDS", "for how long it may be played to improve on the first answer; default: any time"
    ),
]
Candidates = Annotated[
    int,
    arg(
        metavar="NUMBER",
        help="how many answers to a recording, which sound different; each beyond the first takes "
        "16 renders to find, and all share those of --refine and the time of --seconds",
    ),
]
PatchScope = Annotated[
    Literal["shared", "per-note"],
    arg(
        help="of a recording: one preset that plays all notes, as a musician would; or knobs that "
        "move from note to note, as MIDI controllers and a preset for each"
    ),
]

Recipe = Annotated[
    Literal["mirror", "paper"],
    arg(help="how to learn: mirror is ours, paper is the paper's networks and schedule"),
]
Budget = Annotated[
    Literal["quick", "full"], arg(help="quick: a good model soon; full: the best one")
]
BenchBudget = Annotated[
    Literal["quick", "full"],
    arg(
        help="how much babble and how many renders: quick shows the picture, full is the comparison"
    ),
]
Recordings = Annotated[
    bool,
    arg(
        help="in place of an experiment: how well recordings are matched, of the synthesizer "
        "itself, of ten instruments that it never heard, of a voice, and real ones"
    ),
]
Targets = Annotated[
    str,
    arg(
        metavar="FOLDER|SEED",
        help="what to learn to play: a folder of recordings (with --controls set1 or set2, of five "
        "notes in 2 s each), or a number, the seed of 400 melodies that the synthesizer plays",
    ),
]
Resume = Annotated[bool, arg(help="go on where it was stopped")]
Device = Annotated[Literal["auto", "cpu", "cuda"], arg(help="auto: a CUDA GPU if there is one")]
Seed = Annotated[
    int,
    arg(help="where chance starts: the same seed gives the same results, if no time is set"),
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
        "runs/PLANT-patch-BUDGET or runs/TARGETS-patch",
    ),
]
WavFile = Annotated[
    Path | None,
    _explained("WAV", "the file to write, not there yet; default: the name of CONTROLS_JSON"),
]
PresetFile = Annotated[
    Path | None,
    _explained(
        "VITAL",
        "write the synthesizer's preset to this file, not there yet, in place of the sound; where "
        "notes have knobs of their own one for each, numbered; default: no preset",
    ),
]
