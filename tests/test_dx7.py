"""The DX7: its voices as controls, its files, its purity, and a match without any training."""

import json

import numpy as np
import pytest

import mirrornet as mn
from mirrornet.app.cli import main
from mirrornet.features import hear_recording
from mirrornet.matching.levels import play_at_levels
from mirrornet.plants import load_plant
from mirrornet.plants.dx7 import ALL, DX7, PAIR
from mirrornet.plants.dx7_prior import TWINS, in_order, random_voice
from mirrornet.plants.dx7_voice import INITIAL, VOICE, bank_message, voice_bytes, voice_message
from mirrornet.score import Note, Score
from mirrornet.training.sampling import random_melodies

# Of the first operator in the data, which is operator 6 (DX7 owner's manual): 21 bytes.
OPERATOR_6 = {"op6_rate1": 0, "op6_level1": 4, "op6_breakpoint": 8, "op6_right_curve": 12}
OPERATOR_6 |= {"op6_velocity_sensitivity": 15, "op6_output": 16, "op6_detune": 20}
GLOBAL = {"pitch_rate1": 126, "algorithm": 134, "feedback": 135, "lfo_speed": 137, "lfo_wave": 142}
GLOBAL |= {"transpose": 144, "op1_output": 5 * 21 + 16, "op1_coarse": 5 * 21 + 18}


@pytest.fixture(scope="module")
def voices() -> list[dict]:
    """Random voices, uniform in all parameters."""
    generator = np.random.default_rng(0)
    drawn = [VOICE.from_vector(generator.random(len(VOICE.rows))) for _ in range(40)]
    return [{c.name: c.check(voice[c.name]) for c in VOICE} for voice in drawn]


def test_a_voice_has_the_145_parameters_in_their_places(voices):
    assert len(VOICE) == 145
    raw = {"op6_right_curve": ("-lin", "-exp", "+exp", "+lin").index}
    raw |= {"op6_detune": lambda value: value + 7, "transpose": lambda value: value + 24}
    raw |= {"algorithm": lambda value: int(value) - 1}
    waves = ("triangle", "saw down", "saw up", "square", "sine", "sample and hold")
    raw |= {"lfo_wave": waves.index}
    for voice in voices:
        data = voice_bytes(voice)
        assert len(data) == 155
        for name, at in (OPERATOR_6 | GLOBAL).items():
            assert data[at] == raw.get(name, int)(voice[name]), name


@pytest.mark.parametrize("algorithm", list(TWINS))
def test_operators_in_order_sound_the_same(algorithm: str):
    plant, generator = DX7(), np.random.default_rng(int(algorithm))
    for _ in range(3):
        voice = random_voice(generator, plant._carriers) | {"algorithm": algorithm}
        # Every stack sounds: each parameter of it matters.
        voice |= {f"op{n}_output": int(generator.integers(70, 95)) for n in range(1, 7)}
        voice |= {f"op{n}_coarse": int(generator.integers(1, 8)) for n in range(1, 7)}
        ordered = in_order(voice)
        for stacks in TWINS[algorithm]:
            ratios = [ordered[f"op{stack[0]}_coarse"] for stack in stacks]
            if len({ordered[f"op{stack[0]}_mode"] for stack in stacks}) == 1:
                assert ratios == sorted(ratios)
        notes = [Note(60, 0.0, 0.3, {"velocity": 100, **v}) for v in (voice, ordered)]
        sound, again = (plant.note_sound(note) for note in notes)
        assert np.abs(sound).max() > 0
        np.testing.assert_array_equal(sound, again)


def test_the_prior_draws_voices_in_order():
    plant, generator = DX7(), np.random.default_rng(0)
    drawn = [plant.sample(generator).patch for _ in range(50)]
    assert all(in_order(dict(voice)) == voice for voice in drawn)


def test_a_voice_as_a_message(voices):
    message = voice_message(voice_bytes(voices[0]))
    assert len(message) == 163
    # Exclusive, Yamaha, channel 1, format 0, 155 bytes in two times seven bits.
    assert message[:6] == bytes([0xF0, 0x43, 0, 0, 1, 27])
    assert 1 * 128 + 27 == 155
    assert sum(message[6:162]) % 128 == 0  # with the checksum
    assert message[-1] == 0xF7
    assert max(message[1:-1]) < 128


def test_a_bank_holds_what_dexed_reads_again(voices, tmp_path):
    dexed = pytest.importorskip("dexed")
    written = [voice_bytes(voice) for voice in voices[:32]]
    message = bank_message(written)
    assert len(message) == 4104
    assert message[:6] == bytes([0xF0, 0x43, 0, 9, 0x20, 0])
    assert sum(message[6:4103]) % 128 == 0
    (tmp_path / "bank.syx").write_bytes(message)
    read = [patch.to_sysex()[:155] for patch in dexed.Patch.load_bank(str(tmp_path / "bank.syx"))]
    assert read == written
    (tmp_path / "one.syx").write_bytes(bank_message(written[:1]))
    rest = dexed.Patch.load_bank(str(tmp_path / "one.syx"))[1:]
    assert {patch.to_sysex()[:155] for patch in rest} == {voice_bytes(INITIAL)}


