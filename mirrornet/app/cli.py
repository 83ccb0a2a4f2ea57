"""The command line. Each command is a function; its arguments are the options and its docstring is
the help. Commands import what they need when they run, so that `mirrornet --help` answers at once.
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from importlib.metadata import version
from typing import TYPE_CHECKING

import tyro

from ..errors import CancelledError, MirrorNetError
from .commands.learn import bench, experiment, learn
from .commands.match import demo, match, render
from .interrupts import endings_interrupt
from .streams import GONE, forgiving_output
from .terminal import printable, say

if TYPE_CHECKING:
    from ..controls import Control


def plants() -> None:
    """List the synthesizers, and their controls with units, ranges and meaning."""
    from ..plants import plant_kinds

    for name, kind in plant_kinds().items():
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


PRINTED = ("plants", "doctor", "--version")  # whose result is what they print


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code.

    0: done. 1: done in part: the doctor found a problem, or of a folder some sounds could not be
    matched. 2: an error, explained in a sentence on stderr. 130: stopped by Ctrl-C; 128 and the
    signal's number, as is usual, by another one: 143 by SIGTERM, 129 by SIGHUP, which do what
    Ctrl-C does. Output that nobody reads changes nothing. A command line that is no command ends in
    SystemExit with 2.
    """
    if argv is None:  # the process is ours, and so is its matplotlib
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
    if arguments == ["--version"]:
        print(f"mirrornet {version('mirrornet')}")
        return 0
    try:
        _check_here()
        if arguments[0] not in COMMANDS and not arguments[0].startswith("-"):
            raise MirrorNetError(
                f"there is no command {arguments[0]}; choose one of {', '.join(COMMANDS)}."
            )
        # A wildcard may have made arguments of names, which tyro prints as they are.
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
    """One that takes the same arguments, for tyro to say what is wrong with them."""

    @wraps(command)
    def idle(*_: object, **__: object) -> None:
        pass

    return idle


def _check_here() -> None:
    """MirrorNetError if the current folder was deleted: libraries end the process without."""
    try:
        os.getcwd()
    except FileNotFoundError as error:
        raise MirrorNetError("the current folder was deleted; change to another one.") from error
