"""A folder of recordings, each matched by a process of its own, and one page for all of them.

A file that cannot be used, or that ends its process, is reported and the others go on. What is
done is not done again, so an interrupted folder goes on where it stopped.
"""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from html import escape
from pathlib import Path
from threading import Event, Lock
from typing import Any
from urllib.parse import quote

from .errors import AudioError, OutputError
from .files import write_atomically
from .progress import Progress
from .report import in_words, percent, table_page

KINDS = (
    "3gp aac ac3 aif aifc aiff amr ape au avi caf flac flv gsm m4a m4b mka mkv mov mp2 mp3 mp4 mpg "
    "oga ogg opus tta w64 wav webm wma wv"
)
SUFFIXES = frozenset(f".{kind}" for kind in KINDS.split())
RESULTS = ("controls.json", "options.json", "run.json")  # what folders of results hold
LONGEST_S = 3600.0  # that a process may take; then it is asked to end with its best so far
GRACE_S = 120.0  # in which it has to
LOOK_S = 0.1  # how often a process is asked whether it is done


@dataclass(frozen=True)
class Matched:
    """What became of one file: where its results are, or why there are none."""

    file: Path
    folder: Path
    problem: str = ""

    @property
    def facts(self) -> dict[str, str]:
        if self.problem:
            return {"notes": "", "difference": "", "in words": "", "problem": self.problem}
        card = json.loads((self.folder / "controls.json").read_bytes())
        error = card["distances"]["spectrogram_error"]
        known = error is not None
        return {
            "notes": str(len(card["notes"])),
            "difference": percent(error) if known else "",
            "in words": in_words(error) if known else "",
            "problem": " ".join(card["warnings"]),
        }


def match_folder(
    folder: Path, out: Path, options: Sequence[str], workers: int, weights: str = ""
) -> list[Matched]:
    """Match every sound file in `folder`, and in the folders inside; `options` are those of
    `mirrornet match`, `weights` is a fingerprint of its model's.

    Results go into `out`, a folder for each file named as the file is, with `index.html` and
    `summary.csv`. On Ctrl-C what is under way is given up, and the summary is of what is done.
    Raises AudioError if there is no sound file, OutputError if `out` cannot be used.
    """
    folder, out = folder.resolve(), out.resolve()
    if out == folder or out in folder.parents:
        raise OutputError(f"{out} holds the sounds themselves; name another folder with --out.")
    files = sound_files(folder, out)
    _claim(out, {"folder": str(folder), "options": list(options), "weights": weights})
    stopped, lock = Event(), Lock()
    found: dict[Path, Matched] = {}
    try:
        with Progress("Matching", len(files)) as progress, ThreadPoolExecutor(workers) as threads:

            def one(file: Path) -> None:
                matched = _match_file(file, out / file.relative_to(folder), options, stopped)
                if stopped.is_set() and matched.problem:
                    return  # it was given up
                with lock:
                    found[file] = matched
                    progress.at(len(found))
                if matched.problem:
                    progress.say(f"{file.relative_to(folder)}: {matched.problem}")

            try:
                list(threads.map(one, files))
            finally:
                stopped.set()  # on Ctrl-C, nothing goes on alone
    finally:
        done = [found[file] for file in files if file in found]
        if done:
            _write_summary(folder, out, done)
    return done


def sound_files(folder: Path, out: Path) -> list[Path]:
    """The sound files in `folder` and in the folders inside, but for hidden ones and those that are
    results. Raises AudioError if there are none."""
    if not folder.is_dir():
        raise AudioError(f"{folder.name} is no folder; give a folder of sound files.")
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES
        and path.is_file()
        and not any(part.startswith(".") for part in path.relative_to(folder).parts)
        and out not in path.parents
        and not any(
            (parent / mark).is_file()
            for parent in path.parents
            if folder in parent.parents
            for mark in RESULTS
        )
    )
    if not files:
        raise AudioError(
            f"there are no sound files in {folder.name}; WAV, FLAC, OGG, MP3, M4A and most others "
            "are known, and videos."
        )
    return files


def _claim(out: Path, matches: dict[str, Any]) -> None:
    """Note in `out` which `matches` it holds; OutputError if it holds others already."""
    about = out / "options.json"
    text = json.dumps(matches) + "\n"
    try:
        out.mkdir(parents=True, exist_ok=True)
        if not about.is_file() and any(out.iterdir()):
            raise OutputError(f"{out} holds other files already; name a new folder with --out.")
        if not about.is_file() or about.read_text() != text:
            if any(out.rglob("controls.json")):
                raise OutputError(
                    f"{out} holds matches of another folder, or made with other options or "
                    "weights; name another folder with --out."
                )
            write_atomically(about, lambda path: path.write_text(text))
    except OSError as error:
        raise OutputError(
            f"{out} cannot be written ({error.strerror}); name another folder with --out."
        ) from error


def _match_file(file: Path, folder: Path, options: Sequence[str], stopped: Event) -> Matched:
    done = folder / "controls.json"
    if done.is_file():
        changed = file.stat().st_mtime > done.stat().st_mtime
        return Matched(file, folder, f"it changed since; delete {folder}." if changed else "")
    command = [sys.executable, "-m", "mirrornet", "match", str(file), "--out", str(folder)]
    with subprocess.Popen(
        [*command, *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env={**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"},
        start_new_session=True,  # Ctrl-C is for us to handle
    ) as process:
        latest_s, asked = time.monotonic() + LONGEST_S, 0
        while True:
            try:
                said = process.communicate(timeout=LOOK_S)[1].decode(errors="replace")
                break
            except subprocess.TimeoutExpired:
                late = time.monotonic() > latest_s
                if asked and late:
                    process.kill()
                # At the first Ctrl-C it saves its best so far, at the second it gives that up.
                elif asked < (2 if stopped.is_set() else late):
                    process.send_signal(signal.SIGINT)
                    latest_s, asked = time.monotonic() + GRACE_S, asked + 1
    if process.returncode == 0 or done.is_file():
        return Matched(file, folder)
    if asked:
        return Matched(file, folder, f"it took longer than {LONGEST_S:g} s; spend fewer renders.")
    last = said.strip().rpartition("\n")[2].removeprefix("mirrornet: ")
    reason = last if process.returncode == 2 else f"its process ended ({process.returncode})."
    return Matched(file, folder, reason)


def _write_summary(folder: Path, out: Path, found: Sequence[Matched]) -> None:
    table = io.StringIO(newline="")
    writer = csv.writer(table)
    rows = []
    for number, one in enumerate(found):
        name, facts = str(one.file.relative_to(folder)), one.facts
        if number == 0:
            writer.writerow(["file", *facts])
            head = "".join(f"<th>{escape(text)}</th>" for text in ("file", *facts))
        writer.writerow([name, *facts.values()])
        shown = escape(name)
        if not one.problem:
            page = quote((one.folder / "report.html").relative_to(out).as_posix())
            shown = f'<a href="{page}">{shown}</a>'
        cells = "".join(f"<td>{escape(text)}</td>" for text in facts.values())
        rows.append(f"<tr><td>{shown}</td>{cells}</tr>")
    table_rows = f"<table><tr>{head}</tr>{''.join(rows)}</table>"
    page = table_page(f"{len(found)} sounds", table_rows)
    for file, text in (("summary.csv", table.getvalue()), ("index.html", page)):
        content = text.encode("utf-8", "backslashreplace")  # a file's name need not be text
        write_atomically(out / file, lambda path, content=content: path.write_bytes(content))
