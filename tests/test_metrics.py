"""Metrics: known answers, invariants, and what must not be scored."""

import json
import multiprocessing
import sys
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mirrornet.errors import MirrorNetError
from mirrornet.metrics import (
    control_errors,
    duration_error_ms,
    field_metrics,
    mss_db,
    notes_right,
    onset_error_ms,
    rms_cosine,
    sot,
    spectrogram_error,
    wmfcc,
)
from mirrornet.plants.vital import SET1, SET2
from mirrornet.training.sampling import random_melodies

GOLDEN = Path(__file__).parent / "golden"
SOUNDS = dict(np.load(GOLDEN / "audio_metrics.npz"))
CASES = json.loads((GOLDEN / "audio_metrics.json").read_text())["cases"]
SECOND = np.arange(44100) / 44100
FIELD = [mss_db, wmfcc, sot, rms_cosine]

needs_librosa = pytest.mark.skipif(find_spec("librosa") is None, reason="needs mirrornet[bench]")

TRUE = random_melodies(SET1, "babble", 6, seed=5)
SPECTROGRAM = np.random.default_rng(0).random((3, 128, 250))


def changed(name: str, value) -> np.ndarray:
    other = TRUE.copy()
    other[:, SET1.row(name)] = value
    return other


def test_the_truth_scores_perfectly():
    assert spectrogram_error(SPECTROGRAM, SPECTROGRAM) == 0
    assert notes_right(TRUE, TRUE, SET1) == 1
    assert onset_error_ms(TRUE, TRUE, SET1) == duration_error_ms(TRUE, TRUE, SET1) == 0
    assert all(e["r2"] == 1 and e["mae"] == 0 for e in control_errors(TRUE, TRUE, SET1).values())


def test_the_mean_explains_nothing():
    mean = np.full_like(SPECTROGRAM, SPECTROGRAM.mean())
    assert spectrogram_error(SPECTROGRAM, mean) == pytest.approx(1)
    cutoff = TRUE[:, SET1.row("cutoff")].mean()
    assert control_errors(TRUE, changed("cutoff", cutoff), SET1)["cutoff"]["r2"] == pytest.approx(0)


def test_pitches_count_once_rounded():
    pitch = TRUE[:, 0]
    assert notes_right(TRUE, changed("pitch", np.clip(pitch + 0.04, 0, 1)), SET1) == 1
    one_wrong = TRUE.copy()
    one_wrong[0, 0, 0] = (one_wrong[0, 0, 0] + 0.5) % 1
    assert notes_right(TRUE, one_wrong, SET1) == pytest.approx(29 / 30)


def test_a_common_factor_of_durations_is_not_scored():
    row = SET1.row("duration")
    shares = 0.5 * (0.4 + 0.2 * TRUE[:, row]) + 0.4
    first, second = (
        changed("duration", (shares - 0.4) / 0.5),
        changed("duration", (1.2 * shares - 0.4) / 0.5),
    )
    assert duration_error_ms(first, second, SET1) == pytest.approx(0, abs=1e-9)


def test_times_are_in_milliseconds():
    a, b = np.full((1, 7, 2), 0.5), np.full((1, 7, 2), 0.5)
    b[0, 1] = [0.0, 1.0]  # shares 0.4 and 0.9 of 2 s: 615.4 and 1384.6 ms
    assert duration_error_ms(a, b, SET1) == pytest.approx(384.615, abs=1e-3)
    assert onset_error_ms(a, b, SET1) == pytest.approx(384.615, abs=1e-3)


def test_a_common_gain_is_not_scored():
    levels = 0.3 + 0.4 * TRUE[:, 2]
    softer = control_errors(changed("level", levels), changed("level", levels + 0.25), SET1)
    assert softer["level"]["mae_physical"] == pytest.approx(0, abs=1e-9)
    assert softer["level"]["r2"] == pytest.approx(1)


def test_a_phase_is_off_by_the_short_way_round():
    true = random_melodies(SET2, "babble", 6, seed=5)
    row = SET2.row("vibrato_phase")
    true[:, row] = 0.02
    other = true.copy()
    other[:, row] = 0.98
    errors = control_errors(true, other, SET2)["vibrato_phase"]
    assert errors["mae"] == pytest.approx(0.04)


def test_what_is_audible_is_also_scored_by_itself():
    row = SET1.row("decay")
    other = TRUE.copy()
    audible = np.zeros(other[:, row].shape, dtype=bool)
    audible[:3] = True
    other[3:, row] = 0.5
    errors = control_errors(TRUE, other, SET1, {"decay": audible})
    assert errors["decay"]["r2"] < 0.9
    assert errors["decay"]["r2_audible"] == 1
    assert errors["decay"]["audible"] == 0.5
    assert "r2_audible" not in errors["attack"]


def test_errors_have_the_controls_units():
    half = control_errors(changed("cutoff", 0.5), changed("cutoff", 0.75), SET1)["cutoff"]
    assert half["mae"] == pytest.approx(0.25)
    assert half["mae_physical"] == pytest.approx(800)  # 800 Hz and 1600 Hz


@pytest.mark.parametrize("other", [SPECTROGRAM[:2], SPECTROGRAM * np.nan])
def test_what_cannot_be_compared_is_refused(other):
    with pytest.raises(ValueError, match="both must"):
        spectrogram_error(SPECTROGRAM, other)


def saw(pitch_hz: float) -> np.ndarray:
    harmonics = np.arange(1, 20)[:, None]
    return 0.1 * np.sum(np.sin(2 * np.pi * pitch_hz * harmonics * SECOND) / harmonics, axis=0)


