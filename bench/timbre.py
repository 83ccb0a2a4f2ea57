"""Knobs against wavetables: how close a match comes to instruments on which nothing was tuned.

Vital plays the notes that are read, with its 16 knobs or with wavetables and noise made for the
sound. The same phrases for all answers, and for *constant knobs*: all in the middle. General MIDI
instruments; twelve phrases of another sound font, if Debian's package fluidr3mono-gm-soundfont is
installed; and a phrase of each real instrument, after `python bench/fetch_samples.py`.

    python bench/timbre.py        # writes results/timbre-seed-0.json; 40 minutes on one core
"""

import json
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path

import numpy as np

from mirrornet import match
from mirrornet.app.console import print_table
from mirrornet.errors import AudioError
from mirrornet.experiments.material import (
    INSTRUMENTS,
    OTHER_FONT,
    RATE_HZ,
    Recording,
    instrument_phrases,
)
from mirrornet.experiments.recordings import sound_scores
from mirrornet.experiments.samples import FOLDER, installed_players, play_samples
from mirrornet.experiments.tables.recordings import timbre_table
from mirrornet.matching.levels import play_at_levels
from mirrornet.models.checkpoints import provenance
from mirrornet.storage import write_atomically

SEED, PHRASES = 0, 2
RESULT = Path(__file__).parent.parent / "results" / f"timbre-seed-{SEED}.json"
GENERAL_MIDI = "General MIDI"
OF_OTHER_FONT = (0, 24, 40, 56, 68, 73)  # programs
ANSWERS = {
    "knobs, at once": {"timbre": "knobs"},
    "knobs, 10 renders": {"timbre": "knobs", "refine": 10},
    "wavetable, at once": {"timbre": "wavetable"},
    "wavetable, 10 renders": {"timbre": "wavetable", "refine": 10},
}


def materials() -> dict[str, dict[str, Iterable[Recording]]]:
    """Recordings of each instrument, by kind."""
    found: dict[str, dict[str, Iterable[Recording]]] = {
        GENERAL_MIDI: {
            f"{name} ({program})": islice(instrument_phrases(program, SEED), PHRASES)
            for program, name in INSTRUMENTS.items()
        }
    }
    if OTHER_FONT.is_file():
        found["another sound font"] = {
            INSTRUMENTS[program]: islice(instrument_phrases(program, SEED, OTHER_FONT), PHRASES)
            for program in OF_OTHER_FONT
        }
    if players := installed_players():
        found["real instruments"] = {
            name: play_samples(FOLDER / name, 1, False, manner) for name, manner in players.items()
        }
    return found


def main() -> None:
    rows = []
    match((next(iter(instrument_phrases(0, SEED + 1))).sound, RATE_HZ), timbre="auto")  # load all
    for kind, sources in materials().items():
        for source, recordings in sources.items():
            for number, recording in enumerate(recordings):
                try:
                    scores = answers(recording.sound)
                except AudioError:  # no notes are heard
                    scores = {}
                rows.append({"kind": kind, "source": source, "phrase": number, "scores": scores})
                errors = {key: round(100 * s["spectrogram_error"], 1) for key, s in scores.items()}
                print(f"{kind}, {source}, phrase {number + 1}: {errors}", flush=True)
    result = {"seed": SEED, "phrases": PHRASES, "rows": rows, **provenance()}
    write_atomically(RESULT, lambda path: path.write_text(json.dumps(result, indent=1) + "\n"))
    print_table(timbre_table(result))
    print(f"Written to {RESULT}.")


def answers(sound: np.ndarray) -> dict[str, dict[str, float]]:
    """The scores of each answer."""
    found = {}
    for name, how in ANSWERS.items():
        began_s = time.process_time()
        answer = match((sound, RATE_HZ), seed=SEED, **how)
        cpu_s = time.process_time() - began_s
        error = answer.distances["spectrogram_error"]
        found[name] = sound_scores(answer.target, answer.audio, error) | {"cpu_s": cpu_s}
        if name == "knobs, at once":
            space = answer.plant.controls.patch
            middle = answer.score.with_patch(space.from_vector(np.full(len(space.rows), 0.5)))
            played = play_at_levels(answer.plant, middle, answer.target, answer.target_heard)
            found["constant knobs"] = sound_scores(answer.target, played.audio, played.error)
    return found


if __name__ == "__main__":
    main()
