"""Vital's prior for babbling with the control set `wavetable`: random instruments.

An instrument has a spectrum with a slope, formants and a colour of its own for each harmonic;
perhaps only odd harmonics, an organ's stops, or hardly a fundamental. Struck, it fades, the higher
harmonics faster, and perhaps has partials beside the harmonics, as bars and bells have; blown, it
swells, and grows brighter. Its noise is a breath or a blow.
"""

import numpy as np
from jaxtyping import Float

from ..controls import ControlSpace, Value
from ..score import Score
from .prior import PHRASE_S
from .timbre import BANDS_HZ, HARMONICS, HIGHEST_PARTIAL, PARTIALS, TIMES_S
from .vital_prior import MANNERS, random_notes

LOW_KEYS = (28.0, 60.0)
SPANS = (12.0, 48.0)  # between the registers' keys
QUIET_DB = -100.0
STOPS = (1, 2, 3, 4, 6, 8, 10, 12, 16)  # harmonics of an organ's pipes
AUDIBLE_DB = -40.0


def random_phrase(space: ControlSpace, generator: np.random.Generator) -> Score:
    """Draw a phrase of `PHRASE_S`."""
    manner = str(generator.choice(list(MANNERS), p=list(MANNERS.values())))
    patch = random_patch(space, generator, manner)
    loud = np.max(patch["harmonics"], axis=(0, 2))
    fades = loud[-1] < AUDIBLE_DB
    longest_s = float(np.interp(AUDIBLE_DB, loud[::-1], TIMES_S[::-1])) if fades else np.inf
    notes = random_notes(space, generator, manner, longest_s)
    return Score(notes, patch, PHRASE_S) if notes else random_phrase(space, generator)


def random_patch(
    space: ControlSpace, generator: np.random.Generator, manner: str
) -> dict[str, Value]:
    """Draw the controls of a patch for one of the `MANNERS`, in their units."""
    uniform, chance = generator.uniform, generator.random
    struck = manner == "struck" or (manner == "any" and chance() < 0.5)
    low_key = uniform(*LOW_KEYS)
    high_key = low_key + uniform(*SPANS)
    course = _struck(generator) if struck else _blown(generator)
    spectra = _spectra((low_key, high_key), generator)
    harmonics = spectra[:, None, :] + course
    harmonics -= harmonics.max()
    release_s = np.exp(uniform(np.log(0.1), np.log(7.0 if struck else 2.4)))
    partials, partial_levels = _partials(struck and chance() < 0.15, generator)
    patch: dict[str, Value] = {
        "harmonics": harmonics.clip(QUIET_DB, 0.0),
        "noise": _noise(generator).clip(QUIET_DB, 0.0),
        "partials": partials,
        "partial_levels": partial_levels.clip(QUIET_DB, 0.0),
        "bend": _bend(generator) if struck and chance() < 0.1 else np.zeros(len(TIMES_S)),
        "low_key": low_key,
        "high_key": high_key,
        "release": release_s,
        "release_curve": np.exp(uniform(np.log(0.5), np.log(7.0))),
        "vibrato_rate": float(space.named("vibrato_rate").to_physical(chance())),
        "vibrato_depth": 0.0 if struck or chance() < 0.4 else 100 * chance() ** 2.5,
        "vibrato_phase": chance(),
    }
    return {name: space.named(name).check(value) for name, value in patch.items()}


