"""Drums and effects, a note each: MirrorNet against two searches, in the same CPU time.

Vital plays a single note. MirrorNet finds its wavetable and noise (`matching/one_shot.py`), or what
`match` prefers. The searches have Vital's 16 knobs, and the key nearest to the frequency at which
the sound is strongest. Every second sound of Debian's package sonic-pi-samples (CC0) of up to 4 s,
but the twelve on which the method was developed.

    python bench/one_shots.py     # writes results/one-shots-seed-0.json; 15 minutes on one core
"""

import json
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from mirrornet import match
from mirrornet.app.console import print_table
from mirrornet.audio import load_audio
from mirrornet.budget import Budget
from mirrornet.experiments.baselines.patches import (
    NearestPatches,
    cma_es,
    look_of,
    looks_of,
    search_patch,
)
from mirrornet.experiments.material import RATE_HZ, SAMPLES, Sound
from mirrornet.experiments.recordings import sound_scores
from mirrornet.experiments.tables.recordings import one_shots_table
from mirrornet.features import RECORDING_RATE_HZ, hear_recording
from mirrornet.matching.levels import Played, play_at_levels
from mirrornet.matching.objective import Heard, RecordingObjective
from mirrornet.matching.one_shot import LONGEST_S, one_shot
from mirrornet.models.checkpoints import provenance
from mirrornet.plants import Plant, load_plant, usual_controls
from mirrornet.plants.pool import Pool
from mirrornet.storage import write_atomically
from mirrornet.training.dataset import babble_phrases

SEED, BABBLE = 0, 1000
RESULT = Path(__file__).parent.parent / "results" / f"one-shots-seed-{SEED}.json"
RUNS = Path("runs") / f"bench-one-shots-seed-{SEED}"
KINDS = {
    "bass drums": ("bd_",),
    "snares": ("sn_",),
    "drum kit": ("drum_",),
    "electronic drums": ("elec_",),
    "percussion": ("perc_",),
    "tabla": ("tabla_",),
    "effects": ("glitch_", "misc_", "vinyl_", "mehackit_"),
}
DEVELOPED_ON = {
    *("drum_heavy_kick", "drum_snare_hard", "drum_cymbal_closed", "drum_tom_mid_hard"),
    *("drum_cowbell", "elec_blip2", "elec_tick", "bd_808", "sn_dolf", "perc_snap"),
    *("glitch_perc1", "misc_crow"),
}
RENDERS = 10
CONSTANT = "constant knobs"


def sounds(starts: tuple[str, ...]) -> dict[str, Sound]:
    """The sounds whose names start so."""
    found = {}
    for path in sorted(SAMPLES.glob("*.flac"))[::2]:
        if path.name.startswith(starts) and path.stem not in DEVELOPED_ON:
            sound = load_audio(path, RATE_HZ)
            if len(sound) <= LONGEST_S * RATE_HZ:
                found[path.stem] = sound
    return found


class Searches:
    """Searches of a patch for one note."""

    def __init__(self) -> None:
        knobs = usual_controls("vital")
        self.plant: Plant = load_plant("vital", controls=knobs, sample_rate_hz=RATE_HZ)
        options = {"controls": knobs, "sample_rate_hz": RECORDING_RATE_HZ}
        with Pool("vital", **options) as pool:
            self.babble = babble_phrases(pool, BABBLE, SEED, RUNS)
        self.looks = looks_of(self.babble)

    def answers(self, sound: np.ndarray, cpu_s: float) -> dict[str, Played]:
        """What each search finds in this time."""
        heard = hear_recording(sound, RATE_HZ)
        score = one_shot(self.plant, heard, len(sound) / RATE_HZ, strongest_key(sound))
        middle = np.full(len(self.plant.controls.patch.rows), 0.5)
        score = score.with_patch(self.plant.controls.patch.from_vector(middle))
        found = {CONSTANT: play_at_levels(self.plant, score, sound, heard)}
        nearest = NearestPatches(self.looks, self.babble.patches, look_of(heard, score.notes))
        searches: dict[str, Callable[[RecordingObjective, Budget], Heard]] = {
            "nearest in the babble": lambda aim, budget: search_patch(aim, budget, nearest),
            "CMA-ES": lambda aim, budget: cma_es(aim, budget, (SEED, 0)),
        }
        for name, search in searches.items():
            budget = Budget(None, cpu_s, clock=time.process_time)
            objective = RecordingObjective(self.plant, score, sound)
            best = objective.score_at(search(objective, budget).place, score)
            found[name] = play_at_levels(self.plant, best, sound, heard)
        return found


def strongest_key(sound: np.ndarray) -> int:
    """The key nearest to the strongest frequency."""
    power = np.square(np.abs(np.fft.rfft(sound)))
    strongest_hz = max(power.argmax() * RATE_HZ / len(sound), 20.0)
    return int(np.clip(round(69 + 12 * math.log2(strongest_hz / 440)), 24, 96))


def main() -> None:
    torch.set_num_threads(1)
    searches = Searches()
    rows = []
    match((next(iter(sounds(("bd_",)).values())), RATE_HZ))  # load all
    for kind, starts in KINDS.items():
        for name, sound in sounds(starts).items():
            scores = {}
            for label, how in {"at once": {}, f"{RENDERS} renders": {"refine": RENDERS}}.items():
                began_s = time.process_time()
                answer = match((sound, RATE_HZ), seed=SEED, **how)
                cpu_s = time.process_time() - began_s
                error = answer.distances["spectrogram_error"]
                scores[f"ours, {label}"] = sound_scores(sound, answer.audio, error)
                scores[f"ours, {label}"]["cpu_s"] = cpu_s
            for label, played in searches.answers(sound, cpu_s).items():
                scores[label] = sound_scores(sound, played.audio, played.error)
                if label != CONSTANT:
                    scores[label]["cpu_s"] = cpu_s
            rows.append({"kind": kind, "sound": name, "scores": scores})
            errors = {key: round(100 * s["spectrogram_error"], 1) for key, s in scores.items()}
            print(f"{name}: {errors}", flush=True)
    result = {"seed": SEED, "babble": BABBLE, "rows": rows, **provenance()}
    write_atomically(RESULT, lambda path: path.write_text(json.dumps(result, indent=1) + "\n"))
    print_table(one_shots_table(result))
    print(f"Written to {RESULT}.")


if __name__ == "__main__":
    main()
