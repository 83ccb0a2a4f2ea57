"""A folder of recordings, each matched by a process of its own, and one page for all of them.

A file that cannot be used, or that ends its process, is reported and the others go on. What is
done is not done again, so an interrupted folder goes on where it stopped. No process outlives the
one that started it.
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
NOTED = "sound.sha256"  # beside an answer: which sound it answers
# Results are known by what one of their files says.
RESULTS = {
    "controls.json": {"plant", "notes", "controls_0_to_1"},
    "options.json": {"folder", "options", "weights"},
}
OURS = {"index.html", "options.json", "summary.csv"}  # in `out`, beside the folders
COLUMNS = ("notes", "difference", "in words", "problem")
LONGEST_S = 3600.0  # that a process may take; then it is asked to end with its best so far
GRACE_S = 120.0  # in which it has to
LOOK_S = 0.1  # how often a process is asked whether it is done
MATCH_BYTES = 1e9  # that a process takes for a minute of sound; for ten, half as much again


@dataclass(frozen=True)
class Matched:
    """What became of one file: what is known of its match, by `COLUMNS`, or why there is none."""

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
    """Match every sound file in `folder`, and in the folders inside; `options` are those of
    `mirrornet match`, `weights` is a fingerprint of its model's.

    Results go into `out`, a folder for each file named as the file is, with `index.html` and
    `summary.csv`. On Ctrl-C what is under way is given up, and the summary is of what is done.
    Raises AudioError if there is no sound file, OutputError if `out` cannot be used.
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
                    return  # it was given up
                with lock:
                    found[file] = matched
                    stage.at(len(found))
                tell(matched)

            for matched in found.values():
                tell(matched)
            try:
                list(threads.map(one, files))
            finally:
                stopped.set()  # on Ctrl-C, nothing goes on alone
    finally:
        done = [found[place] for place in sorted(found)]
        if done:
            _write_summary(folder, out, done)
    return done


def sound_files(folder: Path, out: Path) -> tuple[list[Path], dict[Path, str]]:
    """The sound files in `folder` and in the folders inside, but for hidden ones and those that are
    results; and of folders inside that cannot be opened, why.

    Links are followed, into each folder once. Raises AudioError if there are no sound files.
    """
    if not folder.is_dir():
        raise AudioError(f"{folder.name} is no folder; give a folder of sound files.")
    files: list[Path] = []
    closed: dict[Path, str] = {}
    seen = {out, *folder.parents}  # a link to one of these would lead round in a circle
    places = deque([folder])
    while places:
        place = places.popleft()
        real = Path(os.path.realpath(place))
        if real in seen or (place != folder and _holds_results(place)):
            continue
        seen.add(real)
        try:
            os.stat(f"{place}/.")  # what may only be listed is closed, too
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
                places.append(path)  # last, so that what is there without a link has its own name
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
    """The JSON object in a file; an empty one if it holds something else."""
    try:
        held = json.loads(file.read_bytes()) if file.is_file() else {}
    except (OSError, RecursionError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}


def _claim(out: Path, matches: dict[str, Any]) -> None:
    """Note in `out` which `matches` it holds; OutputError if it holds anything else already."""
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
    except OSError as error:  # of the file, or of a machine that starts no more processes
        return Matched(file, folder, f"it cannot be matched ({error.strerror}).")
    if code == 0 or done.is_file():
        with suppress(OSError):  # then times tell whether the sound changed
            write_atomically(folder / NOTED, lambda path: path.write_text(f"{content}\n"))
        return _matched(file, folder)
    if asked:
        return Matched(file, folder, f"it took longer than {LONGEST_S:g} s; spend fewer renders.")
    last = said.strip().rpartition("\n")[2].removeprefix("mirrornet: ")
    return Matched(file, folder, last if code == 2 and last else f"its process ended ({code}).")


def _run_match(
    file: Path, folder: Path, options: Sequence[str], stopped: Event
) -> tuple[int, bool, str]:
    """Match one file in a process of its own: its exit code, whether it was asked to end, and what
    it said on its error stream."""
    command = [sys.executable, "-P", "-c", _program(), "match", str(file), "--out", str(folder)]
    with (
        tempfile.TemporaryFile() as errors,
        subprocess.Popen(
            [*command, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
            start_new_session=True,  # Ctrl-C is for us to handle
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
                # At the first Ctrl-C it saves its best so far, at the second it gives that up.
                elif asked < (2 if stopped.is_set() else late):
                    process.send_signal(signal.SIGINT)
                    latest_s, asked = time.monotonic() + GRACE_S, asked + 1
        errors.seek(0)
        return process.returncode, asked > 0, errors.read().decode(errors="replace")


def _sha256(file: Path) -> str:
    """Of what a file holds; of what is no file (and may never end), nothing."""
    if not file.is_file():
        return ""
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def _answers(folder: Path, file: Path, content: str) -> bool:
    """Whether the answer in `folder` is one to `file` as it is. An answer that does not say which
    sound it answers, as earlier versions gave, is if it is younger."""
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
    """What the process of one file runs. It finds what we find: nothing of the current folder
    (`-P`), unless that is on our own path."""
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
        content = text.encode("utf-8", "backslashreplace")  # a file's name need not be text
        write_atomically(out / file, lambda path, content=content: path.write_bytes(content))
