"""Tables of recordings: notes, sounds, fine-tuning, and warnings."""

from collections.abc import Callable
from typing import Any

from .cells import MATCH_ERROR, SCORES, Rows

METRICS = ("MSS (dB)", "wMFCC", "SOT", "RMS cosine")


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


def notes_table(bench: dict[str, Any]) -> Rows:
    """Table of readers of notes: a row for each kind of recording with each reader's F1 of notes,
    and in brackets that of the worst phrase; then with offsets, and the CPU time."""
    rows = bench["rows"]
    readers = list(rows[0]["scores"])
    table = [["F1 of notes (worst)", "phrases", *readers]]
    kinds = {kind: [row["scores"] for row in rows if row["kind"] == kind] for kind in _kinds(rows)}
    for kind, own in kinds.items():
        found = [[scores[reader]["note_f1"] for scores in own] for reader in readers]
        cells = (f"{sum(one) / len(one):.3f} ({min(one):.2f})" for one in found)
        table.append([kind, str(len(own)), *cells])
    for kind, own in kinds.items():
        found = [[scores[reader]["note_offset_f1"] for scores in own] for reader in readers]
        cells = (f"{sum(one) / len(one):.3f}" for one in found)
        table.append([f"with offsets, {kind}", str(len(own)), *cells])
    pace = (f"{bench['cpu_s_per_s'][reader]:.3f}" for reader in readers)
    return [*table, ["CPU s per s of sound", "", *pace]]


def notes_summary(bench: dict[str, Any]) -> Rows:
    """Table of readers of notes: mean F1 of notes of the main kinds of recordings."""
    rows = bench["rows"]
    readers = list(rows[0]["scores"])
    table = [["F1 of notes", *readers]]
    for kind in _kinds(rows):
        if not kind.startswith(("of these", "a ", "the same", "handheld", "through")):
            own = [row["scores"] for row in rows if row["kind"] == kind]
            means = (sum(one[name]["note_f1"] for one in own) / len(own) for name in readers)
            table.append([kind, *(f"{mean:.3f}" for mean in means)])
    return table


def timbre_summary(bench: dict[str, Any]) -> Rows:
    """The mean match errors of `timbre_table`."""
    head, *rows = timbre_table(bench)
    return [head, *(row for row in rows if row[0].endswith(f", {MATCH_ERROR}"))]


def _kinds(rows: list[dict[str, Any]]) -> list[str]:
    return list(dict.fromkeys(row["kind"] for row in rows))


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
    names = (MATCH_ERROR, *METRICS)
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


def recorded_differences(result: dict[str, Any]) -> Rows:
    """Table of the field's metrics of instruments: means of each method, and in brackets ours minus
    it, with its 95 % interval."""
    sounds = [one for row in result["rows"] if row["kind"] == "instrument" for one in row["sounds"]]
    keys = ("spectrogram_error", "mss_db", "wmfcc", "sot", "rms_cosine")
    table = [[f"{len(sounds)} phrases of instruments", MATCH_ERROR, *METRICS]]
    for method in sounds[0]:
        means = {key: sum(one[method][key] for one in sounds) / len(sounds) for key in keys}
        cells = [SCORES[name](means) for name in table[0][1:]]
        if not method.startswith("ours"):
            for number, key in enumerate(keys):
                scale = 100 if key == "spectrogram_error" else 1
                more, low, high = (scale * v for v in result["ours_minus"][key][method])
                cells[number] += f" ({more:+.3g}: {low:+.3g} to {high:+.3g})"
        table.append([method, *cells])
    return table


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


def beyond_table(bench: dict[str, Any]) -> Rows:
    """Table of how many sounds were warned of, by kind of sound: of instruments on which the
    thresholds were tuned, and of others."""
    warned = bench["warned"]
    rows = [["warned of", *warned]]
    for what in warned["tuned on"]:
        rows.append([what, *("{} of {}".format(*counts[what]) for counts in warned.values())])
    return rows


