"""The sound of a performance by a random additive instrument or voice.

Harmonics, or the partials of strings, bars and bells, whose amplitudes change with the time since a
note's onset, with its loudness and its register; formants that move from syllable to syllable; and
noise: breath, blows, consonants. No synthesizer is needed, and glides, slurs and syllables are
exact, so that notes in them are known.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Complex, Float

from ..features import FRAME_S, RECORDING_RATE_HZ
from ..plants.prior import PHRASE_S
from .performance import Performance, Played, pitch_curve
from .singing import JOINED, SAME, Syllables, articulate, resonances

HOP = round(FRAME_S * RECORDING_RATE_HZ)  # amplitudes are given at this many samples' distance
FRAMES = round(PHRASE_S / FRAME_S)
HIGHEST_HZ = 14500.0
MOST_PARTIALS = 120
INAUDIBLE_DB = -75.0  # below a chain's strongest partial
AUDIBLE_DB = 32.0  # fall of a struck note while it counts as held
# Ratios of partials of bars and bells. (T. Rossing, "Science of percussion instruments", 2000.)
BARS = (
    (1.0, 3.93, 9.24, 16.3),  # marimba, vibraphone
    (1.0, 2.98, 6.2, 10.6),  # xylophone
    (1.0, 2.76, 5.40, 8.93, 13.3),  # glockenspiel, kalimba
    (0.5, 1.0, 1.2, 1.5, 2.0, 2.5, 3.0, 4.0, 5.3),  # bell
    (2.0, 3.01, 4.17, 5.43, 6.8, 8.2),  # tubular bell, an octave above its strike tone
)
BARS_SHARES = (0.3, 0.25, 0.25, 0.1, 0.1)


class Voice(NamedTuple):
    """An instrument, whose spectra are functions of a partial's number and frequency."""

    ratios: Float[np.ndarray, " partial"]
    """Frequencies of the partials, as multiples of the pitch's."""
    colour_db: Float[np.ndarray, " partial"]
    """Of each partial, beside the slope."""
    slope_db: float
    """Fall per octave above the fundamental."""
    bumps: list[tuple[float, float, float]]
    """Of fixed formants: frequency in Hz, width in octaves, height in dB."""
    struck: bool
    attack_s: float
    release_s: float
    fall_db: float
    """Per second, of a struck note's fundamental."""
    faster: float
    """Exponent of a partial's number in its rate of fall."""
    held_db: float
    """Fall after which a struck sound stays."""
    key_tracking: float
    """How much faster high notes fall: exponent of the frequency."""
    brightness: float
    """How much less steep the slope is, in dB per octave, for each dB of level."""
    breath_db: float
    """Level of the noise while a note sounds, relative to it."""
    blow_db: float
    """The same of noise at onsets."""
    tremolo: tuple[float, float]
    """Depth, 0..1, and rate in Hz."""
    detune: float
    """Of a second, equal voice, in semitones; 0: there is none."""
    unsteady_db: float
    """Standard deviation of slow changes of loudness."""
    flutter_db: float
    """The same of slow changes of each partial, as of several players or in a room."""
    swing_db: float
    """How much louder a note is where its pitch is a semitone higher, by vibrato or a bend."""


