"""General MIDI instruments: a pure function of the notes, in tune, with errors that help."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from mirrornet.errors import ControlError, PlantError
from mirrornet.features import hear
from mirrornet.plants import load_plant
from mirrornet.plants.pool import Pool
from mirrornet.plants.soundfont import INSTALL, MELODY, SoundFont, default_sound_font
from mirrornet.plants.vital import SET1
from mirrornet.score import Note
from mirrornet.training.dataset import seed_targets
from mirrornet.training.sampling import random_melodies

RATE_HZ = 44100
RHODES, VIBRAPHONE, VIOLIN, HARP, STRINGS = 4, 11, 40, 46, 48
INSTALLED = all(map(find_spec, ("tinysoundfont", "pretty_midi")))
installed = pytest.mark.skipif(not INSTALLED, reason=f"tinysoundfont is missing: {INSTALL}")
MELODIES = random_melodies(MELODY, "targets", 6, seed=0)


@pytest.fixture(scope="module")
def harp() -> SoundFont:
    """It rings for seconds."""
    return SoundFont(program=HARP)


# Purity


@installed
@pytest.mark.parametrize("program", [RHODES, HARP, STRINGS])
@pytest.mark.parametrize("rate_hz", [8000, RATE_HZ])
def test_the_same_melody_is_the_same_sound_whatever_was_played_before(program, rate_hz):
    plant = SoundFont(program=program, sample_rate_hz=rate_hz)
    sounds = plant.render(MELODIES)
    np.testing.assert_array_equal(plant.render(MELODIES[::-1])[::-1], sounds)
    for before in ([Note(62, 0.0, 0.01)], [Note(96, 0.0, 0.3), Note(24, 0.0, 2.0)] * 3):
        plant.play(before, 0.0)
        np.testing.assert_array_equal(plant.render(MELODIES[0]), sounds[0])
    fresh = SoundFont(program=program, sample_rate_hz=rate_hz)
    np.testing.assert_array_equal(fresh.render(MELODIES[-1]), sounds[-1])


@installed
def test_a_pool_plays_targets_as_the_plant_does():
    sounds = SoundFont(program=VIOLIN).render(MELODIES)
    with Pool("soundfont", workers=1, program=VIOLIN) as pool:
        assert (pool.name, pool.controls, pool.sample_rate_hz) == ("soundfont-40", MELODY, RATE_HZ)
        np.testing.assert_array_equal(list(pool.render(MELODIES, chunk=2)), sounds)
        controls, heard = seed_targets(pool, "targets", 6, seed=0)
    np.testing.assert_array_equal(controls, MELODIES.astype(np.float32))
    assert (heard.shape, heard.dtype) == ((6, 128, 250), np.float32)
    np.testing.assert_allclose(heard[0], hear(sounds[0], RATE_HZ), rtol=1e-3, atol=1e-6)


# What it plays


def test_its_controls_are_the_first_two_of_vital():
    assert tuple(MELODY) == tuple(SET1)[:2]
    assert MELODY.names == ("pitch", "duration")


@installed
def test_a_note_is_what_the_synthesizer_plays_left_and_right_mixed():
    synth = pytest.importorskip("tinysoundfont").Synth()
    synth.program_select(0, synth.sfload(str(default_sound_font())), 0, STRINGS)
    synth.noteon(0, 65, 100)
    held = np.frombuffer(synth.generate(RATE_HZ), np.float32).reshape(-1, 2)
    assert np.abs(held[:, 0] - held[:, 1]).max() > 0.01
    sound = SoundFont(program=STRINGS).play([Note(65, 0.0, 1.0)], 1.0)
    np.testing.assert_allclose(sound, held.mean(-1), atol=1e-6)


@installed
@pytest.mark.parametrize("program", [RHODES, VIBRAPHONE, VIOLIN, HARP, STRINGS])
def test_it_sounds_at_the_pitch_asked_for_even_when_short(program: int):
    plant = SoundFont(program=program)
    for pitch_midi in (62, 67, 74):
        sound = plant.play([Note(pitch_midi, 0.0, 0.2)], 0.2)
        power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), RATE_HZ))
        strongest_midi = 69 + 12 * np.log2(power.argmax() / 440)
        assert strongest_midi == pytest.approx(pitch_midi, abs=0.3)
        assert np.abs(sound).max() > 0.03


@installed
def test_programs_are_different_instruments_and_the_rhodes_is_the_default():
    rhodes = SoundFont().render(MELODIES[0])
    np.testing.assert_array_equal(SoundFont(program=RHODES).render(MELODIES[0]), rhodes)
    assert np.abs(SoundFont(program=VIOLIN).render(MELODIES[0]) - rhodes).max() > 0.05


@installed
def test_a_batch_is_2_s_of_mono_each(harp: SoundFont):
    sounds = harp.render(MELODIES.reshape(2, 3, 2, 5))
    assert (sounds.shape, sounds.dtype) == ((2, 3, 2 * RATE_HZ), np.float32)
    np.testing.assert_array_equal(sounds[1, 2], harp.render(MELODIES[-1]))


@installed
def test_notes_ring_into_the_next_until_the_melody_ends(harp: SoundFont):
    first, second = Note(62, 0.0, 0.3), Note(69, 1.0, 1.3)
    both = harp.play([first, second])
    assert len(both) == round((1.3 + harp.tail_s) * RATE_HZ)
    assert np.abs(both[round(0.4 * RATE_HZ) : RATE_HZ]).max() > 0.05
    rest = both.copy()
    alone = harp.play([first])
    rest[: len(alone)] -= alone
    np.testing.assert_allclose(rest[RATE_HZ:], harp.play([Note(69, 0.0, 0.3)]), atol=1e-6)
    assert np.abs(both[-1000:]).max() < 0.01 * np.abs(both).max()


@installed
def test_a_loud_chord_is_not_clipped(harp: SoundFont):
    chord = [Note(pitch_midi, 0.0, 0.3) for pitch_midi in range(60, 76)]
    sound = harp.play(chord)
    assert np.abs(sound).max() > 1.5
    np.testing.assert_allclose(sound, sum(harp.play([note]) for note in chord), atol=1e-5)


@installed
def test_other_sample_rates_play_the_same_music():
    sound = SoundFont(sample_rate_hz=22050).play([Note(69, 0.0, 1.0)], 1.0)
    assert np.abs(np.fft.rfft(sound)).argmax() == pytest.approx(440, abs=4)


@installed
@pytest.mark.parametrize("kind", [str, Path])
def test_a_sound_font_can_be_given_by_its_path(kind, tmp_path: Path):
    copy = tmp_path / "ä copy.sf2"
    copy.write_bytes(default_sound_font().read_bytes())
    plant = load_plant("soundfont", program=HARP, sound_font=kind(copy))
    np.testing.assert_array_equal(
        plant.render(MELODIES[0]), SoundFont(program=HARP).render(MELODIES[0])
    )


@installed
def test_notes_with_another_plants_knobs_are_refused(harp: SoundFont):
    with pytest.raises(ControlError, match="needs exactly the controls none; got cutoff"):
        harp.play([Note(60, 0.0, 1.0, {"cutoff": 800.0})])


# What can go wrong


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"controls": "set1"}, "the control set melody, not 'set1'"),
        ({"program": 128}, r"a number in 0\.\.127, not 128"),
        ({"program": -1}, r"0\.\.127, not -1"),
        ({"program": "flute"}, r"0\.\.127, not 'flute'"),
        ({"program": 4.5}, r"0\.\.127, not 4.5"),
        ({"sample_rate_hz": 7999}, "8000 to 192000 Hz, not at 7999"),
        ({"sample_rate_hz": 192001}, "not at 192001"),
        ({"sample_rate_hz": 44100.5}, "a whole rate .* not at 44100.5"),
        ({"sample_rate_hz": float("nan")}, "not at nan"),
        ({"instrument": 4}, "soundfont has no option instrument; choose from controls, program"),
    ],
)
def test_options_that_do_not_exist(options, reason):
    with pytest.raises(PlantError, match=reason):
        load_plant("soundfont", **options)


def test_without_tinysoundfont_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "tinysoundfont", None)
    with pytest.raises(PlantError, match="pip install --no-deps tinysoundfont"):
        SoundFont()


def test_without_pretty_midi_there_is_no_default_sound_font(monkeypatch):
    monkeypatch.setitem(sys.modules, "pretty_midi", None)
    with pytest.raises(PlantError, match=r"pip install --no-deps .*pretty_midi; or give the path"):
        default_sound_font()


def test_the_default_sound_font_is_found_without_importing_pretty_midi(monkeypatch, tmp_path: Path):
    package = tmp_path / "pretty_midi"
    package.mkdir()
    (package / "__init__.py").write_text("raise AssertionError('imported')")
    monkeypatch.delitem(sys.modules, "pretty_midi", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(PlantError, match=r"TimGM6mb.sf2 was not found"):
        default_sound_font()
    (package / "TimGM6mb.sf2").touch()
    assert default_sound_font() == package / "TimGM6mb.sf2"


def test_plants_are_listed_without_either_package():
    script = (
        "import sys; sys.modules |= dict.fromkeys(['tinysoundfont', 'pretty_midi']);"
        "from mirrornet.app.cli import main; sys.exit(main(['plants']))"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    (line,) = (line for line in ran.stdout.splitlines() if line.startswith("soundfont"))
    assert "melody" in line
    assert line.endswith("pip install --no-deps tinysoundfont pretty_midi")


@installed
@pytest.mark.parametrize(
    "content",
    [b"", b"not a sound font\n" * 100, b"RIFF", b"RIFF\x24\x00\x00\x00WAVEfmt " + bytes(100)],
    ids=["empty", "text", "four bytes", "WAV"],
)
def test_a_file_that_is_no_sound_font(content: bytes, tmp_path: Path):
    path = tmp_path / "wrong.sf2"
    path.write_bytes(content)
    with pytest.raises(PlantError, match=r"wrong\.sf2 is (no sound font|cut short)"):
        SoundFont(sound_font=path)


@installed
@pytest.mark.parametrize("kept", [100, 5000, 3_000_000, -200_000, -20_000, -2])
def test_a_sound_font_cut_short(kept: int, tmp_path: Path):
    path = tmp_path / "short.sf2"
    path.write_bytes(default_sound_font().read_bytes()[:kept])
    with pytest.raises(PlantError, match=r"short\.sf2 is cut short; copy or download it again"):
        SoundFont(sound_font=path)


@installed
@pytest.mark.parametrize("name", ["missing.sf2", ""], ids=["missing", "a folder"])
def test_a_sound_font_that_cannot_be_opened(name: str, tmp_path: Path):
    with pytest.raises(PlantError, match="there is no sound font"):
        SoundFont(sound_font=tmp_path / name)


@installed
def test_a_sound_font_without_the_program(tmp_path: Path):
    data = default_sound_font().read_bytes()
    # The preset's header: its name in 20 bytes, then its program and bank, 2 bytes each.
    header = data.index(b"E.Piano 1".ljust(20, b"\0")) + 20
    assert data[header : header + 4] == bytes([RHODES, 0, 0, 0])
    path = tmp_path / "few.sf2"
    path.write_bytes(data[: header + 2] + b"\x07\x00" + data[header + 4 :])
    with pytest.raises(PlantError, match=r"few\.sf2 has no program 4 in bank 0; choose another"):
        SoundFont(sound_font=path)
    assert SoundFont(program=HARP, sound_font=path).render(MELODIES[0]).any()


def test_its_spec_makes_the_same_plant_anywhere():
    flute = SoundFont(program=73)
    assert flute.at_rate(22050).spec.options == {**flute.spec.options, "sample_rate_hz": 22050}
    sound = flute.play([Note(69, 0.0, 0.3)])
    again = load_plant(flute.spec.name, **flute.spec.options).play([Note(69, 0.0, 0.3)])
    np.testing.assert_array_equal(again, sound)
    with Pool(flute.spec, workers=1) as pool:
        assert pool.name == "soundfont-73"
