"""The benchmark runs from end to end, tiny, on the real synthesizer, and shows what it found."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mirrornet.app.cli import main
from mirrornet.errors import MirrorNetError, OutputError
from mirrornet.events import Progress
from mirrornet.experiments import benchmark, matchers, settings
from mirrornet.experiments.baselines.cma_es import CmaEs
from mirrornet.experiments.benchmark import Budget, run_benchmark
from mirrornet.experiments.curves import benchmark_curves
from mirrornet.experiments.settings import find_setting
from mirrornet.experiments.tables.benchmark import learned_table, renders_table, sounds_table
from mirrornet.plants import worker
from mirrornet.plants.pool import Pool
from mirrornet.training import melodies, trainer
from mirrornet.training.melodies import MirrorRecipe

BABBLE, RENDERS = 16, 6
OURS = {"MirrorNet, babble only", "MirrorNet, listened"}
SEARCHES = {
    "random search",
    "nearest in the babble",
    "genetic algorithm",
    "CMA-ES",
    "CMA-ES from our notes",
}
LEARNED = {"encoder, babble only", "encoder, listened", "CNN", "AST"}
TRIVIAL = {"constant guess", "true controls, played again"}
FIELD = {"mss_db", "wmfcc", "sot", "rms_cosine"}


@pytest.fixture
def tiny(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settings, "TARGETS", 4)
    monkeypatch.setattr(settings, "HELD_OUT", 2)
    monkeypatch.setattr(benchmark, "SEARCHED", 1)
    monkeypatch.setattr(benchmark, "MARKS", (1, RENDERS))
    monkeypatch.setattr(melodies, "LISTENING_BABBLE", 8)
    monkeypatch.setitem(benchmark.BUDGETS, "quick", Budget((8, BABBLE), RENDERS, RENDERS, (3,)))
    epochs = {"mirror": 1, "cnn": 2, "ast": 1}
    for module in (matchers, benchmark):
        monkeypatch.setattr(module, "EPOCHS", {8: epochs, BABBLE: epochs})
    monkeypatch.setattr(
        matchers,
        "MirrorRecipe",
        lambda **plan: MirrorRecipe(batch=8, batch_e_c=2, rounds=1, round_steps=1, **plan),
    )
    monkeypatch.setattr(matchers, "TIMED", 1)
    for module in (worker, trainer, benchmark):
        monkeypatch.setattr(module, "usable_cores", lambda: 1)
    for name, (label, kind, recipe) in matchers.PEERS.items():
        monkeypatch.setitem(matchers.PEERS, name, (label, kind, replace(recipe, batch=8)))


@pytest.fixture
def played(monkeypatch):
    """How many rows the workers were asked to play."""
    counts = [0]
    stream = Pool.map

    def count(self, work, rows, chunk):
        counts[0] += len(rows)
        return stream(self, work, rows, chunk)

    monkeypatch.setattr(Pool, "map", count)
    return counts


@pytest.mark.slow
def test_every_method_is_scored_within_its_budget_and_nothing_is_done_twice(
    tiny, played, capsys, monkeypatch
):
    for package in ("cma", "pymoo", "librosa"):
        pytest.importorskip(package)
    path = run_benchmark(find_setting(1))
    result = json.loads(path.read_text())
    assert path.name == "bench-experiment-1-own-quick-seed-0.json"
    assert path.with_suffix(".png").stat().st_size > 10_000
    assert sorted(folder.name for folder in Path("runs").iterdir()) == [
        "bench-babble-vital-set1-quick-seed-0",
        "bench-experiment-1-own-quick-seed-0",
    ]

    learned, matched = result["learned"], result["matched"]
    assert {(r["method"], r["babble"]) for r in learned} == {
        (method, babble) for method in LEARNED for babble in (8, BABBLE)
    }
    for record in learned:
        listened = 4 if record["method"] == "encoder, listened" else 0
        assert record["learning_renders"] == record["babble"] + listened
        assert record["learning_cpu_s"] > 0
        assert record["ms_per_melody"] > 0
        assert record["melodies"] == 2
        assert set(record["scores"]["controls"]) >= {"cutoff", "decay"}
    spent = {}
    for record in matched:
        spent.setdefault(record["method"], []).append(record["renders"])
    assert spent == (
        {method: [0] for method in LEARNED | TRIVIAL}
        | {method: [1, RENDERS] for method in SEARCHES}
        | {method: [0, 3] for method in OURS}
    )
    assert all(set(record["scores"]) >= FIELD for record in learned + matched)

    def error(method: str, renders: int) -> float:
        found = (r for r in matched if (r["method"], r["renders"]) == (method, renders))
        return next(found)["scores"]["spectrogram_error"]

    assert error("true controls, played again", 0) < 1e-6
    assert all(error(method, RENDERS) <= error(method, 1) for method in SEARCHES)
    assert all(error(method, 3) <= error(method, 0) for method in OURS)

    with pytest.raises(OutputError, match="--resume"):
        run_benchmark(find_setting(1))
    before = played[0]
    assert main(["bench", "--resume"]) == 0
    shown = capsys.readouterr().out
    assert "genetic algorithm" in shown
    assert "AST" in shown
    again = json.loads(path.read_text())
    assert played[0] == before
    assert again["learned"] == learned
    assert again["matched"] == matched

    monkeypatch.setattr(benchmark, "SEARCHED", 2)
    with pytest.raises(OutputError, match="another run"):
        run_benchmark(find_setting(1), resume=True)

    monkeypatch.setattr(benchmark, "SEARCHED", 1)
    shutil.rmtree("runs")
    for work in ("learn", "train_supervised"):
        monkeypatch.setattr(matchers, work, None)
    monkeypatch.setattr(benchmark, "search", None)
    said = []
    scored = json.loads(run_benchmark(find_setting(1), progress=Progress(said.append)).read_text())
    assert any("are not looked for again" in event.text for event in said)
    for record, before in zip(scored["matched"], matched, strict=True):
        assert record["method"] == before["method"]
        error = before["scores"]["spectrogram_error"]
        assert record["scores"]["spectrogram_error"] == pytest.approx(error, abs=1e-6)


@pytest.mark.slow
def test_sounds_of_another_instrument_are_matched_alike(tiny, monkeypatch):
    for package in ("cma", "pymoo", "librosa", "tinysoundfont"):
        pytest.importorskip(package)
    starts = []
    monkeypatch.setattr(
        benchmark,
        "CmaEs",
        lambda *where, start=None: starts.append(start) or CmaEs(*where, start=start),
    )
    result = json.loads(run_benchmark(find_setting(3)).read_text())
    matched = {record["method"]: record for record in result["matched"]}
    assert set(matched) == LEARNED | SEARCHES | OURS | {"constant guess"}
    assert all(record["scores"]["controls"] == {} for record in matched.values())
    assert [start is None for start in starts] == [True, False]
    notes, knobs = starts[1][:2], starts[1][2:]
    assert len(np.unique(notes)) > 2
    assert (knobs == 0.5).all()


def record(method: str, family: str, renders: int, error: float, **more: Any) -> dict:
    scores = {"spectrogram_error": error, "mss_db": 10 * error, "notes_right": 1.0, "controls": {}}
    return {"method": method, "family": family, "renders": renders, "scores": scores, **more}


COURSE = [
    {"learning_renders": 400, "learning_cpu_s": 60.0, "spectrogram_error": 0.9},
    {"learning_renders": 6000, "learning_cpu_s": 900.0, "spectrogram_error": 0.5},
]
RESULT = {
    "what": "melodies",
    "learned": [
        record("CNN", "learned", 0, 0.25, babble=2000, learning_renders=2000, learning_cpu_s=90.0),
        record("the paper's encoder, full", "paper", 0, 0.5, **COURSE[-1], course=COURSE),
    ],
    "matched": [
        record("encoder, listened", "ours", 0, 0.03),
        record("MirrorNet, listened", "ours", 0, 0.02),
        record("MirrorNet, listened", "ours", 50, 0.001),
        record("MirrorNet, listened", "ours", 1000, 0.0009),
        record("CNN", "learned", 0, 0.25),
        record("CMA-ES", "search", 50, 0.8),
        record("CMA-ES", "search", 2000, 0.1),
        record("CMA-ES", "search", 20000, 0.01),
        record("constant guess", "trivial", 0, 1.4),
        record("true controls, played again", "trivial", 0, 0.0),
    ],
}


def test_tables_have_a_row_for_each_method():
    rows = renders_table(RESULT)
    assert rows[0][1:] == ["0", "50", "1,000", "2,000", "20,000"]
    assert ["MirrorNet, listened", "2", "0.1", "0.09", "", ""] in rows
    assert ["CMA-ES", "", "80", "", "10", "1"] in rows
    assert len(rows) == 1 + 6
    rows = learned_table(RESULT)
    assert [row[:4] for row in rows[1:]] == [
        ["CNN", "2000", "2000", "1.5"],
        ["the paper's encoder, full", "", "6000", "15.0"],
    ]
    assert len({len(row) for row in rows}) == 1
    rows = sounds_table(RESULT)
    assert [row[:4] for row in rows if row[0] in ("CMA-ES", "CNN")] == [
        ["CNN", "0", "25", "2.50"],
        ["CMA-ES", "2,000", "10", "1.00"],
        ["CMA-ES", "20,000", "1", "0.10"],
    ]
    assert [row[1] for row in rows if row[0].startswith("MirrorNet")] == ["0", "50"]
    assert len({len(row) for row in rows}) == 1


def test_the_picture_names_every_method_and_has_a_place_for_no_render():
    figure = benchmark_curves(RESULT)
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    drawn = {record["method"] for record in RESULT["matched"] + RESULT["learned"]}
    # What is 0 has no place on a logarithmic axis.
    assert sorted(names) == sorted(drawn - {"true controls, played again"})
    axis, learning = figure.axes
    (paper,) = (line for line in learning.lines if "paper" in str(line.get_label()))
    assert np.array_equal(paper.get_xydata(), [[400, 90], [6000, 50]])
    assert [tick.get_text() for tick in axis.get_xticklabels()][:2] == ["0", "1"]
    assert axis.get_xlim()[1] > 20000
    assert "% of variance" in axis.get_ylabel()


def test_the_paper_stands_beside_if_it_was_run(tmp_path):
    scores = {"encoder": {"spectrogram_error": 0.4}}
    result = {"budget": "full", "held_out": 80, "plant_renders": 7, "course": COURSE}
    text = json.dumps(result | {"scores": scores})
    (tmp_path / "experiment-1-own-paper-full-seed-0.json").write_text(text)
    (found,) = benchmark.paper_records(find_setting(1), 0, tmp_path)
    assert found["learning_renders"] == 7
    assert found["scores"] == scores["encoder"]
    assert benchmark.paper_records(find_setting(1), 1, tmp_path) == []
    assert benchmark.paper_records(find_setting(3), 0, tmp_path) == []


def test_what_is_missing_or_wrong_is_said_in_a_sentence(tiny, monkeypatch, capsys):
    assert main(["bench", "--variant", "kazoo"]) == 2
    assert (
        "has the variants own, dx7, amsynth, faust-subtractive, not kazoo"
        in capsys.readouterr().err
    )
    for options in (["--experiment", "2"], ["--budget", "endless"], ["--seed", "-1"]):
        with pytest.raises(SystemExit) as stopped:
            main(["bench", *options])
        assert stopped.value.code == 2
        assert "Traceback" not in capsys.readouterr().err

    def missing(name):
        raise MirrorNetError(f"{name} is needed")

    monkeypatch.setattr(benchmark, "bench_module", missing)
    assert main(["bench"]) == 2
    assert capsys.readouterr().err == "mirrornet: cma is needed\n"
    assert not Path("runs").exists()


def test_there_are_epochs_for_every_size_of_babble():
    for budget in benchmark.BUDGETS.values():
        assert set(budget.babbles) <= set(matchers.EPOCHS)