def draw_voice(style: str, generator: np.random.Generator) -> Voice:
    """Draw a voice for a style of playing."""
    uniform, chance, normal = generator.uniform, generator.random, generator.standard_normal
    log_uniform = lambda low, high: float(np.exp(uniform(np.log(low), np.log(high))))  # noqa: E731
    struck = style == "struck"
    ratios = np.arange(1.0, MOST_PARTIALS + 1)
    kind = chance()
    if struck and kind < 0.25:
        ratios = np.array(BARS[generator.choice(len(BARS), p=BARS_SHARES)])
        ratios = ratios * np.where(ratios > 1, 1 + 0.01 * normal(len(ratios)), 1)
    elif struck and kind < 0.7:
        ratios = ratios * np.sqrt(1 + log_uniform(1e-6, 1e-3) * ratios**2)
    n = ratios
    colour = uniform(0, 6) * normal(len(n))
    slope = uniform(1, 15)
    if len(n) == MOST_PARTIALS:
        number = np.arange(1, len(n) + 1)
        if chance() < 0.2:
            colour[number % 2 == 0] -= uniform(6, 40)
        if struck and chance() < 0.5:  # plucked at a share of the string
            at = uniform(0.03, 0.5)
            colour += 20 * np.log10(np.abs(np.sin(np.pi * number * at)) + 0.02)
        if chance() < 0.2:
            colour[: generator.integers(1, 4)] -= uniform(5, 40)
        if style == "blown" and chance() < 0.12:  # an organ
            stops = np.isin(number, (1, 2, 3, 4, 6, 8, 10, 12, 16))
            colour += np.where(stops, uniform(-10, 8, len(n)), -40)
    if style == "whistled":
        slope = uniform(18, 40)
    elif style == "sung":
        slope, colour = uniform(5, 14), 0.3 * colour
    bumps = [
        (log_uniform(200, 6000), uniform(0.15, 0.8), uniform(-8, 22))
        for _ in range(0 if style in ("sung", "whistled") else generator.integers(0, 5))
    ]
    return Voice(
        ratios,
        colour,
        slope,
        bumps,
        struck,
        log_uniform(0.001, 0.02) if struck else log_uniform(0.006, 0.25),
        log_uniform(0.015, 0.5),
        log_uniform(4, 120),
        uniform(0, 0.8),
        uniform(3, 40) if chance() < 0.25 else np.inf,
        uniform(0, 0.7),
        uniform(0, 0.15),
        uniform(-80, -25) if style != "whistled" else uniform(-45, -12),
        uniform(-70, -8) if style != "sung" else uniform(-35, -5),
        (uniform(0, 0.5), uniform(3, 9)) if chance() < 0.15 else (0.0, 5.0),
        log_uniform(0.01, 0.15) if chance() < 0.25 else 0.0,
        uniform(0, 3) if chance() < 0.5 else 0.0,
        uniform(0, 4) if chance() < 0.3 else 0.0,
        uniform(-8, 8) if chance() < 0.5 else 0.0,
    )


class Sounded(NamedTuple):
    """A performance that was played."""

    sound: Float[np.ndarray, " sample"]
    """At `RECORDING_RATE_HZ`; float32."""
    onsets_s: Float[np.ndarray, " note"]
    pitch: Float[np.ndarray, " frame"]
    """Of the note that is held in each frame: fractional MIDI, with glides and vibrato; NaN where
    none is held or audible."""


def play(performance: Performance, generator: np.random.Generator) -> Sounded:
    """Play a performance with a voice drawn at random."""
    voice = draw_voice(performance.style, generator)
    sound = np.zeros(FRAMES * HOP, np.float32)
    pitch = np.full(FRAMES, np.nan)
    envelope = np.zeros(FRAMES + 1)
    blows = np.zeros(FRAMES + 1)
    times_s = FRAME_S * np.arange(FRAMES + 1)
    joined = generator.random() < JOINED
    for chain in performance.chains():
        sung = performance.style == "sung"
        syllables = articulate(chain, times_s, joined, generator) if sung else None
        course = _Course(chain, voice, syllables, times_s, generator)
        sound += course.harmonics(generator)
        for note in chain:
            end_s = min(note.offset_s, note.onset_s + course.audible_s(note))
            held = (times_s[1:] > note.onset_s) & (times_s[1:] <= end_s + FRAME_S)
            pitch[held] = course.pitch[:-1][held]
        envelope = np.maximum(envelope, course.loudness)
        blows += course.blows
    breath = _noise(generator) * _samples(envelope) * 10 ** (voice.breath_db / 20)
    blow = _noise(generator) * _samples(blows) * 10 ** (voice.blow_db / 20)
    sound = (sound + breath + blow).astype(np.float32)
    return Sounded(sound, np.array([note.onset_s for note in performance.notes]), pitch)


def _samples(amplitudes: Float[np.ndarray, " frame"]) -> Float[np.ndarray, " sample"]:
    """Amplitudes at frames (one more than there are), interpolated linearly."""
    ramp = np.arange(HOP, dtype=np.float32) / HOP
    start = amplitudes[:-1, None].astype(np.float32)
    return (start + (amplitudes[1:, None].astype(np.float32) - start) * ramp).ravel()


