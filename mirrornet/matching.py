"""One target sound -> `Match`: the controls that make a plant sound like it."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float

from .audio import from_samples, load_audio
from .errors import AudioError, CheckpointError, ControlError
from .export import save_match
from .hearing import hear
from .melody import MELODY_S, Note, melody_notes
from .metrics import spectrogram_error
from .mirror import MirrorNet, load_model
from .plants import Plant, load_plant
from .refining import refine_controls

EXPORT_RATE_HZ = 44100
SHORTEST_S, LONGEST_S = 1.5, 2.5
NOTES = 5


@dataclass(frozen=True)
class Match:
    """The answer for one target."""

    plant: Plant
    """At `EXPORT_RATE_HZ`; it played `audio`."""
    controls: Float[np.ndarray, "control note"]
    """0..1, in the order of `plant.controls`."""
    notes: list[Note]
    """The same in physical units, with times."""
    audio: Float[np.ndarray, " sample"] = field(repr=False)
    """The plant playing `notes`, at the plant's own level."""
    target: Float[np.ndarray, " sample"] = field(repr=False)
    """The target at the same rate and length, at its own level."""
    sample_rate_hz: int
    target_heard: Float[np.ndarray, "channel=128 frame"] = field(repr=False)
    """Loudness-compressed auditory spectrogram of the target."""
    heard: Float[np.ndarray, "channel=128 frame"] = field(repr=False)
    """The same of `audio`."""
    distances: dict[str, float]
    """How far `audio` is from the target; 0 is perfect. `spectrogram_error`: mean squared
    difference of the loudness-compressed auditory spectrograms, as a share of the target's
    variance."""

    def save(self, folder: str | Path) -> list[Path]:
        """Write every file a user wants into `folder`, which must be new or empty.

        Raises OutputError, having written nothing, if it is not or cannot be written.
        """
        return save_match(self, folder)


def match(
    sound: str | Path | tuple[np.ndarray, int],
    plant: str | Plant = "vital",
    model: MirrorNet | str | Path | None = None,
    refine: int = 0,
    seed: int = 0,
) -> Match:
    """Find the notes and knob settings that make `plant` sound like `sound`.

    Args:
        sound: a sound file, or `(samples, sample_rate_hz)`: a melody of five notes in 2 s. It is
            cut or filled up with silence to 2 s.
        plant: a plant's name, or a plant at `EXPORT_RATE_HZ`.
        model: a MirrorNet, the path of one, or None for the weights that ship.
        refine: how many real renders may be spent on improving the encoder's answer.
        seed: of the refinement's trials; the same seed gives the same match.

    Raises AudioError, PlantError, CheckpointError or ControlError with a sentence to act on.
    """
    if refine < 0:
        raise ControlError(f"refine is a number of renders, 0 or more; got {refine}.")
    target = two_seconds(sound)
    if not isinstance(model, MirrorNet):
        model = load_model(model)
    if isinstance(plant, str):
        plant = load_plant(plant, controls=model.controls.name, sample_rate_hz=EXPORT_RATE_HZ)
    if plant.name != model.plant or plant.controls != model.controls:
        raise CheckpointError(
            f"the model plays {model.plant} with {', '.join(model.controls.names)}, not this "
            f"{plant.name} with {', '.join(plant.controls.names)}; choose the plant it learned on."
        )
    target_heard = hear(target, EXPORT_RATE_HZ)
    listened = torch.from_numpy(hear(target, EXPORT_RATE_HZ, model.hearing))
    controls = model.guess(listened[None], NOTES)[0].numpy().astype(np.float64)
    if refine:
        controls = refine_controls(model, plant, target_heard, controls, refine)
    notes = melody_notes(plant.controls, controls)
    audio = plant.play(notes, MELODY_S)
    heard = hear(audio, EXPORT_RATE_HZ)
    error = spectrogram_error(target_heard, heard)
    return Match(
        plant,
        controls,
        notes,
        audio,
        target,
        EXPORT_RATE_HZ,
        target_heard,
        heard,
        {"spectrogram_error": error},
    )


def two_seconds(sound: str | Path | tuple[np.ndarray, int]) -> Float[np.ndarray, " sample"]:
    """The target at `EXPORT_RATE_HZ`, exactly 2 s."""
    if isinstance(sound, tuple):
        samples, sample_rate_hz = sound
        audio = from_samples(samples, sample_rate_hz, EXPORT_RATE_HZ)
    else:
        audio = load_audio(sound, EXPORT_RATE_HZ)
    duration_s = len(audio) / EXPORT_RATE_HZ
    if not SHORTEST_S <= duration_s <= LONGEST_S:
        raise AudioError(
            f"the sound lasts {duration_s:.3g} s; this version matches melodies of five notes in "
            f"2 s, so cut it to between {SHORTEST_S} and {LONGEST_S} s."
        )
    exact = np.zeros(round(MELODY_S * EXPORT_RATE_HZ), np.float32)
    exact[: len(audio)] = audio[: len(exact)]
    return exact
