"""The views of a match for pages: spectrograms as bytes, and the scripts that show them.

The scripts are the modules of `mirrornet/page`, which the studio serves as files; a page that is
sent to someone has them inside.
"""

import base64
import json
from importlib.resources import files
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from .answer import Answer

LOUDEST = 1.6  # of compressed spectrograms that are shown
MODULES = ("colours.js", "player.js", "report.js", "roll.js", "spectrogram.js")


def shown(
    heard: Float[np.ndarray, "channel frame"],
) -> UInt8[np.ndarray, "frame channel"]:
    """A compressed spectrogram as bytes, a frame after another."""
    return np.clip(np.rint(heard.T * (255 / LOUDEST)), 0, 255).astype(np.uint8)


def data_of(match: Answer, notes: Any) -> str:
    """What `report.js` shows of a match, as JSON within HTML; `notes` as in `controls.json`."""
    found = {
        "duration_s": len(match.target) / match.sample_rate_hz,
        "sample_rate_hz": match.sample_rate_hz,
        "channels": len(match.heard),
        "target": _base64(shown(match.target_heard).tobytes()),
        "heard": _base64(shown(match.heard).tobytes()),
        "notes": notes,
        "transposition": match.plant.transposition,
    }
    return json.dumps(found).replace("<", "\\u003c")


def import_map() -> str:
    """The modules as JSON of an import map, each in a data URL. A module in a data URL can import
    others by such names only, not by relative paths."""
    page = files("mirrornet").joinpath("page")
    found = {}
    for name in MODULES:
        text = page.joinpath(name).read_text("utf-8").replace('from "./', 'from "mirrornet/')
        found[f"mirrornet/{name}"] = f"data:text/javascript;base64,{_base64(text.encode())}"
    return json.dumps({"imports": found})


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")