def noise(seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(len(SECOND))


@needs_librosa
@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_sounds_score_as_by_the_published_script(case):
    prediction = np.float32(case["gain"]) * SOUNDS[case["prediction"]]
    scores = field_metrics(SOUNDS["melody"], prediction)
    assert scores == pytest.approx(case["values"], rel=1e-5, abs=1e-5)


@needs_librosa
@pytest.mark.parametrize("metric", FIELD)
def test_two_sounds_are_as_far_apart_either_way(metric):
    a, b = SOUNDS["melody"], SOUNDS["other_melody"]
    assert metric(a, b) == pytest.approx(metric(b, a), rel=1e-6)


@needs_librosa
def test_level_is_seen_by_wmfcc_alone():
    scores = field_metrics(noise(), 0.3 * noise())
    # One coefficient of 20 differs: the sum of 128 mels in dB over the root of 128. The warping
    # saves 0.5 % of it.
    first = -20 * np.log10(0.3) * np.sqrt(128)
    assert scores.pop("wmfcc") == pytest.approx(first / 20, rel=0.01)
    assert scores == pytest.approx({"mss_db": 0, "sot": 0, "rms_cosine": 1}, abs=1e-5)


@needs_librosa
@pytest.mark.parametrize("metric", [mss_db, wmfcc, sot])
def test_the_further_off_in_pitch_the_worse(metric):
    scores = [metric(saw(440), saw(440 * 2 ** (x / 12))) for x in (0, 0.25, 0.5, 1)]
    assert scores[0] == 0
    assert scores == sorted(set(scores))


@needs_librosa
def test_the_further_off_in_attack_the_worse():
    envelopes = [np.minimum(SECOND / attack_s, 1) for attack_s in (0.05, 0.1, 0.2, 0.4)]
    scores = [rms_cosine(noise(0) * envelopes[0], noise(0) * x) for x in envelopes]
    assert scores[0] == pytest.approx(1)
    assert scores[::-1] == sorted(set(scores))


@needs_librosa
def test_rms_cosine_of_sounds_that_never_meet_is_zero():
    first, second = noise(0) * (SECOND < 0.45), noise(1) * (SECOND > 0.55)
    assert rms_cosine(first, second) == 0


@needs_librosa
def test_wmfcc_forgives_when_and_not_what():
    early = np.where(SECOND < 0.3, saw(440), noise())
    late = np.where(SECOND < 0.6, saw(440), noise())
    swapped = np.where(SECOND < 0.7, noise(), saw(440))
    assert wmfcc(early, late) < 0.1 * wmfcc(early, swapped)
    assert mss_db(early, late) > 0.2 * mss_db(early, swapped)


@needs_librosa
def test_sot_is_a_share_of_the_frequency_axis():
    low, high = (np.sin(2 * np.pi * f * SECOND) for f in (2000, 5000))
    assert sot(low, high) == pytest.approx(3000 / 22050, rel=0.02)


@needs_librosa
def test_silence_is_like_silence_and_unlike_sound():
    silence, sound = np.zeros_like(SECOND), saw(440)
    assert list(field_metrics(silence, silence).values()) == [0, 0, 0, 1]
    for scores in (field_metrics(silence, sound), field_metrics(sound, silence)):
        assert 20 < scores["mss_db"] <= 80
        assert 20 < scores["wmfcc"] < 100
        assert 0.5 < scores["sot"] <= 1
        assert scores["rms_cosine"] == 0


SAMPLES = st.one_of(
    st.sampled_from([0, 1e-300, 1e-30, 1e-6, 2.0**31, -(2.0**31)]), st.floats(-2, 2)
)


@needs_librosa
@pytest.mark.filterwarnings("error")
@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3000).flatmap(lambda n: arrays(np.float64, (2, n), elements=SAMPLES)))
def test_any_two_sounds_have_scores_however_short_soft_or_loud(pair):
    scores = field_metrics(*pair)
    assert 0 <= scores["mss_db"] <= 80.001
    assert 0 <= scores["wmfcc"] < np.inf
    assert 0 <= scores["sot"] <= 1.001
    assert 0 <= scores["rms_cosine"] <= 1
    same = {"mss_db": 0, "wmfcc": 0, "sot": 0, "rms_cosine": 1}
    assert field_metrics(pair[0], pair[0]) == pytest.approx(same, abs=1e-6)


@pytest.mark.parametrize("metric", [*FIELD, field_metrics])
@pytest.mark.parametrize(
    ("target", "prediction"),
    [
        (SECOND, SECOND[:-1]),
        (np.zeros(0), np.zeros(0)),
        (np.zeros((2, 100)), np.zeros((2, 100))),
        (SECOND, np.full_like(SECOND, np.nan)),
        (np.full_like(SECOND, np.inf), SECOND),
        (SECOND, 1e30 * SECOND),
    ],
    ids=["lengths", "empty", "stereo", "nan", "infinite", "no-sound"],
)
def test_what_is_no_pair_of_sounds_is_refused(metric, target, prediction):
    with pytest.raises(ValueError, match=r"^both must .*\.$"):
        metric(target, prediction)


@pytest.mark.parametrize("metric", FIELD)
def test_without_librosa_the_sentence_says_how_to_get_it(metric, monkeypatch):
    monkeypatch.setitem(sys.modules, "librosa", None)
    with pytest.raises(MirrorNetError, match=r"install it with: pip install mirrornet\[bench\]$"):
        metric(SECOND, SECOND)


@needs_librosa
def test_a_worker_process_scores_alike():
    sounds = SOUNDS["melody"], SOUNDS["other_timbre"]
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as worker:
        scores = worker.submit(field_metrics, *sounds).result()
    assert scores == pytest.approx(field_metrics(*sounds), rel=1e-6)
