"""`mirrornet doctor`: checks that everything works on this machine.

Every check returns its finding in a few words, or raises an error that says what to do. A check
imports what it needs itself, so that a broken package is reported and the other checks still run.
No check uses the network.
"""

import platform
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..errors import CheckpointError, MirrorNetError
from .terminal import say

PACKAGES = ("mirrornet", "torch", "numpy", "scipy", "soundfile", "av", "soxr", "vita")
GOLDEN = Path(__file__).parents[1] / "data" / "golden-excerpt.npz"
LARGEST_ERROR = 1e-5  # as a share of the largest value; single precision reaches 1e-6
QUIETEST = 0.01  # smallest peak; 1 is full scale
SAME = 1e-6  # largest difference of samples of the same melody
DISK_GB, MEMORY_GB = 2.0, 2.0  # needed for training with the budget "quick"
PATCHES, EXCERPT_S, PATIENCE_S = 8, 1.0, 60.0  # of each plant
MEMORY = Path("/proc/meminfo")


class AbsentError(MirrorNetError):
    """Something optional that is not installed, and how to install it."""


class ProblemError(MirrorNetError):
    """A problem that a check found, and what to do."""


def check_versions() -> str:
    """Report the versions of Python and of packages."""
    versions = ", ".join(f"{package} {version(package)}" for package in PACKAGES)
    return f"Python {platform.python_version()} on {platform.machine()}; {versions}"


def check_front_end() -> str:
    """Compare the auditory spectrogram with that of the original NSL toolbox."""
    import numpy as np
    import torch

    from ..cochlea import Cochlea

    with np.load(GOLDEN) as golden:
        sound, expected = golden["sound"], golden["spectrogram"]
    heard = Cochlea()(torch.from_numpy(sound).float()).numpy()
    error = float(np.abs(heard - expected).max() / expected.max())
    if not error <= LARGEST_ERROR:
        raise ProblemError(
            f"the auditory spectrogram differs from the NSL toolbox's by {error:.1g} of its "
            "largest value; install torch again, in the version of constraints.txt."
        )
    return f"as the NSL toolbox's auditory spectrogram within {error:.0e}"


def check_plant() -> str:
    """Render a melody, another one and the first again, in another process, as it may crash."""
    import numpy as np

    from ..plants.pool import Pool
    from ..training.sampling import random_melodies

    with Pool("vital", workers=1) as pool:
        other = random_melodies(pool.controls, "babble", 1, 0)[0]
        middle = np.full_like(other, 0.5)
        outcomes = list(pool.render(np.stack([middle, other, middle])))
    sounds = []
    for outcome in outcomes:
        if not isinstance(outcome, np.ndarray):
            raise outcome
        sounds.append(outcome)
    peak, change = np.abs(sounds[0]).max(), np.abs(sounds[2] - sounds[0]).max()
    again = "install vita again: pip install --force-reinstall vita==0.1.0"
    if peak < QUIETEST:
        raise ProblemError(f"the melody is silent (peak {peak:.1g}); {again}")
    if change > SAME:
        raise ProblemError(f"the same controls gave another sound (by {change:.1g}); {again}")
    return f"plays a melody with a peak of {20 * np.log10(peak):.0f} dB, and the same again"


def check_patches(name: str, needed: bool = False) -> str:
    """Render random patches of a plant, in two orders, in a process of its own."""
    import numpy as np

    from ..plants import find_plant
    from ..plants.pool import Pool

    kind = find_plant(name)
    if (missing := kind.to_install()) and not needed:
        raise AbsentError(f"not installed: {missing}")
    with Pool(name, workers=1, timeout_s=PATIENCE_S) as pool:
        scores = _all_good(pool.sample([(0, number) for number in range(PATCHES)]))
        first = _all_good(pool.map(_played, scores, 1))
        again = _all_good(pool.map(_played, scores[::-1], 1))[::-1]
    first, again = np.concatenate(first), np.concatenate(again)
    peak, change = float(np.abs(first).max()), float(np.abs(first - again).max())
    if peak < QUIETEST:
        raise ProblemError(
            f"{PATCHES} random patches are silent (peak {peak:.1g}); install it again, and look "
            "whether it wants a licence."
        )
    if change > SAME:
        raise ProblemError(
            f"random patches differ by {change:.1g} when they are played in another order: its "
            "version may be another than was tested. More settling_notes in a control map, or "
            "fresh = true, may help."
        )
    return f"{PATCHES} random patches play, and the same in another order"


