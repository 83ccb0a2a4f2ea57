"""The command line. Each command is a function; its arguments are the options and its docstring is
the help. Commands import what they need when they run, so that `mirrornet --help` answers at once.
"""

import io
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import wraps
from importlib.metadata import version
from typing import TYPE_CHECKING

import tyro

from .commands.learn import bench, experiment, learn
from .commands.match import demo, match, render
from .errors import MirrorNetError
from .terminal import printable, say

if TYPE_CHECKING:
    from .controls import Control


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

    0: done. 1: done in part: the doctor found a problem, or of a folder some sounds could not be
    matched. 2: an error, explained in a sentence on stderr. 130: stopped by Ctrl-C. A command line
    that is no command ends in SystemExit with 2.
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
        # A wildcard may have made arguments of names, which tyro prints as they are.
        if (shown := [printable(argument) for argument in arguments]) != arguments:
            _run(shown, {name: _idle(command) for name, command in COMMANDS.items()})
        code = _run(arguments, COMMANDS)
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
        say(f"mirrornet: {error}", sys.stderr)
        return 2
    except OSError as error:
        say(f"mirrornet: {error.filename or 'a file'}: {error.strerror}.", sys.stderr)
        if error.filename is None:
            _give_up_stdout()
        return 2


def _run(arguments: Sequence[str], commands: Mapping[str, Callable[..., int | None]]) -> int | None:
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


def _give_up_stdout() -> None:
    """Python flushes what is left at its exit, and would complain again."""
    with suppress(OSError):  # a stand-in for stdout has no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
