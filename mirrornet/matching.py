"""One target sound -> `Match`: the controls that make a plant sound like it."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from threadpoolctl import threadpool_limits

from .errors import CheckpointError, ControlError
from .export import save_match
from .hearing import hear
from .imagining import imagine
from .melody import MELODY_S, Note, melody_notes
from .metrics import spectrogram_error
from .mirror import MirrorNet, load_model
from .plants import Plant, load_plant
from .practising import Practice, practise
from .targets import melody_sound

EXPORT_RATE_HZ = 44100
NOTES = 5


@dataclass(frozen=True)
class Match:
    """The answer for one target."""

    plant: Plant
    """It played `audio`."""
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
        plant: a plant's name, then played at `EXPORT_RATE_HZ`; or a plant, at whatever rate.
        model: a MirrorNet, the path of one, or None for the weights that ship.
        refine: how many real renders may be spent on improving the answer, which otherwise is what
            encoder and decoder make of the sound.
        seed: where the chance in refinement starts; the same seed gives the same match.

    Raises AudioError, PlantError, CheckpointError or ControlError with a sentence to act on.
    """
    if refine < 0:
        raise ControlError(f"refine is a number of renders, 0 or more; got {refine}.")
    if not isinstance(model, MirrorNet):
        model = load_model(model)
    name = plant if isinstance(plant, str) else plant.name
    if name != model.plant:
        raise CheckpointError(
            f"the model plays {model.plant}, not {name}; choose the plant it learned on."
        )
    if isinstance(plant, str):
        plant = load_plant(plant, controls=model.controls.name, sample_rate_hz=EXPORT_RATE_HZ)
    if plant.controls != model.controls:
        raise CheckpointError(
            f"the model plays {model.plant} with {', '.join(model.controls.names)}, not with "
            f"{', '.join(plant.controls.names)}; choose the plant it learned on."
        )
    rate_hz = plant.sample_rate_hz
    target = melody_sound(sound, rate_hz)
    target_heard = hear(target, rate_hz)
    listened = torch.from_numpy(hear(target, rate_hz, model.hearing))
    controls = model.guess(listened[None], NOTES)[0].numpy().astype(np.float64)
    # The products are too small for more threads, which would only wait for each other.
    with threadpool_limits(1, "blas"):
        if model.hearing == "loudness":
            controls = imagine(model, listened, controls)
        if refine:
            practice = practise(model.controls, target_heard, controls, refine, model, seed)
            controls = _practise(plant, practice)
    notes = melody_notes(plant.controls, controls)
    audio = plant.play(notes, MELODY_S)
    heard = hear(audio, rate_hz)
    error = spectrogram_error(target_heard, heard)
    return Match(
        plant,
        controls,
        notes,
        audio,
        target,
        rate_hz,
        target_heard,
        heard,
        {"spectrogram_error": error},
    )


def _practise(plant: Plant, practice: Practice) -> Float[np.ndarray, "control note"]:
    """Play and hear what a practice asks for, to its end."""
    try:
        controls = next(practice)
        while True:
            sound = plant.render(controls)
            controls = practice.send(hear(sound, plant.sample_rate_hz, "linear"))
    except StopIteration as end:
        return end.value