def _all_good(outcomes: Iterable[Any]) -> list[Any]:
    """The outcomes of a pool. Raises the first that is an error."""
    good = []
    for outcome in outcomes:
        if isinstance(outcome, Exception):
            raise outcome
        good.append(outcome)
    return good


def _played(plant: Any, scores: list[Any]) -> list[Any]:
    return [plant.render(replace(score, duration_s=EXCERPT_S)) for score in scores]


def check_models() -> str:
    """Load all shipped weights, which verifies their sha256."""
    from ..models.mirrornet import MirrorNet, shipped, ships
    from ..models.notes import SHIPPED, NoteFinder
    from ..plants import plant_kinds

    loads: dict[str, Callable[[], Any]] = {"notes": lambda: NoteFinder.load(SHIPPED)}
    for name, kind in plant_kinds().items():
        for controls, space in kind.control_sets.items():
            if ships(space, name):
                card = shipped(controls, name)
                loads[f"{name}-{controls}"] = lambda card=card: MirrorNet.load(card)
    for load in loads.values():
        try:
            load()
        except CheckpointError as error:
            raise ProblemError(f"{error} It came with mirrornet: install that again.") from error
    return f"the weights that ship are undamaged: {', '.join(loads)}"


def check_disk() -> str:
    """Check the free space in the current folder."""
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    if free_gb < DISK_GB:
        raise ProblemError(
            f"only {free_gb:.1f} GB free in this folder, and learning takes up to {DISK_GB:g} GB; "
            "make room or work elsewhere."
        )
    return f"{free_gb:.0f} GB free in this folder"


def check_memory() -> str:
    """Check the available memory, on Linux."""
    if not MEMORY.is_file():
        return "cannot be told on this system"
    lines = dict(line.split(":") for line in MEMORY.read_text().splitlines())
    free_gb = int(lines["MemAvailable"].split()[0]) * 1024 / 1e9
    if free_gb < MEMORY_GB:
        raise ProblemError(
            f"only {free_gb:.1f} GB free, and learning takes up to {MEMORY_GB:g} GB; close other "
            "programs."
        )
    return f"{free_gb:.0f} GB free"


def checks_of_plants(names: Iterable[str], needed: bool = False) -> dict[str, Callable[[], str]]:
    """A check for each plant. One that is not installed is a problem only if it is `needed`."""
    return {name: partial(check_patches, name, needed) for name in names}


SETS_OF_VITAL = ("vital-patch", "vital-48", "vital-wavetable")  # besides that of CHECKS
CHECKS: Mapping[str, Callable[[], str]] = {
    "versions": check_versions,
    "front end": check_front_end,
    "vital": check_plant,
    "model": check_models,
    "disk": check_disk,
    "memory": check_memory,
}


def examine(checks: Mapping[str, Callable[[], str]] = CHECKS) -> int:
    """Run the checks and print a line for each; return 1 if any found a problem, else 0."""
    problems, width = 0, max(9, *map(len, checks))
    for name, check in checks.items():
        try:
            found, mark = check(), "ok"
        except AbsentError as error:
            found, mark = str(error), "absent"
        except (ImportError, MirrorNetError, OSError) as error:
            found, mark = str(error), "PROBLEM"
            problems += 1
        say(f"{mark:7}  {name:{width}}  {' '.join(found.split())}")
    return 1 if problems else 0
