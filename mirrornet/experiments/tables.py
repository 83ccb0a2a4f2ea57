"""Tables from `results/*.json`, inserted in README and docs between markers.

python -m mirrornet.experiments.tables          regenerates the tables of all pages
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import mean, median
from typing import Any

from ..storage import write_atomically
from .settings import SETTINGS

Rows = list[list[str]]
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


FEW, MANY = 200, 2000  # renders per melody
# The README's excerpt of the benchmark: methods, and numbers of renders per melody.
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
# Experiments whose training did not start from the shipped weights.
START: dict[str, str] = dict.fromkeys(("experiment-1-own", "experiment-2-ten"), "full")
SUMMARISED = ("own", "ten", "rhodes")
PLANTS = ("dx7", "amsynth", "faust-subtractive")  # with the quick budget
PAGES = (
    "README.md",
    *(f"docs/{page}.md" for page in ("experiments", "recordings", "benchmark", "speed", "scale")),
)


def _percent(key: str) -> Callable[[dict[str, Any]], str]:
    return lambda score: f"{100 * score[key]:.3g}" if key in score else ""


def _number(key: str, digits: int) -> Callable[[dict[str, Any]], str]:
    return lambda score: f"{score[key]:.{digits}f}" if key in score else ""


MATCH_ERROR = "match error (% of variance)"
SCORES: dict[str, Callable[[dict[str, Any]], str]] = {
    "notes right (%)": _percent("notes_right"),
    "onset error (ms)": _number("onset_error_ms", 2),
    "duration error (ms)": _number("duration_error_ms", 2),
    MATCH_ERROR: _percent("spectrogram_error"),
    "e_c (% of variance)": _percent("e_c"),
    "e_d (% of variance)": _percent("e_d"),
    "MSS (dB)": _number("mss_db", 2),
    "wMFCC": _number("wmfcc", 2),
    "SOT": _number("sot", 4),
    "RMS cosine": _number("rms_cosine", 4),
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


def recordings_table(result: dict[str, Any]) -> Rows:
    """Table of transcription: a row for each source, F-measures of each transcriber; means over the
    instruments last."""
    keys = {"onset_f1": "onsets", "note_f1": "notes", "note_offset_f1": "with offsets"}
    scored = [row for row in result["rows"] if "note_f1" in row["notes"].get("ours", {})]
    readers = list(scored[0]["notes"])
    rows = [["F1 of", *(f"{what}, {name}" for what in keys.values() for name in readers)]]
    figures = {
        row["source"]: [row["notes"][name][key] for key in keys for name in readers]
        for row in scored
    }
    for source, cells in figures.items():
        rows.append([source, *(f"{cell:.3f}" for cell in cells)])
    instruments = [figures[row["source"]] for row in scored if row["kind"] == "instrument"]
    means = (sum(column) / len(column) for column in zip(*instruments, strict=True))
    return [*rows, ["mean of the instruments", *(f"{mean:.3f}" for mean in means)]]


def pitch_class_table(result: dict[str, Any]) -> Rows:
    """Table of real recordings whose pitch class is known: share of the transcribed notes' duration
    that has it, for each transcriber."""
    key = "pitch_class"
    known = [row for row in result["rows"] if key in row["notes"].get("ours", {})]
    readers = list(known[0]["notes"]) if known else []
    rows = [["right pitch class (%)", *readers]]
    for row in known:
        shares = (f"{100 * row['notes'][name][key]:.0f}" for name in readers)
        rows.append([row["source"], *shares])
    return rows


def recorded_sounds_table(result: dict[str, Any]) -> Rows:
    """Table of match error and the field's four metrics, for each source and method; means over the
    instruments last."""
    names = (MATCH_ERROR, "MSS (dB)", "wMFCC", "SOT", "RMS cosine")
    rows = [["sound of", "matched by", "renders", *names, "sounds"]]
    scored = [row for row in result["rows"] if row["sound"]]
    methods = list(scored[0]["sound"])
    for row in scored:
        for method in methods:
            scores = row["sound"][method]
            count = f"{row['matched']} of {row['matched'] + row['unheard']}"
            cells = (SCORES[name](scores) for name in names)
            rows.append([row["source"], method, f"{scores['renders']:.0f}", *cells, count])
    instruments = [row["sound"] for row in scored if row["kind"] == "instrument"]
    for method in methods:
        own = [sound[method] for sound in instruments]
        means = {key: sum(one[key] for one in own) / len(own) for key in own[0]}
        cells = (SCORES[name](means) for name in names)
        renders = f"{means['renders']:.0f}"
        rows.append(["mean of the instruments", method, renders, *cells, ""])
    return rows


def recorded_summary(result: dict[str, Any]) -> Rows:
    """Table of means: a row for each score and method, a column for each kind of source."""
    groups = {
        what: [row for row in result["rows"] if what in (row["source"], row["kind"])]
        for what in ("instrument", "a voice", "real recordings")
    }
    figures: list[tuple[str, str, str, Callable[[float], str]]] = [
        ("F1 of notes", "notes", "note_f1", "{:.3f}".format),
        ("right pitch class (%)", "notes", "pitch_class", lambda share: f"{100 * share:.0f}"),
        ("match error (%)", "sound", "spectrogram_error", lambda error: f"{100 * error:.3g}"),
    ]
    rows = [["", *groups]]
    rows[0][1] = "mean of the instruments"
    for what, part, key, show in figures:
        for method in dict.fromkeys(name for row in result["rows"] for name in row[part]):
            found = (
                [row[part][method][key] for row in group if key in row[part].get(method, {})]
                for group in groups.values()
            )
            cells = (show(sum(one) / len(one)) if one else "" for one in found)
            rows.append([f"{what}, {method}", *cells])
    return rows


def listening_table(result: dict[str, Any]) -> Rows:
    """Table of fine-tuning, a row for each folder: match error of held-out files."""
    rows = [[MATCH_ERROR, "before", "after", "files held out", "better"]]
    for row in result["rows"]:
        errors = (f"{100 * error:.3g}" for error in row["spectrogram_error"].values())
        rows.append([row["source"], *errors, str(row["held_out"]), str(row["better"])])
    return rows


def markdown(rows: Rows) -> str:
    """Format rows of cells as a Markdown table; the first row is the header."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + " --- |" * len(rows[0]), *lines[1:]])


