"""Test recordings that nothing was tuned on: of the plant, instruments, a voice, and real ones.

Where the notes are known, they come with the sound. The voice and the whistle are synthesised here,
the voice by a source-filter model of vowels, so that no recording of a person is needed.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ..audio import load_audio
from ..plants import load_plant
from ..plants.soundfont import SoundFont
from ..plants.vital import SET1
from ..plants.vital_prior import audible_s, plain_patch
from ..score import Note, Score

INSTRUMENTS = {
    0: "piano",
    4: "electric piano",
    11: "vibraphone",
    24: "nylon guitar",
    40: "violin",
    56: "trumpet",
    65: "alto saxophone",
    68: "oboe",
    73: "flute",
    80: "square lead",
}
# Instruments on which thresholds and babble were tuned; they are not scored.
TUNED_ON = {
    5: "electric piano 2",
    12: "marimba",
    26: "jazz guitar",
    33: "electric bass",
    41: "viola",
    42: "cello",
    43: "contrabass",
    46: "harp",
    57: "trombone",
    58: "tuba",
    60: "French horn",
    66: "tenor saxophone",
    69: "English horn",
    70: "bassoon",
    71: "clarinet",
    72: "piccolo",
    74: "recorder",
    75: "pan flute",
    81: "saw lead",
    105: "banjo",
}
# From Debian's package fluidr3mono-gm-soundfont (MIT): other samples of the same instruments.
OTHER_FONT = Path("/usr/share/sounds/sf3/FluidR3Mono_GM.sf3")
# From Debian's package sonic-pi-samples (all CC0, from freesound.org): the samples of one pitched
# voice, with the pitch class that the file's name states, if any.
SAMPLES = Path("/usr/share/sonic-pi/samples")
REAL = {
    "ambi_glass_hum": None,
    "ambi_glass_rub": None,
    "ambi_piano": None,
    "bass_dnb_f": 5,
    "bass_drop_c": 0,
    "bass_hard_c": 0,
    "bass_hit_c": 0,
    "bass_thick_c": 0,
    "bass_trance_c": 0,
    "bass_voxy_c": 0,
    "bass_woodsy_c": 0,
    "glitch_bass_g": 7,
    "guit_e_slide": None,
    "guit_harmonics": None,
    "perc_bell": None,
}
PHRASES = 12  # of each source, except
BABBLED = 36  # of the plant's prior: more, as they vary most, and some have no audible pitch
SOUND_S = 7.0  # duration of a phrase, with the decay of its last note
STREAM = 12  # of random numbers; babble uses another
RATE_HZ = 44100

# Formants of a low voice, Hz, and their bandwidths (G. Peterson, H. Barney 1952, rounded).
VOWELS_HZ = ((730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410))
BANDWIDTHS_HZ = (80, 100, 140)
HIGHEST_HZ = 10000
GLIDE_S, VIBRATO_HZ = 0.05, 5.5

Sound = Float[np.ndarray, " sample"]


@dataclass(frozen=True)
class Recording:
    """A sound at `RATE_HZ`, with the notes that were played, if they are known."""

    sound: Sound
    notes: Sequence[Note] = ()
    """Empty if they are not known."""
    pitch_class: int | None = None
    """0 for C; given if only the pitch class of the notes is known."""


@dataclass(frozen=True)
class Source:
    """An instrument or other source of sound, and its recordings, generated on request."""

    name: str
    kind: str
    """"plant", "instrument", "program" (synthesised here) or "real"."""
    recordings: Callable[[], Iterator[Recording]]
    count: int


def sources(seed: int) -> list[Source]:
    """List all sources; real recordings only if Debian's sonic-pi-samples is installed."""
    found = [
        Source("the synthesizer, as it babbles", "plant", lambda: plant_phrases(seed), BABBLED),
        Source("the synthesizer, plain tunes", "plant", lambda: plain_phrases(seed), PHRASES),
    ]
    for program, name in INSTRUMENTS.items():
        make = lambda program=program: instrument_phrases(program, seed)  # noqa: E731
        found.append(Source(f"{name} ({program})", "instrument", make, PHRASES))
    found.append(Source("a voice", "program", lambda: voice_phrases(seed, sung), PHRASES))
    found.append(Source("a whistle", "program", lambda: voice_phrases(seed, whistled), PHRASES))
    if count := len(_installed()):
        found.append(Source("real recordings", "real", real_recordings, count))
    return found


def _installed() -> list[str]:
    return [name for name in REAL if (SAMPLES / f"{name}.flac").is_file()]


def plant_phrases(seed: int) -> Iterator[Recording]:
    """Generate phrases from the plant's prior, from seeds that training does not use."""
    plant = load_plant("vital", controls="patch", sample_rate_hz=RATE_HZ)
    for number in range(BABBLED):
        score = plant.sample(np.random.default_rng((seed, number, STREAM)))
        yield Recording(plant.render(score), score.resolved)


def plain_phrases(seed: int) -> Iterator[Recording]:
    """Generate tunes, MIDI 40 to 84, of the plant, with random wave, sustain and paper's knobs
    (`set1`), and without noise, unison and vibrato."""
    plant = load_plant("vital", controls="patch", sample_rate_hz=RATE_HZ)
    for number in range(PHRASES):
        generator = np.random.default_rng((seed, number, STREAM, 1))
        patch = plain_patch(SET1, plant.controls, generator)
        notes = [
            replace(
                note, controls=patch, offset_s=min(note.offset_s, note.onset_s + audible_s(patch))
            )
            for note in tune(generator, 40, 84, 0.15)
        ]
        yield Recording(plant.render(Score(notes, {}, SOUND_S)), notes)


