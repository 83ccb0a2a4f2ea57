"""The command line. Each command is a function; its arguments are the options and its docstring is
the help. Commands import what they need when they run, so that `mirrornet --help` is fast.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from importlib.metadata import version

import tyro

from ..errors import CancelledError, MirrorNetError
from .commands.experiments import bench, experiment
from .commands.learn import learn
from .commands.match import demo, match, render
from .commands.plants import plants, plants_map
from .commands.studio import studio
from .interrupts import endings_interrupt
from .options import PlantToExamine
from .streams import GONE, forgiving_output
from .terminal import printable, say


def doctor(plant: PlantToExamine = None) -> int:
    """Check that everything that mirrornet needs works here, and say how to fix what does not.

    Each synthesizer plays in a process of its own, random patches in two orders. One that is not
    installed is no problem, unless it is the one that is asked for.
    """
    from .doctor import CHECKS, SETS_OF_VITAL, checks_of_plants, examine

    if plant is not None:
        return examine(checks_of_plants([plant], needed=True))
    from ..plants import plant_kinds

    others = [name for name in plant_kinds() if name != "vital"]
    return examine({**CHECKS, **checks_of_plants([*SETS_OF_VITAL, *others])})


COMMANDS: dict[str, Callable[..., int | None]] = {
    "demo": demo,
    "match": match,
    "studio": studio,
    "learn": learn,
    "experiment": experiment,
    "bench": bench,
    "render": render,
    "plants": plants,
    "plants map": plants_map,
    "doctor": doctor,
}


PRINTED = ("plants", "doctor", "--version")  # commands whose result is their output


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    0: success. 1: partial success: the doctor found a problem, or some sounds of a folder could not
    be matched. 2: an error, explained in a sentence on stderr. 128 plus the signal's number if
    interrupted: 130 by Ctrl-C, 143 by SIGTERM and 129 by SIGHUP, which act like Ctrl-C. A closed
    pipe or terminal does not change the exit code.

    Raises SystemExit(2) for invalid arguments.
    """
    if argv is None:  # as a program, not called from Python
        os.environ["MPLBACKEND"] = "agg"
    arguments = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    with forgiving_output(to_the_end=argv is None) as out, endings_interrupt() as ended:
        try:
            code = _run(arguments)
        except (CancelledError, KeyboardInterrupt):
            resumable = arguments[0] in ("learn", "experiment", "bench")
            hint = " To go on where it stopped, add --resume to the same command."
            print(f"\nmirrornet: stopped.{hint if resumable else ''}", file=sys.stderr)
            code = 128 + ended.signum
        out.flush()
        if out.problem and out.problem.errno not in GONE:
            print(f"mirrornet: standard output: {out.problem.strerror}.", file=sys.stderr)
            return code or (2 if arguments[0] in PRINTED else 0)
        return code


def _run(arguments: list[str]) -> int:
    if arguments[:2] == ["plants", "map"]:
        arguments = ["plants map", *arguments[2:]]
    if arguments == ["--version"]:
        print(f"mirrornet {version('mirrornet')}")
        return 0
    try:
        _check_here()
        if arguments[0] not in COMMANDS and not arguments[0].startswith("-"):
            raise MirrorNetError(
                f"there is no command {arguments[0]}; choose one of {', '.join(COMMANDS)}."
            )
        # File names from a wildcard may have control characters, which tyro would print unescaped.
        if (shown := [printable(argument) for argument in arguments]) != arguments:
            _call(shown, {name: _idle(command) for name, command in COMMANDS.items()})
        return _call(arguments, COMMANDS) or 0
    except MirrorNetError as error:
        say(f"mirrornet: {error}", sys.stderr)
        return 2
    except OSError as error:
        say(f"mirrornet: {error.filename or 'a file'}: {error.strerror}.", sys.stderr)
        return 2


def _call(
    arguments: Sequence[str], commands: Mapping[str, Callable[..., int | None]]
) -> int | None:
    return tyro.extras.subcommand_cli_from_dict(
        dict(commands),
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


def _idle(command: Callable[..., int | None]) -> Callable[..., None]:
    """A command with the same arguments that does nothing, for tyro to report invalid arguments."""

    @wraps(command)
    def idle(*_: object, **__: object) -> None:
        pass

    return idle


def _check_here() -> None:
    """MirrorNetError if the current folder was deleted, since libraries would end the process."""
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise MirrorNetError("the current folder was deleted; change to another one.") from error
