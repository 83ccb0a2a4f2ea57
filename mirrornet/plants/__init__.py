"""Plants: anything that turns controls into sound."""

from inspect import signature
from typing import Any

from ..errors import PlantError
from .base import Plant
from .vital import Vital

__all__ = ["Plant", "load_plant"]

PLANTS = {"vital": Vital}


def load_plant(name: str = "vital", **options: Any) -> Plant:
    """The plant `name`, with its options (`controls`, `sample_rate_hz`).

    Raises PlantError for a name or option that does not exist.
    """
    if name not in PLANTS:
        raise PlantError(f"there is no plant {name!r}; choose one of {', '.join(PLANTS)}.")
    known = signature(PLANTS[name]).parameters
    if unknown := ", ".join(sorted(options.keys() - known.keys())):
        raise PlantError(f"{name} has no option {unknown}; choose from {', '.join(known)}.")
    return PLANTS[name](**options)
