"""The doctor finds what is broken, says what to do, and goes on with the other checks."""

import os
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from toy_plant import Toy

import mirrornet.plants.pool
from mirrornet import cochlea
from mirrornet.app import doctor
from mirrornet.app.cli import main
from mirrornet.app.doctor import CHECKS, GOLDEN, SETS_OF_VITAL, ProblemError, examine
from mirrornet.errors import PlantError
from mirrornet.models import mirrornet as mirror
from mirrornet.plants import plant_kinds
from mirrornet.plants.vital import SET1, SET2

SOUND = 0.1 * np.sin(0.2 * np.arange(32000)).astype(np.float32)


def test_all_is_well_here(capsys, monkeypatch):
    some = {name: kind for name, kind in plant_kinds().items() if name in ("vital", "diva")}
    monkeypatch.setattr("mirrornet.plants.plant_kinds", lambda: some)
    assert main(["doctor"]) == 0
    *lines, diva = capsys.readouterr().out.splitlines()
    missing = "not installed: from u-he.com, with a licence"
    assert diva.split(maxsplit=2) == ["absent", "diva", missing]
    assert [line[9:24].strip() for line in lines] == [*CHECKS, *SETS_OF_VITAL]
    assert all(line.startswith("ok ") for line in lines)
    assert "torch 2" in lines[0]
    assert "NSL toolbox's auditory spectrogram within" in lines[1]
    assert re.search(r"a peak of -\d+ dB, and the same again", lines[2])


@pytest.mark.slow
def test_every_plant_that_is_installed_is_well(capsys):
    assert main(["doctor"]) == 0
    lines = capsys.readouterr().out.splitlines()[len(CHECKS) :]
    assert {line.split()[1] for line in lines} == {*plant_kinds(), *SETS_OF_VITAL} - {"vital"}
    for line in lines:
        assert "patches play, and the same in another order" in line or "not installed" in line


def test_a_plant_that_is_asked_for_and_missing_is_a_problem(capsys):
    assert main(["doctor", "--plant", "diva"]) == 1
    printed = capsys.readouterr().out
    assert printed.startswith("PROBLEM  diva ")
    assert "dawdreamer" in printed or "Diva.vst3 was not found" in printed


class Unsettled(Toy):
    """Each sound depends on how many came before."""

    name = "unsettled"
    played = 0

    def note_sound(self, note):
        self.played += 1
        return super().note_sound(note) * (1 + 0.01 * self.played)


class Mute(Toy):
    name = "mute"

    def note_sound(self, note):
        return 0 * super().note_sound(note)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (Unsettled, "random patches differ by .* in another order"),
        (Mute, "8 random patches are silent"),
    ],
)
def test_a_plant_that_is_not_as_it_should_be_is_told(monkeypatch, kind, says):
    monkeypatch.setattr("mirrornet.plants.find_plant", lambda name: kind)
    pool = mirrornet.plants.pool.Pool
    monkeypatch.setattr("mirrornet.plants.pool.Pool", lambda name, **how: pool(kind, **how))
    with pytest.raises(ProblemError, match=says):
        doctor.check_patches("toy")


def test_the_golden_excerpt_is_the_toolboxs():
    with (
        np.load(GOLDEN) as excerpt,
        np.load(Path(__file__).parent / "golden" / "auditory_spectrogram.npz") as golden,
    ):
        samples, frames = len(excerpt["sound"]), excerpt["spectrogram"].shape[1]
        assert samples == 64 * frames
        np.testing.assert_array_equal(excerpt["sound"], golden["x_odd"][:samples])
        np.testing.assert_array_equal(excerpt["spectrogram"], golden["odd_linear"][:, :frames])


def test_one_problem_is_told_and_the_rest_examined(capsys):
    def broken() -> str:
        raise ProblemError("it is broken; mend it.")

    def missing() -> str:
        raise ImportError("libsound.so: cannot open shared object file")

    def full() -> str:
        raise OSError(28, "No space left on device")

    checks = {"a": broken, "b": missing, "c": full, "d": lambda: "as it should be"}
    assert examine(checks) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "PROBLEM  a          it is broken; mend it."
    assert "libsound.so" in lines[1]
    assert "No space left" in lines[2]
    assert lines[3] == "ok       d          as it should be"
    assert examine({"d": checks["d"]}) == 0


@pytest.mark.parametrize("wrong", [lambda S: 1.001 * S, lambda S: S.flip(0), lambda S: S * np.nan])
def test_a_front_end_that_hears_otherwise(monkeypatch, wrong):
    right = cochlea.Cochlea.forward
    monkeypatch.setattr(cochlea.Cochlea, "forward", lambda self, x: wrong(right(self, x)))
    with pytest.raises(ProblemError, match=r"differs from the NSL toolbox's .*install torch again"):
        doctor.check_front_end()


@pytest.mark.parametrize(
    ("sounds", "words"),
    [
        ([SOUND, SOUND, 1.01 * SOUND], "the same controls gave another sound .*install vita"),
        ([1e-4 * SOUND] * 3, "the melody is silent .*install vita again"),
        ([PlantError("vital failed twice on this.")] * 3, "vital failed twice on this"),
    ],
    ids=["not pure", "silent", "crashed"],
)
def test_a_plant_that_plays_wrong(monkeypatch, sounds, words):
    class Pool(SimpleNamespace):
        controls = SET1

        def __init__(self, *_, **__):
            pass

        def __enter__(self):
            return self

        def __exit__(self, *_):
            pass

        def render(self, controls):
            assert np.array_equal(controls[0], controls[2])
            assert not np.array_equal(controls[0], controls[1])
            return iter(sounds)

    monkeypatch.setattr(mirrornet.plants.pool, "Pool", Pool)
    with pytest.raises((ProblemError, PlantError), match=words):
        doctor.check_plant()


def test_weights_that_are_damaged(tmp_path, monkeypatch):
    for space in (SET1, SET2):
        mirror.MirrorNet("vital", space).save(tmp_path / f"vital-{space.name}.json", {})
    monkeypatch.setattr(
        mirror, "shipped", lambda controls, plant: tmp_path / f"{plant}-{controls}.json"
    )
    assert (
        doctor.check_models()
        == "the weights that ship are undamaged: notes, vital-set1, vital-set2"
    )
    weights = next(tmp_path.glob("vital-set2-*.safetensors"))
    os.truncate(weights, weights.stat().st_size - 1)
    with pytest.raises(ProblemError, match=r"is damaged .* install that again"):
        doctor.check_models()


def test_little_room(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=0.5e9))
    with pytest.raises(ProblemError, match=r"only 0\.5 GB free.*make room"):
        doctor.check_disk()
    monkeypatch.setattr(doctor, "MEMORY", tmp_path / "meminfo")
    assert "cannot be told" in doctor.check_memory()
    (tmp_path / "meminfo").write_text("MemTotal:  8000000 kB\nMemAvailable:   500000 kB\n")
    with pytest.raises(ProblemError, match=r"only 0\.5 GB free.*close other programs"):
        doctor.check_memory()