def instrument_phrases(
    program: int, seed: int, sound_font: Path | None = None
) -> Iterator[Recording]:
    """Generate phrases, MIDI 50 to 84, of a General MIDI program (0 to 127)."""
    plant = SoundFont(program=program, sample_rate_hz=RATE_HZ, sound_font=sound_font)
    for number in range(PHRASES):
        notes = tune(np.random.default_rng((seed, program, number, STREAM)), 50, 84, 0.15)
        yield Recording(plant.render(Score(notes, {}, SOUND_S)), notes)


def voice_phrases(seed: int, voice: Callable[..., Sound]) -> Iterator[Recording]:
    """Generate phrases of the voice `sung` (MIDI 45 to 69) or `whistled` (MIDI 72 to 93)."""
    low, high = (45, 69) if voice is sung else (72, 93)
    for number in range(PHRASES):
        generator = np.random.default_rng((seed, low, number, STREAM))
        notes = tune(generator, low, high, 0.25)
        yield Recording(voice(notes, generator), notes)


def real_recordings() -> Iterator[Recording]:
    """Load the first `SOUND_S` of each installed real recording."""
    for name in _installed():
        sound = load_audio(SAMPLES / f"{name}.flac", RATE_HZ)
        yield Recording(sound[: round(SOUND_S * RATE_HZ)], (), REAL[name])


def tune(generator: np.random.Generator, low: int, high: int, quickest_s: float) -> list[Note]:
    """Draw a melody of one voice: a random walk of pitches from `low` to `high` (MIDI) in half,
    whole and double beats, the beat at least `quickest_s`, with rests and repeated notes."""
    centre = generator.uniform(low + 8, high - 8)
    beat_s = np.exp(generator.uniform(np.log(quickest_s), np.log(0.5)))
    held = generator.uniform(0.6, 1.0)
    pitch, at_s = centre, generator.uniform(0, 0.4)
    notes = []
    while at_s < SOUND_S - 1:
        span_s = max(beat_s * generator.choice([0.5, 1, 1, 1, 2]), 0.1)
        if generator.random() > 0.1:
            if generator.random() > 0.12:
                pitch = centre + 0.8 * (pitch - centre) + 4 * generator.standard_normal()
                pitch = float(np.clip(pitch, low, high))
            end_s = at_s + max(span_s * held, 0.08)
            notes.append(Note(round(pitch), float(at_s), float(end_s)))
        at_s += span_s
    return notes


def sung(notes: Sequence[Note], generator: np.random.Generator) -> Sound:
    """Synthesise a singing voice: harmonics weighted by the formants of a vowel, with vibrato,
    glides and breath noise."""
    hz, loudness = _gestures(notes, generator, vibrato_cents=35, attack_s=0.05)
    vowel_hz = VOWELS_HZ[generator.integers(len(VOWELS_HZ))]
    phase = 2 * np.pi * np.cumsum(hz) / RATE_HZ
    sound = np.zeros_like(hz)
    for harmonic in range(1, int(HIGHEST_HZ / hz.min()) + 1):
        own_hz = harmonic * hz
        gain = sum(
            1 / (1 + ((own_hz - centre) / width) ** 2)
            for centre, width in zip(vowel_hz, BANDWIDTHS_HZ, strict=True)
        )
        gain = (0.05 + gain) / harmonic**0.8 * (own_hz < HIGHEST_HZ)
        sound += gain * np.sin(harmonic * phase)
    breath = 0.01 * generator.standard_normal(len(hz))
    return _at_peak(loudness * (sound + breath))


def whistled(notes: Sequence[Note], generator: np.random.Generator) -> Sound:
    """Synthesise whistling: a nearly pure tone, with glides, vibrato and breath noise."""
    hz, loudness = _gestures(notes, generator, vibrato_cents=20, attack_s=0.03)
    phase = 2 * np.pi * np.cumsum(hz) / RATE_HZ
    breath = 0.05 * generator.standard_normal(len(hz))
    return _at_peak(loudness * (np.sin(phase) + 0.03 * np.sin(2 * phase) + breath))


def _gestures(
    notes: Sequence[Note], generator: np.random.Generator, vibrato_cents: float, attack_s: float
) -> tuple[Sound, Sound]:
    """Fundamental in Hz and amplitude of each sample; the pitch glides from note to note."""
    times_s = np.arange(round(SOUND_S * RATE_HZ)) / RATE_HZ
    pitch = np.full_like(times_s, notes[0].pitch_midi)
    loudness = np.zeros_like(times_s)
    for note in notes:
        since_s = times_s - note.onset_s
        begun = since_s >= 0
        before = pitch[np.argmax(begun)]
        way = np.clip(since_s[begun] / GLIDE_S, 0, 1)
        pitch[begun] = before + (note.pitch_midi - before) * way
        fade = np.clip(since_s / attack_s, 0, 1) * np.clip((note.offset_s - times_s) / 0.04, 0, 1)
        loudness = np.maximum(loudness, fade * generator.uniform(0.6, 1.0))
    vibrato = np.sin(2 * np.pi * (VIBRATO_HZ * times_s + generator.random()))
    return 440 * 2 ** ((pitch - 69 + 0.01 * vibrato_cents * vibrato) / 12), loudness


def _at_peak(sound: Sound) -> Sound:
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32)
