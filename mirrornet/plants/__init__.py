"""Plants: anything that turns controls into sound."""

from inspect import signature
from typing import Any

from ..errors import PlantError
from .base import Plant
from .soundfont import SoundFont
from .vital import Vital

__all__ = ["PLANTS", "Plant", "find_plant", "load_plant"]

PLANTS: dict[str, type[Plant]] = {"vital": Vital, "soundfont": SoundFont}


def find_plant(name: str) -> type[Plant]:
    """The kind of plant called `name`; PlantError if there is none."""
    if name not in PLANTS:
        raise PlantError(f"there is no plant {name!r}; choose one of {', '.join(PLANTS)}.")
    return PLANTS[name]


def load_plant(name: str = "vital", **options: Any) -> Plant:
    """The plant `name`, with its options (`controls`, `sample_rate_hz`, and its own).

    Raises PlantError for a name or option that does not exist.
    """
    kind = find_plant(name)
    known = signature(kind).parameters
    if unknown := ", ".join(sorted(options.keys() - known.keys())):
        raise PlantError(f"{name} has no option {unknown}; choose from {', '.join(known)}.")
    return kind(**options)
