"""Match a folder of recordings, each in a process of its own, with a summary page.

A file that cannot be used, or that crashes its process, is reported, and the others are still
matched. Finished files are not matched again, so an interrupted folder can be resumed. No child
process outlives its parent.
"""

import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from threading import Event, Lock
from typing import Any
from urllib.parse import quote

from ..errors import AudioError, OutputError
from ..events import Progress
from ..export.report import in_words, percent, table_page
from ..export.spreadsheet import csv_text
from ..storage import write_atomically

KINDS = (
    "3gp aac ac3 aif aifc aiff amr ape au avi caf flac flv gsm m4a m4b mka mkv mov mp2 mp3 mp4 mpg "
    "oga ogg opus tta w64 wav webm wma wv"
)
SUFFIXES = frozenset(f".{kind}" for kind in KINDS.split())
NOTED = "sound.sha256"  # in the folder of a result: the sha256 of its sound file
# Folders of results are recognised by one of these files, a JSON object with these keys.
RESULTS = {
    "controls.json": {"plant", "notes", "controls_0_to_1"},
    "options.json": {"folder", "options", "weights"},
}
OURS = {"index.html", "options.json", "summary.csv"}  # files in `out`, beside the folders
COLUMNS = ("notes", "difference", "in words", "problem")
LONGEST_S = 3600.0  # time limit of a process; then it is interrupted and saves its best so far
GRACE_S = 120.0  # time for saving, before it is killed
LOOK_S = 0.1  # polling interval
MATCH_BYTES = 1e9  # memory of a process for a minute of sound; for ten minutes, 1.5 times as much


@dataclass(frozen=True)
class Matched:
    """The outcome for one file: `facts` on its match, by `COLUMNS`, or the `problem`."""

    file: Path
    folder: Path
    problem: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)


def match_folder(
    folder: Path,
    out: Path,
    options: Sequence[str],
    workers: int,
    weights: str = "",
    progress: Progress | None = None,
) -> list[Matched]:
    """Match every sound file in `folder` and its subfolders.

    On Ctrl-C the running matches are abandoned, and the summary is of the finished ones.

    Args:
        folder: the folder of sound files.
        out: for results: a folder for each sound file, named like it, `index.html` and
            `summary.csv`.
        options: command-line options of `mirrornet match`.
        workers: number of processes at a time.
        weights: fingerprint of the model, so that results of another one are not continued.
        progress: receives progress events and can cancel the work.

    Returns:
        The outcome for each file, and for each folder that cannot be opened.

    Raises:
        AudioError: when there is no sound file, or one has the name of a file of the results.
        OutputError: when `out` cannot be used.
    """
    folder, out = Path(os.path.realpath(folder)), Path(os.path.realpath(out))
    if out == folder or out in folder.parents:
        raise OutputError(f"{out} holds the sounds themselves; name another folder with --out.")
    files, closed = sound_files(folder, out)
    if taken := OURS & {file.relative_to(folder).parts[0] for file in files}:
        raise AudioError(
            f"{folder / taken.pop()} has the name of a file of the results; rename it."
        )
    _claim(out, {"folder": str(folder), "options": list(options), "weights": weights})
    stopped, lock = Event(), Lock()
    found = {
        place: Matched(place, out, f"this folder cannot be opened ({reason}).")
        for place, reason in closed.items()
    }
    total = len(files) + len(closed)
    try:
        stages = (progress or Progress()).stage("Matching", total)
        with stages as stage, ThreadPoolExecutor(workers) as threads:

            def tell(matched: Matched) -> None:
                if matched.problem:
                    stage.say(f"{matched.file.relative_to(folder)}: {matched.problem}")

            def one(file: Path) -> None:
                matched = _match_file(file, out / file.relative_to(folder), options, stopped)
                if stopped.is_set() and matched.problem:
                    return  # it was abandoned
                with lock:
                    found[file] = matched
                    stage.at(len(found))
                tell(matched)

            for matched in found.values():
                tell(matched)
            try:
                list(threads.map(one, files))
            finally:
                stopped.set()  # on Ctrl-C, ends the processes of all threads
    finally:
        done = [found[place] for place in sorted(found)]
        if done:
            _write_summary(folder, out, done)
    return done


