"""Tables of the experiments, their ablations, and the tuning of learning rates."""

from collections.abc import Sequence
from typing import Any

from .cells import MATCH_ERROR, SCORES, Rows

ANSWERS = {
    "before": "before listening",
    "encoder": "encoder",
    "imagined": "+ decoder, no render",
    "refined 10": "+ 10 renders",
    "refined 50": "+ 50 renders",
    "constant": "constant guess",
    "random": "random controls",
    "floor": "true controls, played again",
}


def experiment_table(result: dict[str, Any], paper: dict[str, Any] | None = None) -> Rows:
    """Table of one experiment: a column for each answer, a row for each score. `paper` is a result
    of the paper's recipe, whose encoder is added as a column."""
    scores = result["scores"]
    columns = {label: scores[key] for key, label in ANSWERS.items() if key in scores}
    if paper:
        columns[f"paper {paper['budget']}, encoder"] = paper["scores"]["encoder"]
    rows = [["", *columns]]
    for name, show in SCORES.items():
        if any(cells := [show(score) for score in columns.values()]):
            rows.append([name, *cells])
    for knob in scores["encoder"]["controls"]:
        for key, what in (("r2", "R² {}"), ("r2_audible", "R² {}, where audible")):
            found = [score["controls"].get(knob, {}).get(key) for score in columns.values()]
            if any(r2 is not None for r2 in found):
                cells = ("" if r2 is None else f"{r2:.3f}" for r2 in found)
                rows.append([what.format(knob), *cells])
    return rows


def variants_table(
    results: Sequence[dict[str, Any]],
    reading: Sequence[str] = ("before", "encoder", "imagined"),  # later ones keep these notes
    answers: Sequence[str] = tuple(key for key in ANSWERS if key != "random"),
) -> Rows:
    """Table of variants, one per row: notes right of the answers `reading`, and match errors of
    `answers`, in order of increasing effort."""
    error, notes = SCORES[MATCH_ERROR], SCORES["notes right (%)"]
    labels = {key: ANSWERS[key] for key in answers if any(key in r["scores"] for r in results)}
    rows = [
        [
            "",
            *(f"notes right (%), {ANSWERS[key]}" for key in reading),
            *(f"error (%), {label}" for label in labels.values()),
        ]
    ]
    for result in results:
        scores = result["scores"]
        found = (notes(scores[key]) for key in reading)
        rows.append(
            [result["variant"], *found, *(error(scores[k]) if k in scores else "" for k in labels)]
        )
    return rows


def control_table(result: dict[str, Any]) -> Rows:
    """Table of the mean absolute error of each control, in its unit, for each answer."""
    scores = {label: result["scores"][k] for k, label in ANSWERS.items() if k in result["scores"]}
    rows = [["", *scores]]
    for name in result["scores"]["encoder"]["controls"]:
        cells = (score["controls"][name]["mae_physical"] for score in scores.values())
        rows.append([f"{name} ({result['units'][name]})", *(f"{cell:.3g}" for cell in cells)])
    return rows


def ablation_table(result: dict[str, Any]) -> Rows:
    """Table of ablations, one per row: the encoder's match error before and after training on
    targets."""
    sounds = list(result["rows"][0]["before_and_after"])
    when = [f"{name}, {when} listening" for name in sounds for when in ("before", "after")]
    rows = [[MATCH_ERROR, "renders", *when]]
    for row in result["rows"]:
        errors = (f"{100 * e:.3g}" for name in sounds for e in row["before_and_after"][name])
        rows.append([row["what"], f"{row['renders']:,}", *errors])
    return rows


def tuning_table(result: dict[str, Any]) -> Rows:
    """Table of match errors: a row for each method, a column for each learning-rate factor."""
    factors = sorted({row["factor"] for row in result["rows"]})
    found = {(r["method"], r["factor"]): 100 * r["spectrogram_error"] for r in result["rows"]}
    rows = [[f"{MATCH_ERROR}, learning rate times", *map(str, factors)]]
    for method in dict.fromkeys(row["method"] for row in result["rows"]):
        rows.append([method, *(f"{found[method, factor]:.3g}" for factor in factors)])
    return rows
