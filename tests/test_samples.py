"""Phrases sequenced from single notes: the notes that are told are those that sound."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from mirrornet.errors import AudioError
from mirrornet.experiments.material import RATE_HZ, SOUND_S
from mirrornet.experiments.samples import BLOWN, STRUCK, play_samples


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Samples of a sine wave after .1 s of silence: C4, E4 and G#4."""
    place = tmp_path_factory.mktemp("sine")
    times_s = np.arange(3 * RATE_HZ) / RATE_HZ
    for name, pitch in (("C4", 60), ("E4", 64), ("Gs4", 68)):
        sine = np.sin(2 * np.pi * 440 * 2 ** ((pitch - 69) / 12) * times_s)
        sound = 0.5 * np.concatenate([np.zeros(RATE_HZ // 10), sine])
        soundfile.write(place / f"{name}.mp3", sound, RATE_HZ)
    (place / "readme.mp3").write_bytes(b"none of a note's name")
    return place


@pytest.mark.parametrize("graces", [False, True])
def test_notes_sound_where_and_at_what_pitch_they_are_told(folder, graces):
    for recording in play_samples(folder, 3, graces, STRUCK):
        sound, notes = recording.sound, recording.notes
        assert len(sound) == round(SOUND_S * RATE_HZ)
        assert all(58 <= note.pitch_midi <= 70 for note in notes)
        for note in notes:
            if note.offset_s - note.onset_s < 0.2:
                continue
            part = sound[round((note.onset_s + 0.08) * RATE_HZ) :][: RATE_HZ // 10]
            spectrum = np.abs(np.fft.rfft(part * np.hanning(len(part)), 1 << 16))
            hz = spectrum.argmax() * RATE_HZ / (1 << 16)
            assert 69 + 12 * np.log2(hz / 440) == pytest.approx(note.pitch_midi, abs=0.5)
    shortest_s = min(note.offset_s - note.onset_s for note in notes)
    assert shortest_s < 0.12 or not graces


def test_the_same_phrases_each_time_and_slurs_only_where_they_are_played(folder):
    one, again = (next(play_samples(folder, 1, False, BLOWN)) for _ in range(2))
    np.testing.assert_array_equal(one.sound, again.sound)
    struck = next(play_samples(folder, 1, False, STRUCK))
    assert not np.array_equal(struck.sound, one.sound)


def test_a_folder_without_samples(tmp_path):
    with pytest.raises(AudioError, match=r"has no notes as A4\.mp3"):
        next(play_samples(tmp_path, 1, False, STRUCK))
