"""`mirrornet studio`: the page on which sounds are matched, heard, seen and shaped."""

from pathlib import Path

from ...errors import MirrorNetError
from ..options import CompareFolders, NoOpen, PlantsFolder, Port, RunsFolder
from ..terminal import say

TO_INSTALL = 'pip install "mirrornet[studio]"'


def studio(
    port: Port = 8765,
    no_open: NoOpen = False,
    plants: PlantsFolder = None,
    runs: RunsFolder = Path("runs"),
    compare: CompareFolders = (),
) -> None:
    """Open a page in the browser: drop a recording, hear and see its match, and shape it.

    The page is served on this machine only, at http://127.0.0.1:PORT, and needs no network.
    Ctrl-C ends it.
    """
    try:
        from ..studio.serving import serve
    except ImportError as error:
        raise MirrorNetError(f"the studio needs more packages ({error}): {TO_INSTALL}") from error
    from ..studio.server import Settings

    files: tuple[str, ...] = ()
    if plants is not None:
        if not plants.is_dir():
            raise MirrorNetError(f"{plants} is no folder; give one that holds plants.")
        files = tuple(
            str(path.resolve())
            for path in sorted(plants.iterdir())
            if path.suffix in (".py", ".toml", ".dsp")
        )
    for folder in compare:
        if not folder.is_dir():
            raise MirrorNetError(f"{folder} is no folder; give one of sounds to compare.")
    compared = tuple(folder.resolve() for folder in compare)
    serve(Settings(port, files, runs.resolve(), compared), open_page=not no_open, ready=say)
