"""The program around us has settings of its own: of torch, of numpy. While we work, ours hold."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from .shared import Shared


@contextmanager
def own_settings() -> Iterator[None]:
    """Inside, torch and numpy behave as where nothing was set: float32 tensors on the CPU,
    gradients where they are asked for, no error or warning where a number is too small. What the
    caller had set holds again outside.

    The default dtype belongs to the process: where it is another, it changes for all its threads.
    """
    with ExitStack() as ours:
        ours.enter_context(np.errstate(all="ignore"))
        ours.enter_context(torch.inference_mode(False))  # and with it, gradients
        ours.enter_context(torch.autocast("cpu", enabled=False))
        if torch.get_default_device().type != "cpu":
            ours.enter_context(torch.device("cpu"))
        ours.enter_context(_FLOAT32)
        yield


@contextmanager
def _float32() -> Iterator[None]:
    theirs = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(theirs)


_FLOAT32 = Shared(_float32)
# The products in refinement are too small for more threads, which would wait for each other.
ONE_THREAD = Shared(lambda: threadpool_limits(1, "blas"))
