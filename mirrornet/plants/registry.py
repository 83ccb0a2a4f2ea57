"""Finding plants by name, and making them.

They are those of this package, those of other packages (entry points of the group
`mirrornet.plants`), plug-ins with a control map (.toml), and those in a Python file of the user.
"""

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from contextlib import suppress
from importlib.metadata import EntryPoint, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from inspect import isabstract, signature
from pathlib import Path
from types import ModuleType
from typing import Any

from ..errors import PlantError
from .base import Plant, PlantSpec
from .faust import faust_kind, shipped_programs
from .plugin import plugin_kind
from .plugin_map import shipped_maps

GROUP = "mirrornet.plants"
OURS = {
    "vital": "mirrornet.plants.vital:Vital",
    "dx7": "mirrornet.plants.dx7:DX7",
    "soundfont": "mirrornet.plants.soundfont:SoundFont",
}
MOST_LETTERS = 64
NAME = re.compile(rf"\w[\w .-]{{0,{MOST_LETTERS - 1}}}")
OF_SUFFIX = {".toml": plugin_kind, ".dsp": faust_kind}


def plant_kinds() -> dict[str, type[Plant]]:
    """The classes of all installed plants, by name, without those that cannot be imported."""
    found: dict[str, type[Plant]] = {}
    for entry in _entries():
        with suppress(PlantError):
            found[entry.name] = _loaded(entry)
    return found | {name: OF_SUFFIX[path.suffix](path) for name, path in _shipped().items()}


def find_plant(name: str) -> type[Plant]:
    """The class of the plant `name`. Raises PlantError if there is none."""
    return _found(name)[0]


def make_plant(name: str = "vital", /, **options: Any) -> Plant:
    """`load_plant`, in this process, whatever the plant is."""
    kind, source, named = _found(name)
    known = signature(kind).parameters
    if unknown := options.keys() - known.keys():
        listed, choices = ", ".join(sorted(unknown)), ", ".join(known) or "none"
        raise PlantError(f"{name} has no option {listed}; choose from {choices}.")
    plant = kind(**named | options)
    plant.spec = PlantSpec(source, plant.spec.options)
    return plant


def usual_controls(name: str, melodies: bool = False) -> str:
    """The control set that the plant's name stands for; else its first one for recordings, or for
    `melodies` of the paper; if it has none of that kind, its first one.

    Raises PlantError for a name that does not exist.
    """
    kind, _, named = _found(name)
    fitting = [key for key, space in kind.control_sets.items() if space.is_melody == melodies]
    return named.get("controls") or (fitting or list(kind.control_sets))[0]


def is_file(name: str) -> bool:
    """Whether a plant's name is the path of a Python file, a control map or a Faust program."""
    return name.endswith((".py", ".toml", ".dsp"))


def _shipped() -> dict[str, Path]:
    """Control maps and Faust programs that ship, by the plant's name."""
    return shipped_maps() | shipped_programs()


def _entries() -> Iterator[EntryPoint]:
    yield from (EntryPoint(name, value, GROUP) for name, value in OURS.items())
    yield from (entry for entry in entry_points(group=GROUP) if entry.name not in OURS)


def _loaded(entry: EntryPoint) -> type[Plant]:
    try:
        return _checked(entry.load(), entry.name)
    except Exception as error:  # third-party code may raise anything
        if isinstance(error, PlantError):
            raise
        raise PlantError(
            f"the plant {entry.name} cannot be imported ({type(error).__name__}: {error})."
        ) from error


def _checked(kind: Any, name: str) -> type[Plant]:
    if not isinstance(kind, type) or not issubclass(kind, Plant):
        raise PlantError(f"{name} is no plant: it must be a subclass of NotePlant or Plant.")
    if not getattr(kind, "name", None) or not getattr(kind, "control_sets", None):
        raise PlantError(f"the plant {name} needs a `name`, and its `control_sets` by name.")
    for one in (kind.name, *kind.control_sets):  # they name folders
        if not NAME.fullmatch(one):
            raise PlantError(
                f"{name} has the name {one[:MOST_LETTERS]!r}; names of plants and of control sets "
                f"are letters, digits, '-', '_', '.' and blanks, {MOST_LETTERS} at most."
            )
    return kind


def _found(name: str) -> tuple[type[Plant], str, dict[str, Any]]:
    """The class of a plant, the name that finds it again, and the options that `name` implies."""
    if is_file(name):
        path = Path(os.path.realpath(name))  # Path.resolve() fails at links in a circle
        kind = OF_SUFFIX.get(path.suffix, _of_file)(path)
        return _checked(kind, str(path)), str(path), {}
    entries = {entry.name: entry for entry in _entries()}
    files = _shipped()
    stem, _, rest = name.rpartition("-")
    for known, options in ((name, None), (stem, rest)):
        if known in entries or known in files:
            path = files.get(known)
            kind = OF_SUFFIX[path.suffix](path) if path else _loaded(entries[known])
            named = {} if options is None else kind.options_of(options)
            if named is not None:
                return kind, known, named
    raise PlantError(
        f"there is no plant {name!r}; choose one of {', '.join((*entries, *files))}, or "
        "soundfont-40 and the like for other programs than the Rhodes, or the path of a Python "
        "file, a control map (.toml) or a Faust program (.dsp) that defines one."
    )


def _of_file(path: Path) -> type[Plant]:
    """The one plant that a Python file defines; PlantError unless it runs and defines just one."""
    if not path.is_file():
        raise PlantError(f"there is no file {path}; give the path of a Python file with a plant.")
    # Cached by content, so that an edited file is run again.
    digest = hashlib.sha256(str(path).encode() + path.read_bytes()).hexdigest()
    name = f"mirrornet_plant_{digest[:12]}"
    module = sys.modules.get(name) or _run(path, name)
    kinds = [
        kind
        for kind in vars(module).values()
        if isinstance(kind, type)
        and issubclass(kind, Plant)
        and kind.__module__ == name
        and not isabstract(kind)
    ]
    if len(kinds) != 1:
        raise PlantError(
            f"{path} defines {len(kinds)} plants; a plant's file must define one subclass of "
            "NotePlant or Plant."
        )
    return kinds[0]


def _run(path: Path, name: str) -> ModuleType:
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PlantError(f"{path} cannot be run; give the path of a Python file with a plant.")
    module = module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # a user's own code may raise anything
        del sys.modules[name]
        raise PlantError(f"{path} cannot be run ({type(error).__name__}: {error}).") from error
    return module
