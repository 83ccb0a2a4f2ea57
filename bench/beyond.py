"""Rates of warnings: how often `match` warns of chords and of notes outside A0 to C8.

Melodies, chords and notes of General MIDI instruments: the twenty on which the thresholds were
tuned, and ten on which nothing was. Warnings on melodies and on notes within the range are false.

    python bench/beyond.py        # writes results/beyond-seed-0.json; about a minute on one core
"""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from jaxtyping import Float

from mirrornet.app.console import print_table
from mirrornet.experiments.material import INSTRUMENTS, RATE_HZ, SOUND_S, TUNED_ON, tune
from mirrornet.experiments.tables.recordings import beyond_table
from mirrornet.features import hear_recording
from mirrornet.matching.beyond import notes_beyond
from mirrornet.matching.recordings import ONE_VOICE
from mirrornet.matching.transcribe import CONFIDENT, transcribe
from mirrornet.models.checkpoints import provenance
from mirrornet.models.mirrornet import MirrorNet, load_model
from mirrornet.plants.base import PITCHES_MIDI
from mirrornet.plants.soundfont import SoundFont
from mirrornet.score import Note
from mirrornet.storage import write_atomically

SEED, PHRASES = 0, 2
RESULT = Path(__file__).parent.parent / "results" / f"beyond-seed-{SEED}.json"
CHORDS = {
    "dyads": ((0, 3), (0, 4), (0, 5), (0, 7), (0, 9), (0, 10)),
    "triads": ((0, 4, 7), (0, 3, 7), (0, 5, 9), (0, 3, 8)),
    "chords of four": ((0, 4, 7, 10), (0, 3, 7, 10), (0, 4, 7, 11), (0, 7, 12, 16)),
}
BELOW, WITHIN, ABOVE = range(11, 21, 2), range(24, 109, 12), range(109, 121, 2)
NOTE_S, STEP_S, NOTES = 0.5, 0.6, 3
RT60_S, ROOM = 0.9, 0.5  # reverberation time, and level of the reverberation relative to the sound

Sound = Float[np.ndarray, " sample"]


def main() -> None:
    model = load_model(controls="patch")
    groups = {"tuned on": TUNED_ON, "never tuned on": INSTRUMENTS}
    warned = {name: measure(model, list(programs)) for name, programs in groups.items()}
    result = {"seed": SEED, "phrases": PHRASES, "warned": warned, **provenance()}
    write_atomically(RESULT, lambda path: path.write_text(json.dumps(result, indent=1) + "\n"))
    print_table(beyond_table(result))
    print(f"Written to {RESULT}.")


def measure(model: MirrorNet, programs: list[int]) -> dict[str, tuple[int, int]]:
    """Count the sounds, or notes, of each kind: those with a warning, and all."""
    counts: dict[str, list[int]] = defaultdict(lambda: [0, 0])

    def count(what: str, warned: int, total: int = 1) -> None:
        counts[what][0] += warned
        counts[what][1] += total

    for program in programs:
        plant = SoundFont(program=program, sample_rate_hz=RATE_HZ)
        for kind, sound in phrases(plant, program):
            count(kind, transcribe(model, hear_recording(sound, RATE_HZ)).one_voice < ONE_VOICE)
        for kind, pitches in (("below A0", BELOW), ("within", WITHIN), ("above C8", ABOVE)):
            for pitch in pitches:
                sound = repeated(plant, pitch)
                if not np.abs(sound).max() > 1e-3:  # some instruments do not have the pitch
                    continue
                read = transcribe(model, hear_recording(sound, RATE_HZ)).notes
                notes = [
                    Note(n.pitch_midi, n.onset_s, n.offset_s)
                    for n in read
                    if n.confidence >= CONFIDENT
                ]
                above, below = notes_beyond(sound, RATE_HZ, notes, PITCHES_MIDI)
                wrong = above + below if kind == "within" else 0
                rightly = {"below A0": below, "above C8": above}.get(kind, wrong)
                count(f"notes {kind}", rightly, len(notes))
    return {what: (warned, total) for what, (warned, total) in counts.items()}


def phrases(plant: SoundFont, program: int) -> Iterator[tuple[str, Sound]]:
    """Generate melodies and chords of one instrument, each with its kind."""
    for number in range(PHRASES):
        chance = np.random.default_rng((SEED, program, number))
        melody = tune(chance, 50, 84, 0.15)
        sound = plant.play(melody, SOUND_S)
        yield "melodies", sound
        yield "melodies in a room", in_a_room(sound, chance)
        yield "melody and bass", sound + plant.play(tune(chance, 38, 56, 0.3), SOUND_S)
        for kind, shapes in CHORDS.items():
            yield kind, plant.play(chords(chance, shapes), SOUND_S)


def chords(chance: np.random.Generator, shapes: tuple[tuple[int, ...], ...]) -> list[Note]:
    """Draw successive chords of the `shapes` (semitones above the root) with random roots."""
    notes, at_s = [], chance.uniform(0, 0.3)
    while at_s < SOUND_S - 1.2:
        span_s, root = chance.uniform(0.35, 1.2), chance.integers(48, 68)
        shape = shapes[chance.integers(len(shapes))]
        notes += [Note(int(root + step), at_s, at_s + 0.9 * span_s) for step in shape]
        at_s += span_s
    return notes


def in_a_room(sound: Sound, chance: np.random.Generator) -> Sound:
    """Add reverberation: the sound convolved with exponentially decaying noise."""
    length = round(RT60_S * RATE_HZ)
    echo = chance.standard_normal(length) * 10 ** (-3 * np.arange(length) / length)
    size = len(sound) + length
    wet = np.fft.irfft(np.fft.rfft(sound, size) * np.fft.rfft(echo, size), size)[: len(sound)]
    return (sound + ROOM * wet * sound.std() / wet.std()).astype(np.float32)


def repeated(plant: SoundFont, pitch_midi: int) -> Sound:
    """Render a note `NOTES` times, also at pitches that `render` refuses."""
    sound = np.zeros(round((NOTES * STEP_S + 0.3) * RATE_HZ), np.float32)
    for number in range(NOTES):
        start = round((number * STEP_S + 0.05) * RATE_HZ)
        samples = plant.note_sound(Note(pitch_midi, 0.0, NOTE_S))[: len(sound) - start]
        sound[start : start + len(samples)] += samples
    return sound


if __name__ == "__main__":
    main()
