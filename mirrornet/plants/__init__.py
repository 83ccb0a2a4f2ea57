"""Plants: anything that turns controls into sound."""

from inspect import signature
from typing import Any

from ..errors import PlantError
from .base import Plant
from .soundfont import PROGRAMS, SoundFont
from .vital import Vital

__all__ = ["PLANTS", "Plant", "find_plant", "load_plant"]

PLANTS: dict[str, type[Plant]] = {"vital": Vital, "soundfont": SoundFont}


def find_plant(name: str) -> type[Plant]:
    """The kind of plant called `name`; PlantError if there is none."""
    return _kind_and_options(name)[0]


def load_plant(name: str = "vital", **options: Any) -> Plant:
    """The plant `name`, with its options (`controls`, `sample_rate_hz`, and its own).

    "soundfont-40" is "soundfont" with `program=40`. Raises PlantError for a name or option that
    does not exist.
    """
    kind, named = _kind_and_options(name)
    known = signature(kind).parameters
    if unknown := ", ".join(sorted(options.keys() - known.keys())):
        raise PlantError(f"{name} has no option {unknown}; choose from {', '.join(known)}.")
    return kind(**named | options)


def _kind_and_options(name: str) -> tuple[type[Plant], dict[str, Any]]:
    kind, _, program = name.partition("-")
    if name in PLANTS:
        return PLANTS[name], {}
    if kind == SoundFont.name and program.isdecimal() and int(program) in PROGRAMS:
        return SoundFont, {"program": int(program)}
    raise PlantError(
        f"there is no plant {name!r}; choose one of {', '.join(PLANTS)}, or soundfont-40 and the "
        "like for other programs than the Rhodes."
    )
