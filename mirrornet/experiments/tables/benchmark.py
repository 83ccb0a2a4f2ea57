"""Tables of the benchmarks against other methods."""

from collections.abc import Mapping
from statistics import mean, median
from typing import Any

from .cells import MATCH_ERROR, SCORES, Rows

FEW, MANY = 200, 2000  # renders per melody
# The README's excerpt: methods, and numbers of renders per melody.
COMPARED = {
    "MirrorNet, babble only": (0,),
    "MirrorNet, listened": (0, 10, 50),
    "CNN": (0,),
    "AST": (0,),
    "random search": (MANY,),
    "genetic algorithm": (MANY,),
    "CMA-ES": (MANY, 10 * MANY),
    "CMA-ES from our notes": (MANY, 10 * MANY),
}


def learned_table(result: dict[str, Any]) -> Rows:
    """Table of the models that answer without a render, one per row: cost of training, CPU time of
    an answer, and scores."""
    names = ("notes right (%)", "duration error (ms)", MATCH_ERROR)
    names += ("MSS (dB)", "wMFCC", "SOT", "RMS cosine")
    took = ("babble", "learning renders", "CPU min", "ms")
    rows = [["", *took, *names, "mean R² of knobs"]]
    for record in result["learned"]:
        r2 = [knob["r2"] for knob in record["scores"]["controls"].values()]
        cpu_s, ms = record.get("learning_cpu_s"), record.get("ms_per_melody")
        rows.append(
            [
                record["method"],
                str(record.get("babble", "")),
                str(record["learning_renders"]),
                "" if cpu_s is None else f"{cpu_s / 60:.1f}",
                "" if ms is None else f"{ms:.0f}",
                *(SCORES[name](record["scores"]) for name in names),
                f"{sum(r2) / len(r2):.3f}" if r2 else "",
            ]
        )
    return rows


def renders_table(result: dict[str, Any]) -> Rows:
    """Table of match errors: a row for each method, a column for each number of renders."""
    spent = sorted({record["renders"] for record in result["matched"]})
    methods = dict.fromkeys(record["method"] for record in result["matched"])
    found = {
        (r["method"], r["renders"]): SCORES[MATCH_ERROR](r["scores"]) for r in result["matched"]
    }
    rows = [[f"{MATCH_ERROR} after renders:", *(f"{renders:,}" for renders in spent)]]
    return rows + [[method, *(found.get((method, n), "") for n in spent)] for method in methods]


def sounds_table(result: dict[str, Any]) -> Rows:
    """Table of match error and the field's four metrics: searches with at least `MANY` renders (or
    their most), other methods with at most `FEW`."""
    names = (MATCH_ERROR, "MSS (dB)", "wMFCC", "SOT", "RMS cosine")
    rows = [["", "renders", *names]]
    for record in result["matched"]:
        last = max(r["renders"] for r in result["matched"] if r["method"] == record["method"])
        search = record["family"] == "search"
        if record["renders"] >= min(MANY, last) if search else record["renders"] <= FEW:
            scores = (SCORES[name](record["scores"]) for name in names)
            rows.append([record["method"], f"{record['renders']:,}", *scores])
    return rows


def compared_table(results: Mapping[str, dict[str, Any]]) -> Rows:
    """Table of match errors: a row for each of `COMPARED`, a column for each of `results`."""
    rows = [[MATCH_ERROR, "renders", *results]]
    found = {
        (target, record["method"], record["renders"]): SCORES[MATCH_ERROR](record["scores"])
        for target, result in results.items()
        for record in result["matched"]
    }
    for method, numbers in COMPARED.items():
        for renders in numbers:
            if any(cells := [found.get((target, method, renders), "") for target in results]):
                rows.append([method, f"{renders:,}", *cells])
    return rows


def patches_table(bench: dict[str, Any], kind: str) -> Rows:
    """Table of a benchmark of patches on one kind of sound: of each method, its mean rank among
    those with as many renders, with a 95 % interval, the median match error, means of the field's
    metrics, and of CPU time."""
    rows = [["method", "renders", "mean rank", MATCH_ERROR]]
    rows[0] += ["MSS (dB)", "wMFCC", "SOT", "RMS cosine", "CPU s"]
    found = [row["scores"] for row in bench["sounds"] if row["kind"] == kind and row["scores"]]
    names = dict.fromkeys(name for scores in found for name in scores)
    for name in sorted(names, key=lambda name: int(name.rpartition(", ")[2])):
        method, _, renders = name.rpartition(", ")
        scored = [scores[name] for scores in found if name in scores]
        rank = bench["ranks"][kind].get(name)
        cells = [method, renders, "{:.2f} ({:.2f} to {:.2f})".format(*rank) if rank else ""]
        cells.append(f"{100 * median(one['spectrogram_error'] for one in scored):.3g}")
        means = {key: mean(one[key] for one in scored) for key in scored[0]}
        cells += (SCORES[metric](means) for metric in rows[0][4:8])
        rows.append([*cells, f"{means['cpu_s']:.1f}"])
    return rows
