"""Download the single notes of real instruments from which phrases are sequenced.

    python bench/fetch_samples.py        # -> samples/, 60 MB; needs npm

They come from the npm packages `tonejs-instrument-*-mp3` (MIT licence), the form for npm of
https://github.com/nbrosowsky/tonejs-instruments (recordings CC BY 3.0; their sources are there).
"""

import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

from mirrornet.experiments.samples import FOLDER, PLAYERS, TUNED_ON


def fetch(instrument: str) -> None:
    """Download and unpack the samples of an instrument, unless they are there."""
    folder = FOLDER / instrument
    if folder.is_dir():
        return
    with tempfile.TemporaryDirectory() as place:
        command = ["npm", "pack", "--silent", f"tonejs-instrument-{instrument}-mp3"]
        subprocess.run(command, cwd=place, check=True, stdout=subprocess.DEVNULL)
        (archive,) = Path(place).glob("*.tgz")
        with tarfile.open(archive) as files:
            files.extractall(Path(place) / "files", filter="data")
        sounds = sorted((Path(place) / "files" / "package").glob("*.mp3"))
        whole = folder.with_suffix(".part")
        shutil.rmtree(whole, ignore_errors=True)
        whole.mkdir(parents=True)
        for sound in sounds:
            (whole / sound.name).write_bytes(sound.read_bytes())
        whole.rename(folder)
    print(f"{folder}: {len(sounds)} notes", file=sys.stderr)


if __name__ == "__main__":
    for name in (*PLAYERS, *TUNED_ON):
        fetch(name)