def _spectra(
    keys: tuple[float, float], generator: np.random.Generator
) -> Float[np.ndarray, "register harmonic"]:
    """Amplitudes in dB, for both registers; formants stay at their frequencies."""
    uniform, chance, normal = generator.uniform, generator.random, generator.standard_normal
    n = np.array(HARMONICS, float)
    colour = uniform(0, 6) * normal(len(n)) + 3 * normal((2, len(n)))
    if chance() < 0.3:
        colour[..., n % 2 == 0] -= uniform(6, 40)
    if chance() < 0.25:
        colour[..., n <= generator.integers(1, 4)] -= uniform(5, 35)
    if chance() < 0.12:
        colour += np.where(np.isin(n, STOPS), uniform(-12, 6, len(n)), -30)
    slope = uniform(1, 16) + uniform(-3, 3, (2, 1))
    spectra = colour - slope * np.log2(n)
    at_hz = 440 * 2 ** ((np.array(keys)[:, None] - 69) / 12) * n
    for _ in range(generator.integers(0, 5)):
        peak_hz, width = np.exp(uniform(np.log(200), np.log(5000))), uniform(0.15, 0.8)
        spectra += uniform(-6, 24) * np.exp(-((np.log2(at_hz / peak_hz) / width) ** 2))
    return spectra


def _struck(generator: np.random.Generator) -> Float[np.ndarray, "time harmonic"]:
    uniform = generator.uniform
    times_s, n = np.array(TIMES_S)[:, None], np.array(HARMONICS, float)
    fall = np.exp(uniform(np.log(6), np.log(150)))  # dB per s
    faster = n ** uniform(0, 0.8)
    held = uniform(0, 40) if generator.random() < 0.3 else np.inf  # a sound that stays
    attack_s = np.exp(uniform(np.log(0.002), np.log(0.02)))
    rise = 20 * np.log10(1 - 0.99 * np.exp(-times_s / attack_s))
    return rise - np.minimum(fall * faster * times_s, held)


def _blown(generator: np.random.Generator) -> Float[np.ndarray, "time harmonic"]:
    uniform = generator.uniform
    times_s, octaves = np.array(TIMES_S)[:, None], np.log2(np.array(HARMONICS, float))
    attack_s = np.exp(uniform(np.log(0.01), np.log(0.15)))
    grown = 1 - 0.99 * np.exp(-times_s / attack_s)
    brighter = uniform(0, 8) * octaves * (grown - 1)
    sags = uniform(-4, 8) * (1 - np.exp(-times_s / uniform(0.05, 1.0)))
    return 20 * np.log10(grown) + brighter - sags


def _noise(generator: np.random.Generator) -> Float[np.ndarray, "time band"]:
    """A breath, and a blow at the onset, each with a spectrum of its own."""
    uniform, normal = generator.uniform, generator.standard_normal
    times_s, octaves = np.array(TIMES_S)[:, None], np.log2(np.array(BANDS_HZ) / 1000)

    def spectrum() -> Float[np.ndarray, " band"]:
        centre, width = uniform(-2, 3), uniform(1, 4)
        return -12 * ((octaves - centre) / width) ** 2 + 3 * normal(len(octaves))

    breath = uniform(-90, -25) + spectrum() + np.zeros_like(times_s)
    blow = uniform(-80, -15) + spectrum() - uniform(100, 1500) * times_s
    return 10 * np.log10(10 ** (breath / 10) + 10 ** (blow / 10))


def _partials(
    bell: bool, generator: np.random.Generator
) -> tuple[Float[np.ndarray, " partial"], Float[np.ndarray, "time partial"]]:
    """Frequencies over the pitch, at random, and amplitudes in dB."""
    uniform = generator.uniform
    ratios = np.exp(uniform(np.log(0.5), np.log(HIGHEST_PARTIAL), PARTIALS))
    if not bell:
        return ratios, np.full((len(TIMES_S), PARTIALS), QUIET_DB)
    falls = np.exp(uniform(np.log(3), np.log(80), PARTIALS)) * ratios**0.5  # dB per s
    loud = uniform(-40, -3, PARTIALS)
    return ratios, loud - np.array(TIMES_S)[:, None] * falls


def _bend(generator: np.random.Generator) -> Float[np.ndarray, " time"]:
    """A pitch that falls to the key's, as of a drum."""
    falls_s = np.exp(generator.uniform(np.log(0.01), np.log(0.2)))
    return generator.uniform(1, 30) * np.exp(-np.array(TIMES_S) / falls_s)
