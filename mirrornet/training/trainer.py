"""A training run in a folder, with a log and a state from which it can be resumed.

`train` makes a model and calls a recipe to train it; `fit` takes the recipe's steps. A `Run` is the
folder:

run.json          all settings of the run, fixed for the life of the folder
log.jsonl         one line per logged step
state.json        the last saved state's card, its tensors beside it
model.json        the trained model, when done
lock              held by the process that uses the folder
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import torch
from filelock import FileLock, Timeout
from torch import Tensor, nn

from ..errors import CancelledError, OutputError
from ..events import Progress
from ..models.checkpoints import load_checkpoint, provenance, save_checkpoint
from ..models.mirrornet import MirrorNet
from ..runtime import usable_cores
from ..storage import check_place, write_atomically
from .steps import descend, pick_device

SAVE_EVERY_S = 60.0
STEP_SEEDS = 1_000_003  # distance of consecutive runs' seeds; each step has a seed of its own


def check_folder(folder: Path, resume: bool) -> None:
    """Raise OutputError unless files can be written in `folder`, and a run can start there or, with
    `resume`, continue."""
    if (folder / "run.json").is_file():
        if not resume:
            raise OutputError(f"{folder} holds a run already; add --resume to go on with it.")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise OutputError(f"{folder} is in the way and no run; choose another folder.")
    check_place(folder, instead="choose another folder")


class Run:
    """The folder of one training run. `about` (JSON-ready) holds all settings of the run.

    Raises OutputError if the folder cannot be used, holds another run, or is used by another
    process.
    """

    def __init__(
        self, folder: Path, about: dict[str, Any], resume: bool, progress: Progress | None = None
    ):
        check_folder(folder, resume)
        self.folder, self.progress = folder, progress or Progress()
        self._log = folder / "log.jsonl"
        self._began_s, self._spent_before_s = time.monotonic(), 0.0
        self._began_cpu_s, self._cpu_before_s = time.process_time(), 0.0
        card = folder / "run.json"
        text = json.dumps(about, indent=2) + "\n"
        try:
            if not card.is_file():
                folder.mkdir(parents=True, exist_ok=True)
                write_atomically(card, lambda path: path.write_text(text))
            elif card.read_text() != text:
                raise OutputError(
                    f"{folder} holds another run (see run.json); resume it with the same options "
                    "and targets, or choose another folder."
                )
            # One process may open a run several times, as when a search is continued.
            self._lock = FileLock(folder / "lock", is_singleton=True)
            self._lock.acquire(blocking=False)
        except Timeout as error:
            raise OutputError(
                f"another mirrornet is at work in {folder}; wait for it, or choose another folder."
            ) from error
        except OSError as error:
            raise OutputError(f"cannot write to {folder} ({error.strerror}).") from error

    @property
    def spent_s(self) -> float:
        """Wall-clock time of the run so far, earlier sessions included."""
        return self._spent_before_s + time.monotonic() - self._began_s

    @property
    def cpu_s(self) -> float:
        """CPU time of the run so far, earlier sessions included, without that of workers."""
        return self._cpu_before_s + time.process_time() - self._began_cpu_s

    @property
    def took(self) -> dict[str, float]:
        """Both times as entries of a model's card."""
        return {
            "learning_minutes": round(self.spent_s / 60, 1),
            "learning_cpu_s": round(self.cpu_s, 1),
        }

    def part(self, name: str) -> Path:
        """A subfolder of the run; created if it does not exist."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return folder

    def steps(
        self,
        what: str,
        total: int,
        model: nn.Module,
        optimizers: Mapping[str, torch.optim.Optimizer],
    ) -> Iterator[int]:
        """Yield step numbers up to `total` from where the run stopped, saving the state regularly.

        When cancelled, it ends the current step, saves, and raises CancelledError.
        """
        first = self._restore(model, optimizers)
        self._trim_log(first)
        saved_s = time.monotonic()
        with (
            self.progress.stage(what, total, ends_well=True) as self._stage,
            _tensorboard(self.folder / "tensorboard", first) as self._board,
        ):
            self._stage.at(first)
            for step in range(first, total):
                yield step
                self._stage.at(step + 1)
                cancelled = self.progress.cancelled
                if cancelled or time.monotonic() - saved_s > SAVE_EVERY_S:
                    self.save(step + 1, model, optimizers)
                    saved_s = time.monotonic()
                if cancelled:
                    raise CancelledError(f"cancelled; {self.folder} keeps what was learned.")
        if first < total:
            self.save(total, model, optimizers)

    def log(self, step: int, **values: float) -> None:
        """Append a line to the log and report the values to the progress stage."""
        with self._log.open("a") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            self._board.add_scalar(name, value, step)
        self._stage.at(step + 1, " ".join(f"{k} {v:.3g}" for k, v in values.items()))

    def save(
        self, step: int, model: nn.Module, optimizers: Mapping[str, torch.optim.Optimizer]
    ) -> None:
        """Save the state before step number `step`."""
        tensors = {f"model.{name}": tensor for name, tensor in model.state_dict().items()}
        for name, optimizer in optimizers.items():
            for index, state in optimizer.state_dict()["state"].items():
                for key, tensor in state.items():
                    tensors[f"{name}.{index}.{key}"] = tensor
        card = {"step": step, "spent_s": self.spent_s, "cpu_s": self.cpu_s}
        save_checkpoint(self.folder / "state.json", tensors, card)

    def _restore(self, model: nn.Module, optimizers: Mapping[str, torch.optim.Optimizer]) -> int:
        if not (self.folder / "state.json").exists():
            return 0
        tensors, card = load_checkpoint(self.folder / "state.json")
        own = {
            name.removeprefix("model."): t for name, t in tensors.items() if name[:6] == "model."
        }
        try:
            model.load_state_dict(own)
        except RuntimeError as error:
            raise OutputError(
                f"{self.folder} holds the state of another network than this version's; go on with "
                "the version it was begun with, or choose another folder."
            ) from error
        for name, optimizer in optimizers.items():
            state: dict[int, dict[str, Tensor]] = {}
            for key, tensor in tensors.items():
                if key.startswith(f"{name}."):
                    _, index, field = key.split(".")
                    state.setdefault(int(index), {})[field] = tensor
            optimizer.load_state_dict(optimizer.state_dict() | {"state": state})
        self._spent_before_s, self._cpu_before_s = card["spent_s"], card.get("cpu_s", 0.0)
        return card["step"]

    def _trim_log(self, first: int) -> None:
        """Remove lines of steps that will be taken again."""
        if self._log.is_file():
            lines = self._log.read_text().splitlines(keepends=True)
            keep = [
                line for line in lines if line.endswith("\n") and json.loads(line)["step"] < first
            ]
            write_atomically(self._log, lambda path: path.write_text("".join(keep)))


class Losses(NamedTuple):
    """Losses of one step."""

    total: Tensor
    parts: Mapping[str, Tensor]
    """Those that are logged, by name."""
    optimizers: Sequence[str] = ()
    """Names of those that take the step; all if empty."""


def train(
    folder: str | Path,
    about: dict[str, Any],
    make: Callable[[], Any],
    learn: Callable[[Run, Any], None],
    load: Callable[[Path], Any] = MirrorNet.load,
    seed: int = 0,
    resume: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> Any:
    """Make a model with `make`, train it with `learn`, and return it in eval mode on the CPU.

    Args:
        folder: for log, state and model; a model that is already there is returned.
        about: JSON-ready; all that the model depends on.
        make: makes the untrained model; it runs with `seed` set.
        learn: trains the model, with the steps of `fit`.
        load: reads the model back from its card.
        seed: of the initial weights.
        resume: continue an interrupted run, which gives the same weights, bit for bit on a CPU with
            as many threads.
        device: see `pick_device`.
        progress: receives reports and can cancel.

    Raises OutputError if the folder cannot be used, CancelledError when `progress` is cancelled,
    MirrorNetError if a loss is not finite.
    """
    run = Run(Path(folder), about, resume, progress)
    done = run.folder / "model.json"
    if done.is_file():
        return load(done)
    torch.set_num_threads(usable_cores())
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = make()
    on_device = pick_device(device)
    model.to(on_device).train()
    learn(run, model)
    model.to("cpu").eval()
    model.save(done, {"learned": about, "device": on_device.type, **run.took, **provenance()})
    return model


def fit(
    run: Run,
    name: str,
    total: int,
    model: nn.Module,
    optimizers: Mapping[str, torch.optim.Optimizer],
    losses: Callable[[int], Losses],
    seed: int = 0,
    clip: float = math.inf,
    log_every: int = 20,
) -> Iterator[int]:
    """Take the remaining steps up to `total`, and yield the number of each after it is taken.

    Random numbers of torch in `losses(step)` depend on the seed and the step alone. Gradient norms
    are clipped to `clip`; every `log_every`-th step is logged.
    """
    for step in run.steps(name, total, model, optimizers):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed * STEP_SEEDS + step)
            try:
                loss, parts, used = losses(step)
            except CancelledError:  # during renders for this step
                run.save(step, model, optimizers)
                raise
        descend(loss, step, *(optimizers[one] for one in used or optimizers), clip=clip)
        if step % log_every == 0 or step == total - 1:
            run.log(step, **{part: value.item() for part, value in parts.items()})
        yield step


class _NoBoard:
    def add_scalar(self, name: str, value: float, step: int) -> None:
        """Discard the value."""


@contextmanager
def _tensorboard(folder: Path, first: int) -> Iterator[Any]:
    """TensorBoard's writer, if installed; its old records of steps from `first` on are dropped."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        yield _NoBoard()
        return
    with SummaryWriter(str(folder), purge_step=first) as board:
        yield board