def _noise(generator: np.random.Generator) -> Float[np.ndarray, " sample"]:
    """Noise of RMS 1 with a random spectrum."""
    spectrum = np.fft.rfft(generator.standard_normal(FRAMES * HOP))
    octaves = np.log2(np.maximum(np.arange(len(spectrum)) / PHRASE_S, 20) / 1000)
    centre, width = generator.uniform(-2, 3.5), generator.uniform(0.7, 4)
    noise = np.fft.irfft(spectrum * 10 ** (-0.5 * ((octaves - centre) / width) ** 2))
    return (noise / noise.std()).astype(np.float32)


class _Course:
    """How a chain of slurred notes goes: loudness, pitch and spectrum of each frame."""

    def __init__(
        self,
        chain: list[Played],
        voice: Voice,
        syllables: Syllables | None,
        times_s: Float[np.ndarray, " frame"],
        generator: np.random.Generator,
    ):
        self.voice, self.times_s = voice, times_s
        at_s, pitch = pitch_curve(chain, generator)
        self.pitch = np.interp(times_s, at_s, pitch)
        self.begun_s = np.zeros_like(times_s)  # since the last onset
        self.level_db = np.zeros_like(times_s)
        self.blows = np.zeros_like(times_s)
        self.syllables = syllables
        self.loudness = self._loudness(chain, generator)

    def _loudness(
        self, chain: list[Played], generator: np.random.Generator
    ) -> Float[np.ndarray, " frame"]:
        """Amplitude of each frame, but for how struck partials fall."""
        voice, times_s = self.voice, self.times_s
        uniform, chance = generator.uniform, generator.random
        start_s, end_s = chain[0].onset_s, chain[-1].offset_s
        attack_s = voice.attack_s * uniform(0.7, 1.4)
        amplitude = 1 - np.exp(-np.clip(times_s - start_s + FRAME_S / 2, 0, None) / attack_s * 2)
        amplitude *= np.exp(-np.clip(times_s - end_s, 0, None) / (voice.release_s / 2))
        amplitude[times_s < start_s - FRAME_S] = 0
        dips_db = uniform(0, 14) if chance() < 0.6 else 0.0
        for number, note in enumerate(chain):
            since_s = times_s - note.onset_s
            begun = since_s >= -FRAME_S / 2
            self.begun_s = np.where(begun, np.maximum(since_s, 0), self.begun_s)
            fade = np.clip(since_s / 0.03 + 0.5, 0, 1)
            self.level_db += (note.level_db - self.level_db) * fade
            if number:
                dip_s, dip_db = uniform(0.01, 0.04), dips_db * uniform(0, 1)
                repeated = abs(note.pitch - chain[number - 1].pitch) < SAME
                if repeated and self.syllables is None:  # or none would be heard
                    dip_db = uniform(6, 25)
                amplitude *= 10 ** (-dip_db / 20 * np.exp(-((since_s / dip_s) ** 2)))
            elif chance() < 0.7:
                burst_s = uniform(0.005, 0.06)
                self.blows += np.exp(-np.clip(since_s, 0, None) / burst_s) * (since_s >= -FRAME_S)
        if self.syllables is not None:
            amplitude *= 10 ** (self.syllables.gain_db / 20)
            self.blows += self.syllables.noise
        self.blows *= 10 ** (self.level_db / 20)
        way = np.clip(self.begun_s / max(end_s - start_s, 0.1), 0, 1)
        shape = 0.0 if voice.struck else uniform(-5, 5) * np.sin(np.pi * way)
        knots_s = np.arange(0, times_s[-1] + 0.5, uniform(0.08, 0.4))
        shape += np.interp(
            times_s, knots_s, voice.unsteady_db * generator.normal(size=len(knots_s))
        )
        nominal = np.array([note.pitch for note in chain])
        starts_s = np.array([note.onset_s for note in chain])
        own = np.clip(np.searchsorted(starts_s, times_s, "right") - 1, 0, None)
        shape += voice.swing_db * np.clip(self.pitch - nominal[own], -1, 1)
        depth, rate_hz = voice.tremolo
        tremble = 1 + depth * np.sin(2 * np.pi * (rate_hz * times_s + chance()))
        return amplitude * tremble * 10 ** ((self.level_db + shape) / 20)

    def audible_s(self, note: Played) -> float:
        """How long a held note is audible: a struck one falls."""
        voice = self.voice
        if not voice.struck or voice.held_db < AUDIBLE_DB:
            return np.inf
        hz = 440 * 2 ** ((note.pitch - 69) / 12)
        return AUDIBLE_DB / (voice.fall_db * (hz / 262) ** voice.key_tracking)

    def harmonics(self, generator: np.random.Generator) -> Float[np.ndarray, " sample"]:
        """The sound of the partials."""
        voice = self.voice
        sound = np.zeros(FRAMES * HOP, np.float32)
        audible = np.flatnonzero(self.loudness > 1e-4)
        if not len(audible):
            return sound
        first, last = audible[0], min(audible[-1] + 2, FRAMES)
        frames = slice(first, last + 1)
        level_db = self._partials_db(frames)
        if voice.flutter_db:
            level_db += voice.flutter_db * self._flutter(frames, generator)
        level_db -= level_db.max() if level_db.size else 0
        loudness = self.loudness[frames]
        total = np.sqrt((10 ** (level_db / 10) * (loudness > 1e-3)[:, None]).sum(1)).max()
        for detune in (0.0, voice.detune) if voice.detune else (0.0,):
            hz = 440 * 2 ** ((self.pitch[frames] + detune - 69) / 12)
            phase = np.cumsum(_samples(hz).astype(np.float64)) * (2 * np.pi / RECORDING_RATE_HZ)
            phase += 2 * np.pi * generator.random()
            turn: Complex[np.ndarray, " sample"] = np.exp(1j * phase).astype(np.complex64)
            harmonic = np.all(voice.ratios == np.round(voice.ratios))
            power = np.ones_like(turn)
            for n, ratio in enumerate(voice.ratios):
                if harmonic:
                    power = power * turn
                if ratio * hz.min() > HIGHEST_HZ:
                    break
                if level_db[:, n].max() < INAUDIBLE_DB:
                    continue
                inside = np.clip((HIGHEST_HZ - ratio * hz) / 500, 0, 1)
                amplitudes = 10 ** (level_db[:, n] / 20) * inside * loudness
                tone = np.imag(power) if harmonic else np.sin(ratio * phase).astype(np.float32)
                sound[first * HOP : last * HOP] += _samples(amplitudes) * tone
        return sound / np.float32(total or 1)

    def _flutter(
        self, frames: slice, generator: np.random.Generator
    ) -> Float[np.ndarray, "frame partial"]:
        """Slow random changes of each partial, of standard deviation 1."""
        at_s = self.times_s[frames]
        knots_s = np.arange(at_s[0], at_s[-1] + 0.5, generator.uniform(0.05, 0.3))
        values = generator.normal(size=(len(self.voice.ratios), len(knots_s)))
        return np.stack([np.interp(at_s, knots_s, one) for one in values], axis=1)

    def _partials_db(self, frames: slice) -> Float[np.ndarray, "frame partial"]:
        voice = self.voice
        octaves = np.log2(np.maximum(voice.ratios, 0.5))
        hz = 440 * 2 ** ((self.pitch[frames, None] - 69) / 12) * voice.ratios
        bright = voice.brightness * self.level_db[frames, None]
        level_db = voice.colour_db - (voice.slope_db - bright) * octaves + 0 * hz
        for peak_hz, width, height_db in voice.bumps:
            level_db += height_db * np.exp(-((np.log2(hz / peak_hz) / width) ** 2))
        if self.syllables is not None:
            level_db += resonances(hz, self.syllables.formants_hz[frames])
            level_db += self.syllables.tilt_db[frames, None] * octaves
        begun_s = self.begun_s[frames, None]
        if voice.struck:
            tracking = (hz[:, :1] / 262) ** voice.key_tracking
            fall = voice.fall_db * np.maximum(voice.ratios, 1) ** voice.faster * tracking * begun_s
            level_db -= np.minimum(fall, voice.held_db)
        else:
            level_db -= 6 * octaves * np.exp(-begun_s / voice.attack_s)
        return level_db
