"""Effect of fine-tuning on a folder of recordings of one instrument, a fifth of it held out.

    python bench/listening.py        # writes results/listening-seed-0.json; resumes by itself

Instruments on which nothing was tuned, and a voice: 24 phrases each, from seeds that the recordings
benchmark does not use. Models are fine-tuned by `mirrornet learn --targets FOLDER --start shipped`,
and the held-out files are matched before and after, without refinement. About five minutes on one
core each. Folders, models and pages with the sounds are kept in runs/listening-seed-0.
"""

import json
from pathlib import Path

import soundfile

from mirrornet.app.cli import main
from mirrornet.app.console import print_table
from mirrornet.app.fine_tuning import means
from mirrornet.experiments.material import (
    INSTRUMENTS,
    RATE_HZ,
    Recording,
    instrument_phrases,
    sung,
    voice_phrases,
)
from mirrornet.experiments.tables.recordings import listening_table
from mirrornet.models.checkpoints import provenance
from mirrornet.storage import write_atomically

SEED = 0
SEEDS = (1001, 1002)  # of the phrases
PROGRAMS = (24, 40, 56, 73)
RESULT = Path(__file__).parent.parent / "results" / f"listening-seed-{SEED}.json"
RUNS = RESULT.parent.parent / "runs" / RESULT.stem
VOICE = "a voice"


def phrases(name: str) -> list[Recording]:
    """Generate the recordings of one instrument, or of the voice."""
    programs = {INSTRUMENTS[program]: program for program in PROGRAMS}
    if name == VOICE:
        return [one for seed in SEEDS for one in voice_phrases(seed, sung)]
    return [one for seed in SEEDS for one in instrument_phrases(programs[name], seed)]


def listened(name: str) -> dict[str, object]:
    """Fine-tune on one folder and return its row of the results."""
    folder, out = RUNS / "sounds" / name, RUNS / name
    if not folder.is_dir():
        making = folder.with_suffix(".part")
        making.mkdir(parents=True, exist_ok=True)
        for number, recording in enumerate(phrases(name), 1):
            soundfile.write(making / f"{number:02d}.flac", recording.sound, RATE_HZ)
        making.rename(folder)
    command = ["learn", "--targets", str(folder), "--start", "shipped", "--out", str(out)]
    if main([*command, "--seed", str(SEED), *(["--resume"] if out.is_dir() else [])]) != 0:
        raise SystemExit(f"learning from {folder} failed; see above.")
    scores = json.loads((out / "held-out" / "scores.json").read_bytes())["spectrogram_error"]
    run, learned = (json.loads((out / f"{card}.json").read_bytes()) for card in ("run", "model"))
    return {
        "source": name,
        "held_out": len(scores),
        "spectrogram_error": means(scores),
        "better": sum(one["after"] < one["before"] for one in scores.values()),
        "recipe": run,
        "learning_cpu_s": learned["learning_cpu_s"],
    }


if __name__ == "__main__":
    names = [*(INSTRUMENTS[program] for program in PROGRAMS), VOICE]
    result = {"rows": [listened(name) for name in names], "seed": SEED, **provenance()}
    text = json.dumps(result, indent=2) + "\n"
    write_atomically(RESULT, lambda path: path.write_text(text))
    print_table(listening_table(result))