def cochlea_table(bench: dict[str, Any]) -> Rows:
    """Table of front ends: time for a melody on one thread, and its ratio to mirrornet's."""
    rows = [["front end, one thread", "rate (Hz)", "batch", "ms per 2 s melody", "times ours"]]
    for row in bench["rows"]:
        cells = (row[key] for key in ("front_end", "sample_rate_hz", "batch"))
        rows.append([*map(str, cells), f"{row['ms_per_melody']:.1f}", f"{row['times_ours']:.1f}"])
    return rows


def plant_table(bench: dict[str, Any]) -> Rows:
    """Table of the speed of rendering and of spectrograms, with and without worker processes."""
    rows = [["the synthesizer", "workers", "melodies per s", "times real time", "times one worker"]]
    for row in bench["rows"]:
        workers = str(row["workers"] or "none")
        numbers = (row[k] for k in ("melodies_per_s", "times_real_time", "times_one_worker"))
        rows.append([row["work"], workers, *map(str, numbers)])
    return rows


def matching_table(bench: dict[str, Any]) -> Rows:
    """Table of the time and memory that `mirrornet match` takes, by length of the recording."""
    rows = [["recording (s)", "notes", "heard (s)", "written (s)", "all CPU (s)"]]
    rows[0] += ["matching (CPU s)", "memory (MB)"]
    for row in bench["rows"]:
        keys = ("length_s", "notes", "heard_s", "took_s", "cpu_s", "matching_cpu_s", "memory_mb")
        rows.append([f"{row[key]:,}" for key in keys])
    return rows


def patches_table(bench: dict[str, Any]) -> Rows:
    """Table of a benchmark of patches: of each method, for each kind of sound, its mean rank among
    those with as many renders, with a 95 % interval, the median match error, and the field's
    metrics."""
    kinds = list(bench["ranks"])
    rows = [["method", "renders"]]
    for kind in kinds:
        rows[0] += [f"{kind}: rank", "error (%)", "MSS (dB)", "wMFCC", "SOT", "RMS cosine"]
    names = dict.fromkeys(name for row in bench["sounds"] for name in row["scores"])
    for name in sorted(names, key=lambda name: int(name.rpartition(", ")[2])):
        method, _, renders = name.rpartition(", ")
        cells = [method, renders]
        for kind in kinds:
            scored = [row["scores"] for row in bench["sounds"] if row["kind"] == kind]
            scored = [one[name] for one in scored if name in one]
            if not scored:
                cells += [""] * 6
                continue
            rank = bench["ranks"][kind].get(name)
            cells.append("{:.2f} ({:.2f}-{:.2f})".format(*rank) if rank else "")
            cells.append(f"{100 * median(one['spectrogram_error'] for one in scored):.3g}")
            for metric, digits in (("mss_db", 2), ("wmfcc", 2), ("sot", 4), ("rms_cosine", 3)):
                cells.append(f"{mean(one[metric] for one in scored):.{digits}f}")
        rows.append(cells)
    return rows


def cluster_table(bench: dict[str, Any]) -> Rows:
    """Table of the throughput of a pool on a cluster, beside that of the local pool."""
    rows = [["rows per s", "local", "cluster", "cluster / local"]]
    for key, ratio in bench["ray_to_local"].items():
        both = (bench["rows_per_s"][f"{where}, {key}"] for where in ("local", "ray"))
        what = key.replace("1 workers", "1 worker")
        rows.append([what, *(f"{rate:,.0f}" for rate in both), f"{ratio:.2f}"])
    return rows


def beyond_table(bench: dict[str, Any]) -> Rows:
    """Table of how many sounds were warned of, by kind of sound: of instruments on which the
    thresholds were tuned, and of others."""
    warned = bench["warned"]
    rows = [["warned of", *warned]]
    for what in warned["tuned on"]:
        rows.append([what, *("{} of {}".format(*counts[what]) for counts in warned.values())])
    return rows


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
        "recordings": lambda: recordings_table(result("recordings-seed-0")),
        "pitch-class": lambda: pitch_class_table(result("recordings-seed-0")),
        "recordings-summary": lambda: recorded_summary(result("recordings-seed-0")),
        "recorded-sounds": lambda: recorded_sounds_table(result("recordings-seed-0")),
        "beyond": lambda: beyond_table(result("beyond-seed-0")),
        "cochlea": lambda: cochlea_table(result("bench-cochlea")),
        "plant": lambda: plant_table(result("bench-plant")),
        "matching": lambda: matching_table(result("bench-matching")),
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

    def rendered(place: re.Match[str]) -> str:
        return f"{place[1]}{markdown(tables[place[2]]())}\n{place[3]}"

    pattern = r"(<!-- table: (\S+) -->\n).*?(<!-- end -->)"
    text = re.sub(pattern, rendered, page.read_text(), flags=re.DOTALL)
    write_atomically(page, lambda path: path.write_text(text))


if __name__ == "__main__":
    for name in PAGES:
        render_tables(Path(name))
