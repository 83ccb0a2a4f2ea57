"""The benchmark of large control sets: its methods, its ranks, and a small run of all of it."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from mirrornet.controls import Control, ControlSpace
from mirrornet.experiments import patches
from mirrornet.experiments.baselines.flow import FlowReader
from mirrornet.experiments.baselines.patch_reading import (
    FRAMES,
    PatchReader,
    cnn_reader,
    seen,
)
from mirrornet.experiments.tables.benchmark import patches_table
from mirrornet.plants import load_plant

SPACE = ControlSpace(
    (
        Control("colour", "%", 0.0, 100.0, scope="patch"),
        Control("phase", "turns", 0.0, 1.0, circular=True, scope="patch"),
        Control("wave", kind="choice", choices=("sine", "saw", "square"), scope="patch"),
        Control("on", kind="switch", scope="patch"),
    ),
    "small",
)
PATCH = torch.tensor([[0.8, 0.3, 0.5, 1.0], [0.2, 0.9, 0.0, 0.0]])


def sounds() -> torch.Tensor:
    """Two sounds that are easy to tell apart."""
    heard = torch.zeros(2, 128, FRAMES)
    heard[0, 20:40], heard[1, 80:100] = 1.0, 1.0
    return heard


@pytest.mark.slow
@pytest.mark.parametrize("make", [cnn_reader, FlowReader])
def test_each_reader_learns_the_patches_of_two_sounds(make):
    torch.manual_seed(0)
    reader: PatchReader = make(SPACE).train()
    adam = torch.optim.AdamW(reader.parameters(), 5e-4)
    batch = sounds().repeat(2, 1, 1), PATCH.repeat(2, 1)
    for _ in range(60):
        adam.zero_grad()
        reader.loss(*batch).backward()
        adam.step()
    reader.eval()
    for number in range(2):
        found = reader.patches(sounds()[number : number + 1], 8, seed=0).mean(0)
        wanted, other = PATCH[number], PATCH[1 - number]
        # A turn and none are the same phase; here no phase is near either.
        assert ((found - wanted).abs() < (found - other).abs()).all()


def test_draws_of_the_flow_are_patches_and_repeat_themselves():
    torch.manual_seed(0)
    reader = FlowReader(SPACE).eval()
    drawn = reader.patches(sounds()[:1], 5, seed=3)
    assert drawn.shape == (5, 4)
    assert ((drawn >= 0) & (drawn <= 1)).all()
    assert set(drawn[:, 2].tolist()) <= {0.0, 0.5, 1.0}
    assert set(drawn[:, 3].tolist()) <= {0.0, 1.0}
    assert torch.equal(drawn, reader.patches(sounds()[:1], 5, seed=3))
    assert not torch.equal(drawn, reader.patches(sounds()[:1], 5, seed=4))


def test_short_and_long_sounds_are_seen_alike():
    short = np.zeros((176, 300), np.float32)
    short[30, :200] = 1.0
    long = np.zeros((176, 900), np.float32)
    long[:, :300] = short
    assert seen(short).shape == (1, 128, FRAMES)
    torch.testing.assert_close(seen(short), seen(long))
    louder = np.log1p(3 * np.expm1(4 * short)) / 4
    torch.testing.assert_close(seen(short), seen(louder))


def row(kind: str, **errors: float) -> dict:
    scores = {
        name.replace("_", ", "): {"mss_db": e, "wmfcc": e, "sot": e, "rms_cosine": 1 - e}
        for name, e in errors.items()
    }
    return {"kind": kind, "scores": scores}


def test_ranks_compare_methods_with_as_many_renders():
    rows = [row("notes", a_0=0.1, b_0=0.3, a_50=0.2, b_50=0.1) for _ in range(9)]
    rows += [row("notes", a_0=0.4, b_0=0.3, a_50=0.2, b_50=0.1), {"kind": "notes", "scores": {}}]
    rows += [row("phrases", a_0=9.0, b_0=0.0, a_50=9.0, b_50=0.0)]
    found = patches.ranks(rows, "notes", seed=0)
    assert found["a, 0"][0] == pytest.approx(1.1)
    assert found["b, 0"][0] == pytest.approx(1.9)
    assert found["b, 50"] == [1.0, 1.0, 1.0]
    low, high = found["a, 0"][1:]
    assert 1.0 <= low < 1.1 < high < 1.5


@pytest.mark.slow
def test_samples_are_held_out_and_repeat_themselves():
    plant = load_plant("dx7", controls="all", sample_rate_hz=44100)
    drawn = list(patches.samples(plant, 2, 0))
    assert [sample.kind for sample in drawn] == [
        *("phrases", "phrases", "single notes", "single notes", "instruments", "instruments")
    ]
    for sample, again in zip(drawn, patches.samples(plant, 2, 0), strict=True):
        assert len(sample.sound) == 4 * 44100
        np.testing.assert_array_equal(sample.sound, again.sound)
        if sample.score is not None:
            np.testing.assert_array_equal(sample.sound, plant.render(sample.score))
    different = list(patches.samples(plant, 2, 1))
    assert not np.array_equal(drawn[0].sound, different[0].sound)


@pytest.mark.slow
def test_a_small_benchmark_of_all_methods(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    small = patches.Size(babble=64, sounds=1, marks=(2, 6), epochs=0.1)
    monkeypatch.setitem(patches.SIZES, "quick", small)
    places = tmp_path / "results", tmp_path / "runs"
    written = patches.run_patches("dx7-all", "quick", 0, *places)
    result = json.loads(written.read_bytes())
    assert (result["plant"], result["controls"], result["rows_of_a_patch"]) == ("dx7", "all", 145)
    assert set(result["learning_cpu_s"]) == {"MirrorNet", "CNN", "AST", "flow matching"}
    assert [one["kind"] for one in result["sounds"]] == ["phrases", "single notes", "instruments"]
    scores = result["sounds"][0]["scores"]
    at_once = {name for name in scores if name.endswith(", 0")}
    assert at_once == {
        *("MirrorNet, 0", "CNN, 0", "AST, 0", "flow matching, 0"),
        *("constant guess, 0", "random patch, 0", "true patch, 0"),
    }
    for method in ("CMA-ES", "genetic algorithm", "nearest in the babble", "flow matching"):
        assert {f"{method}, 2", f"{method}, 6"} <= set(scores)
    # The true patch is the best there is.
    errors = {name: one["spectrogram_error"] for name, one in scores.items()}
    assert errors["true patch, 0"] <= min(errors.values()) + 1e-6
    head, *table = patches_table(result, "phrases")
    assert all(len(line) == len(head) for line in table)
    assert [line[:2] for line in table if line[1] == "6"] == [
        *(["MirrorNet", "6"], ["MirrorNet, untrained", "6"], ["CMA-ES", "6"]),
        *(["genetic algorithm", "6"], ["nearest in the babble", "6"], ["flow matching", "6"]),
    ]
    # Finished sounds are kept.
    before = written.read_bytes()
    written.unlink()
    again = patches.run_patches("dx7-all", "quick", 0, *places, resume=True)
    assert json.loads(again.read_bytes())["sounds"] == json.loads(before)["sounds"]
