"""What a musician gets from a match: sounds, MIDI, presets, tables, a picture and a page."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
from jaxtyping import Float

from ..audio import peak, save_audio
from ..errors import MirrorNetError, OutputError
from ..runtime import own_settings
from ..score import Note, note_name, shared_note
from ..storage import write_atomically
from . import report
from .midi import controllers, midi
from .spreadsheet import csv_text

if TYPE_CHECKING:
    from .match import Match

HIGHEST_PEAK = 0.99
BLOCK = 1 << 20  # samples
# A file that cannot be made is not worth the others, so its fault is only said. Not everything is
# such a fault: these are what a package raises that is broken (ImportError), of another version
# (AttributeError, TypeError), set up strangely (LookupError, ValueError), or cannot read
# a font or template (OSError, RuntimeError); what too large a picture raises (MemoryError); and
# what numbers beyond all bounds do (ArithmeticError, ValueError). A full disk is met later.
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
LOG = logging.getLogger(__name__)


@own_settings()
def save_match(match: Match, folder: str | Path) -> list[Path]:
    """Write every file a user wants into `folder`, new or empty; returns their paths.

    - `report.html`: the page to start with; it holds the picture, and sounds that are not long.
    - `target.wav`, `match.wav`: at one level, see `level_matched`.
    - `controls.json`, `controls.csv`: notes and controls in physical units.
    - `melody.mid`: the notes at 120 bpm.
    - where the plant can write presets: `match.vital`, one for a whole recording; or `presets/`,
      one for each note, and a MIDI file with a track for each.
    - `compare.png`: the picture.
    - `candidate-2/`, ...: the same for each other answer.

    All or nothing: the files are prepared in a hidden folder beside `folder` (inside it, where
    it exists) and then renamed into place. Raises OutputError, having left nothing behind, where
    that is not possible; what stood there before is never touched.
    One file that cannot be made, as the picture where matplotlib does not work, is left out, which
    the log (on a terminal, the error stream) and the page say.
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
    """Both sounds at the target's RMS; both turned down alike if one would clip.

    Silence stays silence.
    """
    rms, rms_target = (_rms(sound) for sound in (audio, target))
    louder = rms_target / rms if rms > 0 else 1.0
    highest = max(peak(target), louder * peak(audio))
    gain = min(1.0, HIGHEST_PEAK / highest) if highest > 0 else 1.0
    return target * gain, audio * (louder * gain)


def _rms(sound: Float[np.ndarray, " sample"]) -> float:
    """In blocks, as a square in double precision of ten minutes would take 200 MB."""
    blocks = (sound[at : at + BLOCK] for at in range(0, len(sound), BLOCK))
    total = sum(float(np.square(block, dtype=np.float64).sum()) for block in blocks)
    return math.sqrt(total / max(len(sound), 1))


def controls_json(match: Match) -> str:
    """The match as JSON: units and ranges, notes in physical values, the 0..1 array, distances.

    A distance that is not finite is null.
    """
    return json.dumps(
        {
            "plant": match.plant.name,
            "distances": {
                name: float(value) if math.isfinite(value) else None
                for name, value in match.distances.items()
            },
            "sure": match.sure,
            "one_voice": match.one_voice,
            "midi_controllers": controllers(match),
            "warnings": match.warnings,
            "controls": [
                {
                    "name": control.name,
                    "unit": control.unit,
                    "low": control.low,
                    "high": control.high,
                    "curve": control.curve,
                    "meaning": control.meaning,
                }
                for control in match.plant.controls
            ],
            "notes": [
                {
                    "pitch_midi": int(note.pitch_midi),
                    "name": note_name(note.pitch_midi),
                    "onset_s": float(note.onset_s),
                    "offset_s": float(note.offset_s),
                    "sure": note.sure,
                    "controls": {name: float(value) for name, value in note.controls.items()},
                }
                for note in match.notes
            ],
            "controls_0_to_1": np.asarray(match.controls, dtype=np.float64).tolist(),
        },
        indent=2,
        ensure_ascii=False,
        allow_nan=False,
    )


def controls_csv(match: Match) -> str:
    """A row for each note, headings with units, values in full precision."""
    labels = {control.name: control.label for control in match.plant.controls}
    knobs = [name for name in labels if name not in ("pitch", "duration")]
    facts = ["note", "name", "pitch (MIDI)", "onset (s)", "offset (s)"]
    read = ["sure"] if match.read else []
    rows: list[list[str | float | None]] = [[*facts, *read, *(labels[knob] for knob in knobs)]]
    for number, note in enumerate(match.notes, start=1):
        values = [float(note.controls[knob]) for knob in knobs]
        facts = [number, note_name(note.pitch_midi), int(note.pitch_midi)]
        facts += [float(note.onset_s), float(note.offset_s)]
        rows.append([*facts, *(note.sure for _ in read), *values])
    return csv_text(rows)


def _write_files(match: Match, folder: Path, about: Path) -> None:
    """Write the files of one answer; `about` is how to call the folder."""

    faults: list[str] = []

    def write(name: str, make: Callable[[], bytes | None]) -> bytes | None:
        """Write what there is to write; None if there is nothing, or it could not be made."""
        try:
            content = make()
        except FAULTS as error:
            faults.append(f"{name} could not be made ({type(error).__name__}: {error}).")
            LOG.warning("In %r, %s All else is there.", str(about), faults[-1])
            return None
        if content is not None:
            (folder / name).parent.mkdir(exist_ok=True)
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
    write("melody.mid", lambda: midi(match, [("melody", match.notes)], True))
    if match.one_patch:
        write(report.PATCH_FILE, lambda: _preset(match, shared_note(match.notes)))
    else:
        tracks = []
        for index, note in enumerate(match.notes):
            name = report.preset_path(match.notes, index)
            if write(name, lambda note=note: _preset(match, note)) is not None:
                tracks.append((Path(name).stem, [note]))
        if tracks:
            write("presets/one-track-per-note.mid", lambda: midi(match, tracks))
    picture = write("compare.png", lambda: _picture(match))
    page = partial(report.render_report, match, picture, *wavs, faults=faults)
    write("report.html", lambda: page().encode())


def _preset(match: Match, note: Note) -> bytes | None:
    preset = match.plant.note_preset(note)
    return None if preset is None else preset.encode()


def _picture(match: Match) -> bytes:
    from . import plots

    return plots.png(lambda: plots.compare(match), dpi=200)


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
    """A hidden folder to fill, which becomes `folder` when the block ends well.

    If it does not, both are as before. An existing folder is kept and filled, not replaced: it may
    be a mount point, or where the user's shell stands.
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
            with contextlib.suppress(OSError):  # holds the finished folder, or was never made
                parent.rmdir()
