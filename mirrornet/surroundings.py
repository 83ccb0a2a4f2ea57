"""The program around us has settings of its own: of torch, numpy, warnings. While we work, ours
hold."""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from .shared import Shared


@contextmanager
def own_settings() -> Iterator[None]:
    """Inside, all behaves as where nothing was set: float32 tensors on the CPU, gradients where
    they are asked for, no word on numbers that are too small, and warnings that are no errors. What
    the caller had set holds again outside.

    The default dtype and what becomes of warnings belong to the process: where they are others,
    they change for all its threads.
    """
    with ExitStack() as ours:
        ours.enter_context(np.errstate(all="ignore"))
        ours.enter_context(torch.inference_mode(False))  # and with it, gradients
        ours.enter_context(torch.autocast("cpu", enabled=False))
        if torch.get_default_device().type != "cpu":
            ours.enter_context(torch.device("cpu"))
        ours.enter_context(_FLOAT32)
        ours.enter_context(_WARNINGS)
        yield


@contextmanager
def _float32() -> Iterator[None]:
    theirs = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(theirs)


def _warnings() -> AbstractContextManager[object]:
    errors = any(action == "error" for action, *_ in warnings.filters)
    return warnings.catch_warnings(action="default") if errors else nullcontext()


_FLOAT32, _WARNINGS = Shared(_float32), Shared(_warnings)
# The products in refinement are too small for more threads, which would wait for each other.
ONE_THREAD = Shared(lambda: threadpool_limits(1, "blas"))
