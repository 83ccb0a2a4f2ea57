"""Metrics of controls and of sounds.

Conventions: controls are `(melody, control, note)` in 0..1 of one control space; spectrograms are
loudness-compressed auditory spectrograms `(melody, channel, frame)`; sounds are mono, `(sample,)`
at 44.1 kHz, and full scale is 1. The first argument is the true one, or the target. Every metric
raises ValueError unless both have the same shape and hold finite numbers.

Inaudible differences are not scored: spans only matter relative to their sum, so times are in
seconds after decoding; levels only matter relative to each other, so they are compared in dB with
the mean over the melody's notes removed.

Sounds are scored by the four metrics of the sound-matching field, as defined by Hayes, Saitis and
Fazekas, "Audio synthesizer inversion in symmetric parameter spaces with approximately equivariant
flow matching", ISMIR 2025 (arXiv 2506.07199), and computed by the script published with it. That
script's conventions are used here: windows and hops are truncated to whole samples, windows are
Hann, frames are centred with zero padding at both ends, mels are librosa's. These four need
librosa, which comes with mirrornet[bench]; without it they raise MirrorNetError.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from .audio import LARGEST_SAMPLE
from .controls import ControlSpace
from .errors import MirrorNetError
from .score import PITCH_SPAN, note_spans

Controls = Float[np.ndarray, "melody control note"]
Spectrograms = Float[np.ndarray, "melody channel frame"]
Sound = Float[np.ndarray, " sample"]

SOUND_RATE_HZ = 44100
MSS_SCALES = ((10, 5, 32), (25, 10, 64), (100, 50, 128))  # window in ms, hop in ms, mels


def spectrogram_error(true: Spectrograms, other: Spectrograms) -> float:
    """Mean squared difference, as a share of the variance of the true spectrograms: 0 is perfect,
    and their overall mean as the answer scores 1."""
    true, other = _checked(true, other)
    return float(np.mean((true - other) ** 2) / np.var(true))


def notes_right(true: Controls, other: Controls, space: ControlSpace) -> float:
    """Share of notes with the correct MIDI pitch."""
    true, other = _checked(true, other)
    row = space.row_of_role("pitch")
    return float(np.mean(_semitones(true[:, row]) == _semitones(other[:, row])))


def onset_error_ms(true: Controls, other: Controls, space: ControlSpace) -> float:
    """Mean absolute error of note onsets, without the first (always at 0); 0 for single notes."""
    true, other = _checked(true, other)
    starts = [
        note_spans(x[:, space.row_of_role("duration")]).cumsum(-1)[:, :-1] for x in (true, other)
    ]
    return float(1e3 * np.mean(np.abs(starts[0] - starts[1]))) if starts[0].size else 0.0


def duration_error_ms(true: Controls, other: Controls, space: ControlSpace) -> float:
    """Mean absolute error of the time from each note's onset to the next one's."""
    true, other = _checked(true, other)
    row = space.row_of_role("duration")
    return float(1e3 * np.mean(np.abs(note_spans(true[:, row]) - note_spans(other[:, row]))))


def control_errors(
    true: Controls,
    other: Controls,
    space: ControlSpace,
    audible: Mapping[str, Bool[np.ndarray, "melody note"]] | None = None,
) -> dict[str, dict[str, float]]:
    """Errors of every control but pitch and duration, by its name: mean absolute error in 0..1
    (`mae`) and in the control's unit (`mae_physical`), and share of variance explained (`r2`; NaN
    where the true values do not vary). Differences of circular controls go the shorter way around.

    For controls named in `audible`, also the share of variance explained on the notes marked as
    audible (`r2_audible`), and the share of such notes (`audible`).
    """
    true, other = _checked(true, other)
    errors = {}
    for row, control in enumerate(space.rows):
        if control.role in ("pitch", "duration"):
            continue
        a, b = true[:, row], np.clip(other[:, row], 0, 1)
        if control.circular:
            b = a + (b - a) - np.rint(b - a)
        a_physical, b_physical = control.to_physical(a), control.to_physical(b)
        if control.role == "level":
            a, b, a_physical, b_physical = (
                x - x.mean(-1, keepdims=True) for x in (a, b, a_physical, b_physical)
            )
        errors[control.name] = {
            "mae": float(np.mean(np.abs(a - b))),
            "mae_physical": float(np.mean(np.abs(a_physical - b_physical))),
            "r2": _explained(a, b),
        }
        if audible and control.name in audible:
            heard = audible[control.name]
            errors[control.name] |= {
                "r2_audible": _explained(a[heard], b[heard]),
                "audible": float(np.mean(heard)),
            }
    return errors


def field_metrics(target: Sound, prediction: Sound) -> dict[str, float]:
    """The four metrics of sounds, by name; identical sounds give 0, 0, 0 and 1."""
    metrics = (mss_db, wmfcc, sot, rms_cosine)
    return {metric.__name__: metric(target, prediction) for metric in metrics}


def mss_db(target: Sound, prediction: Sound) -> float:
    """Multi-scale spectral distance in dB, 0 to 80: mean absolute difference of mel spectrograms in
    dB, averaged over three resolutions (Hayes et al. 2025).

    Each spectrogram is in dB re its own maximum with a floor at -80 dB, so level has no effect.
    However, mel power below 1e-10 is raised to 1e-10: peaks of 0.01 and less cost some dB, and
    silence is flat at 0 dB, so its distance from a sound is how far the sound lies below its own
    maximum on average, about 50 dB.
    """
    target, prediction = _checked_sounds(target, prediction)
    distances = []
    for window_ms, hop_ms, mels in MSS_SCALES:
        a, b = (_mel_db(x, window_ms, hop_ms, mels, ref=np.max) for x in (target, prediction))
        distances.append(np.mean(np.abs(a - b)))
    return float(np.mean(distances))


def wmfcc(target: Sound, prediction: Sound) -> float:
    """Distance of 20 mel-frequency cepstral coefficients after dynamic time warping; 0 or more
    (Hayes et al. 2025). Level has an effect, by the first coefficient.

    Windows of 50 ms every 10 ms, 128 mels in dB. The distance of two frames is the mean absolute
    difference of their coefficients. A diagonal step counts twice, and the sum is divided by the
    frames of both sounds together: "symmetric2" of Sakoe and Chiba, "Dynamic programming algorithm
    optimization for spoken word recognition", IEEE TASSP 1978, and of the package dtw-python.
    """
    target, prediction = _checked_sounds(target, prediction)
    librosa = _librosa()
    a, b = (
        librosa.feature.mfcc(S=_mel_db(x, 50, 10, 128, ref=1.0), n_mfcc=20)
        for x in (target, prediction)
    )
    steps = np.array([2.0, 1.0, 1.0])  # the diagonal, then either sound alone
    paths = librosa.sequence.dtw(a, b, metric="cityblock", weights_mul=steps, backtrack=False)
    return float(paths[-1, -1] / len(a) / (a.shape[1] + b.shape[1]))


def sot(target: Sound, prediction: Sound) -> float:
    """Spectral optimal transport, 0 to 1: how far along the frequency axis, as a share of half the
    sample rate, one frame's spectrum must be moved to become the other's; mean over frames.

    Wasserstein-1 distance of magnitudes that add up to 1, windows of 50 ms every 20 ms (Hayes et
    al. 2025, after Torres, Peeters and Richard, "Unsupervised harmonic parameter estimation using
    differentiable DSP and spectral optimal transport", ICASSP 2024). Level has no effect.
    Magnitudes that add up to less than 1e-6 are divided by 1e-6: the distance of two silent frames
    is 0, that of a silent frame and a low note nearly 1.
    """
    target, prediction = _checked_sounds(target, prediction)
    cumulated = []
    for sound in (target, prediction):
        magnitude = _magnitude(sound, 50, 20)
        magnitude /= np.maximum(magnitude.sum(0), 1e-6)
        cumulated.append(magnitude.cumsum(0))
    return float(np.mean(np.abs(cumulated[0] - cumulated[1])))


def rms_cosine(target: Sound, prediction: Sound) -> float:
    """Cosine similarity of the envelopes, 0 to 1 (equal but for level): root mean square of 50 ms
    every 25 ms (Hayes et al. 2025). Two silences score 1; silence and a sound score 0 (the
    published script divides 0 by 0)."""
    target, prediction = _checked_sounds(target, prediction)
    rms = _librosa().feature.rms
    window, hop = _samples(50), _samples(25)
    a, b = (rms(y=x, frame_length=window, hop_length=hop)[0] for x in (target, prediction))
    length_a, length_b = np.linalg.norm(a), np.linalg.norm(b)
    if length_a == 0 or length_b == 0:
        return float(length_a == length_b)
    return float(np.minimum((a / length_a) @ (b / length_b), 1))


def _mel_db(sound: Sound, window_ms: float, hop_ms: float, mels: int, ref: Any) -> np.ndarray:
    """Mel power in dB re `ref`, with a floor 80 dB below the maximum: `(mel, frame)`."""
    librosa = _librosa()
    power, window = _magnitude(sound, window_ms, hop_ms) ** 2, _samples(window_ms)
    # Without `n_fft`, librosa infers the even length below an odd one.
    mel = librosa.feature.melspectrogram(S=power, sr=SOUND_RATE_HZ, n_fft=window, n_mels=mels)
    return librosa.power_to_db(mel, ref=ref)


def _magnitude(sound: Sound, window_ms: float, hop_ms: float) -> np.ndarray:
    """Magnitudes of the short-time Fourier transform: `(bin, frame)`."""
    window, hop = _samples(window_ms), _samples(hop_ms)
    # As librosa's own centring, which warns of sounds shorter than a window.
    padded = np.pad(sound, window // 2)
    return np.abs(_librosa().stft(padded, n_fft=window, hop_length=hop, center=False))


def _samples(duration_ms: float) -> int:
    return int(duration_ms * SOUND_RATE_HZ / 1000)


def _librosa() -> Any:
    """Import librosa on demand: it is optional and takes seconds to import."""
    try:
        return import_module("librosa")
    except ModuleNotFoundError as error:
        raise MirrorNetError(
            "the metrics mss_db, wmfcc, sot and rms_cosine need librosa; install it with: "
            "pip install mirrornet[bench]"
        ) from error


def _explained(true: np.ndarray, other: np.ndarray) -> float:
    """Share of variance explained; NaN if the true values do not vary."""
    if true.size == 0 or np.var(true) == 0:
        return float("nan")
    return float(1 - np.mean((true - other) ** 2) / np.var(true))


def _semitones(pitch: np.ndarray) -> np.ndarray:
    return np.rint(PITCH_SPAN * pitch)


def _checked(true: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    true, other = np.asarray(true, dtype=np.float64), np.asarray(other, dtype=np.float64)
    if true.shape != other.shape or true.size == 0:
        raise ValueError(
            f"both must have the same shape, not empty; got {true.shape}, {other.shape}."
        )
    if not (np.isfinite(true).all() and np.isfinite(other).all()):
        raise ValueError("both must be finite.")
    return true, other


def _checked_sounds(target: Sound, prediction: Sound) -> tuple[Sound, Sound]:
    target, prediction = _checked(target, prediction)
    if target.ndim != 1:
        raise ValueError(f"both must be mono sounds, (sample,); got {target.shape}.")
    if max(np.abs(target).max(), np.abs(prediction).max()) > LARGEST_SAMPLE:
        raise ValueError("both must be sounds; 1 is full scale, and nothing goes beyond 2**31.")
    # As in the published script; double precision changes SOT by up to 3e-5 of its value.
    return target.astype(np.float32), prediction.astype(np.float32)
