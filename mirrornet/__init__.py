"""mirrornet learns to play a real synthesizer by listening.

          audio ──► cochlea ──► spectrogram ──► ENCODER ──► controls ──► PLANT ──► audio'
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

from .audio import load_audio
from .cochlea import Cochlea
from .controls import Control, ControlSpace
from .errors import (
    AudioError,
    CheckpointError,
    ControlError,
    MirrorNetError,
    OutputError,
    PlantError,
)
from .matching import Match, match
from .melody import Note
from .mirror import MirrorNet, load_model
from .plants import Plant, load_plant

__all__ = [
    "AudioError",
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
    "load_audio",
    "load_model",
    "load_plant",
    "match",
]