def sound_files(folder: Path, out: Path) -> tuple[list[Path], dict[Path, str]]:
    """List the sound files in `folder` and its subfolders, except hidden files and folders, `out`,
    and folders of results; and the reasons why subfolders cannot be opened, by path.

    Symbolic links are followed, into each folder once. Raises AudioError if there are no sound
    files.
    """
    if not folder.is_dir():
        raise AudioError(f"{folder.name} is no folder; give a folder of sound files.")
    files: list[Path] = []
    closed: dict[Path, str] = {}
    seen = {out, *folder.parents}  # a link to one of these would be a cycle
    places = deque([folder])
    while places:
        place = places.popleft()
        real = Path(os.path.realpath(place))
        if real in seen or (place != folder and _holds_results(place)):
            continue
        seen.add(real)
        try:
            os.stat(f"{place}/.")  # fails for folders that may be listed but not entered
            inside = sorted(place.iterdir())
        except OSError as error:
            closed[place] = error.strerror or str(error)
            continue
        for path in inside:
            if path.name.startswith("."):
                continue
            if not os.path.isdir(path):
                files += [path] if path.suffix.lower() in SUFFIXES else []
            elif path.is_symlink():
                places.append(path)  # last, so that files keep their names without links
            else:
                places.appendleft(path)
    if closed and not files:
        place = min(closed)
        raise AudioError(
            f"the folder {place} cannot be opened ({closed[place]}); give a folder of sound files."
        )
    if not files:
        raise AudioError(
            f"there are no sound files in {folder.name}; WAV, FLAC, OGG, MP3, M4A and most others "
            "are known, and videos."
        )
    return sorted(files), closed


def _holds_results(folder: Path) -> bool:
    return any(keys <= _read(folder / name).keys() for name, keys in RESULTS.items())


def _read(file: Path) -> dict[str, Any]:
    """The JSON object in a file; empty if the file is missing or holds something else."""
    try:
        held = json.loads(file.read_bytes()) if file.is_file() else {}
    except (OSError, RecursionError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}


def _claim(out: Path, matches: dict[str, Any]) -> None:
    """Record in `out` which `matches` it holds; OutputError if it already holds anything else."""
    about = out / "options.json"
    try:
        out.mkdir(parents=True, exist_ok=True)
        held = _read(about)
        if held == matches:
            return
        if any(out.iterdir()) and held.keys() != matches.keys():
            raise OutputError(f"{out} holds other files already; name a new folder with --out.")
        if any(out.rglob("controls.json")):
            raise OutputError(
                f"{out} holds matches of another folder, or made with other options or "
                "weights; name another folder with --out."
            )
        text = json.dumps(matches) + "\n"
        write_atomically(about, lambda path: path.write_text(text))
    except OSError as error:
        raise OutputError(
            f"{out} cannot be written ({error.strerror}); name another folder with --out."
        ) from error


def _match_file(file: Path, folder: Path, options: Sequence[str], stopped: Event) -> Matched:
    done = folder / "controls.json"
    try:
        content = _sha256(file)
        if done.is_file():
            if _answers(folder, file, content):
                return _matched(file, folder)
            return Matched(file, folder, f"it changed since; delete {folder}.")
        code, asked, said = _run_match(file, folder, options, stopped)
    except OSError as error:  # of the file, or since no more processes can be started
        return Matched(file, folder, f"it cannot be matched ({error.strerror}).")
    if code == 0 or done.is_file():
        with suppress(OSError):  # without it, `_answers` compares times
            write_atomically(folder / NOTED, lambda path: path.write_text(f"{content}\n"))
        return _matched(file, folder)
    if asked:
        return Matched(file, folder, f"it took longer than {LONGEST_S:g} s; spend fewer renders.")
    last = said.strip().rpartition("\n")[2].removeprefix("mirrornet: ")
    return Matched(file, folder, last if code == 2 and last else f"its process ended ({code}).")


