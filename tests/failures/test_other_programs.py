"""Inside another program a match, and all it consists of, is as it would be alone."""

import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from threadpoolctl import threadpool_info, threadpool_limits

from mirrornet.cochlea import Cochlea, _filter_bank
from mirrornet.features import hear, hear_recording
from mirrornet.matching.match import match
from mirrornet.matching.transcribe import transcribe
from mirrornet.models import mirrornet as mirror
from mirrornet.models.mirrornet import load_model
from mirrornet.plants import load_plant

MELODY = Path(mirror.__file__).parents[1] / "data" / "demo-melody.flac"
SOUND = np.random.default_rng(0).normal(0, 0.1, 8000).astype(np.float32)


@contextmanager
def dtype(chosen: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(chosen)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@contextmanager
def default_device(name: str) -> Iterator[None]:
    torch.set_default_device(name)
    try:
        yield
    finally:
        torch.set_default_device(None)


@contextmanager
def deterministic() -> Iterator[None]:
    torch.use_deterministic_algorithms(True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contextmanager
def warnings_that_are_errors() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


SETTINGS = {
    "no_grad": torch.no_grad,
    "inference_mode": torch.inference_mode,
    "float64": lambda: dtype(torch.float64),
    "bfloat16": lambda: dtype(torch.bfloat16),
    "meta": lambda: default_device("meta"),
    "with meta": lambda: torch.device("meta"),
    "deterministic": deterministic,
    "autocast": lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    "numpy errors": lambda: np.errstate(all="raise"),
    "warnings": warnings_that_are_errors,
}
inside = pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)


def state() -> tuple:
    return (
        torch.is_grad_enabled(),
        torch.is_inference_mode_enabled(),
        torch.is_autocast_enabled("cpu"),
        torch.get_default_dtype(),
        torch.get_default_device(),
        torch.are_deterministic_algorithms_enabled(),
        np.geterr(),
        list(warnings.filters),
    )


def answer_of(model: str) -> np.ndarray:
    """Read, imagined through the decoder, which takes gradients, and refined."""
    return match(MELODY, model=load_model(controls=model), refine=3).controls


@pytest.fixture(scope="module")
def alone() -> dict[str, np.ndarray]:
    return {model: answer_of(model) for model in ("patch", "set1")}


@pytest.mark.slow
@inside
@pytest.mark.parametrize("model", ["patch", "set1"])
def test_a_match(alone, setting, model):
    with setting():
        before = state()
        found = answer_of(model)
        assert state() == before
    np.testing.assert_array_equal(found, alone[model])


@pytest.mark.slow
@inside
def test_plants_models_and_hearing(setting):
    plant = load_plant("vital", controls="set2", sample_rate_hz=16000)
    controls = np.random.default_rng(1).random((len(plant.controls), 5))
    heard = torch.from_numpy(hear(SOUND, 8000))[None]

    def work() -> list[np.ndarray]:
        guessed = load_model().guess(heard)
        read = transcribe(load_model(controls="patch"), hear_recording(SOUND, 8000))
        return [plant.render(controls), guessed.numpy(), hear(SOUND, 8000), read.knobs]

    expected = work()
    with setting():
        found = work()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@inside
@pytest.mark.parametrize("hair_cell", ["linear", 0.1])
def test_a_cochlea_made_and_first_used_there(setting, hair_cell):
    sound = torch.from_numpy(SOUND)
    expected = Cochlea(hair_cell=hair_cell)(sound)
    _filter_bank.cache_clear()
    with setting():
        found = Cochlea(hair_cell=hair_cell)(sound)
    assert (found.dtype, found.device) == (expected.dtype, expected.device)
    np.testing.assert_array_equal(found.detach(), expected)
    learned = sound.clone().requires_grad_()  # what is kept serves learning, too
    Cochlea(hair_cell=hair_cell)(learned).sum().backward()
    assert learned.grad is not None
    assert learned.grad.abs().sum() > 0


def test_what_was_set_holds_again_after_an_error():
    with dtype(torch.float64), torch.inference_mode(), np.errstate(all="raise"):
        before = state()
        with pytest.raises(Exception, match="gone"):
            match("gone.wav")
        assert state() == before


@pytest.mark.slow
def test_threads_at_once_give_back_what_belongs_to_the_process():
    """Whoever comes first and whoever goes last: the default dtype, BLAS's threads, warnings."""
    expected = {renders: match(MELODY, refine=renders).controls for renders in (2, 3, 4)}
    found = {}

    def work(renders: int) -> None:
        found[renders] = match(MELODY, refine=renders).controls

    def blas() -> list[int]:
        return [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"]

    with threadpool_limits(2, "blas"), dtype(torch.float64), warnings_that_are_errors():
        before = state(), blas()
        threads = [threading.Thread(target=work, args=(renders,)) for renders in expected]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (state(), blas()) == before
    for renders, controls in expected.items():
        np.testing.assert_array_equal(found[renders], controls)


@pytest.mark.slow
def test_warnings_that_end_a_program(tmp_path):
    """What torch is late to load warns, too."""
    answer = f"mn.match({str(MELODY)!r}, model=mn.load_model())"
    program = f"import mirrornet as mn; {answer}.save('out')"
    command = [sys.executable, "-W", "error", "-c", program]
    subprocess.run(command, cwd=tmp_path, check=True)
    assert (tmp_path / "out" / "compare.png").is_file()
