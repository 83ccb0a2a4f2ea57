"""The pages' tables, each made from files in `results/`."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ...storage import write_atomically
from ..settings import SETTINGS
from .benchmark import compared_table, learned_table, patches_table, renders_table, sounds_table
from .cells import Rows, markdown
from .experiments import (
    ANSWERS,
    ablation_table,
    control_table,
    experiment_table,
    tuning_table,
    variants_table,
)
from .recordings import (
    bells_table,
    beyond_table,
    effects_table,
    listening_table,
    notes_summary,
    notes_table,
    one_shots_table,
    recorded_differences,
    recorded_summary,
    timbre_ablation_table,
    timbre_summary,
    timbre_table,
)
from .speed import cluster_table, cochlea_table, matching_table, plant_table, studio_table

# Experiments whose training did not start from the shipped weights.
START: dict[str, str] = dict.fromkeys(("experiment-1-own", "experiment-2-ten"), "full")
SUMMARISED = ("own", "ten", "rhodes")
PLANTS = ("dx7", "amsynth", "faust-subtractive")  # with the quick budget
PAGES = (
    "README.md",
    *(
        f"docs/{page}.md"
        for page in (
            "experiments",
            "recordings",
            "benchmark",
            "patches",
            "speed",
            "scale",
            "studio",
        )
    ),
)


def render_tables(page: Path, results: Path = Path("results")) -> None:
    """Replace the text between `<!-- table: NAME -->` and `<!-- end -->` in a Markdown `page` by
    the table of that name, made from the JSON files in `results`."""

    def result(name: str) -> dict[str, Any]:
        return json.loads((results / f"{name}.json").read_bytes())

    def variants(experiment: int) -> list[dict[str, Any]]:
        names = [s.name for s in SETTINGS if s.experiment == experiment and s.plant == "vital"]
        return [result(f"{name}-mirror-{START.get(name, 'shipped')}-seed-0") for name in names]

    own, ten, rhodes = (f"experiment-{name}-mirror" for name in ("1-own", "2-ten", "3-rhodes"))
    paper = "experiment-1-own-paper-full-seed-0"
    tables: dict[str, Callable[[], Rows]] = {
        "experiment-1": lambda: experiment_table(result(f"{own}-full-seed-0"), result(paper)),
        "experiment-1-controls": lambda: control_table(result(f"{own}-full-seed-0")),
        "experiments": lambda: variants_table([v for n in (1, 2, 3) for v in variants(n)]),
        "experiments-summary": lambda: variants_table(
            [
                *(v for n in (1, 2, 3) for v in variants(n) if v["variant"] in SUMMARISED),
                *(result(f"experiment-1-{plant}-mirror-quick-seed-0") for plant in PLANTS),
            ],
            ["encoder"],
            [key for key in ANSWERS if key not in ("before", "random")],
        ),
        "experiments-plants": lambda: variants_table(
            [result(f"experiment-1-{plant}-mirror-quick-seed-0") for plant in PLANTS]
        ),
        "experiment-2-ten": lambda: experiment_table(result(f"{ten}-full-seed-0")),
        "experiment-3-rhodes": lambda: experiment_table(result(f"{rhodes}-shipped-seed-0")),
        "tuning": lambda: tuning_table(result("tuning-seed-0")),
        "ablations": lambda: ablation_table(result("ablations-seed-0")),
        "listening": lambda: listening_table(result("listening-seed-0")),
        "recordings-differences": lambda: recorded_differences(result("recordings-seed-0")),
        "one-shots": lambda: one_shots_table(result("one-shots-seed-0")),
        "timbre-ablations": lambda: timbre_ablation_table(result("timbre-ablations-seed-0")),
        "bells": lambda: bells_table(result("timbre-ablations-seed-0")),
        "effects": lambda: effects_table(result("timbre-ablations-seed-0")),
        "recordings-summary": lambda: recorded_summary(result("recordings-seed-0")),
        "notes": lambda: notes_table(result("notes-seed-0")),
        "notes-summary": lambda: notes_summary(result("notes-seed-0")),
        "timbre-summary": lambda: timbre_summary(result("timbre-seed-0")),
        "timbre": lambda: timbre_table(result("timbre-seed-0")),
        "beyond": lambda: beyond_table(result("beyond-seed-0")),
        "cochlea": lambda: cochlea_table(result("bench-cochlea")),
        "plant": lambda: plant_table(result("bench-plant")),
        "matching": lambda: matching_table(result("bench-matching")),
        "studio": lambda: studio_table(result("bench-studio")),
        "cluster": lambda: cluster_table(result("bench-cluster")),
    }
    targets = {"1-own": "the synthesizer's own melodies", "3-rhodes": "a Fender Rhodes"}
    tables["compared"] = lambda: compared_table(
        {what: result(f"bench-experiment-{name}-full-seed-0") for name, what in targets.items()}
    )
    for name in targets:
        bench = f"bench-experiment-{name}-full-seed-0"
        tables[f"sounds-{name}"] = lambda bench=bench: sounds_table(result(bench))
        tables[f"learned-{name}"] = lambda bench=bench: learned_table(result(bench))
        tables[f"renders-{name}"] = lambda bench=bench: renders_table(result(bench))

    for name in ("dx7-all", "vital-48"):
        bench = f"bench-{name}-quick-seed-0"
        for kind in ("phrases", "single notes", "instruments"):
            title = f"patches-{name}-{kind.replace(' ', '-')}"
            tables[title] = lambda bench=bench, kind=kind: patches_table(result(bench), kind)

    def rendered(place: re.Match[str]) -> str:
        return f"{place[1]}{markdown(tables[place[2]]())}\n{place[3]}"

    pattern = r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)"
    text = re.sub(pattern, rendered, page.read_text(), flags=re.DOTALL)
    write_atomically(page, lambda path: path.write_text(text))
