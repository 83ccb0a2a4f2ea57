"""A run's folder belongs to one process at a time."""

import subprocess
import sys
from pathlib import Path

import pytest

from mirrornet.training.trainer import Run

GO_ON = """
import sys
from pathlib import Path
from mirrornet.errors import OutputError
from mirrornet.training.trainer import Run
try:
    Run(Path(sys.argv[1]), {"what": "a test"}, resume=True)
except OutputError as error:
    sys.exit(str(error))
"""


def go_on_elsewhere(folder: Path) -> str:
    """What another process complains of that goes on with the run."""
    command = [sys.executable, "-c", GO_ON, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False).stderr


@pytest.mark.slow
def test_two_processes_at_work_in_one_folder(tmp_path: Path):
    folder = tmp_path / "run"
    run = Run(folder, {"what": "a test"}, resume=False)
    assert f"another mirrornet is at work in {folder}" in go_on_elsewhere(folder)
    del run
    assert go_on_elsewhere(folder) == ""
