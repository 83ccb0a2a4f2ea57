"""A plant is a pure function from controls to sound, and its controls do what their names say."""

import json
from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest
from vita import Synth  # pyright: ignore[reportPrivateImportUsage]

from mirrornet.plants import load_plant
from mirrornet.plants.base import TAIL_S
from mirrornet.plants.vital import Vital
from mirrornet.score import Note, melody_score

RATE_HZ = 16000
PLAIN = {"level": -6.0, "cutoff": 800.0, "resonance": 30.0, "attack": 0.01, "decay": 1.0}
VIBRATO = {"vibrato_rate": 5.0, "vibrato_depth": 50.0, "vibrato_phase": 0.0}


@pytest.fixture(scope="module")
def vital() -> Vital:
    return Vital("set1", RATE_HZ)


@pytest.fixture(scope="module")
def vibrating() -> Vital:
    return Vital("set2", RATE_HZ)


def a_note(pitch_midi: int = 62, onset_s: float = 0.0, offset_s: float = 1.0, **knobs) -> Note:
    known = PLAIN | VIBRATO if any(name in VIBRATO for name in knobs) else PLAIN
    return Note(pitch_midi, onset_s, offset_s, known | knobs)


def some_melodies(plant: Vital, count: int = 6, notes: int = 5) -> np.ndarray:
    """Half of them random, half in the corners, where one note differs most from the next."""
    controls = np.random.default_rng(0).random((count, len(plant.controls), notes))
    controls[::2] = controls[::2].round()
    return controls


# Purity: the same controls are the same sound, bit for bit, whatever was played before.


@pytest.fixture(params=["set1", "set2", "set2 without vibrato"])
def melodies(request: pytest.FixtureRequest) -> tuple[str, np.ndarray]:
    control_set, _, still = request.param.partition(" ")
    controls = some_melodies(Vital(control_set))
    if still:
        controls[:, -2] = 0.0
    return control_set, controls


def test_order_does_not_matter(melodies):
    control_set, controls = melodies
    plant = Vital(control_set)
    forwards = plant.render(controls)
    backwards = plant.render(controls[::-1])[::-1]
    np.testing.assert_array_equal(backwards, forwards)


def test_a_fresh_plant_plays_as_a_used_one(melodies):
    control_set, controls = melodies
    used = Vital(control_set).render(controls)
    for one, sound in zip(controls[-2:], used[-2:], strict=True):
        np.testing.assert_array_equal(Vital(control_set).render(one), sound)


def test_how_many_notes_were_played_before_does_not_matter(vital: Vital):
    first = vital.play([a_note()])
    for before in range(1, 4):
        vital.play([a_note(90, 0.0, 0.02, level=0.0)] * before)
        np.testing.assert_array_equal(vital.play([a_note()]), first)


def test_plants_in_threads_do_not_disturb_each_other(melodies):
    control_set, controls = melodies
    expected = Vital(control_set).render(controls)
    with ThreadPoolExecutor(3) as threads:
        for sounds in threads.map(lambda _: Vital(control_set).render(controls), range(3)):
            np.testing.assert_array_equal(sounds, expected)


def test_a_batch_is_its_melodies(vibrating: Vital):
    controls = some_melodies(vibrating).reshape(2, 3, 10, 5)
    sounds = vibrating.render(controls)
    assert sounds.shape == (2, 3, 2 * RATE_HZ)
    assert sounds.dtype == np.float32
    np.testing.assert_array_equal(sounds[1, 2], vibrating.render(controls[1, 2]))
    assert vibrating.render(controls[:0]).shape == (0, 3, 2 * RATE_HZ)


def test_controls_are_not_changed_by_playing_them(vital: Vital):
    controls = some_melodies(vital)[0]
    before = controls.copy()
    vital.render(controls)
    np.testing.assert_array_equal(controls, before)


# Audibility


