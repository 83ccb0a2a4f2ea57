"""Other transcribers: Basic Pitch, SwiftF0 and CREPE, if they are installed.

    pip install onnxruntime swift-f0 six importlib_resources tqdm
    pip install --no-deps basic-pitch resampy pretty_midi torchcrepe

Basic Pitch: R. Bittner et al., "A lightweight instrument-agnostic model for polyphonic note
transcription and multipitch estimation", ICASSP 2022; its notes as they come, and tuned for one
voice: other thresholds, and of notes at a time the strongest. SwiftF0: L. Nieradzik, 2025; its own
segmentation into notes. CREPE: J. Kim et al., "CREPE: a convolutional representation for pitch
estimation", ICASSP 2018; its smallest network (the full one takes ten times as long as the sound),
whose pitch, up to B6, is split into notes by the onsets of Basic Pitch.
"""

import contextlib
import io
import sys
import tempfile
from collections.abc import Callable, Sequence
from functools import lru_cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import soundfile
import torch
from scipy.signal import find_peaks

from ..audio import resample
from .baselines.search import bench_module
from .material import RATE_HZ, Sound
from .reading import ReadNote

BASIC_PITCH = ("basic_pitch", "basic_pitch.inference")
# Of Basic Pitch, tuned on phrases of General MIDI instruments: onset and frame thresholds, and the
# shortest note in ms.
TUNED = {"onset_threshold": 0.6, "frame_threshold": 0.4, "minimum_note_length": 58.0}
SHORTEST_S = 0.058
CREPE_RATE_HZ, CREPE_HOP = 16000, 160
CREPE_HZ = (32.7, 1975.5)  # its range
PERIODIC = 0.5  # the least confidence of a pitch


def note_peers() -> dict[str, Callable[[Sound], list[ReadNote]]]:
    """The transcribers that are installed, by name."""
    peers: dict[str, Callable[[Sound], list[ReadNote]]] = {}
    if find_spec("basic_pitch") and find_spec("onnxruntime"):
        peers["Basic Pitch"] = lambda sound: _as_notes(_basic_pitch(sound, {}))
        peers["Basic Pitch, tuned"] = lambda sound: _strongest(_basic_pitch(sound, TUNED))
        if find_spec("torchcrepe"):
            peers["CREPE (tiny) and onsets"] = _crepe
    if find_spec("swift_f0"):
        peers["SwiftF0"] = _swift_f0
    return peers


@lru_cache(maxsize=1)
def _basic_pitch_model() -> Any:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        package, inference = (bench_module(name) for name in BASIC_PITCH)
        path = package.build_icassp_2022_model_path(package.FilenameSuffix.onnx)
        return inference.Model(path)


def _basic_pitch(sound: Sound, settings: dict[str, float]) -> Sequence[tuple]:
    """Notes as (start, end, pitch, amplitude, bends)."""
    return _posteriors(sound, settings)[2]


def _posteriors(sound: Sound, settings: dict[str, float]) -> tuple[dict[str, Any], Any, Any]:
    """The output of Basic Pitch's network, a MIDI file, and notes."""
    inference = bench_module(BASIC_PITCH[1])
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        path = Path(folder) / "sound.wav"
        soundfile.write(path, sound, RATE_HZ)
        return inference.predict(str(path), _basic_pitch_model(), **settings)


def _as_notes(found: Sequence[tuple]) -> list[ReadNote]:
    """Notes in order; the bend of a note, in thirds of a semitone, moves its pitch."""
    notes = []
    for start_s, end_s, pitch, _, bends in sorted(found, key=lambda note: note[0]):
        bend = float(np.median(bends)) / 3 if bends else 0.0
        notes.append(ReadNote(pitch + bend, float(start_s), float(end_s)))
    return notes


def _strongest(found: Sequence[tuple]) -> list[ReadNote]:
    """Of notes that overlap for most of the shorter one, only the strongest."""
    kept: list[tuple] = []
    for note in sorted(found, key=lambda note: -note[3]):
        shared = (min(note[1], one[1]) - max(note[0], one[0]) for one in kept)
        shorter = (min(note[1] - note[0], one[1] - one[0]) for one in kept)
        if all(both < 0.5 * least for both, least in zip(shared, shorter, strict=True)):
            kept.append(note)
    return _as_notes(kept)


@lru_cache(maxsize=1)
def _swift_f0_model() -> Any:
    return bench_module("swift_f0").SwiftF0()


def _swift_f0(sound: Sound) -> list[ReadNote]:
    package = bench_module("swift_f0")
    given = resample(np.asarray(sound, np.float32), RATE_HZ, package.SAMPLE_RATE)
    found = package.segment_notes(_swift_f0_model().detect(given, package.SAMPLE_RATE))
    return [ReadNote(69 + 12 * np.log2(n.pitch_hz / 440), n.start, n.end) for n in found]


@lru_cache(maxsize=1)
def _torchcrepe() -> Any:
    if not find_spec("torchaudio"):  # needed only to load files; it has no build for every torch
        sys.modules["torchaudio"] = ModuleType("torchaudio")
    return bench_module("torchcrepe")


def _crepe(sound: Sound) -> list[ReadNote]:
    given = resample(np.asarray(sound, np.float32), RATE_HZ, CREPE_RATE_HZ)
    with torch.inference_mode():
        pitch_hz, sure = _torchcrepe().predict(
            torch.from_numpy(given)[None],
            CREPE_RATE_HZ,
            CREPE_HOP,
            *CREPE_HZ,
            "tiny",
            batch_size=128,
            return_periodicity=True,
        )
    pitch = 69 + 12 * np.log2(pitch_hz[0].numpy() / 440)
    voiced = sure[0].numpy() > PERIODIC
    note_creation = bench_module("basic_pitch.note_creation")
    strength = np.asarray(_posteriors(sound, TUNED)[0]["onset"]).max(1)
    peaks, _ = find_peaks(strength, height=TUNED["onset_threshold"])
    onsets_s = note_creation.model_frames_to_time(len(strength))[peaks].tolist()
    notes = []
    frame_s = CREPE_HOP / CREPE_RATE_HZ
    for start_s, end_s in pairwise([*onsets_s, len(sound) / RATE_HZ]):
        frames = np.arange(round(start_s / frame_s), min(round(end_s / frame_s), len(pitch)))
        heard = frames[voiced[frames]]
        if len(heard) * frame_s >= SHORTEST_S:
            ends_s = float(heard[-1] + 1) * frame_s
            notes.append(ReadNote(float(np.median(pitch[heard])), start_s, ends_s))
    return notes