def _run_match(
    file: Path, folder: Path, options: Sequence[str], stopped: Event
) -> tuple[int, bool, str]:
    """Match one file in a process of its own. Returns its exit code, whether it was interrupted,
    and its stderr."""
    command = [sys.executable, "-P", "-c", _program(), "match", str(file), "--out", str(folder)]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            [*command, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # so that Ctrl-C reaches only this process
        ) as process,
    ):
        latest_s, asked = time.monotonic() + LONGEST_S, 0
        while True:
            try:
                process.wait(LOOK_S)
                break
            except subprocess.TimeoutExpired:
                late = time.monotonic() > latest_s
                if asked and late:
                    process.kill()
                # The first Ctrl-C makes it save its best so far; the second one aborts that.
                elif asked < (2 if stopped.is_set() else late):
                    process.send_signal(signal.SIGINT)
                    latest_s, asked = time.monotonic() + GRACE_S, asked + 1
        errors.seek(0)
        return process.returncode, asked > 0, errors.read().decode(errors="replace")


def _sha256(file: Path) -> str:
    """Hash of a regular file; empty for anything else, which may be endless."""
    if not file.is_file():
        return ""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _answers(folder: Path, file: Path, content: str) -> bool:
    """Whether the result in `folder` is of `file` in its present state. Without a recorded hash, as
    in results of earlier versions: whether the result is newer."""
    noted = folder / NOTED
    if noted.is_file():
        return noted.read_text(errors="replace").strip() == content
    return file.stat().st_mtime <= (folder / "controls.json").stat().st_mtime


def _matched(file: Path, folder: Path) -> Matched:
    try:
        card = json.loads((folder / "controls.json").read_bytes())
        error = card["distances"]["spectrogram_error"]
        known = error is not None
        values = (
            str(len(card["notes"])),
            percent(error) if known else "",
            in_words(error) if known else "",
            " ".join(card["warnings"]),
        )
    except (ArithmeticError, LookupError, OSError, RecursionError, TypeError, ValueError):
        return Matched(file, folder, f"its results are damaged; delete {folder}.")
    return Matched(file, folder, facts=dict(zip(COLUMNS, values, strict=True)))


def _program() -> str:
    """The Python program of a child process. It has this process's import path; with `-P`, the
    current folder is on it only if it is on ours."""
    path = ascii([str(place) for place in sys.path])
    run = "from mirrornet.app.one_sound import match_one; match_one()"
    return f"import sys; sys.path[:] = {path}; {run}"


def _write_summary(folder: Path, out: Path, found: Sequence[Matched]) -> None:
    table = [["file", *COLUMNS]]
    rows = "".join(f"<th>{escape(text)}</th>" for text in table[0])
    for one in found:
        name = str(one.file.relative_to(folder))
        facts = {"problem": one.problem, **one.facts}
        values = [facts.get(column, "") for column in COLUMNS]
        table.append([name, *values])
        shown = escape(name)
        if not one.problem:
            page = quote(os.fsencode((one.folder / "report.html").relative_to(out).as_posix()))
            shown = f'<a href="{page}">{shown}</a>'
        cells = "".join(f"<td>{escape(text)}</td>" for text in values)
        rows += f"</tr>\n<tr><td>{shown}</td>{cells}"
    page = table_page(f"{len(found)} sounds", f"<table><tr>{rows}</tr></table>")
    for file, text in (("summary.csv", csv_text(table)), ("index.html", page)):
        content = text.encode("utf-8", "backslashreplace")  # file names may be invalid Unicode
        write_atomically(out / file, lambda path, content=content: path.write_bytes(content))
