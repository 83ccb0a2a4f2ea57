"""Random performances: what the note finder is trained on is what was said of it."""

import numpy as np
import pytest

from mirrornet.features import FRAME_S, RECORDING_RATE_HZ
from mirrornet.plants.prior import PHRASE_S
from mirrornet.training.additive_voice import FRAMES, play
from mirrornet.training.conditions import (
    CODECS,
    in_band,
    in_room,
    mu_law,
    random_conditions,
    through_codec,
    with_noise,
)
from mirrornet.training.performance import RANGES, Performance, Played, draw_performance

RATE_HZ = RECORDING_RATE_HZ


def drawn(count: int) -> list[Performance]:
    return [draw_performance(np.random.default_rng((3, number))) for number in range(count)]


def test_performances_are_playable_and_have_all_gestures():
    performances = drawn(300)
    for performance in performances:
        low, high = RANGES[performance.style]
        onsets_s = [note.onset_s for note in performance.notes]
        assert onsets_s == sorted(onsets_s)
        for note in performance.notes:
            assert low - 0.8 <= note.pitch <= high + 0.8
            assert 0 <= note.onset_s < note.offset_s <= PHRASE_S
    notes = [note for performance in performances for note in performance.notes]
    spans_s = np.concatenate([np.diff([n.onset_s for n in one.notes]) for one in performances])
    assert {performance.style for performance in performances} == set(RANGES)
    assert 0.05 < np.mean([note.slurred for note in notes]) < 0.5
    assert 0.05 < np.mean([note.vibrato[0] > 0.1 for note in notes]) < 0.7
    assert np.mean(spans_s < 0.13) > 0.05  # grace notes and trills
    assert min(note.pitch for note in notes) < 30
    assert max(note.pitch for note in notes) > 100


def test_slurred_notes_share_a_breath():
    notes = [Played(60, 0, 1, 0), Played(62, 1, 2, 0, slurred=True), Played(64, 2, 3, 0)]
    assert Performance("blown", notes).chains() == [notes[:2], notes[2:]]


def tonal_share(sound: np.ndarray, start_s: float, end_s: float, hz: float) -> float:
    """The share of the energy that lies near multiples of a frequency."""
    part = sound[round(start_s * RATE_HZ) : round(end_s * RATE_HZ)]
    power = np.square(np.abs(np.fft.rfft(part * np.hanning(len(part)))))
    ratios = np.arange(len(power)) * RATE_HZ / len(part) / hz
    return power[np.abs(ratios - ratios.round()) < 0.2].sum() / power.sum()


@pytest.mark.parametrize("seed", range(6))
def test_blown_notes_sound_at_the_pitch_that_is_told(seed):
    """Steady notes have the partials of the told pitches; no pitch is told in rests."""
    performance = Performance("blown", [Played(57.3, 0.5, 1.5, 0), Played(66.0, 2.5, 3.5, 0)])
    sounded = play(performance, np.random.default_rng(seed))
    np.testing.assert_array_equal(sounded.onsets_s, [0.5, 2.5])
    told = sounded.pitch[round(1.0 / FRAME_S)], sounded.pitch[round(3.0 / FRAME_S)]
    assert told == pytest.approx((57.3, 66.0), abs=1e-6)
    held = ~np.isnan(sounded.pitch)
    assert held.mean() * PHRASE_S == pytest.approx(2.0, abs=4 * FRAME_S)
    assert not held[: round(0.49 / FRAME_S)].any()
    for pitch, start_s in ((57.3, 0.7), (66.0, 2.7)):
        hz = 440 * 2 ** ((pitch - 69) / 12)
        assert tonal_share(sounded.sound, start_s, start_s + 0.7, hz) > 0.8


def test_glides_and_vibrato_are_told():
    note = Played(60, 0.2, 3.8, 0, bend=(2.0, 0.5), vibrato=(0.5, 5.0, 0.1))
    pitch = play(Performance("sung", [note]), np.random.default_rng(0)).pitch
    swing = pitch[round(0.5 / FRAME_S) : round(1.5 / FRAME_S)]
    assert swing.max() == pytest.approx(60.5, abs=0.03)
    assert swing.min() == pytest.approx(59.5, abs=0.03)
    end = pitch[round(3.4 / FRAME_S) : round(3.75 / FRAME_S)]
    assert end.mean() == pytest.approx(61.7, abs=0.3)


