"""The files of a match: sounds, MIDI, presets, tables, a plot and a report page."""

import contextlib
import json
import logging
import math
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
from jaxtyping import Float

from ..audio import peak, save_audio
from ..errors import MirrorNetError, OutputError
from ..plants.base import Artifact
from ..runtime import own_settings
from ..score import note_name
from ..storage import write_atomically
from . import report
from .answer import Answer
from .midi import MPE_FILE, controllers, midi, mpe
from .score_json import as_json, score_json
from .spreadsheet import csv_text

HIGHEST_PEAK = 0.99  # 1 is full scale
BLOCK = 1 << 20  # samples
# Errors while one file is made: the file is left out and reported, and the others are written. A
# package raises them that is broken (ImportError), of another version (AttributeError, TypeError),
# unusually configured (LookupError, ValueError), or cannot read a font or template (OSError,
# RuntimeError); also too large a plot (MemoryError) and extreme numbers (ArithmeticError,
# ValueError). A full disk fails later, when the content is written, and is not caught here.
FAULTS = (
    ArithmeticError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    MirrorNetError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
MOST_ROWS = 300  # of the array in 0..1 and of a table, in files that repeat them for each note
LOG = logging.getLogger(__name__)


@own_settings()
def save_match(match: Answer, folder: str | Path) -> list[Path]:
    """Write all result files into `folder`, new or empty; return their paths.

    - `report.html`: a page with the plot and, unless they are long, the sounds.
    - `target.wav`, `match.wav`: at the same level, see `level_matched`.
    - `controls.json`, `controls.csv`: notes and controls in physical units.
    - `melody.mid`: the notes, at the tempo of the match, else at 120 bpm; `melody-mpe.mid`, if
      notes glide: each on a channel of its own.
    - files for the plant's synthesizer (`Plant.artifacts`), such as a preset; if there is one per
      note, also `presets/one-track-per-note.mid`, a MIDI file with a track for each note.
    - `compare.png`: the plot. `timbre.png`: the tables of a patch that has a timbre.
    - `candidate-2/`, ...: the same for each other answer.

    The files are written to a hidden folder beside `folder` (inside it, if it exists) and then
    renamed into place. A file that cannot be made, such as the plot if matplotlib does not work, is
    left out; the log (on a terminal, the error stream) and the page report it.

    Raises OutputError if `folder` is neither new nor empty or cannot be written; then nothing is
    left behind. Existing files are never changed.
    """
    folder = Path(folder)
    try:
        _refuse_occupied(folder)
        with _appearing(folder) as staging:
            _write_files(match, staging, folder)
            for number, other in enumerate(match.others, 2):
                name = report.candidate_path(number)
                (staging / name).mkdir()
                _write_files(other, staging / name, folder / name)
        return sorted(path for path in folder.rglob("*") if path.is_file())
    except OSError as error:
        raise OutputError(
            f"the match cannot be saved in {folder} ({error.strerror}); choose another folder, on "
            f"a disk with room."
        ) from error


def level_matched(
    target: Float[np.ndarray, " sample"], audio: Float[np.ndarray, " sample"]
) -> tuple[Float[np.ndarray, " sample"], Float[np.ndarray, " sample"]]:
    """Scale `audio` to the RMS of `target`; attenuate both by the same gain if one would clip.

    Returns the target and the audio. Silence stays silence.
    """
    rms, rms_target = (_rms(sound) for sound in (audio, target))
    louder = rms_target / rms if rms > 0 else 1.0
    highest = max(peak(target), louder * peak(audio))
    gain = min(1.0, HIGHEST_PEAK / highest) if highest > 0 else 1.0
    return target * gain, audio * (louder * gain)


def _rms(sound: Float[np.ndarray, " sample"]) -> float:
    """In blocks, as the square of ten minutes in double precision would take 200 MB."""
    blocks = (sound[at : at + BLOCK] for at in range(0, len(sound), BLOCK))
    total = sum(float(np.square(block, dtype=np.float64).sum()) for block in blocks)
    return math.sqrt(total / max(len(sound), 1))


def controls_json(match: Answer) -> str:
    """Format the match as JSON: units and ranges, notes in physical units, the array in 0..1 (empty
    if it is large), distances (null if not finite)."""
    large = len(match.plant.controls.rows) > MOST_ROWS
    array = [] if large else np.asarray(match.controls, dtype=np.float64).tolist()
    return json.dumps(
        {
            "plant": match.plant.spec.name,
            "plant_options": {
                name: value if isinstance(value, int | float | str | None) else str(value)
                for name, value in match.plant.spec.options.items()
                if name != "sample_rate_hz"
            },
            "distances": {
                name: float(value) if math.isfinite(value) else None
                for name, value in match.distances.items()
            },
            "confidence": match.confidence,
            "one_voice": match.one_voice,
            "tempo": match.tempo and match.tempo._asdict(),
            "quantized": match.quantized or None,
            "midi_controllers": controllers(match),
            "warnings": match.warnings,
            "controls": [control.as_json() for control in match.plant.controls],
            **score_json(match.score),
            "controls_0_to_1": array,
        },
        indent=2,
        ensure_ascii=False,
        allow_nan=False,
    )


def controls_csv(match: Answer) -> str:
    """Format the match as CSV: a row per note, units in the headings, values in full precision;
    without large tables."""
    labels = {
        control.name: control.label
        for control in match.plant.controls.knobs
        if control.size <= MOST_ROWS
    }
    knobs = list(labels)
    facts = ["note", "name", "pitch (MIDI)", "onset (s)", "offset (s)"]
    read = ["confidence"] if match.read else []
    rows: list[list[str | float | None]] = [[*facts, *read, *(labels[knob] for knob in knobs)]]
    for number, note in enumerate(match.notes, start=1):
        values = [_cell(note.controls[knob]) for knob in knobs]
        facts = [number, note_name(note.pitch_midi), int(note.pitch_midi)]
        facts += [float(note.onset_s), float(note.offset_s)]
        rows.append([*facts, *(note.confidence for _ in read), *values])
    return csv_text(rows)


def _cell(value: Any) -> str | float:
    """A value as a cell: a number, a name, "true" or "false", a table as JSON."""
    value = as_json(value)
    return value if isinstance(value, str) else json.dumps(value) if _is_odd(value) else value


def _is_odd(value: Any) -> bool:
    return isinstance(value, bool | list)


def _write_files(match: Answer, folder: Path, about: Path) -> None:
    """Write the files of one answer; `about` is the folder's final path, for messages."""

    faults: list[str] = []

    def write(name: str, make: Callable[[], bytes | None]) -> bytes | None:
        """Write what `make` returns; None if that is None or the file could not be made."""
        try:
            content = make()
        except FAULTS as error:
            faults.append(f"{name} could not be made ({type(error).__name__}: {error}).")
            LOG.warning("In %r, %s All else is there.", str(about), faults[-1])
            return None
        if content is not None:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            _write(folder / name, content)
        return content

    target, audio = level_matched(match.target, match.audio)
    wavs = []
    for name, sound in (("target.wav", target), ("match.wav", audio)):
        path = save_audio(folder / name, sound, match.sample_rate_hz)
        wavs.append(path.read_bytes() if path.stat().st_size <= report.LARGEST_EMBEDDED else None)
    del target, audio
    write("controls.json", lambda: controls_json(match).encode())
    write("controls.csv", lambda: controls_csv(match).encode())
    notes = match.notes
    write("melody.mid", lambda: midi(match, [("melody", notes)], True))
    write(MPE_FILE, lambda: mpe(match))
    artifacts = [one for one in _artifacts(match, faults) if write(one.path, one.make) is not None]
    if tracks := [(Path(o.path).stem, [notes[o.note]]) for o in artifacts if o.note is not None]:
        write("presets/one-track-per-note.mid", lambda: midi(match, tracks))
    picture = write("compare.png", lambda: _picture(match))
    tables = write("timbre.png", lambda: _timbre_picture(match))
    page = partial(report.render_report, match, picture, *wavs, artifacts, faults, tables)
    write("report.html", lambda: page().encode())


def _artifacts(match: Answer, faults: list[str]) -> list[Artifact]:
    try:
        return match.plant.artifacts(match.score)
    except FAULTS as error:
        faults.append(f"{match.plant.name} could give no files ({type(error).__name__}: {error}).")
        return []


def _picture(match: Answer) -> bytes:
    from . import plots

    return plots.png(lambda: plots.compare(match), dpi=200)


def _timbre_picture(match: Answer) -> bytes | None:
    if match.plant.controls.patch.of_role("harmonics") is None or not match.one_patch:
        return None
    from . import plots

    return plots.png(lambda: plots.timbre(match), dpi=130)


def _write(path: Path, content: bytes) -> None:
    write_atomically(path, lambda temporary: temporary.write_bytes(content))


def _refuse_occupied(folder: Path) -> None:
    if folder.is_dir():
        if any(folder.iterdir()):
            raise OutputError(f"{folder} already holds files; choose a new or empty folder.")
    elif folder.exists() or folder.is_symlink():
        raise OutputError(f"{folder} is not a folder; choose another name.")


@contextlib.contextmanager
def _appearing(folder: Path) -> Iterator[Path]:
    """Yield a hidden folder, which becomes `folder` if the block ends without an error.

    Otherwise, everything is restored. An existing folder is filled, not replaced: it may be a mount
    point or the current folder of the user's shell.
    """
    exists = folder.is_dir()
    missing_parents = [parent for parent in folder.parents if not parent.exists()]
    staging = (folder if exists else folder.parent) / f".{uuid4().hex}"
    moved: list[Path] = []
    try:
        staging.mkdir(parents=True)
        yield staging
        if exists:
            for item in sorted(staging.iterdir()):
                moved.append(folder / item.name)
                item.rename(moved[-1])
            moved.clear()
        else:
            staging.rename(folder)
    finally:
        for item in moved:
            shutil.rmtree(item, ignore_errors=True) if item.is_dir() else item.unlink(
                missing_ok=True
            )
        shutil.rmtree(staging, ignore_errors=True)
        for parent in missing_parents:
            with contextlib.suppress(OSError):  # contains `folder`, or was never made
                parent.rmdir()
