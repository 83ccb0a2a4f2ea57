"""How well recordings are read: phrases of the plant itself, and of instruments it never heard.

The notes that were played are known. They are compared, as mir_eval defines it, with what is read
from the sound, by ours and by librosa's pYIN with its onset detection. Nothing was tuned on the
instruments that are scored; `TUNED_ON` names those that were listened to in between.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from ..audio import resample
from ..checkpoints import provenance
from ..files import write_atomically
from ..hearing import hear_recording
from ..melody import Note
from ..peers.search import bench_module
from ..phrases import PHRASE_S, random_phrase
from ..plants import load_plant
from ..plants.soundfont import SoundFont
from ..progress import Progress
from ..transcription import RecordingModel
from .tables import print_table, recordings_table

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
TUNED_ON = {
    5: "electric piano 2",
    12: "marimba",
    19: "church organ",
    26: "jazz guitar",
    33: "electric bass",
    42: "cello",
    57: "trombone",
    71: "clarinet",
    75: "pan flute",
    81: "saw lead",
}
PHRASES = 12  # of each instrument
SOUND_S = 7.0  # of each phrase, its last note's ringing included
STREAM = 12  # of random numbers, apart from those of babble
RATE_HZ = 44100
PYIN_RATE_HZ = 22050

Sound = Float[np.ndarray, " sample"]
Reader = Callable[[Sound], Sequence[Any]]


def run_recordings(
    model: RecordingModel, seed: int = 0, results: Path = Path("results"), tuning: bool = False
) -> Path:
    """Read all phrases, and write `results/recordings-seed-SEED.json`.

    Raises MirrorNetError if a package of mirrornet[bench] is missing, PlantError without the sound
    font.
    """
    bench_module("mir_eval")
    readers: dict[str, Reader] = {
        "ours": lambda sound: model.transcribe(hear_recording(sound, RATE_HZ)).notes,
        "pYIN and onsets": read_with_pyin,
    }
    chosen = TUNED_ON if tuning else INSTRUMENTS
    sources = {"the synthesizer itself": plant_phrases(seed)}
    sources |= {f"{name} ({p})": instrument_phrases(p, seed) for p, name in chosen.items()}
    rows = []
    with Progress("Reading recordings", len(sources) * PHRASES) as progress:
        for source, phrases in sources.items():
            scores: dict[str, list[dict[str, float]]] = {name: [] for name in readers}
            for notes, sound in phrases:
                for name, read in readers.items():
                    scores[name].append(note_scores(notes, read(sound)))
                progress.at(len(rows) * PHRASES + len(scores["ours"]))
            means = {
                name: {key: float(np.mean([one[key] for one in each])) for key in each[0]}
                for name, each in scores.items()
            }
            rows.append({"source": source, "phrases": PHRASES, "scores": means})
    name = f"recordings-{'tuning-' if tuning else ''}seed-{seed}"
    result = {"seed": seed, "tuned_on": list(TUNED_ON.values()), "rows": rows, **provenance()}
    path = results / f"{name}.json"
    results.mkdir(parents=True, exist_ok=True)
    write_atomically(path, lambda file: file.write_text(json.dumps(result, indent=1) + "\n"))
    print_table(recordings_table(result))
    return path


def plant_phrases(seed: int) -> Iterator[tuple[list[Note], Sound]]:
    """Phrases as the plant babbles them, from seeds that learning never sees."""
    plant = load_plant("vital", controls="patch", sample_rate_hz=RATE_HZ)
    for number in range(PHRASES):
        phrase = random_phrase(plant.controls, np.random.default_rng((seed, number, STREAM)))
        yield phrase, plant.play(phrase, PHRASE_S)


def instrument_phrases(program: int, seed: int) -> Iterator[tuple[list[Note], Sound]]:
    """Phrases of a General MIDI instrument, MIDI 50 to 84."""
    plant = SoundFont(program=program, sample_rate_hz=RATE_HZ)
    for number in range(PHRASES):
        notes = _phrase(np.random.default_rng((seed, program, number, STREAM)))
        yield notes, plant.play(notes, SOUND_S)


def _phrase(generator: np.random.Generator, low: int = 50, high: int = 84) -> list[Note]:
    """A random walk in steps of a tempo: half, whole and double beats, rests, notes said again."""
    centre = generator.uniform(low + 8, high - 8)
    beat_s = np.exp(generator.uniform(np.log(0.15), np.log(0.5)))
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


def note_scores(played: Sequence[Note], read: Sequence[Any]) -> dict[str, float]:
    """F-measures as mir_eval defines them: onsets within 50 ms; these and the pitch within half a
    semitone; and, in addition, offsets within 50 ms or a fifth of the note's length."""
    transcription = bench_module("mir_eval.transcription")
    if not read:
        return {"onset_f1": 0.0, "note_f1": 0.0, "note_offset_f1": 0.0}

    def intervals_and_hz(notes: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
        spans = [[note.onset_s, max(note.offset_s, note.onset_s + 0.01)] for note in notes]
        return np.array(spans), 440 * 2 ** ((np.array([n.pitch_midi for n in notes]) - 69) / 12)

    (true, true_hz), (found, found_hz) = intervals_and_hz(played), intervals_and_hz(read)
    score = transcription.precision_recall_f1_overlap
    return {
        "onset_f1": transcription.onset_precision_recall_f1(true, found)[2],
        "note_f1": score(true, true_hz, found, found_hz, offset_ratio=None)[2],
        "note_offset_f1": score(true, true_hz, found, found_hz, offset_ratio=0.2)[2],
    }


def read_with_pyin(sound: Sound) -> list[Note]:
    """The usual way without learning: librosa's onsets, and between two of them the median of the
    pitch that pYIN tracks, up to the last frame in which it hears one."""
    librosa = bench_module("librosa")
    sound = resample(sound, RATE_HZ, PYIN_RATE_HZ)
    low_hz, high_hz = librosa.midi_to_hz(24), librosa.midi_to_hz(96)
    hz, voiced, _ = librosa.pyin(sound, fmin=low_hz, fmax=high_hz, sr=PYIN_RATE_HZ)
    times_s = librosa.times_like(hz, sr=PYIN_RATE_HZ)
    onsets_s = librosa.onset.onset_detect(y=sound, sr=PYIN_RATE_HZ, units="time")
    notes = []
    for start_s, end_s in zip(onsets_s, [*onsets_s[1:], np.inf], strict=True):
        own = voiced & (times_s >= start_s) & (times_s < end_s)
        if own.any():
            pitch = round(float(np.median(librosa.hz_to_midi(hz[own]))))
            notes.append(Note(pitch, float(start_s), float(times_s[own].max())))
    return notes
