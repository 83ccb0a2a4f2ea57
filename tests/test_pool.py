"""A pool gives what the plant alone would give, in order, and leaves no process behind."""

import os
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from faulty_plant import Witness
from toy_plant import Toy

from mirrornet.errors import PlantError
from mirrornet.features import hear
from mirrornet.plants import load_plant
from mirrornet.plants.pool import Pool
from mirrornet.plants.worker import SAFE_PATH

MELODIES = np.random.default_rng(0).random((12, 7, 5))
MELODIES[::2] = MELODIES[::2].round()


@pytest.mark.slow
@pytest.mark.parametrize("vibrato", [None, 0.0, 1.0], ids=["set 1", "no vibrato", "vibrato"])
def test_any_workers_and_chunks_give_what_the_plant_gives_bit_for_bit(vibrato):
    control_set = "set1" if vibrato is None else "set2"
    plant = load_plant("vital", controls=control_set)
    melodies = MELODIES
    if vibrato is not None:
        knobs = np.broadcast_to([[0.5], [vibrato], [0.3]], (12, 3, 5))
        melodies = np.concatenate([MELODIES, knobs], axis=1)
    sounds = plant.render(melodies)
    heard = [hear(sound, plant.sample_rate_hz) for sound in sounds]
    for workers, chunk in ((2, 3), (1, 16)):
        with Pool("vital", workers=workers, controls=control_set) as pool:
            assert (pool.name, pool.controls) == (plant.name, plant.controls)
            assert pool.sample_rate_hz == plant.sample_rate_hz
            np.testing.assert_array_equal(list(pool.render(melodies, chunk)), sounds)
            outcomes = np.stack(list(pool.hear(melodies, chunk=chunk)))  # pyright: ignore
            np.testing.assert_array_equal(outcomes, heard)
            assert (outcomes.shape, outcomes.dtype) == ((12, 128, 250), np.float32)


def test_results_stream_a_few_chunks_ahead_of_the_reader(tmp_path: Path):
    endless = np.broadcast_to(MELODIES[:1], (100_000, 7, 5))
    with Pool(Witness, workers=1, folder=str(tmp_path)) as pool:
        sounds = pool.render(endless, chunk=2)
        for _ in range(5):
            np.testing.assert_array_equal(next(sounds), Toy().render(MELODIES[0]))
    assert (tmp_path / "notes").read_text().count("played") <= 5 * (5 + 4 * 2)


def test_streams_can_be_left_early_and_read_side_by_side():
    toy = Toy()
    with Pool(Toy, workers=2) as pool:
        assert list(pool.render(MELODIES[:0])) == []
        np.testing.assert_array_equal(list(pool.render(MELODIES[0])), [toy.render(MELODIES[0])])
        np.testing.assert_array_equal(next(pool.render(MELODIES, chunk=1)), toy.render(MELODIES[0]))
        one, other = pool.render(MELODIES, chunk=3), pool.render(MELODIES[::-1], chunk=5)
        for row, (a, b) in enumerate(zip(one, other, strict=True)):
            np.testing.assert_array_equal(a, toy.render(MELODIES[row]))
            np.testing.assert_array_equal(b, toy.render(MELODIES[-1 - row]))
    with pytest.raises(PlantError, match="pool is closed"):
        next(pool.render(MELODIES))


def test_a_place_that_does_not_exist_is_refused():
    with pytest.raises(PlantError, match=r"local, ray or ray://HOST:PORT, not moon"):
        Pool(Toy, where="moon")


@pytest.mark.slow
def test_a_worker_killed_while_idle_is_replaced(tmp_path: Path):
    with Pool(Witness, workers=1, folder=str(tmp_path)) as pool:
        (pid,) = (int(file.stem) for file in tmp_path.glob("*.pid"))
        os.kill(pid, signal.SIGKILL)
        sounds = list(pool.render(MELODIES[:3]))
    np.testing.assert_array_equal(sounds, Toy().render(MELODIES[:3]))


SCRIPT = """
import sys, numpy as np
from faulty_plant import Witness
from mirrornet.plants.pool import Pool

if __name__ == "__main__":
    with Pool(Witness, workers=2, folder=sys.argv[1], hang=True) as pool:
        try:
            list(pool.render(np.full((8, 7, 5), 0.5), chunk=1))
        except KeyboardInterrupt:
            sys.exit("interrupted")
"""


@pytest.mark.slow
def test_a_plant_beside_the_script_that_plays_it(tmp_path: Path):
    """Workers find what the script finds, though they import nothing of the current folder."""
    (tmp_path / "mine.py").write_text((Path(__file__).parent / "toy_plant.py").read_text())
    script = tmp_path / "script.py"
    script.write_text(
        "from mine import Toy\nfrom mirrornet.plants.pool import Pool\n"
        "if __name__ == '__main__':\n    print(Pool(Toy, workers=1).name)\n"
    )
    paths = os.pathsep.join(path for path in sys.path if path != str(Path(__file__).parent))
    said = subprocess.run(
        [sys.executable, str(script)],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (said.stdout, said.stderr) == ("toy\n", "")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_an_interrupted_or_killed_pool(tmp_path: Path, ending: signal.Signals):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    folder = tmp_path / "seen"
    folder.mkdir()
    paths = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    parent = subprocess.Popen(
        [sys.executable, str(script), str(folder)],
        env=os.environ | {"PYTHONPATH": paths},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    _wait_until(lambda: _both_hang(folder), parent)
    # Ctrl-C reaches every process of the terminal; the others are sent to the pool's own only.
    (os.killpg if ending == signal.SIGINT else os.kill)(parent.pid, ending)
    # The workers hold this pipe too, so it ends when the last of them has gone.
    _, said = parent.communicate(timeout=120)
    assert said.strip() == ("interrupted" if ending == signal.SIGINT else "")


def _both_hang(folder: Path) -> bool:
    notes = folder / "notes"
    return notes.is_file() and notes.read_text().count("played") == 2


def _wait_until(condition, process: subprocess.Popen) -> None:
    while not condition():
        assert process.poll() is None, "the script ended too early"
        time.sleep(0.05)


def test_the_environment_is_as_before_when_all_workers_have_started(monkeypatch):
    """Threads that start pools at once change it for each other."""
    monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
    first, second = ExitStack(), ExitStack()
    first.enter_context(SAFE_PATH)
    second.enter_context(SAFE_PATH)
    first.close()
    assert os.environ["PYTHONSAFEPATH"] == "1"
    second.close()
    assert "PYTHONSAFEPATH" not in os.environ
