"""mirrornet: an autoencoder that learns to play a real synthesizer (arXiv 2110.05695).

          audio ──► cochlea ──► spectrogram ──► ENCODER ────► score ───► PLANT ──► audio'
                                     ▲          (inverse      │       (real synth)    │
                                e_c  │           model)       ▼                    cochlea
                                     └── spectrogram^ ◄── DECODER (forward model)     │
                                              ▲                                       │
                                              └────────────── e_d ──────────── spectrogram'

The decoder learns to predict the plant's spectrogram (e_d). The encoder learns to reproduce the
target by backpropagating its error through the frozen decoder (e_c). No target is paired with its
controls.

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
    """Import a public name on first access (PEP 562): torch takes seconds to import, and
    `mirrornet --help`, `mirrornet doctor` and pool workers do not need every module."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_HOMES.get(name, 'errors')}", __name__), name)


def __dir__() -> list[str]:
    return sorted(__all__)
