"""Sound files that are cut, joined, damaged or tricky: what decoders can and must not read."""

import io
import os
import struct
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from encoding import encoded, film
from PIL import Image
from refusing import refused

from mirrornet.audio import load_audio, take_sound
from mirrornet.errors import AudioError

RATE_HZ = 16000
SOUND = (0.5 * np.sin(0.2 * np.arange(RATE_HZ // 4))).astype(np.float32)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "sound.wav"


@pytest.mark.parametrize("kind", ["mp4", "matroska", "avi"])
def test_a_film_without_sound(path, kind):
    path.write_bytes(film(1, kind))
    refused(path, "holds no sound that can be decoded")


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF"])
def test_a_picture(path, kind):
    Image.new("RGB", (64, 64)).save(path, kind)
    refused(path, "damaged, or no sound file")


@pytest.mark.parametrize(
    "text",
    [
        "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n",
        "ffconcat version 1.0\nfile '{}'\n",
        "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static'><Period>"
        "<AdaptationSet mimeType='audio/mp4'><Representation id='1' bandwidth='9'><BaseURL>{}"
        "</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "v=0\ns=x\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\n",
    ],
)
@pytest.mark.parametrize("name", ["list.m3u8", "list.ffconcat", "list.mpd", "list.mp4", "list"])
def test_lists_that_lead_to_other_files_are_not_followed(tmp_path, text, name):
    other = tmp_path / "other.aac"
    other.write_bytes(encoded(np.tile(SOUND, 4), RATE_HZ, "adts", "aac"))
    (tmp_path / name).write_text(text.format(other))
    refused(tmp_path / name, "damaged, or no sound file")


def test_names_that_mean_more_to_ffmpeg(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("concat:a.mp3|b.mp3", "data:audio,x", "subfile,,start,9,end,0,,:a.mp3"):
        soundfile.write(tmp_path / "a.mp3", SOUND, RATE_HZ)
        refused_name = tmp_path / name
        with pytest.raises(AudioError, match="No such file"):
            load_audio(refused_name.name)
        os.rename(tmp_path / "a.mp3", refused_name)
        assert len(load_audio(refused_name.name, RATE_HZ)) == len(SOUND)


NOISE = np.random.default_rng(0).normal(0, 0.1, 5 * RATE_HZ)


def written(kind):
    """Five seconds of noise."""
    file = io.BytesIO()
    soundfile.write(file, NOISE, RATE_HZ, format=kind)
    return file.getvalue()


CUT = {
    **{kind: written(kind) for kind in ("WAV", "W64", "RF64", "AIFF", "AU", "OGG", "FLAC", "MP3")},
    "fragments": encoded(NOISE, RATE_HZ, "mp4", "aac", movflags="frag_keyframe+empty_moov"),
    "ADTS": encoded(NOISE, RATE_HZ, "adts", "aac"),
    "WebM": encoded(NOISE, 16000, "webm", "libopus"),
    "WMA": encoded(NOISE, RATE_HZ, "asf", "wmav2"),
}


@pytest.mark.parametrize("kind", CUT)
def test_cut_short_gives_what_it_still_holds_and_says_so(path, kind):
    path.write_bytes(CUT[kind])
    whole, warnings = take_sound(path, RATE_HZ)
    assert warnings == []
    os.truncate(path, path.stat().st_size * 6 // 10)
    half, warnings = take_sound(path, RATE_HZ)
    assert 0.3 * len(whole) < len(half) < 0.7 * len(whole)
    read_s = len(half) / RATE_HZ
    assert warnings == [f"{path} is cut short or damaged: {read_s:.1f} s of it could be read."]
    # A codec may fade out what it lacks at the very end.
    kept = len(half) - 2000
    np.testing.assert_allclose(half[:kept], whole[:kept], atol=1e-3)


def test_cut_short_without_a_word_of_its_length(path):
    path.write_bytes(written("CAF"))
    os.truncate(path, path.stat().st_size * 6 // 10)
    assert len(load_audio(path, RATE_HZ)) == pytest.approx(3 * RATE_HZ, abs=RATE_HZ // 10)


def test_cut_short_and_beyond_decoding(path):
    path.write_bytes(encoded(SOUND, RATE_HZ, "mp4", "aac")[:-500])  # what is where comes last
    refused(path, "holds no sound that can be decoded; record or export it again")


def test_damage_part_way_leaves_the_rest(path):
    content = bytearray(written("FLAC"))
    content[len(content) // 2 : len(content) // 2 + 100] = bytes(100)
    path.write_bytes(content)
    audio, warnings = take_sound(path, RATE_HZ)
    assert 4 * RATE_HZ < len(audio) < 5 * RATE_HZ
    assert "is cut short or damaged" in warnings[0]
    np.testing.assert_allclose(audio[: 2 * RATE_HZ], NOISE[: 2 * RATE_HZ], atol=1e-4)
    np.testing.assert_allclose(audio[-RATE_HZ:], NOISE[-RATE_HZ:], atol=1e-4)


def test_flac_that_does_not_know_its_length(path):
    content = bytearray(written("FLAC"))
    content[21] &= 0xF0
    content[22:26] = bytes(4)  # the number of samples, as a pipe leaves it
    path.write_bytes(content)
    audio, warnings = take_sound(path, RATE_HZ)
    np.testing.assert_allclose(audio, NOISE, atol=1e-4)
    assert warnings == []
    refused(path, "longer than 4 s", longest_s=4.0)


@pytest.mark.parametrize("size", [0, 0x7F000000, 2**31 - 1, 2**32 - 1])
def test_wav_whose_length_was_never_filled_in(path, size):
    content = bytearray(written("WAV"))
    content[4:8] = content[40:44] = struct.pack("<I", size)
    path.write_bytes(content)
    audio, warnings = take_sound(path, RATE_HZ)
    np.testing.assert_allclose(audio, NOISE, atol=1e-4)
    assert warnings == []


@pytest.mark.parametrize(("rate_hz", "layout"), [(32000, "mono"), (16000, "stereo")])
def test_joined_files_of_several_kinds(path, rate_hz, layout):
    one = encoded(NOISE, RATE_HZ, "mp3", "libmp3lame")
    path.write_bytes(one + encoded(NOISE, rate_hz, "mp3", "libmp3lame", layout))
    refused(path, "changes its sample rate or its channels part way.*give one part at a time")


def test_tags_that_are_no_text(path):
    tag = b"TAG" + "Größe".encode("latin-1").ljust(125, b"\0")
    path.write_bytes(written("MP3") + tag)
    assert len(load_audio(path, RATE_HZ)) == len(NOISE)


def test_decoders_print_nothing(tmp_path):
    in_wav = encoded(NOISE, RATE_HZ, "wav", "libmp3lame")
    kinds = {kind: CUT[kind] for kind in ("MP3", "FLAC", "OGG", "ADTS")} | {"MP3 in WAV": in_wav}
    for kind, content in kinds.items():
        (tmp_path / f"cut {kind}").write_bytes(content[: len(content) * 6 // 10])
        (tmp_path / f"joined {kind}").write_bytes(content + content)
        (tmp_path / f"late {kind}.mp3").write_bytes(bytes(3000) + content)
        damaged = bytearray(content)
        damaged[len(damaged) // 3 :: 97] = bytes(len(damaged[len(damaged) // 3 :: 97]))
        (tmp_path / f"damaged {kind}").write_bytes(damaged)
    caf = encoded(NOISE, RATE_HZ, "caf", "alac")
    for at in range(50, 60):  # sizes become huge
        (tmp_path / f"{at}").write_bytes(caf[:at] + b"\x80\0\0\0" + caf[at + 4 :])
    script = """
import sys
from mirrornet.audio import load_audio
from mirrornet.errors import AudioError
for path in sys.argv[1:]:
    try:
        load_audio(path)
    except AudioError:
        pass
"""
    run = subprocess.run(
        [sys.executable, "-c", script, *map(str, tmp_path.iterdir())], capture_output=True
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, b"", b"")


@pytest.mark.parametrize("kind", ["WAV", "AIFF", "FLAC"])
def test_a_comment_that_reads_as_a_note_on_a_cut_file(path, kind):
    with soundfile.SoundFile(path, "w", RATE_HZ, 1, format=kind) as file:
        file.comment = file.title = "data : 9999 (should be 1)"
        file.write(NOISE)
    assert take_sound(path, RATE_HZ)[1] == []


@pytest.mark.parametrize(("kind", "codec"), [("matroska", "pcm_s16le"), ("mp4", "aac")])
def test_an_offset_is_removed_from_what_comes_in_small_blocks(path, kind, codec):
    times_s = np.arange(2 * RATE_HZ) / RATE_HZ
    tone = 0.3 * np.sin(2 * np.pi * 440 * times_s) * (times_s < 1.5)
    path.write_bytes(encoded(tone + 0.1, RATE_HZ, kind, codec))
    audio = load_audio(path, RATE_HZ)
    assert np.median(audio[-RATE_HZ // 4 :]) == pytest.approx(0, abs=5e-3)
    assert audio[RATE_HZ // 2 : RATE_HZ].mean() == pytest.approx(0, abs=5e-3)