def test_every_corner_and_every_random_note_can_be_heard(vital: Vital):
    corners = np.array(list(product([0.0, 1.0], repeat=5)))
    values = np.concatenate([corners, np.random.default_rng(1).random((100, 5))])
    pitches = np.tile([0.0, 1.0], 66)
    controls = np.stack([pitches, np.full(132, 0.5), *values.T])
    for note in melody_score(vital.controls, controls, melody_s=66.0).notes:
        peak = np.abs(vital.play([Note(note.pitch_midi, 0.0, 0.3, note.controls)])).max()
        assert -50 < 20 * np.log10(peak) < 0, note


# What each control does to the sound


def spectrum(sound: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies in Hz, and power."""
    windowed = sound.astype(float) * np.hanning(len(sound))
    power = np.abs(np.fft.rfft(windowed, 4 * len(sound))) ** 2
    return np.fft.rfftfreq(4 * len(sound), 1 / RATE_HZ), power


def envelope(sound: np.ndarray, window_s: float = 0.004) -> np.ndarray:
    """Largest magnitude in a window around each sample."""
    window = round(window_s * RATE_HZ)
    padded = np.pad(np.abs(sound), window // 2)
    return np.lib.stride_tricks.sliding_window_view(padded, window).max(-1)


def test_cutoff_moves_the_spectral_centroid(vital: Vital):
    centroids_hz = []
    for cutoff in (200.0, 400.0, 800.0, 1600.0, 3200.0):
        frequency_hz, power = spectrum(vital.play([a_note(50, cutoff=cutoff, resonance=60.0)]))
        centroids_hz.append((frequency_hz * power).sum() / power.sum())
    assert (np.diff(np.log2(centroids_hz)) > 0.3).all()


def test_resonance_narrows_the_band(vital: Vital):
    shares = []
    for resonance in (0.0, 25.0, 50.0, 75.0):
        sound = vital.play([a_note(38, cutoff=800.0, resonance=resonance)])
        frequency_hz, power = spectrum(sound)
        shares.append(power[np.abs(np.log2(frequency_hz.clip(1) / 800)) < 0.25].sum() / power.sum())
    assert (np.diff(shares) > 0.01).all()


@pytest.mark.parametrize("attack", [0.02, 0.05, 0.15])
def test_attack_is_the_time_to_the_peak(vital: Vital, attack: float):
    sound = vital.play([a_note(74, attack=attack, cutoff=600.0, resonance=0.0)])
    assert envelope(sound).argmax() / RATE_HZ == pytest.approx(attack, abs=0.006)


@pytest.mark.parametrize("decay", [0.05, 0.2, 0.8])
def test_decay_is_the_time_to_silence(vital: Vital, decay: float):
    shape = envelope(vital.play([a_note(74, decay=decay, attack=0.003, resonance=0.0)]))
    shape /= shape.max()
    assert shape[round((0.003 + 0.5 * decay) * RATE_HZ)] > 0.02
    assert shape[round((0.003 + decay + 0.02) * RATE_HZ) :].max() < 0.01


def test_level_is_the_oscillators_in_decibels(vital: Vital):
    def energy_db(level: float, **settings: float) -> float:
        note = a_note(level=level)
        preset = json.loads(vital.preset(note))
        preset["settings"].update(settings)
        sound = play_preset(json.dumps(preset), note).astype(float)
        return 10 * np.log10((sound**2).sum())

    for level in (-20.0, -11.5, -3.0):
        without_filter = energy_db(level, filter_1_on=0.0) - energy_db(0.0, filter_1_on=0.0)
        assert without_filter == pytest.approx(level, abs=0.05)
        # The filter saturates a little, so what is heard moves by up to 3 dB less.
        assert level < energy_db(level) - energy_db(0.0) < min(level + 3, 0)


@pytest.mark.parametrize("pitch_midi", [24, 38, 62, 74, 96])
def test_pitch_is_the_fundamental(vital: Vital, pitch_midi: int):
    expected_hz = 440 * 2 ** ((pitch_midi - 69) / 12)
    cutoff = np.clip(expected_hz, 200.0, 3200.0)
    frequency_hz, power = spectrum(vital.play([a_note(pitch_midi, cutoff=cutoff, resonance=0.0)]))
    # The lowest partial of note, and a peak: not merely the foot of a higher one.
    peaks = np.flatnonzero((power[1:-1] > power[:-2]) & (power[1:-1] > power[2:])) + 1
    fundamental = next(k for k in peaks if power[k] > 1e-4 * power.max())
    assert 1200 * np.log2(frequency_hz[fundamental] / expected_hz) == pytest.approx(0, abs=20)


def vibrato_of(sound: np.ndarray, pitch_midi: int) -> tuple[float, float, float]:
    """Rate in Hz, depth in cents and phase in turns of the sine that fits the pitch best."""
    f0_hz = 440 * 2 ** ((pitch_midi - 69) / 12)
    frequency_hz = np.fft.fftfreq(len(sound), 1 / RATE_HZ)
    partial = np.fft.fft(sound) * (np.abs(np.log2(frequency_hz.clip(1) / f0_hz)) < 0.4)
    hz = np.diff(np.unwrap(np.angle(np.fft.ifft(partial)))) * RATE_HZ / (2 * np.pi)
    inner = slice(round(0.05 * RATE_HZ), round(0.6 * RATE_HZ))
    cents = 1200 * np.log2(hz[inner] / f0_hz)
    time_s = np.arange(len(hz))[inner] / RATE_HZ
    best = (np.inf, 0.0, 0.0, 0.0)
    for rate_hz in np.arange(1.5, 12, 0.02):
        angle = 2 * np.pi * rate_hz * time_s
        basis = np.stack([np.sin(angle), np.cos(angle), np.ones_like(angle)], axis=1)
        weights, residual, *_ = np.linalg.lstsq(basis, cents, rcond=None)
        depth, phase = np.hypot(*weights[:2]), np.arctan2(weights[1], weights[0]) / (2 * np.pi)
        best = min(best, (residual[0], rate_hz, depth, phase))
    return best[1:]


@pytest.mark.parametrize(("rate", "depth"), [(2.5, 100.0), (5.0, 50.0), (9.0, 25.0)])
def test_vibrato_rate_and_depth(vibrating: Vital, rate: float, depth: float):
    note = a_note(74, cutoff=600.0, vibrato_rate=rate, vibrato_depth=depth)
    measured_rate, measured_depth, _ = vibrato_of(vibrating.play([note]), 74)
    assert measured_rate == pytest.approx(rate, rel=0.05)
    assert measured_depth == pytest.approx(depth, rel=0.1)


def test_vibrato_phase_turns_once_around(vibrating: Vital):
    sounds = {
        phase: vibrating.play([a_note(74, cutoff=600.0, vibrato_phase=phase)])
        for phase in (0.0, 0.25, 0.5, 1.0)
    }
    np.testing.assert_allclose(sounds[1.0], sounds[0.0], atol=1e-5)
    start = vibrato_of(sounds[0.0], 74)[2]
    for phase in (0.25, 0.5):
        assert (vibrato_of(sounds[phase], 74)[2] - start) % 1 == pytest.approx(phase, abs=0.05)


def test_without_depth_there_is_no_vibrato(vital: Vital, vibrating: Vital):
    still = vibrating.play([a_note(vibrato_depth=0.0, vibrato_rate=9.0, vibrato_phase=0.3)])
    np.testing.assert_allclose(still, vital.play([a_note()]), atol=1e-6)


# Playing notes


def test_any_number_of_notes_each_in_its_place(vital: Vital):
    notes = [a_note(24 + n % 73, 0.04 * n, 0.04 * n + 0.03) for n in range(300)]
    sound = vital.play(notes)
    assert len(sound) == round((notes[-1].offset_s + TAIL_S) * RATE_HZ)
    expected = np.zeros_like(sound)
    for note in notes:
        alone = vital.play([note])
        expected[: len(alone)] += alone
    np.testing.assert_allclose(sound, expected, atol=1e-6)
    assert vital.render(np.full((7, 1), 0.5)).shape == (2 * RATE_HZ,)


def test_rests_are_silent(vital: Vital):
    sound = vital.play([a_note(60, 0.2, 0.4), a_note(67, 0.8, 1.0)])
    assert not sound[: round(0.2 * RATE_HZ)].any()
    assert not sound[round((0.4 + TAIL_S) * RATE_HZ) + 1 : round(0.8 * RATE_HZ)].any()
    assert sound[round(0.2 * RATE_HZ) : round(0.4 * RATE_HZ)].any()
    assert not vital.play([]).any()


def test_a_note_has_ended_when_its_tail_has(vital: Vital):
    sound = vital.play([a_note(62, 0.0, 0.1, attack=0.003, resonance=75.0)])
    assert np.abs(sound[-round(0.01 * RATE_HZ) :]).max() < 1e-3 * np.abs(sound).max()


def test_a_chord_is_the_sum_of_its_notes(vital: Vital):
    chord = [a_note(pitch) for pitch in (24, 60, 64, 96)]
    np.testing.assert_allclose(
        vital.play(chord), sum(vital.play([note]) for note in chord), atol=1e-6
    )


def test_duration_pads_or_cuts(vital: Vital):
    notes = [a_note(62, 0.0, 0.5), a_note(65, 0.6, 0.9)]
    whole = vital.play(notes)
    for duration_s in (0.0, 0.3, 0.55, 3.0):
        sound = vital.play(notes, duration_s)
        assert len(sound) == round(duration_s * RATE_HZ)
        shared = min(len(sound), len(whole))
        np.testing.assert_array_equal(sound[:shared], whole[:shared])
        assert not sound[shared:].any()


def test_other_sample_rates_play_the_same_music():
    sound = Vital(sample_rate_hz=48000).play([a_note(62, 0.0, 0.5)])
    assert len(sound) == round((0.5 + TAIL_S) * 48000)
    peak = np.abs(np.fft.rfft(sound, 48000)).argmax()
    assert peak % 293.66 == pytest.approx(0, abs=3) or peak % 293.66 == pytest.approx(293.66, abs=3)


# Presets


def play_preset(preset: str, note: Note) -> np.ndarray:
    """What a fresh Vital plays with a preset loaded."""
    synth = Synth()
    synth.set_sample_rate(RATE_HZ)
    assert synth.load_json(preset)
    # After a load, Vital lets its smoothed knobs glide from where they were: a first note of half
    # a second, not listened to, gives them time to arrive.
    synth.render(60, 1.0, 0.5, 0.6)
    gate_s = note.offset_s - note.onset_s
    return synth.render(note.pitch_midi, 1.0, gate_s, gate_s + TAIL_S)[0]


@pytest.mark.parametrize("control_set", ["set1", "set2"])
def test_a_preset_sounds_as_its_note(control_set):
    plant = load_plant("vital", controls=control_set, sample_rate_hz=RATE_HZ)
    assert isinstance(plant, Vital)
    for melody in some_melodies(plant, 2, 3):
        score = melody_score(plant.controls, melody)
        presets = [one.make().decode() for one in plant.artifacts(score)]
        for preset, note in zip(presets, score.notes, strict=True):
            sound = play_preset(preset, note)
            np.testing.assert_allclose(sound, plant.note_sound(note), atol=1e-6)


def test_playing_leaves_everyones_arithmetic_alone():
    """Vital flushes denormal numbers to zero while it plays; nobody else's must be."""
    load_plant("vital").render(np.full((7, 1), 0.5))
    assert np.float64(2.0**-1060) * 0.5 > 0
