"""Which of a plant's control sets a command means, if none is named."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..controls import ControlSpace


def usual_controls(sets: Mapping[str, "ControlSpace"], melodies: bool) -> str:
    """The first for melodies of the paper, or the first for recordings; the first of all, if there
    is none such."""
    fitting = [name for name, space in sets.items() if space.is_melody == melodies]
    return (fitting or list(sets))[0]
