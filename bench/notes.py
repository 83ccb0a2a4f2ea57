"""Readers of notes compared: MirrorNet, pYIN, and what else is installed.

General MIDI instruments, phrases of real instruments sequenced from single notes, the same in rooms
and through telephones, and voices. Nothing was tuned on these. Real instruments need
`python bench/fetch_samples.py`, other readers `mirrornet/experiments/note_peers.py`, the second
sound font Debian's package fluidr3mono-gm-soundfont, the voice of Festival its packages festival
and festvox-kallpc16k.

    python bench/notes.py        # writes results/notes-seed-0.json; 10 minutes on one core
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import torch

from mirrornet.app.console import print_table
from mirrornet.experiments.festival import festival_phrases, has_festival
from mirrornet.experiments.material import (
    INSTRUMENTS,
    OTHER_FONT,
    RATE_HZ,
    Recording,
    Sound,
    instrument_phrases,
    sung,
    voice_phrases,
    whistled,
)
from mirrornet.experiments.note_peers import note_peers
from mirrornet.experiments.reading import (
    OURS,
    PYIN,
    note_scores,
    read_with_ours,
    read_with_pyin,
)
from mirrornet.experiments.samples import FOLDER, installed_players, play_samples
from mirrornet.experiments.tables.recordings import notes_table
from mirrornet.models.checkpoints import provenance
from mirrornet.models.mirrornet import load_model
from mirrornet.storage import write_atomically
from mirrornet.training.conditions import in_band, in_room, mu_law, through_codec, with_noise

SEED, PHRASES = 0, 4
RESULT = Path(__file__).parent.parent / "results" / f"notes-seed-{SEED}.json"
STREAM = 31  # of random numbers
Change = Callable[[Sound, np.random.Generator], Sound]

CONDITIONS: dict[str, Change] = {
    "in a room (RT60 0.9 s)": lambda sound, chance: in_room(sound, RATE_HZ, 0.9, 2.0, chance),
    "by telephone (300 to 3400 Hz, 8 bits)": lambda sound, _: mu_law(
        in_band(sound, RATE_HZ, 300, 3400, 4)
    ),
    "with noise (20 dB)": lambda sound, chance: with_noise(sound, RATE_HZ, 20, -3, chance),
    "through MP3, OGG or Opus": lambda sound, chance: through_codec(
        sound, RATE_HZ, int(chance.integers(3)), 0.1
    ),
    "handheld (room, noise, MP3)": lambda sound, chance: through_codec(
        with_noise(in_room(sound, RATE_HZ, 0.5, 4.0, chance), RATE_HZ, 25, -3, chance),
        RATE_HZ,
        0,
        0.1,
    ),
}


def instruments() -> Iterator[Recording]:
    for program in INSTRUMENTS:
        yield from islice(instrument_phrases(program, SEED), PHRASES)


def another_font() -> Iterator[Recording]:
    for program in INSTRUMENTS:
        yield from islice(instrument_phrases(program, SEED + 1, OTHER_FONT), PHRASES // 2)


def players(graces: bool) -> Iterator[Recording]:
    for name, manner in installed_players().items():
        yield from play_samples(FOLDER / name, PHRASES, graces, manner)


def mixed() -> Iterator[Recording]:
    """A phrase of each instrument, and one of each player."""
    for program in INSTRUMENTS:
        yield next(instrument_phrases(program, SEED))
    for number, (name, manner) in enumerate(installed_players().items()):
        yield next(play_samples(FOLDER / name, 1, bool(number % 2), manner))


def changed(change: Change) -> Iterator[Recording]:
    for number, recording in enumerate(mixed()):
        chance = np.random.default_rng((SEED, number, STREAM))
        yield replace(recording, sound=change(recording.sound, chance))


def materials() -> dict[str, Callable[[], Iterator[Recording]]]:
    """Recordings with known notes, by kind."""
    found = {"General MIDI instruments": instruments}
    if OTHER_FONT.is_file():
        found["the same, another sound font"] = another_font
    if installed_players():
        found["real instruments"] = lambda: players(False)
        found["real instruments, grace notes"] = lambda: players(True)
    found["of these, unchanged"] = mixed
    for name, change in CONDITIONS.items():
        found[name] = lambda change=change: changed(change)
    if has_festival():
        found["sung by Festival"] = lambda: festival_phrases(SEED, 3 * PHRASES)
    found["a voice"] = lambda: islice(voice_phrases(SEED, sung), 2 * PHRASES)
    found["a whistle"] = lambda: islice(voice_phrases(SEED, whistled), 2 * PHRASES)
    return found


def main() -> None:
    torch.set_num_threads(1)
    model = load_model(controls="patch")
    readers = {OURS: lambda sound: read_with_ours(model, sound), **note_peers()}
    readers[PYIN] = read_with_pyin
    spent_s, heard_s = dict.fromkeys(readers, 0.0), 0.0
    rows = []
    for kind, recordings in materials().items():
        for recording in recordings():
            scores = {}
            for name, read in readers.items():
                began_s = time.process_time()
                notes = read(recording.sound)
                spent_s[name] += time.process_time() - began_s
                scores[name] = note_scores(recording.notes, notes)
            heard_s += len(recording.sound) / RATE_HZ
            rows.append({"kind": kind, "notes": len(recording.notes), "scores": scores})
        own = [row["scores"] for row in rows if row["kind"] == kind]
        means = {name: np.mean([one[name]["note_f1"] for one in own]).round(3) for name in readers}
        print(f"{kind}: {means}", flush=True)
    pace = {name: spent / heard_s for name, spent in spent_s.items()}
    result = {"seed": SEED, "rows": rows, "cpu_s_per_s": pace, **provenance()}
    write_atomically(RESULT, lambda path: path.write_text(json.dumps(result, indent=1) + "\n"))
    print_table(notes_table(result))
    print(f"Written to {RESULT}.")


if __name__ == "__main__":
    main()
