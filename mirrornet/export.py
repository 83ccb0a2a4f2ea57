"""What a musician gets from a match: sounds, MIDI, presets, tables, a picture and a page."""

from __future__ import annotations

import contextlib
import io
import json
import math
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import numpy as np
from jaxtyping import Float

from . import plots, report
from .audio import peak, save_audio
from .errors import OutputError
from .files import write_atomically
from .melody import note_name, shared_note
from .midi import controllers, midi
from .spreadsheet import csv_text

if TYPE_CHECKING:
    from .matched import Match

HIGHEST_PEAK = 0.99
BLOCK = 1 << 20  # samples
SOON = {"compress_level": 3}  # half the time of the usual 6, for a picture a sixth larger


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
    """
    folder = Path(folder)
    try:
        _refuse_occupied(folder)
        with _appearing(folder) as staging:
            _write_files(match, staging)
            for number, other in enumerate(match.others, 2):
                place = staging / report.candidate_path(number)
                place.mkdir()
                _write_files(other, place)
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


def _write_files(match: Match, folder: Path) -> None:
    target, audio = level_matched(match.target, match.audio)
    wavs = []
    for name, sound in (("target.wav", target), ("match.wav", audio)):
        path = save_audio(folder / name, sound, match.sample_rate_hz)
        wavs.append(path.read_bytes() if path.stat().st_size <= report.LARGEST_EMBEDDED else None)
    del target, audio
    picture = io.BytesIO()
    plots.compare(match).savefig(picture, format="png", dpi=200, pil_kwargs=SOON)
    page = report.render_report(match, picture.getvalue(), *wavs)
    _write(folder / "compare.png", picture.getvalue())
    _write(folder / "report.html", page.encode())
    _write(folder / "controls.json", controls_json(match).encode())
    _write(folder / "controls.csv", controls_csv(match).encode())
    _write(folder / "melody.mid", midi(match, [("melody", match.notes)], True))
    if match.one_patch:
        preset = match.plant.note_preset(shared_note(match.notes))
        if preset is not None:
            _write(folder / report.PATCH_FILE, preset.encode())
    elif report.has_presets(match):
        (folder / "presets").mkdir()
        tracks = []
        for index, note in enumerate(match.notes):
            path = folder / report.preset_path(match.notes, index)
            _write(path, (match.plant.note_preset(note) or "").encode())
            tracks.append((path.stem, [note]))
        _write(folder / "presets" / "one-track-per-note.mid", midi(match, tracks))


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
