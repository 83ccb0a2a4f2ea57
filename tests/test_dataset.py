"""What a plant plays and what is heard of it; targets from a seed and from a folder."""

import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from toy_plant import Toy

from mirrornet.app.console import Console
from mirrornet.errors import AudioError, PlantError
from mirrornet.events import Progress
from mirrornet.features import hear
from mirrornet.matching.melody_sound import melody_sound
from mirrornet.plants import load_plant
from mirrornet.plants.pool import Pool
from mirrornet.plants.vital import SET1
from mirrornet.training.dataset import (
    babble_phrases,
    folder_targets,
    listen,
    seed_targets,
)
from mirrornet.training.sampling import random_melodies

RATE_HZ = 44100


def tone(frequency_hz: float, duration_s: float = 2.0) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * frequency_hz * np.arange(round(duration_s * RATE_HZ)) / RATE_HZ)


@pytest.fixture(scope="module")
def pool():
    with Pool("vital", workers=1) as pool:
        yield pool


def test_a_seed_gives_the_plants_own_melodies(pool: Pool):
    controls, heard = seed_targets(pool, "targets", 3, seed=5)
    assert controls.shape == (3, 7, 5)
    assert heard.shape == (3, 128, 250)
    assert heard.dtype == np.float32
    plant = load_plant("vital")
    played = hear(plant.render(controls), plant.sample_rate_hz)
    np.testing.assert_allclose(heard, played, atol=1e-3)  # kept in half precision


def test_more_melodies_keep_the_first_and_other_seeds_differ(pool: Pool):
    controls, heard = seed_targets(pool, "targets", 2, seed=5)
    more_controls, more_heard = seed_targets(pool, "targets", 3, seed=5)
    np.testing.assert_array_equal(controls, more_controls[:2])
    np.testing.assert_array_equal(heard, more_heard[:2])
    for other in (seed_targets(pool, "targets", 2, 6), seed_targets(pool, "held-out", 2, 5)):
        assert not np.isclose(other[0][:, 1:], controls[:, 1:]).any()


def test_a_folder_gives_its_sounds_in_order_of_names(tmp_path: Path):
    soundfile.write(tmp_path / "b.flac", tone(440, 1.6), RATE_HZ)
    soundfile.write(tmp_path / "a.wav", tone(330), RATE_HZ)
    (tmp_path / "inside").mkdir()
    (tmp_path / ".hidden.wav").write_text("no sound")
    heard = folder_targets(tmp_path)
    assert heard.shape == (2, 128, 250)
    np.testing.assert_allclose(heard[0], hear(tone(330), RATE_HZ), atol=1e-3)
    assert heard[1, :, :190].mean() > 10 * heard[1, :, 220:].mean()  # filled up with silence


def test_the_networks_hearing_is_used(tmp_path: Path):
    soundfile.write(tmp_path / "a.wav", tone(330), RATE_HZ)
    heard = folder_targets(tmp_path, "unit-sequence")
    np.testing.assert_allclose(heard[0], hear(tone(330), RATE_HZ, "unit-sequence"), atol=1e-3)


def test_bad_files_are_named_and_left_out(tmp_path: Path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # long paths are broken over lines
    soundfile.write("good.wav", tone(330), RATE_HZ)
    soundfile.write("long.wav", tone(330, 5.0), RATE_HZ)
    soundfile.write("cut.wav", tone(330, 4.0), RATE_HZ)
    os.truncate("cut.wav", 2 * 2 * RATE_HZ)
    Path("notes.txt").write_text("practise more")
    assert len(folder_targets(".", progress=Console().progress)) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "lasts 5 s" in said
    assert "cut.wav is cut short or damaged: 2.0 s of it could be read" in said
    assert "notes.txt is damaged, or no sound file" in said


@pytest.mark.parametrize("kind", [int, float, np.float32])
def test_samples_at_any_whole_rate_are_a_melody(kind):
    sound, warnings = melody_sound((tone(330), kind(RATE_HZ)), RATE_HZ)
    np.testing.assert_array_equal(sound, tone(330).astype(np.float32))
    assert warnings == []


@pytest.mark.parametrize("contents", [[], ["notes.txt"]])
def test_no_usable_sound(tmp_path: Path, contents: list[str]):
    for name in contents:
        (tmp_path / name).write_text("no sound")
    with pytest.raises(AudioError, match=f"none of the {len(contents)} files .* give a folder of"):
        folder_targets(tmp_path)


@pytest.mark.parametrize("kind", ["missing", "file"])
def test_no_folder(tmp_path: Path, kind: str):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(AudioError, match="cannot be opened"):
        folder_targets(tmp_path / kind)


class Moody(Toy):
    """Falls silent, for good reason, on one pitch."""

    def note_sound(self, note):
        sound = super().note_sound(note)
        return sound * np.nan if note.pitch_midi == 62 else sound


def test_melodies_the_plant_fails_on_are_left_out_and_the_rest_is_kept(tmp_path):
    said = []
    controls = random_melodies(SET1, "babble", 12, seed=0, notes=3)
    controls[:, 0] = 0.5
    controls[4:6, 0, 1] = 0
    good = (controls[:, 0] > 0).all(-1)
    progress = Progress(lambda event: said.append(event.text) if event.kind == "say" else None)
    with Pool(Moody, workers=1, progress=progress) as pool:
        kept, heard = listen(pool, controls, folder=tmp_path)
        np.testing.assert_allclose(kept, controls[good], atol=1e-7)
        assert len(heard) == good.sum()
        assert len(said) == 2
        assert all(text.startswith("left out: toy failed twice on") for text in said)
        with pytest.raises(PlantError, match="every melody"):
            listen(pool, controls[~good])
    # Heard again from the folder, without a plant.
    again = listen(pool, controls, folder=tmp_path)
    np.testing.assert_array_equal(again[1], heard)
    expected = hear(Toy().render(kept[0]), 8000)
    np.testing.assert_allclose(heard[0], expected, atol=1e-3)


@pytest.fixture(scope="module")
def patched():
    with Pool("vital", workers=1, controls="patch", sample_rate_hz=32000) as pool:
        yield pool


@pytest.mark.slow
def test_babble_is_kept_and_not_played_again(patched: Pool, tmp_path, monkeypatch):
    babble = babble_phrases(patched, 5, 0, tmp_path)
    assert babble.heard.shape[1:] == (176, 500)
    assert babble.heard[:, :128].astype(float).mean((1, 2)) == pytest.approx(
        np.ones(len(babble)), rel=0.01
    )
    monkeypatch.setattr(patched, "hear_scores", None)
    monkeypatch.setattr(patched, "sample", None)
    again = babble_phrases(patched, 5, 0, tmp_path)
    for one, other in ((again.notes, babble.notes), (again.patches, babble.patches)):
        np.testing.assert_array_equal(one, other)
    np.testing.assert_array_equal(again.heard, babble.heard)


def test_recordings_are_not_learned_at_a_rate_that_lacks_their_highs(tmp_path):
    with (
        Pool("vital", workers=1, controls="patch", sample_rate_hz=16000) as pool,
        pytest.raises(PlantError, match="at 16000 Hz; for recordings let it play at 32000 Hz"),
    ):
        babble_phrases(pool, 2, 0, tmp_path)
