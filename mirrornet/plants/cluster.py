"""Workers of a pool as Ray actors, on the machines of a cluster.

Ray never starts an actor or a task again by itself here: where a machine fails, Ray's own retries
are used up at once. Instead the pool gives a lost task to another worker, and starts a new worker,
which waits until the cluster has room for it.
"""

import math
import os
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import ray
from ray import exceptions

from ..errors import PlantError
from .base import Plant
from .worker import Player, Task, start

LOST_TOO_OFTEN = 3  # failures of machines that play a task, after which the task is to blame
FAILED_STARTS = 10  # in a row, after which no worker is started any more


class Cluster:
    """Starts workers on a Ray cluster.

    Args:
        address: "ray": the cluster that was started on this machine, or else one that is this
            machine. "ray://HOST:PORT": the cluster whose Ray client server listens there.

    Raises PlantError if it cannot be reached.
    """

    def __init__(self, address: str):
        if not ray.is_initialized():  # it stays so until this program ends
            os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # report nothing to anyone
            os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # or Ray warns of it
            os.environ.setdefault("RAY_worker_niceness", "0")  # of workers on this machine; else 15
            try:
                ray.init(
                    address=address if "://" in address else None,
                    configure_logging=False,
                    include_dashboard=None if "://" in address else False,
                    log_to_driver=False,
                )
            except (ConnectionError, OSError, RuntimeError, ValueError, TimeoutError) as error:
                raise PlantError(
                    f"no cluster at {address}: {error}. Is it started, and is its token here? See "
                    "docs/scale.md."
                ) from error
        self.cores = max(1, int(ray.cluster_resources().get("CPU", 1)))
        self.failed_starts = 0
        """How many workers failed to start since the last one that did."""

    def start(self, make: Callable[..., Plant]) -> "ActorWorker":
        return ActorWorker(make, self)

    def wait(self, workers: Sequence["ActorWorker"], timeout_s: float) -> None:
        ray.wait([worker.pending for worker in workers], num_returns=1, timeout=timeout_s)


class ActorWorker:
    """The pool's side of an actor; see `worker.Worker`."""

    def __init__(self, make: Callable[..., Plant], cluster: Cluster):
        self._cluster = cluster
        options = {"num_cpus": 1, "max_restarts": 0, "max_task_retries": 0}
        actor = ray.remote(_Actor).options(**options, scheduling_strategy="SPREAD")
        self._actor = actor.remote(make)
        self.task: Task | None = Task(start, ())
        self.used = False
        self.pending = self._actor.where.remote()
        self._machine = ""  # where it runs, once it does
        self._timeout_s = self._deadline_s = math.inf  # the cluster may have no room yet

    def take(self, task: Task, timeout_s: float) -> None:
        self.task, self._timeout_s, self.used = task, timeout_s, True
        self._deadline_s = time.monotonic() + timeout_s
        self.pending = self._actor.do.remote(task.work, task.rows)

    def listen(self) -> bool:
        if (task := self.task) is None:
            return True
        if not ray.wait([self.pending], timeout=0)[0]:
            if time.monotonic() < self._deadline_s:
                return True
            self.stop()
            task.answer = PlantError(f"no answer within {self._timeout_s:g} s.")
            return False
        try:
            answer = ray.get(self.pending)
        except exceptions.RayError as error:
            self.stop()
            if task.work is start:
                self._cluster.failed_starts += 1
                if self._cluster.failed_starts == FAILED_STARTS or not self._machine_failed(error):
                    raise PlantError(f"a worker could not start: {_in_short(error)}") from error
                return False
            task.lost += 1
            if task.lost == LOST_TOO_OFTEN or not self._machine_failed(error):
                task.answer = PlantError(f"its process ended: {_in_short(error)}")
            return False
        if task.work is not start:
            task.answer = answer
        else:
            self._cluster.failed_starts = 0
            theirs, self._machine = answer
            if theirs != version("mirrornet"):
                raise PlantError(
                    f"a machine of the cluster has mirrornet {theirs}, this one "
                    f"{version('mirrornet')}; install the same version on all."
                )
        self.task = None
        return True

    def stop(self) -> None:
        ray.kill(self._actor)  # pyright: ignore[reportArgumentType]

    def _machine_failed(self, error: exceptions.RayError) -> bool:
        """Whether not the worker failed, but the machine it ran on, or the way to it."""
        if isinstance(error, exceptions.ActorDiedError):
            alive = {node["NodeID"] for node in ray.nodes() if node["Alive"]}
            return self._machine not in alive and not error.actor_init_failed
        return not isinstance(error, exceptions.RayTaskError)


def _in_short(error: exceptions.RayError) -> str:
    """What happened, without the traceback: the last line of the error's text."""
    return str(error).strip().splitlines()[-1]


class _Actor:
    """A worker on a machine of the cluster."""

    def __init__(self, make: Callable[..., Plant]):
        self._player = Player(make)

    def where(self) -> tuple[str, str]:
        return version("mirrornet"), ray.get_runtime_context().get_node_id()

    def do(self, work: Callable, rows: Any) -> Any:
        return self._player.do(work, rows)
