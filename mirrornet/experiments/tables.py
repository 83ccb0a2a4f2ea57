"""Tables from `results/*.json`: on the terminal, and in the README between its markers.

python -m mirrornet.experiments.tables          renders the README's tables anew
"""

import json
import re
from collections.abc import Sequence
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


def experiment_table(results: Sequence[dict[str, Any]]) -> Rows:
    """Headings and one row per answer; baselines from the first of the results."""
    knobs = list(results[0]["scores"]["floor"]["controls"])
    header = [
        "",
        "notes right (%)",
        "onset error (ms)",
        "duration error (ms)",
        "input to plant (% of variance)",
        "e_c (%)",
        "e_d (%)",
        *(f"R² {name}" for name in knobs),
    ]
    rows = [header]
    for result in results:
        name = f"`{result['recipe']}` {result['budget']}, {result['learning_minutes']:.0f} min"
        rows.append(_row(name, result["scores"]["mirrornet"], knobs))
    rows += [_row(label, results[0]["scores"][key], knobs) for key, label in BASELINES.items()]
    return rows


def control_table(result: dict[str, Any]) -> Rows:
    """Mean absolute error of each control in its own unit, beside the baselines'."""
    scores = result["scores"]
    columns = ["mirrornet", *BASELINES]
    rows = [
        ["mean absolute error", *("learned" if c == "mirrornet" else BASELINES[c] for c in columns)]
    ]
    for name in scores["floor"]["controls"]:
        cells = (scores[c]["controls"][name] for c in columns)
        rows.append([name, *(f"{cell['mae_physical']:.3g}" for cell in cells)])
    return rows


def _row(name: str, score: dict[str, Any], knobs: Sequence[str]) -> list[str]:
    def percent(key: str) -> str:
        return f"{100 * score[key]:.3g}" if key in score else ""

    return [
        name,
        f"{100 * score['notes_right']:.1f}",
        f"{score['onset_error_ms']:.2f}",
        f"{score['duration_error_ms']:.2f}",
        percent("spectrogram_error"),
        percent("e_c"),
        percent("e_d"),
        *(f"{score['controls'][knob]['r2']:.3f}" for knob in knobs),
    ]


def print_table(rows: Rows) -> None:
    """Show a table on the terminal."""
    table = Table(*rows[0])
    for row in rows[1:]:
        table.add_row(*row)
    Console().print(table)


def markdown(rows: Rows) -> str:
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def render_readme(readme: Path = Path("README.md"), results: Path = Path("results")) -> None:
    """Replace what stands between `<!-- table: NAME -->` and `<!-- end -->` by today's results."""
    quick = [results / f"experiment-1-{recipe}-quick.json" for recipe in ("mirror", "paper")]
    found = [json.loads(path.read_bytes()) for path in quick if path.is_file()]
    tables = {
        "experiment-1": experiment_table(found),
        "experiment-1-controls": control_table(found[0]),
    }
    text = readme.read_text()
    for name, rows in tables.items():
        pattern = rf"(<!-- table: {name} -->\n).*?(<!-- end -->)"
        text = re.sub(pattern, rf"\g<1>{markdown(rows)}\n\g<2>", text, flags=re.DOTALL)
    write_atomically(readme, lambda path: path.write_text(text))


if __name__ == "__main__":
    render_readme()
