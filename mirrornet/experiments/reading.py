"""Scores of transcription: by MirrorNet, and by librosa's pYIN and onset detection."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ..audio import resample
from ..features import hear_recording
from ..matching.transcribe import CONFIDENT, transcribe
from ..models.mirrornet import MirrorNet
from ..score import Note, one_voice
from .baselines.search import bench_module
from .material import RATE_HZ, Recording, Sound

PYIN_RATE_HZ = 22050
OURS, PYIN = "ours", "pYIN and onsets"
Scores = dict[str, dict[str, float]]


class ReadNote(NamedTuple):
    """A transcribed note; its pitch is MIDI and may be fractional."""

    pitch: float
    onset_s: float
    offset_s: float


def read_scores(model: MirrorNet, recording: Recording) -> Scores:
    """Score both transcriptions of a recording: F-measures if its notes are known, the share of the
    right pitch class if only that is known, else nothing."""
    if not recording.notes and recording.pitch_class is None:
        return {}
    read = {OURS: read_with_ours(model, recording.sound), PYIN: read_with_pyin(recording.sound)}
    if not recording.notes:
        return {
            method: {"pitch_class": pitch_class_share(notes, recording.pitch_class)}
            for method, notes in read.items()
        }
    return {method: note_scores(recording.notes, notes) for method, notes in read.items()}


def pitch_class_share(read: Sequence[ReadNote], pitch_class: int | None) -> float:
    """Share of the notes' total duration that has the pitch class (0 for C); 0 without notes."""
    right = [n.offset_s - n.onset_s for n in read if round(n.pitch) % 12 == pitch_class]
    return sum(right) / (sum(n.offset_s - n.onset_s for n in read) or 1.0)


def as_read(played: Sequence[Note]) -> list[ReadNote]:
    """Reference notes for a transcription: played notes as one voice, with their tuning in the
    pitch."""
    return [
        ReadNote(note.pitch_midi + note.controls.get("tune", 0) / 100, note.onset_s, note.offset_s)
        for note in one_voice(played)
    ]


def read_with_ours(model: MirrorNet, sound: Sound) -> list[ReadNote]:
    """Transcribe a sound at `RATE_HZ` with MirrorNet, as `match` does."""
    notes = transcribe(model, hear_recording(sound, RATE_HZ)).notes
    return [
        ReadNote(note.pitch_midi + 0.5 * note.tune, note.onset_s, note.offset_s)
        for note in notes
        if note.confidence >= CONFIDENT  # less certain notes are not played
    ]


def note_scores(played: Sequence[Note], read: Sequence[ReadNote]) -> dict[str, float]:
    """Compute mir_eval's F-measures of transcribed notes.

    `onset_f1`: onsets within 50 ms. `note_f1`: also pitches, with tuning, within half a semitone.
    `note_offset_f1`: also offsets within 50 ms or a fifth of the note's length. A played note that
    rings on is cut where the next one starts, since both transcriptions are of one voice.
    """
    transcription = bench_module("mir_eval.transcription")
    if not read:
        return {"onset_f1": 0.0, "note_f1": 0.0, "note_offset_f1": 0.0}

    def intervals_and_hz(notes: Sequence[ReadNote]) -> tuple[np.ndarray, np.ndarray]:
        spans = [[note.onset_s, max(note.offset_s, note.onset_s + 0.01)] for note in notes]
        return np.array(spans), 440 * 2 ** ((np.array([n.pitch for n in notes]) - 69) / 12)

    (true, true_hz), (found, found_hz) = intervals_and_hz(as_read(played)), intervals_and_hz(read)
    score = transcription.precision_recall_f1_overlap
    return {
        "onset_f1": transcription.onset_precision_recall_f1(true, found)[2],
        "note_f1": score(true, true_hz, found, found_hz, offset_ratio=None)[2],
        "note_offset_f1": score(true, true_hz, found, found_hz, offset_ratio=0.2)[2],
    }


def read_with_pyin(sound: Sound) -> list[ReadNote]:
    """Transcribe a sound at `RATE_HZ` with librosa, a baseline without training: from each detected
    onset to the last voiced frame before the next, a note with the median pitch of pYIN."""
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
            pitch = float(np.median(librosa.hz_to_midi(hz[own])))
            notes.append(ReadNote(pitch, float(start_s), float(times_s[own].max())))
    return notes
