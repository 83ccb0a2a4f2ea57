"""`mirrornet plants` and `plants map`: the synthesizers, and control maps of plug-ins."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ...errors import OutputError
from ..options import MapFile, PlantsToList, PluginFile
from ..terminal import say

PURE_GAIN_DB = 0.3  # change of a note's colour with velocity below which it is none

if TYPE_CHECKING:
    from ...controls import Control


def plants(plant: PlantsToList = None) -> None:
    """List the synthesizers: control sets, whether weights ship, and how to install what is
    missing. With --plant, the controls of one, with units, ranges and meaning."""
    if plant is None:
        _print_overview()
        return
    from ...plants import find_plant

    sets: dict[Control, list[str]] = {}  # one name may stand for different controls
    for space in find_plant(plant).control_sets.values():
        for control in space:
            sets.setdefault(control, []).append(space.name)
    print(f"Plant {plant}\n{'control':18} {'range':22} {'curve':12} {'control sets':16} meaning")
    for control, names in sets.items():
        print(
            f"{control.name:18} {_reach(control):22} {control.curve:12} "
            f"{' '.join(names):16} {control.meaning}"
        )


def _print_overview() -> None:
    from ...models.mirrornet import ships
    from ...plants import plant_kinds

    print(f"{'plant':18} {'control set':12} {'controls':9} {'weights':8} to install")
    for name, kind in plant_kinds().items():
        missing = kind.to_install()
        for space in kind.control_sets.values():
            ship = "ship" if ships(space, kind.name) else "-"
            print(f"{name:18} {space.name:12} {len(space):<9} {ship:8} {missing}".rstrip())
    print("The controls of one: mirrornet plants --plant NAME. Whether it plays: mirrornet doctor.")


def _reach(control: "Control") -> str:
    """The values of a control, in a few words."""
    if control.kind == "choice":
        return ", ".join(control.choices)
    if control.kind == "switch":
        return "off, on"
    table = f", {' x '.join(map(str, control.shape))} values" if control.shape else ""
    return f"{control.low:g} to {control.high:g} {control.unit}".rstrip() + table


def plants_map(plugin: PluginFile, out: MapFile = None) -> None:
    """Probe a plug-in, and write a first control map of it.

    It finds the kinds and units of its parameters, which of them are audible, how many unheard
    notes before each note make it repeat itself, and whether it sounds the keys that are played.
    Complete the map, then give it as `--plant`.
    """
    from ...matching.transposition import heard_transposition
    from ...models.mirrornet import MirrorNet, shipped
    from ...plants.plugin_draft import draft
    from ...plants.probe import RATE_HZ, SCALE, probe
    from ...storage import check_place, write_atomically
    from ..console import print_table

    out = Path(f"{plugin.stem}.toml") if out is None else out
    if os.path.lexists(out):
        raise OutputError(f"{out} exists already; name another file with --out.")
    check_place(out, parents=False, instead="name another file with --out")
    say(f"Probing {plugin} ...")
    found = probe(plugin)
    reader = MirrorNet.load(shipped("patch"))
    transposition = heard_transposition(reader, found["scale"], SCALE, RATE_HZ)
    text, rows = draft(found, str(plugin.resolve()), transposition)
    write_atomically(out, lambda file: file.write_text(text, "utf-8"))
    print_table(rows)
    heard = sum(row[2] != "held" for row in rows[1:])
    say(
        f"{heard} of {found['count']} parameters are audible. With {found['settling_notes']} "
        f"unheard notes before each note, {found['repeated']} of {found['played']} notes repeat "
        "themselves."
    )
    where = "above the keys" if (transposition or 0) >= 0 else "below the keys"
    heard_at = "not clear" if transposition is None else f"{abs(transposition)} semitones {where}"
    gain = "only the loudness" if found["velocity_db"] < PURE_GAIN_DB else "the colour, too"
    say(f"What sounds is {heard_at}. Velocity changes {gain}; matches find levels by playing.")
    say(f"Written to {out}. Complete it; then: mirrornet match SOUND --plant {out} --refine 500")
