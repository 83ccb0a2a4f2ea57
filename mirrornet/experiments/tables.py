"""Tables from `results/*.json`: on the terminal, and in the README between its markers.

python -m mirrornet.experiments.tables          renders the README's tables anew
"""

import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ..files import write_atomically

Rows = list[list[str]]
BASELINES = {
    "constant": "constant guess",
    "random": "random controls",
    "floor": "true controls, played again",
}


def _percent(key: str) -> Callable[[dict[str, Any]], str]:
    return lambda score: f"{100 * score[key]:.3g}" if key in score else ""


SCORES: dict[str, Callable[[dict[str, Any]], str]] = {
    "notes right (%)": _percent("notes_right"),
    "onset error (ms)": lambda score: f"{score['onset_error_ms']:.2f}",
    "duration error (ms)": lambda score: f"{score['duration_error_ms']:.2f}",
    "input to plant (% of variance)": _percent("spectrogram_error"),
    "e_c (% of variance)": _percent("e_c"),
    "e_d (% of variance)": _percent("e_d"),
}


def experiment_table(results: Sequence[dict[str, Any]]) -> Rows:
    """A column for each result and for each baseline (the first result's), a row for each score."""
    columns = {
        f"{r['recipe']} {r['budget']}, {r['learning_minutes']:.0f} min": r["scores"]["mirrornet"]
        for r in results
    } | {label: results[0]["scores"][key] for key, label in BASELINES.items()}
    rows = [["", *columns]]
    rows += [[name, *map(show, columns.values())] for name, show in SCORES.items()]
    for knob in results[0]["scores"]["floor"]["controls"]:
        r2 = (f"{score['controls'][knob]['r2']:.3f}" for score in columns.values())
        rows.append([f"R² {knob}", *r2])
    return rows


def control_table(result: dict[str, Any]) -> Rows:
    """Mean absolute error of each control in its own unit, beside the baselines'."""
    scores = result["scores"]
    rows = [["", result["recipe"], *BASELINES.values()]]
    for name in scores["floor"]["controls"]:
        cells = (scores[column]["controls"][name] for column in ("mirrornet", *BASELINES))
        unit = result["units"][name]
        rows.append([f"{name} ({unit})", *(f"{cell['mae_physical']:.3g}" for cell in cells)])
    return rows


def print_table(rows: Rows) -> None:
    """Show a table on the terminal."""
    table = Table(*rows[0])
    for row in rows[1:]:
        table.add_row(*row)
    Console().print(table)


def markdown(rows: Rows) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def cochlea_table(bench: dict[str, Any]) -> Rows:
    """Milliseconds for a melody on one thread, and how many times ours."""
    rows = [["front end, one thread", "rate (Hz)", "batch", "ms per 2 s melody", "times ours"]]
    for row in bench["rows"]:
        cells = (row[key] for key in ("front_end", "sample_rate_hz", "batch"))
        rows.append([*map(str, cells), f"{row['ms_per_melody']:.1f}", f"{row['times_ours']:.1f}"])
    return rows


def plant_table(bench: dict[str, Any]) -> Rows:
    """How fast the plant is played and heard, with workers and without."""
    rows = [["Vital", "workers", "melodies per s", "times real time", "times one worker"]]
    for row in bench["rows"]:
        workers = str(row["workers"] or "none")
        numbers = (row[k] for k in ("melodies_per_s", "times_real_time", "times_one_worker"))
        rows.append([row["work"], workers, *map(str, numbers)])
    return rows


def render_readme(readme: Path = Path("README.md"), results: Path = Path("results")) -> None:
    """Replace what stands between `<!-- table: NAME -->` and `<!-- end -->` by today's results."""

    def result(name: str) -> dict[str, Any]:
        return json.loads((results / f"{name}.json").read_bytes())

    mirror, paper = (
        result(f"experiment-1-{recipe}-quick-seed-0") for recipe in ("mirror", "paper")
    )
    tables = {
        "experiment-1": experiment_table([mirror, paper]),
        "experiment-1-controls": control_table(mirror),
        "cochlea": cochlea_table(result("bench-cochlea")),
        "plant": plant_table(result("bench-plant")),
    }
    text = readme.read_text()
    for name, rows in tables.items():
        pattern = rf"(<!-- table: {name} -->\n).*?(<!-- end -->)"
        text = re.sub(pattern, rf"\g<1>{markdown(rows)}\n\g<2>", text, flags=re.DOTALL)
    write_atomically(readme, lambda path: path.write_text(text))


if __name__ == "__main__":
    render_readme()
