"""mirrornet learns to play a real synthesizer by listening.

          audio ──► cochlea ──► spectrogram ──► ENCODER ────► score ───► PLANT ──► audio'
                                     ▲          (inverse      │       (real synth)    │
                                e_c  │           model)       ▼                    cochlea
                                     └── spectrogram^ ◄── DECODER (forward model)     │
                                              ▲                                       │
                                              └────────────── e_d ──────────── spectrogram'

The decoder learns what the plant does (e_d); the encoder learns to play the target, by sending its
error back through the decoder (e_c). No target ever comes with its controls.

    import mirrornet as mn
    match = mn.match("sound.wav")
    match.save("out/")
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .audio import load_audio
    from .cochlea import Cochlea
    from .controls import Control, ControlSpace
    from .errors import (
        AudioError,
        CancelledError,
        CheckpointError,
        ControlError,
        MirrorNetError,
        OutputError,
        PlantError,
    )
    from .events import Progress
    from .matching.match import Match, match
    from .models.mirrornet import MirrorNet, load_model
    from .plants import Plant, load_plant
    from .score import Note, Score

__all__ = [
    "AudioError",
    "CancelledError",
    "CheckpointError",
    "Cochlea",
    "Control",
    "ControlError",
    "ControlSpace",
    "Match",
    "MirrorNet",
    "MirrorNetError",
    "Note",
    "OutputError",
    "Plant",
    "PlantError",
    "Progress",
    "Score",
    "load_audio",
    "load_model",
    "load_plant",
    "match",
]

_HOMES = {
    "load_audio": "audio",
    "Cochlea": "cochlea",
    "Control": "controls",
    "ControlSpace": "controls",
    "Progress": "events",
    "Match": "export.match",
    "match": "matching.match",
    "Note": "score",
    "Score": "score",
    "MirrorNet": "models.mirrornet",
    "load_model": "models.mirrornet",
    "Plant": "plants",
    "load_plant": "plants",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first asked for (PEP 562): torch takes seconds, and
    `mirrornet --help`, `mirrornet doctor` and the workers of a pool should not wait for all."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES.get(name, 'errors')}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
