"""Syllables: how consonants and vowels change the sound of sung notes.

A note starts where its voice does: with a sonorant (l, m, n, r) or else with the vowel. Stops and
fricatives come before. Some voices are put together from recorded diphones, which are joined in
the middle of vowels: there the sound changes abruptly, though no note starts.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from .performance import Played

Frames = Float[np.ndarray, " frame"]
KINDS = {"vowel": 0.2, "sonorant": 0.35, "stop": 0.15, "fricative": 0.3}  # how syllables start
JOINED = 0.4  # share of voices that are put together
SAME = 0.5  # semitones from the note before, below which a slurred vowel needs a dip to be heard


class Syllables(NamedTuple):
    """What the syllables of a chain of notes do to each frame."""

    formants_hz: Float[np.ndarray, "frame formant=4"]
    tilt_db: Frames
    """Per octave above the fundamental."""
    gain_db: Frames
    noise: Frames
    """Amplitude of the consonants' noise."""


def articulate(
    chain: list[Played], times_s: Frames, joined: bool, generator: np.random.Generator
) -> Syllables:
    """Draw a syllable for each note of a chain."""
    syllables = _Articulation(times_s, generator)
    for number, note in enumerate(chain):
        before = chain[number - 1] if number else None
        syllables.add(note, before, joined)
    return Syllables(syllables.formants_hz, syllables.tilt_db, syllables.gain_db, syllables.noise)


class _Articulation:
    """Adds syllable after syllable."""

    def __init__(self, times_s: Frames, generator: np.random.Generator):
        self.times_s, self.generator = times_s, generator
        self.size = generator.uniform(0.85, 1.3)  # of the mouth
        self.formants_hz = np.zeros((len(times_s), 4)) + self._vowel_hz()
        self.tilt_db = np.zeros_like(times_s)
        self.gain_db = np.zeros_like(times_s)
        self.noise = np.zeros_like(times_s)

    def add(self, note: Played, before: Played | None, joined: bool) -> None:
        uniform, chance = self.generator.uniform, self.generator.random
        length_s = note.offset_s - note.onset_s
        self._move(note.onset_s, uniform(0.008, 0.03), self._vowel_hz())
        if chance() < 0.4:  # a diphthong
            self._move(note.onset_s + uniform(0.08, 0.8), uniform(0.02, 0.12), self._vowel_hz())
        if joined and length_s > 0.08:
            self._join(note.onset_s + uniform(0.25, 0.75) * length_s)
            if length_s > 0.4 and chance() < 0.5:
                self._join(note.onset_s + uniform(0.1, 0.9) * length_s)
        kind = self.generator.choice(list(KINDS), p=list(KINDS.values()))
        if kind == "sonorant":
            lasts_s = min(uniform(0.035, 0.13), 0.5 * length_s)
            self._sonorant(note.onset_s, note.onset_s + lasts_s, joined)
        elif kind == "fricative":
            self._fricative(note.onset_s)
        elif before is not None and (kind == "stop" or abs(note.pitch - before.pitch) < SAME):
            lasts_s = uniform(0.02, 0.1)
            gap = _window(self.times_s, note.onset_s - lasts_s, note.onset_s, 0.01)
            self.gain_db -= uniform(6, 25) * gap
        if length_s > 0.15 and chance() < 0.3:
            starts_s = note.offset_s - min(uniform(0.04, 0.16), 0.4 * length_s)
            self._sonorant(starts_s, note.offset_s, joined)
        elif chance() < 0.1:
            lasts_s = uniform(0.04, 0.2)
            end_s = note.offset_s + lasts_s
            self.noise += uniform(0.3, 2) * _window(self.times_s, note.offset_s, end_s, 0.02)

    def _vowel_hz(self) -> Float[np.ndarray, "formant=4"]:
        low, high = (250, 700, 2200, 3200), (850, 2400, 3000, 3900)
        vowel_hz = self.size * self.generator.uniform(low, high)
        vowel_hz[1] = max(vowel_hz[1], vowel_hz[0] + 250)
        return vowel_hz

    def _move(
        self, at_s: float, moves_s: float, formants_hz: Float[np.ndarray, "formant=4"]
    ) -> None:
        """Move the formants from a time on."""
        way = _step(self.times_s, at_s, moves_s)[:, None]
        self.formants_hz += (formants_hz - self.formants_hz) * way

    def _join(self, at_s: float) -> None:
        """Go on with another recording of the same vowel, from a time on."""
        normal = self.generator.standard_normal
        way = _step(self.times_s, at_s, self.generator.uniform(0.001, 0.012))
        self.formants_hz *= 1 + 0.1 * normal(4) * way[:, None]
        self.tilt_db += 2 * normal() * way
        self.gain_db += 3 * normal() * way

    def _sonorant(self, start_s: float, end_s: float, joined: bool) -> None:
        """An l, m, n or r: darker and less loud than a vowel."""
        uniform = self.generator.uniform
        own = _window(self.times_s, start_s, end_s, 0.003 if joined else uniform(0.005, 0.02))
        murmur_hz = self.size * uniform((220, 900, 2000, 3000), (420, 1700, 2900, 3900))
        self.formants_hz += (murmur_hz - self.formants_hz) * own[:, None]
        self.tilt_db -= uniform(0, 8) * own
        self.gain_db -= uniform(0, 12) * own

    def _fricative(self, end_s: float) -> None:
        """Noise, or a burst after a stop, before the voice."""
        uniform = self.generator.uniform
        lasts_s = uniform(0.03, 0.14)
        since_s = self.times_s - end_s
        self.gain_db -= uniform(14, 60) * _window(self.times_s, end_s - lasts_s, end_s, 0.012)
        before = np.clip(1 + since_s / lasts_s, 0, 1) * (since_s < 0.008)
        swell = before ** uniform(0.2, 3) if self.generator.random() < 0.6 else before**12
        self.noise += uniform(0.3, 3) * swell


def _step(times_s: Frames, at_s: float, moves_s: float) -> Frames:
    """0 before a time and 1 after it."""
    return 1 / (1 + np.exp(np.clip(-(times_s - at_s) / moves_s, -50, 50)))


def _window(times_s: Frames, start_s: float, end_s: float, edge_s: float) -> Frames:
    """1 between two times and 0 outside."""
    return np.clip(np.minimum(times_s - start_s, end_s - times_s) / edge_s + 0.5, 0, 1)


def resonances(
    hz: Float[np.ndarray, "frame partial"], formants_hz: Float[np.ndarray, "frame formant"]
) -> Float[np.ndarray, "frame partial"]:
    """The gain of parallel formants in dB; each has a bandwidth of 60 Hz and 6 % more."""
    gain = np.full_like(hz, 0.03)
    for formant_hz in formants_hz.T[:, :, None]:
        gain += 1 / (1 + ((hz - formant_hz) / (60 + 0.06 * formant_hz)) ** 2)
    return 20 * np.log10(gain)
