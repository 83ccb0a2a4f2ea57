"""Vital's patch for recordings: pure, in physical units, and one preset for all notes of it."""

import json

import numpy as np
import pytest
from vita import Synth  # pyright: ignore[reportPrivateImportUsage]

from mirrornet.plants.vital import Vital
from mirrornet.plants.vital_patch import PATCH, velocity
from mirrornet.score import Note, as_score

RATE_HZ = 16000
SINE = {
    "level": 0.0,
    "tune": 0.0,
    "attack": 0.01,
    "decay": 1.0,
    "sustain": 100.0,
    "release": 0.05,
    "wave": 0.0,
    "noise": 0.0,
    "cutoff": 8000.0,
    "resonance": 0.0,
    "filter_blend": 0.0,
    "filter_track": 0.0,
    "filter_env": 0.0,
    "unison": 1.0,
    "detune": 0.0,
    "vibrato_rate": 5.0,
    "vibrato_depth": 0.0,
    "vibrato_phase": 0.0,
}


@pytest.fixture(scope="module")
def vital() -> Vital:
    return Vital("patch", RATE_HZ)


def a_note(pitch_midi: int = 60, offset_s: float = 0.5, **knobs: float) -> Note:
    return Note(pitch_midi, 0.0, offset_s, SINE | knobs)


def random_notes(count: int, seed: int = 0) -> list[Note]:
    """Half of them in the corners, where one note differs most from the next."""
    generator = np.random.default_rng(seed)
    knobs = generator.random((count, len(PATCH), 1))
    knobs[::2] = knobs[::2].round()
    notes = []
    for row in knobs:
        values = dict(zip(PATCH.names, PATCH.to_physical(row)[:, 0].tolist(), strict=True))
        pitch = int(generator.integers(40, 85))
        own = {name: values[name] for name in SINE}
        notes.append(Note(pitch, 0.0, float(generator.uniform(0.05, 0.6)), own))
    return notes


def test_a_note_sounds_the_same_whatever_was_played_before(vital: Vital):
    notes = random_notes(16)
    forwards = [vital.play([note]) for note in notes]
    backwards = [vital.play([note]) for note in notes[::-1]][::-1]
    fresh = [Vital("patch", RATE_HZ).play([note]) for note in notes[:4]]
    for one, other in zip(forwards, backwards, strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-6)
    for one, other in zip(forwards[:4], fresh, strict=True):
        np.testing.assert_allclose(other, one, rtol=0, atol=1e-6)


def test_the_noise_is_the_same_in_every_vital(vital: Vital):
    note = a_note(noise=100.0)
    np.testing.assert_array_equal(Vital("patch", RATE_HZ).play([note]), vital.play([note]))


def test_noise_can_be_heard(vital: Vital):
    plain, noisy = (vital.play([a_note(noise=noise)]) for noise in (0.0, 100.0))
    assert np.abs(noisy - plain).max() > 0.05


def power_db(sound: np.ndarray) -> float:
    return 10 * np.log10(np.mean(np.square(sound, dtype=float)))


@pytest.mark.parametrize("level", [0.0, -6.0, -18.0, -30.0])
def test_level_is_in_db_and_a_midi_velocity(vital: Vital, level: float):
    loud, soft = a_note(), a_note(level=level)
    expected = 40 * np.log10(velocity(soft) / 127)
    assert abs(expected - level) < 0.6  # a step of velocity at -30 dB
    assert power_db(vital.play([soft])) - power_db(vital.play([loud])) == pytest.approx(
        expected, abs=0.01
    )


@pytest.mark.parametrize("cents", [-50.0, -20.0, 0.0, 33.0, 50.0])
def test_tune_is_in_cents(vital: Vital, cents: float):
    sound = vital.play([a_note(offset_s=1.0, tune=cents)])[:RATE_HZ]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 1 << 19))
    frequency_hz = spectrum.argmax() * RATE_HZ / (1 << 19)
    assert 1200 * np.log2(frequency_hz / 261.6256) == pytest.approx(cents, abs=0.5)


def test_the_wave_goes_from_a_sine_over_a_hollow_square_to_a_bright_pulse(vital: Vital):
    def harmonics_db(wave: float) -> np.ndarray:
        sound = vital.play([a_note(offset_s=1.0, wave=wave)])[4000:12000]
        spectrum = np.abs(np.fft.rfft(sound * np.hanning(8000)))
        peaks = [spectrum[round(h * 130.8) - 2 :][:5].max() for h in range(1, 6)]
        return 20 * np.log10(np.array(peaks) / peaks[0])

    sine, square, saw, pulse = map(harmonics_db, (0.0, 50.0, 75.0, 100.0))
    assert sine[1:].max() < -20
    assert square[1] < -60 < -20 < square[2]
    assert (saw[1:] > -20).all()
    assert pulse[1:].sum() > saw[1:].sum()


def test_a_released_note_rings_for_its_release(vital: Vital):
    short, long = (vital.play([a_note(release=release)]) for release in (0.02, 0.8))
    after = slice(round(0.6 * RATE_HZ), None)
    assert np.abs(short[after]).max(initial=0.0) == 0
    assert np.abs(long[after]).max() > 0.01
    assert np.abs(long[-100:]).max() < 1e-3  # and then is over


def test_one_preset_and_velocities_play_all_notes(vital: Vital):
    """Loaded into Vital and played by MIDI, as a musician would."""
    patch = random_notes(1, seed=3)[0].controls
    notes = [
        Note(pitch, 0.0, length_s, patch | {"level": level})
        for pitch, length_s, level in ((50, 0.3, 0.0), (62, 0.5, -9.0), (75, 0.2, -20.0))
    ]
    (artifact,) = vital.artifacts(as_score(PATCH, notes))
    preset = artifact.make().decode()
    synth = Synth()
    synth.set_sample_rate(RATE_HZ)
    assert synth.load_json(preset)
    tail_s = patch["release"] + 0.05
    synth.render(60, 0.5, 1.0, 1.0 + tail_s)  # a player's first note finds a synth that settled
    synth.render(60, 0.5, 1.0, 1.0 + tail_s)
    for note in notes:
        played = synth.render(
            note.pitch_midi, velocity(note) / 127, note.offset_s, note.offset_s + tail_s
        )[0]
        np.testing.assert_allclose(played, vital.play([note]), rtol=0, atol=1e-5)
    assert json.loads(preset)["macro2"] == "TUNE"
