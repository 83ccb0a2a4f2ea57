"""What several tests need: annotations that are checked, a match that is not perfect, its files."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import install_import_hook
from threadpoolctl import threadpool_limits

# librosa's compiled functions are cached on disk, and two processes that write one cache at once
# crash in it: each test process has its own.
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "main")
os.environ["NUMBA_CACHE_DIR"] = str(Path(__file__).parents[1] / ".pytest_cache/numba" / _WORKER)

# Not where users' input arrives: there, what is wrong must be said in a sentence of our own.
CHECKED = (
    "models",
    "features",
    "matching.melody_surrogate",
    "matching.least_squares",
    "training",
    "export.files",
    "export.midi",
    "export.plots",
    "experiments.baselines",
)

with install_import_hook([f"mirrornet.{name}" for name in CHECKED], "typechecker.check"):
    import mirrornet.experiments.baselines.ast
    import mirrornet.experiments.baselines.cma_es
    import mirrornet.experiments.baselines.cnn
    import mirrornet.experiments.baselines.genetic
    import mirrornet.experiments.baselines.nearest
    import mirrornet.experiments.baselines.random_search
    import mirrornet.training.babble
    import mirrornet.training.fine_tuning
    import mirrornet.training.melodies  # noqa: F401
    from mirrornet.export.files import save_match
    from mirrornet.features import hear
    from mirrornet.matching.match import Match
    from mirrornet.plants import load_plant
    from mirrornet.score import melody_score

# A shell starts background jobs with Ctrl-C ignored, nohup with SIGHUP, and children inherit that;
# some tests send them.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, "SIGHUP"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


@pytest.fixture(autouse=True)
def _one_thread():
    """Each test begins with one, whatever learning before it took."""
    torch.set_num_threads(1)
    with threadpool_limits(1, "blas"):
        yield


@pytest.fixture(scope="session")
def match() -> Match:
    """Vital's answer to itself: a little off, and playing at twice the target's level."""
    plant = load_plant("vital", sample_rate_hz=44100)
    truth = np.random.default_rng(3).uniform(0.2, 0.8, (7, 5))
    controls = np.clip(truth + np.random.default_rng(4).normal(0, 0.02, truth.shape), 0, 1)
    target, audio = 0.5 * plant.render(truth), plant.render(controls)
    target_heard, heard = hear(target, 44100), hear(audio, 44100)
    error = float(np.mean((heard - target_heard) ** 2) / np.var(target_heard))
    score = melody_score(plant.controls, controls)
    distances = {"spectrogram_error": error, "other_distance": 0.5}
    return Match(plant, controls, score, audio, target, 44100, target_heard, heard, distances)


@pytest.fixture(scope="session")
def saved(match: Match, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `match`'s files."""
    folder = tmp_path_factory.mktemp("saved") / "match"
    save_match(match, folder)
    return folder
