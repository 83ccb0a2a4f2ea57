"""A pool on a Ray cluster of two machines gives what one on this machine gives, whatever fails."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest
from faulty_plant import ABORT, BUG, EXIT, HANG, HOG, NAN, SEGFAULT, Faulty, Witness
from toy_plant import Toy

from mirrornet.errors import PlantError
from mirrornet.events import Event, Progress
from mirrornet.plants.pool import Pool

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.slow

MELODIES = np.random.default_rng(0).random((120, 7, 5))
MELODIES[:, 0] = 0.0


class Slow(Toy):
    def note_sound(self, note):
        time.sleep(0.005)
        return super().note_sound(note)


@pytest.fixture(scope="module")
def cluster():
    """Two machines of one core each, in name: both are this one."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent))  # there they find the plants
        # A machine counts as dead after five seconds, not half a minute.
        patch.setenv("RAY_health_check_period_ms", "1000")
        patch.setenv("RAY_worker_niceness", "0")  # or they wait for all else that runs
        cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
        cluster.add_node(num_cpus=1)
        ray.init(address=cluster.address, log_to_driver=False, configure_logging=False)
        yield cluster
        ray.shutdown()
        cluster.shutdown()


@pytest.mark.parametrize(("workers", "chunk"), [(1, 16), (2, 3), (None, 7)])
def test_the_same_samples_wherever_the_workers_are(cluster, workers, chunk):
    with Pool(Toy, workers, where="ray") as pool:
        assert pool.workers == (workers or 2)
        np.testing.assert_array_equal(list(pool.render(MELODIES, chunk)), Toy().render(MELODIES))


def test_every_kind_of_failure_costs_its_own_row_only(cluster):
    faults = {
        3: (NAN, "not finite"),
        5: (EXIT, "its process ended"),
        6: (ABORT, "its process ended"),
        8: (SEGFAULT, "its process ended"),
        9: (HANG, "no answer within 10 s"),
        11: (BUG, "a bug in the plant"),
        14: (HOG, "MemoryError"),
    }
    controls = MELODIES[:16].copy()
    for row, (fault, _) in faults.items():
        controls[row, 0, 1] = fault
    with Pool(Faulty, where="ray", timeout_s=10.0) as pool:
        outcomes = list(pool.render(controls, chunk=4))
    assert len(outcomes) == len(controls)
    for row, (outcome, one) in enumerate(zip(outcomes, controls, strict=True)):
        if row in faults:
            assert isinstance(outcome, PlantError)
            assert "faulty failed twice on the controls" in str(outcome)
            assert faults[row][1] in str(outcome)
        else:
            np.testing.assert_array_equal(outcome, Toy().render(one))


def test_a_worker_killed_from_outside_costs_no_row(cluster, tmp_path):
    with Pool(Witness, where="ray", folder=str(tmp_path)) as pool:
        sounds = pool.render(MELODIES, chunk=2)
        got = [next(sounds) for _ in range(20)]
        for file in tmp_path.glob("*.pid"):
            os.kill(int(file.stem), signal.SIGKILL)
        got += sounds
    np.testing.assert_array_equal(got, Toy().render(MELODIES))


def test_a_machine_lost_in_the_middle_costs_no_row_and_a_new_one_joins_in(cluster):
    wanted = Toy().render(MELODIES)
    with Pool(Slow, where="ray") as pool:
        sounds = pool.render(MELODIES, chunk=2)
        got = [next(sounds) for _ in range(20)]
        cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
        got += [next(sounds) for _ in range(60)]
        cluster.add_node(num_cpus=1)
        got += sounds
        np.testing.assert_array_equal(got, wanted)
        # The workers on both machines are busy again.
        np.testing.assert_array_equal(list(pool.render(MELODIES, 2)), wanted)
        assert len({worker._machine for worker in pool._crew}) == 2  # pyright: ignore


def test_a_full_cluster_is_waited_for_and_the_user_told(cluster, monkeypatch):
    monkeypatch.setattr("mirrornet.plants.pool.WAITING_S", 0.5)
    said = []
    others = Pool(Toy, where="ray")  # has all cores

    def told(event: Event) -> None:
        said.append(event.text)
        others.close()

    with Pool(Toy, 1, where="ray", progress=Progress(told)) as pool:
        np.testing.assert_array_equal(list(pool.render(MELODIES[:2])), Toy().render(MELODIES[:2]))
    assert said == ["Waiting for workers to start; is a core free for them?"]


def test_a_plant_that_cannot_be_made(cluster):
    with pytest.raises(PlantError, match="could not be loaded: there is no plant 'moog'"):
        Pool("moog", where="ray")


def test_machines_with_another_version_are_refused(cluster, monkeypatch):
    monkeypatch.setattr("mirrornet.plants.cluster.version", lambda package: "99.0")
    with pytest.raises(PlantError, match=r"has mirrornet .*, this one 99\.0; install the same"):
        Pool(Toy, where="ray")