def timbre_table(bench: dict[str, Any]) -> Rows:
    """Table of answers with knobs and with wavetables: a row for each General MIDI instrument, a
    column for each answer's mean match error; below, the means over all phrases of each kind, also
    of the field's metrics."""
    scored = [row for row in bench["rows"] if row["scores"]]
    answers = list(scored[0]["scores"])
    rows = [["", "phrases", *answers]]

    def means(name: str, show: Callable[[dict[str, Any]], str], some: list[dict]) -> None:
        rows.append([name, str(len(some)), *_mean_cells(some, answers, show)])

    first, *_ = kinds = _kinds(scored)
    for source in dict.fromkeys(row["source"] for row in scored if row["kind"] == first):
        own = [row for row in scored if (row["kind"], row["source"]) == (first, source)]
        means(f"{source}, error (%)", SCORES[MATCH_ERROR], own)
    for kind in kinds:
        own = [row for row in scored if row["kind"] == kind]
        for score in (MATCH_ERROR, *METRICS):
            means(f"{kind}, {score}", SCORES[score], own)
    means("mean, CPU s", _cpu_s, scored)
    return rows


def timbre_ablation_table(bench: dict[str, Any]) -> Rows:
    """Table of what was left out of the wavetables: means over the instruments."""
    rows = bench["rows"]
    variants = list(rows[0]["scores"])
    columns = {name: _mean_cells(rows, variants, SCORES[name]) for name in (MATCH_ERROR, *METRICS)}
    cells = zip(variants, *columns.values(), strict=True)
    return [[f"{len(rows)} tuning instruments", *columns], *map(list, cells)]


def bells_table(bench: dict[str, Any]) -> Rows:
    """Table of partials beside the harmonics: match error of bells and bars, with and without."""
    rows = bench["bells"]
    variants = list(rows[0]["scores"])
    table = [[MATCH_ERROR, *variants]]
    for row in rows:
        table.append([row["source"], *_mean_cells([row], variants, SCORES[MATCH_ERROR])])
    return [*table, ["mean", *_mean_cells(rows, variants, SCORES[MATCH_ERROR])]]


def effects_table(bench: dict[str, Any]) -> Rows:
    """Table of effects that wavetables do not have: mean match errors."""
    rows = bench["effects"]
    answers = list(rows[0]["scores"])
    table = [[MATCH_ERROR, "phrases", *answers]]
    for effect in dict.fromkeys(row["effect"] for row in rows):
        own = [row for row in rows if row["effect"] == effect]
        table.append([effect, str(len(own)), *_mean_cells(own, answers, SCORES[MATCH_ERROR])])
    return table


def _mean_cells(
    rows: list[dict[str, Any]], answers: list[str], show: Callable[[dict[str, Any]], str]
) -> list[str]:
    """For each answer, what `show` says of the means of its scores over the rows."""
    cells = []
    for answer in answers:
        found = [row["scores"][answer] for row in rows]
        cells.append(show({key: sum(f[key] for f in found) / len(found) for key in found[0]}))
    return cells


def _cpu_s(scores: dict[str, Any]) -> str:
    return f"{scores['cpu_s']:.1f}" if "cpu_s" in scores else ""


def one_shots_table(bench: dict[str, Any]) -> Rows:
    """Table of sounds that a single note plays: a row for each kind with each answer's mean match
    error; below, the means over all sounds, also of the field's metrics."""
    rows = bench["rows"]
    answers = list(rows[0]["scores"])
    table = [["", "sounds", *answers]]

    def means(name: str, show: Callable[[dict[str, Any]], str], some: list[dict]) -> None:
        table.append([name, str(len(some)), *_mean_cells(some, answers, show)])

    for kind in _kinds(rows):
        own = [row for row in rows if row["kind"] == kind]
        means(f"{kind}, error (%)", SCORES[MATCH_ERROR], own)
    for score in (MATCH_ERROR, *METRICS):
        means(f"mean, {score}", SCORES[score], rows)
    means("mean, CPU s", _cpu_s, rows)
    return table
