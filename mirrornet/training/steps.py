"""Common parts of all training loops: batches, learning rates, precision, device."""

import math
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from ..errors import MirrorNetError


def descend(
    loss: Tensor, step: int, *optimizers: torch.optim.Optimizer, clip: float = math.inf
) -> None:
    """Take one step of gradient descent, with each optimizer's gradient norm clipped to `clip`.

    Raises MirrorNetError, naming `step`, if the loss is not finite.
    """
    if not loss.isfinite():
        raise MirrorNetError(
            f"learning went astray at step {step} (the loss is {loss.item()}); try another seed."
        )
    for optimizer in optimizers:
        optimizer.zero_grad()
    loss.backward()
    for optimizer in optimizers:
        weights = [weight for group in optimizer.param_groups for weight in group["params"]]
        torch.nn.utils.clip_grad_norm_(weights, clip)
        optimizer.step()


def fast_arithmetic(device: torch.device) -> torch.autocast:
    """Autocast to bfloat16 where the processor has it: twice as fast, the same final errors."""
    able = device.type == "cuda" or torch.cpu._is_avx512_bf16_supported()
    return torch.autocast(device.type, torch.bfloat16, enabled=able)


def one_cycle(progress: float, warm_up: float = 0.05) -> float:
    """Share of the peak learning rate at `progress` 0..1: linear warm-up, then half a cosine."""
    if progress < warm_up:
        return (progress + 1e-3) / (warm_up + 1e-3)
    return 0.5 * (1 + math.cos(math.pi * (progress - warm_up) / (1 - warm_up)))


def set_lr(optimizer: torch.optim.Optimizer, lr: float) -> None:
    """Set the learning rate of all weights of `optimizer`."""
    for group in optimizer.param_groups:
        group["lr"] = lr


@lru_cache(maxsize=8)
def _shuffled(epoch: int, total: int, seed: int) -> np.ndarray:
    return np.random.default_rng((seed, epoch)).permutation(total)


def batch_rows(step: int, batch: int, total: int, seed: int) -> np.ndarray:
    """The rows in the batch of step number `step`: every row once an epoch, in an order that
    depends only on the step and the seed, so that a resumed run has the same batches."""
    per_epoch = math.ceil(total / batch)
    epoch, part = divmod(step, per_epoch)
    return _shuffled(epoch, total, seed)[part * batch : (part + 1) * batch]


def on(device: torch.device, array: np.ndarray) -> Tensor:
    """The array as a float32 tensor on `device`."""
    return torch.from_numpy(np.asarray(array, dtype=np.float32)).to(device)


def pick_device(device: str) -> torch.device:
    """The device by name; `auto` is a CUDA GPU if there is one, else the CPU."""
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(device)
