"""The forward model of a score: the auditory spectrogram that is expected of it, without a render.

For a plant whose controls are a timbre it is the model of additive sound (`models/additive.py`),
for others the decoder that learned on the plant.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float

from ..controls import Value
from ..features import FRAME_S, RECORDING_CHANNELS, uncompressed
from ..models.additive import RING_S, AdditiveSound
from ..models.mirrornet import MirrorNet, shipped, ships
from ..plants import Plant
from ..plants.timbre import pitch_curve
from ..score import PITCH_VALUE, Score, to_arrays
from .timbre import fitted_of, played_partials

SOUNDS = 16  # models of additive sound that are kept, as only their notes are expensive
NO_NOTES_ENERGY = 1e-9

Notes = tuple[tuple[float, float, float, tuple[tuple[float, float], ...]], ...]
"""Of each note: fractional MIDI pitch, onset and offset in s, glide."""


class ForwardModel:
    """The forward model of a plant with its control set."""

    def __init__(self, plant: Plant, model: MirrorNet | None = None):
        """`model`: one that learned these controls; None: for a timbre, which needs none."""
        self.plant, self.model = plant, model

    @staticmethod
    def known(plant: Plant) -> bool:
        """Whether `of` finds one."""
        if plant.controls.name == plant.timbre_set:
            return True
        return not plant.controls.is_melody and ships(plant.controls, plant.name)

    @classmethod
    def of(cls, plant: Plant) -> "ForwardModel | None":
        """The one of the plant: that of its timbre, or that of the weights that ship for its
        controls. None if there is none."""
        if not cls.known(plant):
            return None
        if plant.controls.name == plant.timbre_set:
            return cls(plant)
        return cls(plant, MirrorNet.load(shipped(plant.controls.name, plant.name)))

    @torch.no_grad()
    def expected(
        self, score: Score, start_s: float, frames: int, every: int = 1
    ) -> Float[np.ndarray, "channel=176 shown"]:
        """The energies of every `every`-th of `frames` frames from `start_s` on, relative to their
        mean. The notes of the score have controls that the plant accepts."""
        if not score.notes:
            return np.full((RECORDING_CHANNELS, -(-frames // every)), NO_NOTES_ENERGY, np.float32)
        if self.model is None:
            energies = self._of_timbre(score, start_s, frames)[:, ::every]
        else:
            energies = self._of_decoder(score, start_s, frames, every)
        return (energies / max(float(energies.mean()), NO_NOTES_ENERGY)).astype(np.float32)

    def _of_decoder(
        self, score: Score, start_s: float, frames: int, every: int
    ) -> Float[np.ndarray, "channel=176 shown"]:
        assert self.model is not None
        ordered = sorted(score.resolved, key=lambda note: note.onset_s)
        notes, patch = to_arrays(self.plant.controls, Score(ordered, score.patch))
        notes[:, PITCH_VALUE] += self.plant.transposition
        times_s = start_s + FRAME_S * np.arange(1, frames + 1, every)
        rows = (torch.from_numpy(part)[None].float() for part in (notes, patch, times_s))
        return uncompressed(self.model.decoder(*rows)[0].numpy())

    def _of_timbre(
        self, score: Score, start_s: float, frames: int
    ) -> Float[np.ndarray, "channel=176 frame"]:
        plant, patch = self.plant, self._by_role(score)
        tune = plant.controls.own.of_role("tune")
        end_s = start_s + FRAME_S * frames
        sounding = [
            note
            for note in score.resolved
            if note.onset_s < end_s - FRAME_S and note.offset_s + RING_S > start_s + FRAME_S
        ]
        if not sounding:
            return np.full((RECORDING_CHANNELS, frames), NO_NOTES_ENERGY, np.float32)
        notes = tuple(
            (
                note.pitch_midi
                + plant.transposition
                + (note.controls[tune.name] / 100 if tune else 0.0),
                note.onset_s - start_s,
                note.offset_s - start_s,
                note.glide,
            )
            for note in sounding
        )
        sound = _additive(
            notes,
            frames,
            float(patch["low_key"]) + plant.transposition,
            float(patch["high_key"]) + plant.transposition,
            float(patch.get("vibrato_depth", 0.0)),
            tuple(np.ravel(patch.get("bend", ())).tolist()),
            tuple(np.asarray(patch["partials"])[played_partials(plant.controls, score)].tolist()),
        )
        heard = replace(score, notes=sounding)
        return sound.spectrogram(*fitted_of(plant.controls, heard)).numpy()

    def _by_role(self, score: Score) -> Mapping[str, Value]:
        return {
            control.role: score.patch[control.name]
            for control in self.plant.controls.patch
            if control.role
        }


@lru_cache(maxsize=SOUNDS)
def _additive(
    notes: Notes,
    frames: int,
    low_key: float,
    high_key: float,
    vibrato_cents: float,
    bend: tuple[float, ...],
    partials: tuple[float, ...],
) -> AdditiveSound:
    pitches, onsets_s, offsets_s, glides = zip(*notes, strict=True)
    curves = []
    if any(bend) or any(glides):
        curves = [pitch_curve(list(bend), glide) for glide in glides]
    keys = low_key, high_key
    return AdditiveSound(
        pitches, onsets_s, offsets_s, frames, keys, vibrato_cents, curves, partials
    )
