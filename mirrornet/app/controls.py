"""The default control set of a command."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..controls import ControlSpace


def usual_controls(sets: Mapping[str, "ControlSpace"], melodies: bool) -> str:
    """Return the name of the first control set for the paper's melodies, if `melodies`, else of the
    first for recordings; if there is none of that kind, of the first of all."""
    fitting = [name for name, space in sets.items() if space.is_melody == melodies]
    return (fitting or list(sets))[0]
