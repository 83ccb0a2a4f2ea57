"""Sounds come in as mono float32 at the rate asked for, and go out as they are."""

import io
from typing import Any

import numpy as np
import pytest
import soundfile
import torch
from encoding import encoded

from mirrornet.audio import from_samples, load_audio, resample, save_audio, take_sound

RATE_HZ = 44100


def sine(frequency_hz=440.0, duration_s=0.4, rate_hz=RATE_HZ, amplitude=0.5):
    time_s = np.arange(round(duration_s * rate_hz)) / rate_hz
    return (amplitude * np.sin(2 * np.pi * frequency_hz * time_s)).astype(np.float32)


def assert_sine(audio, frequency_hz=440.0, rate_hz=8000, duration_s=0.4, amplitude=0.5, atol=0.01):
    """Mono float32 of this pitch (within 0.1 Hz), level and length, and hardly anything else."""
    assert audio.dtype == np.float32
    assert audio.ndim == 1
    assert len(audio) == pytest.approx(duration_s * rate_hz, abs=1)
    inner = audio[rate_hz // 50 : -rate_hz // 50].astype(np.float64)
    time_s = np.arange(len(inner)) / rate_hz
    phasor = inner * np.hanning(len(inner)) * np.exp(-2j * np.pi * frequency_hz * time_s)
    first, second = np.array_split(phasor, 2)
    turn = np.angle(second.sum() * np.conj(first.sum())) / (2 * np.pi)
    assert abs(turn / (0.5 * len(inner) / rate_hz)) < 0.1
    basis = np.array([f(2 * np.pi * frequency_hz * time_s) for f in (np.cos, np.sin)]).T
    parts, *_ = np.linalg.lstsq(basis, inner)
    assert np.hypot(*parts) == pytest.approx(amplitude, abs=atol)
    assert np.abs(inner - basis @ parts).max() < atol


@pytest.mark.parametrize(
    ("kind", "subtype", "atol"),
    [
        ("WAV", "PCM_U8", 0.01),
        ("AIFF", "PCM_S8", 0.01),
        ("WAV", "PCM_16", 1e-4),
        ("WAV", "PCM_24", 1e-5),
        ("WAV", "PCM_32", 1e-5),
        ("WAV", "FLOAT", 1e-5),
        ("WAV", "DOUBLE", 1e-5),
        ("WAVEX", "PCM_16", 1e-4),
        ("RF64", "PCM_16", 1e-4),
        ("W64", "PCM_16", 1e-4),
        ("AIFF", "PCM_24", 1e-5),
        ("AU", "PCM_16", 1e-4),
        ("CAF", "FLOAT", 1e-5),
        ("FLAC", "PCM_16", 1e-4),
        ("FLAC", "PCM_24", 1e-5),
        ("OGG", "VORBIS", 0.05),
        ("MP3", "MPEG_LAYER_III", 0.05),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_every_kind_of_file_gives_the_same_sound(tmp_path, kind, subtype, atol, channels):
    path = tmp_path / f"sound.{kind.lower()}"
    sound = np.repeat(sine()[:, None], channels, axis=1)
    soundfile.write(path, sound, RATE_HZ, format=kind, subtype=subtype)
    assert_sine(load_audio(path), atol=atol)


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("WAV", "GSM610"),
        ("WAV", "G721_32"),
        ("WAV", "NMS_ADPCM_32"),
        ("AU", "G723_40"),
        ("W64", "GSM610"),
        ("XI", "DPCM_16"),
    ],
)
def test_kinds_that_can_only_be_read_in_one_go(tmp_path, kind, subtype):
    path = tmp_path / f"sound.{kind.lower()}"
    soundfile.write(path, sine(), RATE_HZ, format=kind, subtype=subtype)
    assert_sine(load_audio(path)[:3200], atol=0.1)


@pytest.mark.parametrize(
    ("kind", "codec", "options"),
    [
        ("ipod", "aac", {}),
        ("mp4", "alac", {}),
        ("mp4", "aac", {"movflags": "frag_keyframe+empty_moov"}),
        ("matroska", "flac", {"layout": "7.1"}),
        ("3gp", "aac", {}),
        ("adts", "aac", {}),
        ("webm", "libopus", {}),
        ("asf", "wmav2", {}),
        ("mp3", "libmp3lame", {"write_xing": "0"}),
        ("mp2", "mp2", {}),
        ("ogg", "libopus", {"layout": "stereo"}),
        ("ac3", "ac3", {"layout": "5.1"}),
        ("wv", "wavpack", {}),
        ("tta", "tta", {}),
        ("mp4", "aac", {"pictures": True}),
        ("mov", "pcm_s16le", {"pictures": True}),
        ("matroska", "aac", {"pictures": True}),
        ("avi", "mp2", {"pictures": True}),
        ("mpegts", "aac", {"pictures": True}),
    ],
)
def test_what_phones_browsers_and_cameras_write(tmp_path, kind, codec, options):
    path = tmp_path / "sound"  # what a file is, its name need not say
    path.write_bytes(encoded(sine(duration_s=1.0, rate_hz=48000), 48000, kind, codec, **options))
    audio, warnings = take_sound(path, 8000)
    assert warnings == []
    assert 7700 < len(audio) < 8500  # encoders fill up their last frame
    assert_sine(audio[800:4000], atol=0.03)


@pytest.mark.parametrize(
    ("kind", "codec"),
    [("mp3", "libmp3lame"), ("ogg", "libopus"), ("webm", "libopus"), ("ipod", "aac")],
)
def test_what_encoders_put_in_front_is_taken_away(tmp_path, kind, codec):
    click = np.zeros(48000)
    click[24000:24048] = np.random.default_rng(0).normal(0, 0.3, 48)
    (tmp_path / "click").write_bytes(encoded(click, 48000, kind, codec))
    audio = load_audio(tmp_path / "click", 48000)
    late_samples = np.correlate(audio[23000:26000], click[24000:24048]).argmax() - 1000
    assert abs(late_samples) <= 48


@pytest.mark.parametrize("options", [{}, {"write_xing": "0"}])
def test_joined_mp3s_are_read_to_the_end(tmp_path, options):
    one = encoded(sine(duration_s=1.5), RATE_HZ, "mp3", "libmp3lame", **options)
    two = encoded(sine(660.0, 1.0), RATE_HZ, "mp3", "libmp3lame", **options)
    (tmp_path / "a.mp3").write_bytes(one + two)
    audio, warnings = take_sound(tmp_path / "a.mp3", 8000)
    assert warnings == []
    assert 2.5 * 8000 <= len(audio) < 2.7 * 8000
    assert_sine(audio[4000:7200], atol=0.05)
    assert_sine(audio[16000:19200], 660.0, atol=0.05)


def test_an_mp3_without_a_length_is_read_to_the_end_and_no_further_than_allowed(tmp_path):
    """Its first second takes so few bytes that the whole looks twice as long as it is."""
    sound = np.random.default_rng(0).normal(0, 0.1, 4 * RATE_HZ)
    sound[:RATE_HZ] = 0
    mp3 = io.BytesIO()
    soundfile.write(mp3, sound, RATE_HZ, format="MP3", bitrate_mode="VARIABLE")
    content = mp3.getvalue()
    # The first frame, with the header that tells the length, goes up to the second.
    (tmp_path / "a.mp3").write_bytes(content[content.find(content[:2], 4) :])
    audio = load_audio(tmp_path / "a.mp3", longest_s=4.2)
    assert 4.0 * 8000 <= len(audio) <= 4.1 * 8000
    assert np.std(audio[3 * 8000 : 4 * 8000]) > 0.02


def test_chained_ogg_is_read_to_the_end(tmp_path):
    ogg = [io.BytesIO(), io.BytesIO()]
    for file in ogg:
        soundfile.write(file, sine(duration_s=1.0), RATE_HZ, format="OGG")
    (tmp_path / "a.ogg").write_bytes(ogg[0].getvalue() + ogg[1].getvalue())
    audio, warnings = take_sound(tmp_path / "a.ogg", 8000)
    assert warnings == []
    assert len(audio) == pytest.approx(2 * 8000, abs=200)
    assert_sine(audio[9600:12800], atol=0.05)


@pytest.mark.parametrize("rate_hz", [8000, 44100, 48000])
def test_a_constant_offset_is_removed(tmp_path, rate_hz):
    sound = sine(rate_hz=rate_hz, amplitude=0.02)
    clean = from_samples(sound, rate_hz)
    shifted = sound + np.float32(0.1)
    soundfile.write(tmp_path / "a.wav", shifted, rate_hz, subtype="FLOAT")
    for audio in (from_samples(shifted, rate_hz), load_audio(tmp_path / "a.wav")):
        np.testing.assert_allclose(audio, clean, atol=1e-4)


def test_an_offset_of_one_channel_is_removed_as_well():
    sound = np.stack([sine() + 0.3, -sine(amplitude=0.1)], axis=1)
    assert_sine(from_samples(sound, RATE_HZ), amplitude=0.2, atol=1e-3)
    opposite = np.stack([sine() + 0.3, -sine()], axis=1)
    assert_sine(from_samples(opposite, RATE_HZ), atol=1e-3)


@pytest.mark.parametrize("rate_hz", [8000, 11025, 16000, 22050, 32000, 44100, 48000, 96000, 192000])
@pytest.mark.parametrize("to_hz", [8000, 44100])
def test_pitch_and_length_survive_every_rate(tmp_path, rate_hz, to_hz):
    soundfile.write(tmp_path / "a.wav", sine(1234.5, rate_hz=rate_hz), rate_hz, subtype="FLOAT")
    audio = load_audio(str(tmp_path / "a.wav"), sample_rate_hz=to_hz)
    assert_sine(audio, 1234.5, to_hz, atol=1e-4)


def test_nothing_folds_down_from_above_half_the_rate(tmp_path):
    rise = np.minimum(1, np.minimum(np.arange(17640), np.arange(17640)[::-1]) / 5000)
    soundfile.write(tmp_path / "a.wav", sine() + rise * sine(5000.0), RATE_HZ, subtype="FLOAT")
    assert_sine(load_audio(tmp_path / "a.wav"), atol=1e-4)


def test_a_sound_at_the_right_rate_is_taken_sample_for_sample(tmp_path):
    sound = np.random.default_rng(0).normal(0, 0.1, 200_000).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", sound, 16000, subtype="FLOAT")
    np.testing.assert_array_equal(load_audio(tmp_path / "a.wav", sample_rate_hz=16000), sound)


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3"])
def test_reading_in_blocks_leaves_no_seams(tmp_path, kind):
    path = tmp_path / "a.sound"
    soundfile.write(path, sine(duration_s=5.0), RATE_HZ, format=kind)
    whole, _ = soundfile.read(path, dtype="float32")
    atol = 1e-5 if kind == "MP3" else 1e-6  # another decoder than soundfile's
    np.testing.assert_allclose(load_audio(path), resample(whole, RATE_HZ, 8000), atol=atol)


def test_channels_are_averaged(tmp_path):
    sound = np.stack([sine(amplitude=0.6), sine(amplitude=0.2), 0 * sine()], axis=1)
    soundfile.write(tmp_path / "a.wav", sound, RATE_HZ, subtype="FLOAT")
    assert_sine(load_audio(tmp_path / "a.wav"), amplitude=0.8 / 3, atol=1e-4)


def test_one_sounding_channel_of_64_is_averaged_as_well():
    sound = np.zeros((17640, 64), np.float32)
    sound[:, 17] = sine()
    assert_sine(from_samples(sound, RATE_HZ), amplitude=0.5 / 64, atol=1e-4)


@pytest.mark.parametrize("residue", [0.0, 1e-3])
def test_where_channels_cancel_the_loudest_is_taken(tmp_path, residue):
    sound = np.stack([(1 - residue) * sine(), 0.2 * sine(3000.0), -sine()], axis=1)[:, ::2]
    soundfile.write(tmp_path / "a.flac", sound, RATE_HZ, subtype="PCM_24")
    assert_sine(load_audio(tmp_path / "a.flac"), atol=1e-4)


def test_levels_are_kept_even_beyond_full_scale(tmp_path):
    soundfile.write(tmp_path / "a.wav", sine(amplitude=3.0), RATE_HZ, subtype="FLOAT")
    assert_sine(load_audio(tmp_path / "a.wav"), amplitude=3.0, atol=1e-3)
    soundfile.write(tmp_path / "a.wav", sine(amplitude=1e-4), RATE_HZ, subtype="FLOAT")
    assert_sine(load_audio(tmp_path / "a.wav"), amplitude=1e-4, atol=1e-6)


def test_the_shortest_and_longest_sounds_that_are_taken(tmp_path):
    soundfile.write(tmp_path / "a.wav", sine(rate_hz=8000, duration_s=0.1), 8000)
    assert len(load_audio(tmp_path / "a.wav", longest_s=0.1)) == 800


def test_names_with_spaces_and_signs(tmp_path):
    path = tmp_path / "Größe 音 (1).WAV"
    soundfile.write(path, sine(), RATE_HZ)
    assert_sine(load_audio(path), atol=1e-3)


@pytest.mark.parametrize(
    ("dtype", "scale", "middle"),
    [
        ("int8", 2**7, 0),
        ("uint8", 2**7, 2**7),
        ("int16", 2**15, 0),
        (">i2", 2**15, 0),
        ("uint16", 2**15, 2**15),
        ("int32", 2**31, 0),
        ("uint32", 2**31, 2**31),
        ("int64", 2.0**63, 0),
        ("uint64", 2.0**63, 2.0**63),
        ("float16", 1, 0),
        ("float32", 1, 0),
        ("float64", 1, 0),
        ("longdouble", 1, 0),
    ],
)
def test_samples_of_every_type_are_the_same_sound(dtype, scale, middle):
    samples = (sine().astype(np.float64) * scale + middle).astype(dtype)
    assert_sine(from_samples(samples, RATE_HZ), atol=0.01 if "8" in dtype else 1e-3)
    assert_sine(from_samples(samples[:, None], RATE_HZ), atol=0.01 if "8" in dtype else 1e-3)


def test_samples_may_be_lists_tensors_strided_or_frozen():
    frozen = sine()
    frozen.flags.writeable = False
    for samples in (
        frozen,
        frozen.tolist(),
        torch.from_numpy(sine()),
        np.repeat(frozen, 2)[::2],
        np.stack([frozen, frozen]).T,
    ):
        assert_sine(from_samples(samples, RATE_HZ), atol=1e-3)


@pytest.mark.parametrize("kind", [float, np.int64, np.uint32, np.float32, np.float64, np.array])
def test_a_rate_may_be_any_whole_number(kind: Any):
    audio, warnings = take_sound((sine(), kind(RATE_HZ)), 8000)
    assert_sine(audio, atol=1e-3)
    assert warnings == []


def test_samples_are_copied_not_shared():
    samples = sine(rate_hz=8000)
    audio = from_samples(samples, 8000)
    audio[:] = 0
    assert samples.any()


def test_samples_and_file_give_the_same_audio(tmp_path):
    sound = np.random.default_rng(0).integers(-20000, 20000, (100_000, 2), dtype=np.int16)
    soundfile.write(tmp_path / "a.wav", sound, 48000)
    np.testing.assert_array_equal(
        from_samples(sound, 48000, 16000), load_audio(tmp_path / "a.wav", 16000)
    )


def test_what_is_saved_is_loaded(tmp_path):
    path = tmp_path / "a.wav"
    sound = np.random.default_rng(0).uniform(-1, 1, 20_000).astype(np.float32)
    assert save_audio(path, sound, 16000) == path
    np.testing.assert_allclose(load_audio(path, 16000), sound, atol=2.0**-23)
    info = soundfile.info(path)
    assert (info.format, info.subtype, info.channels, info.samplerate) == (
        "WAV",
        "PCM_24",
        1,
        16000,
    )
    assert [file.name for file in tmp_path.iterdir()] == ["a.wav"]


def test_a_sound_too_loud_to_save_is_turned_down_not_clipped(tmp_path):
    for amplitude in (1.5, 1e30):
        save_audio(tmp_path / "a.wav", sine(rate_hz=8000, amplitude=amplitude), 8000)
        audio = load_audio(tmp_path / "a.wav")
        assert np.abs(audio).max() == pytest.approx(0.99, abs=1e-5)
        expected = sine(rate_hz=8000)
        np.testing.assert_allclose(audio, expected * (0.99 / expected.max()), atol=1e-5)


def test_silence_and_integers_can_be_saved(tmp_path):
    save_audio(tmp_path / "a.wav", np.zeros(100, np.float32), 8000)
    assert not soundfile.read(tmp_path / "a.wav")[0].any()
    save_audio(tmp_path / "a.wav", np.array([0, 16384, -32768], np.int16), 8000)
    np.testing.assert_array_equal(soundfile.read(tmp_path / "a.wav")[0], [0, 0.5, -1])


def test_saving_replaces_an_older_file(tmp_path):
    save_audio(tmp_path / "a.wav", sine(880.0, rate_hz=8000), 8000)
    save_audio(tmp_path / "a.wav", sine(rate_hz=8000), 8000)
    assert_sine(load_audio(tmp_path / "a.wav"), atol=1e-4)


def test_notes_with_a_mean_of_their_own_keep_it():
    """As of brass, whose waves are not symmetric: taken from the whole, it would be left in the
    silence between the notes."""
    times_s = np.arange(RATE_HZ) / RATE_HZ
    note = np.maximum(np.sin(2 * np.pi * 200 * times_s), -0.2)
    sound = np.concatenate([np.zeros(RATE_HZ // 2), note, np.zeros(RATE_HZ // 2)])
    assert sound.mean() > 0.1
    taken = from_samples(sound, RATE_HZ, RATE_HZ)
    assert np.abs(taken[: RATE_HZ // 4]).max() < 1e-3
    np.testing.assert_allclose(taken, sound, atol=1e-6)


@pytest.mark.parametrize("hz", [20, 30, 41, 55])
def test_a_deep_tone_has_no_offset(hz: int):
    sound = np.sin(2 * np.pi * hz * np.arange(RATE_HZ) / RATE_HZ)
    np.testing.assert_allclose(from_samples(sound, RATE_HZ, RATE_HZ), sound, atol=1e-6)