def test_a_pair_plays_its_pitch_and_each_control_is_audible():
    plant = load_plant("dx7-pair", sample_rate_hz=16000)
    note = {"level": 0.0, "brightness": 40, "feedback": 0, "attack": 99, "decay": 35}
    plain = plant.play([Note(69, 0.0, 1.0, note)], 1.0)
    assert np.abs(np.fft.rfft(plain)).argmax() == pytest.approx(440, abs=1)
    for name, value in {"brightness": 90, "feedback": 7, "attack": 55, "decay": 70}.items():
        base = note | {"brightness": 80}  # feedback is heard through the modulator
        changed = plant.play([Note(69, 0.0, 1.0, base | {name: value})], 1.0)
        unchanged = plant.play([Note(69, 0.0, 1.0, base)], 1.0)
        assert np.square(changed - unchanged).mean() > 0.01 * np.square(unchanged).mean(), name
    softer = plant.play([Note(69, 0.0, 1.0, note | {"level": -12.0})], 1.0)
    loudness_db = 20 * np.log10(np.abs(softer).max() / np.abs(plain).max())
    assert loudness_db == pytest.approx(-12, abs=0.1)


def test_a_melody_sounds_the_same_at_other_rates():
    melody = random_melodies(PAIR, "babble", 1, 0)[0]
    envelopes = []
    for rate_hz in (16000, 48000):
        sound = load_plant("dx7-pair", sample_rate_hz=rate_hz).render(melody)
        envelopes.append(np.sqrt(np.square(sound).reshape(100, -1).mean(1)))
    np.testing.assert_allclose(*envelopes, atol=0.06 * max(envelopes[0]))


def test_a_released_note_ends_within_its_tail_without_a_click():
    plant = load_plant("dx7", sample_rate_hz=16000)
    for seed in range(20):
        score = plant.sample(np.random.default_rng(seed))
        note = score.resolved[0]
        sound = plant.play([note])
        assert len(sound) <= (note.offset_s + 2.0) * 16000 + 1
        assert np.abs(sound[-16:]).max() < 0.05 * np.abs(sound).max()


def test_files_for_one_voice_and_for_a_voice_of_each_note():
    plant = load_plant("dx7", sample_rate_hz=16000)
    score = plant.sample(np.random.default_rng(1))
    shared = {a.path: a.make() for a in plant.artifacts(score)}
    assert set(shared) == {"match.syx", "match-bank.syx"}
    assert len(shared["match.syx"]) == 163
    own = Score([note for note in score.resolved for _ in range(40)][:40], {}, 4.0)
    banks = [a.make() for a in plant.artifacts(own)]
    assert [len(bank) for bank in banks] == [4104, 4104]
    assert "match.syx" in plant.guide(score)
    assert "voices-" in plant.guide(own)


@pytest.mark.slow
def test_it_is_matched_by_what_ships_and_closer_with_renders():
    plant = load_plant("dx7", sample_rate_hz=44100)
    score = plant.sample(np.random.default_rng(5))
    sound = plant.render(score), 44100
    at_once, found = mn.match(sound, "dx7"), mn.match(sound, "dx7", refine=120)
    assert [n.pitch_midi for n in found.notes] == [n.pitch_midi for n in score.notes]
    assert found.plant.controls == ALL
    assert at_once.distances["spectrogram_error"] < 0.8
    assert found.distances["spectrogram_error"] < 0.8 * at_once.distances["spectrogram_error"]
    assert found.confidence.keys() == set(ALL.patch.names)


def test_velocities_are_found_by_playing():
    plant = load_plant("dx7", sample_rate_hz=16000)
    patch = INITIAL | {"op1_output": 99, "op1_velocity_sensitivity": 7}
    velocities = (100, 60, 120, 80)
    notes = [
        Note(60, 0.5 * n, 0.5 * n + 0.4, {"velocity": strength})
        for n, strength in enumerate(velocities)
    ]
    target = plant.render(Score(notes, patch, 2.0))
    heard = hear_recording(target, 16000)
    flat = [Note(n.pitch_midi, n.onset_s, n.offset_s, {"velocity": 90}) for n in notes]
    found = play_at_levels(plant, Score(flat, patch, 2.0), target, heard)
    read = np.array([note.controls["velocity"] for note in found.score.notes])
    ratios = read / read[0] / (np.array(velocities) / 100)
    np.testing.assert_allclose(ratios, 1, atol=0.06)
    # Without sensitivity the velocity does nothing, and stays.
    deaf = Score(flat, patch | {"op1_velocity_sensitivity": 0}, 2.0)
    kept = play_at_levels(plant, deaf, target, heard)
    assert {note.controls["velocity"] for note in kept.score.notes} == {90}


def test_all_banks_of_many_voices_are_written(tmp_path):
    plant = load_plant("dx7-pair", sample_rate_hz=16000)
    own = {"level": 0.0, "brightness": 60, "feedback": 0, "attack": 99, "decay": 50}
    notes = [
        {"pitch_midi": 60, "onset_s": n / 10, "offset_s": n / 10 + 0.05}
        | {"controls": own | {"brightness": 40 + n}}
        for n in range(40)
    ]
    file = tmp_path / "mine.json"
    options = {"controls": plant.controls.name}
    file.write_text(json.dumps({"plant": "dx7", "plant_options": options, "notes": notes}))
    assert main(["render", str(file), "--preset", str(tmp_path / "p.syx")]) == 0
    assert {path.name for path in tmp_path.glob("*.syx")} == {"p-1.syx", "p-2.syx"}
