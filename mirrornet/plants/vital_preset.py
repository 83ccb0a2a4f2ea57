"""The text of a `.vital` preset, by the rules of the Vital program that opens it.

vita puts a placeholder, 99999.9.9, where Vital puts its version, and Vital refuses whatever is
newer than itself. The rules and their sources are in docs/vital-presets.md.
"""

import json
from typing import Any

# Newer than no released Vital, and beyond the last version (0.9.0) whose presets it converts.
VERSION = "1.0.0"
AUTHOR = "MirrorNet"


def preset_text(preset: dict[str, Any], style: str, comments: str) -> str:
    """A preset as vita's `to_json` gives it, with what Vital's loader and its browser ask for.

    `style` is one of the browser's, such as "Keys". Keys are sorted and nothing is spaced, as the
    browser finds author and style in the first bytes of the file, without reading all of it.
    """
    settings = preset["settings"]
    wavetables = [table | {"version": VERSION} for table in settings["wavetables"]]
    complete = preset | {
        "synth_version": VERSION,
        "author": AUTHOR,
        "preset_style": style,
        "comments": comments,
        "settings": settings | {"wavetables": wavetables},
    }
    return json.dumps(complete, sort_keys=True, separators=(",", ":"), allow_nan=False)
