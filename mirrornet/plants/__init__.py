"""Plants: synthesizers that render scores to sound."""

from typing import Any

from .base import NotePlant, Plant, PlantSpec
from .registry import find_plant, is_file, make_plant, plant_kinds, usual_controls

__all__ = [
    "NotePlant",
    "Plant",
    "PlantSpec",
    "find_plant",
    "is_file",
    "load_plant",
    "make_plant",
    "plant_kinds",
    "usual_controls",
]


def load_plant(name: str = "vital", /, **options: Any) -> Plant:
    """Make the plant `name` with its options (`controls`, `sample_rate_hz`, and its own).

    `name` may be the path of a Python file that defines one plant, such as "./toy.py", or of a
    control map, such as "./my.toml". "soundfont-40" is "soundfont" with `program=40`. A plant of
    foreign native code (`Plant.foreign`) is played in a process of its own; a script that loads one
    must do so under `if __name__ == "__main__":`, because that process imports the script again.

    Raises PlantError for a name or option that does not exist.
    """
    kind = find_plant(name)
    if not kind.foreign and not kind.fresh:
        return make_plant(name, **options)
    from .isolated import Isolated  # imports torch

    return Isolated(name, **options)