def test_struck_notes_end_when_they_are_no_more_heard():
    note = Played(72, 0.2, 4.0, 0)
    ends = []
    for seed in range(8):
        sounded = play(Performance("struck", [note]), np.random.default_rng(seed))
        held = np.flatnonzero(~np.isnan(sounded.pitch))
        ends.append(held[-1] * FRAME_S)
        assert np.isfinite(sounded.sound).all()
    assert min(ends) < 2 < max(ends)


def test_every_performance_sounds():
    for number, performance in enumerate(drawn(24)):
        sounded = play(performance, np.random.default_rng((4, number)))
        assert sounded.sound.shape == (round(PHRASE_S * RATE_HZ),)
        assert len(sounded.pitch) == FRAMES
        assert 0.01 < sounded.sound.std() < 10


@pytest.fixture
def tone() -> np.ndarray:
    """A fading note of 440 Hz in silence."""
    times_s = np.arange(RATE_HZ // 2) / RATE_HZ
    sound = np.zeros(2 * RATE_HZ, np.float32)
    sound[RATE_HZ // 2 : RATE_HZ] = np.sin(2 * np.pi * 440 * times_s) * np.exp(-6 * times_s)
    return sound


def test_a_room_rings_as_long_and_as_loud_as_told():
    click = np.zeros(2 * RATE_HZ, np.float32)
    click[0] = 1
    energy = np.square(in_room(click, RATE_HZ, 0.9, 2.0, np.random.default_rng(1)))
    assert energy[0] == pytest.approx(1, rel=1e-3)
    assert 10 * np.log10(1 / energy[1:].sum()) == pytest.approx(2, abs=0.1)
    left_db = 10 * np.log10(energy[:0:-1].cumsum()[::-1] / energy[1:].sum() + 1e-12)
    fell_s = 3 * (np.argmax(left_db < -25) - np.argmax(left_db < -5)) / RATE_HZ
    assert fell_s == pytest.approx(0.9, rel=0.15)


def test_noise_has_the_ratio_that_is_told(tone):
    noise = with_noise(tone, RATE_HZ, 20, -3, np.random.default_rng(1)) - tone
    assert 10 * np.log10(np.square(tone).mean() / np.square(noise).mean()) == pytest.approx(
        20, abs=0.1
    )


def test_a_telephone_passes_its_band_in_eight_bits():
    times_s = np.arange(RATE_HZ) / RATE_HZ
    for hz, passes in ((100, False), (1000, True), (6000, False)):
        sine = np.sin(2 * np.pi * hz * times_s).astype(np.float32)
        level = in_band(sine, RATE_HZ, 300, 3400, 4)[RATE_HZ // 2 :].std() / sine.std()
        assert (level > 0.9) if passes else (level < 0.15)
    quantised = mu_law(sine)
    assert len(np.unique(quantised)) <= 256
    assert np.abs(quantised - sine).max() < 0.03


@pytest.mark.parametrize("codec", range(len(CODECS)))
def test_codecs_move_nothing(tone, codec):
    decoded = through_codec(tone, RATE_HZ, codec, 0.3)
    lags = np.correlate(decoded[RATE_HZ // 2 : RATE_HZ], tone[RATE_HZ // 2 : RATE_HZ], "full")
    assert abs(int(np.argmax(lags)) - (RATE_HZ // 2 - 1)) <= 4
    assert np.abs(decoded - tone).max() > 1e-3


def test_conditions_keep_length_and_are_drawn(tone):
    heard = [random_conditions(tone, RATE_HZ, np.random.default_rng(n)) for n in range(40)]
    assert all(one.shape == tone.shape and np.isfinite(one).all() for one in heard)
    assert 2 <= sum(np.array_equal(one, tone) for one in heard) <= 25
