"""What a musician gets from a match: sounds, MIDI, presets, tables, a picture and a page."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import mido
import numpy as np
from jaxtyping import Float

from . import plots, report
from .audio import save_audio
from .errors import OutputError
from .files import write_atomically
from .melody import Note

if TYPE_CHECKING:
    from .matching import Match

TICKS_PER_BEAT = 960
BEATS_PER_MINUTE = 120
TICKS_PER_S = TICKS_PER_BEAT * BEATS_PER_MINUTE // 60  # a tick is 0.52 ms
HIGHEST_PEAK = 0.99


def save_match(match: Match, folder: str | Path) -> list[Path]:
    """Write every file a user wants into `folder`, new or empty; returns their paths.

    - `report.html`: the page to start with; it holds the sounds and the picture.
    - `target.wav`, `match.wav`: at one level, see `level_matched`.
    - `controls.json`, `controls.csv`: notes and controls in physical units.
    - `melody.mid`: the notes at 120 bpm.
    - `presets/`, where the plant can write presets: one for each note, and a MIDI file with a
      track for each.
    - `compare.png`: the picture.

    All or nothing: the files are prepared in a hidden folder beside `folder` (inside it, where
    it exists) and then renamed into place. Raises OutputError, having left nothing behind, where
    that is not possible; what stood there before is never touched.
    """
    folder = Path(folder)
    try:
        _refuse_occupied(folder)
        with _appearing(folder) as staging:
            _write_files(match, staging)
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
    rms, rms_target = (math.sqrt(np.mean(np.square(x, dtype=np.float64))) for x in (audio, target))
    matched = audio * (rms_target / rms) if rms > 0 else audio
    peak = max(np.abs(target).max(initial=0.0), np.abs(matched).max(initial=0.0))
    gain = min(1.0, HIGHEST_PEAK / peak) if peak > 0 else 1.0
    return target * gain, matched * gain


def velocity(match: Match, note: Note) -> int:
    """MIDI velocity from the control `level`, 127 at its top and by General MIDI's curve below.

    level_db = 40 log10(velocity / 127), recommended in General MIDI 1 (RP-003). Plants without a
    level in dB play everything at 127.
    """
    space = match.plant.controls
    if space.units.get("level") != "dB":
        return 127
    below_db = note.controls["level"] - space[space.row("level")].high
    return min(max(round(127 * 10 ** (below_db / 40)), 1), 127)


def midi(match: Match, tracks: Sequence[tuple[str, Sequence[Note]]]) -> bytes:
    """A MIDI file (format 1) of named tracks of notes, times within 0.3 ms.

    Every track is as long as the target, so that it loops as the sound does.
    """
    length = round(len(match.target) / match.sample_rate_hz * TICKS_PER_S)
    file = mido.MidiFile(type=1, ticks_per_beat=TICKS_PER_BEAT)
    tempo = mido.MetaMessage("set_tempo", tempo=mido.bpm2tempo(BEATS_PER_MINUTE))
    file.tracks.append(mido.MidiTrack([tempo]))
    for name, notes in tracks:
        events = []
        for note in notes:
            start = round(note.onset_s * TICKS_PER_S)
            end = max(round(note.offset_s * TICKS_PER_S), start + 1)
            pitch, level = int(note.pitch_midi), velocity(match, note)
            events.append((start, 1, mido.Message("note_on", note=pitch, velocity=level)))
            events.append((end, 0, mido.Message("note_off", note=pitch)))
        last = max([length, *(tick for tick, *_ in events)])
        events.append((last, 2, mido.MetaMessage("end_of_track")))
        track = mido.MidiTrack([mido.MetaMessage("track_name", name=name)])
        now = 0
        # Where one note ends as the next begins, the end comes first.
        for tick, _, message in sorted(events, key=lambda event: event[:2]):
            track.append(message.copy(time=tick - now))
            now = tick
        file.tracks.append(track)
    buffer = io.BytesIO()
    file.save(file=buffer)
    return buffer.getvalue()


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
                    "name": plots.note_name(note.pitch_midi),
                    "onset_s": float(note.onset_s),
                    "offset_s": float(note.offset_s),
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
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    writer.writerow(
        ["note", "name", "pitch (MIDI)", "onset (s)", "offset (s)", *(labels[k] for k in knobs)]
    )
    for number, note in enumerate(match.notes, start=1):
        values = [float(note.controls[knob]) for knob in knobs]
        times = [float(note.onset_s), float(note.offset_s)]
        writer.writerow(
            [number, plots.note_name(note.pitch_midi), int(note.pitch_midi), *times, *values]
        )
    return table.getvalue()


def _write_files(match: Match, folder: Path) -> None:
    target, audio = level_matched(match.target, match.audio)
    target_wav = save_audio(folder / "target.wav", target, match.sample_rate_hz).read_bytes()
    match_wav = save_audio(folder / "match.wav", audio, match.sample_rate_hz).read_bytes()
    picture = io.BytesIO()
    plots.compare(match).savefig(picture, format="png", dpi=200)
    page = report.render_report(match, picture.getvalue(), target_wav, match_wav)
    _write(folder / "compare.png", picture.getvalue())
    _write(folder / "report.html", page.encode())
    _write(folder / "controls.json", controls_json(match).encode())
    _write(folder / "controls.csv", controls_csv(match).encode())
    _write(folder / "melody.mid", midi(match, [("melody", match.notes)]))
    if report.has_presets(match):
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
