"""The memory of babble: a patch is found again by how it sounded, whatever notes it plays."""

from pathlib import Path

import numpy as np
import pytest
import torch

from mirrornet.features import hear_wide
from mirrornet.models.memory import Memory
from mirrornet.models.mirrornet import MirrorNet, load_model
from mirrornet.plants import Plant, load_plant
from mirrornet.score import Note, Score, to_arrays

MOST = 8  # notes


@pytest.fixture(scope="module")
def plant() -> Plant:
    return load_plant("vital", controls="patch", sample_rate_hz=32000)


def phrase(plant: Plant, patch: dict, seed: int) -> tuple[torch.Tensor, torch.Tensor, np.ndarray]:
    """A patch on random notes: its spectrogram, the notes' values, and its rows."""
    generator = np.random.default_rng((seed, 1))
    keys = generator.integers(48, 73, 4)
    own = {"level": 0.0, "tune": 0.0}
    notes = [Note(int(k), 0.1 + 0.5 * n, 0.5 + 0.5 * n, own) for n, k in enumerate(keys)]
    score = Score(notes, patch, 2.2)
    values, rows = to_arrays(plant.controls, score, MOST)
    heard = hear_wide(plant.render(score), 32000)
    return torch.from_numpy(heard / heard[:128].mean()), torch.from_numpy(values).float(), rows


@pytest.fixture(scope="module")
def remembered(plant: Plant) -> tuple[Memory, list[dict]]:
    patches = [dict(plant.sample(np.random.default_rng(seed)).patch) for seed in range(24)]
    heard, notes, rows = zip(*(phrase(plant, p, n) for n, p in enumerate(patches)), strict=True)
    memory = Memory(len(plant.controls.patch.rows))
    memory.remember(
        torch.stack(heard), torch.stack(notes), torch.from_numpy(np.stack(rows)).float(), 0.1
    )
    return memory, patches


def test_a_patch_is_recalled_by_other_notes_that_it_plays(plant: Plant, remembered):
    memory, patches = remembered
    found = 0
    for number, patch in enumerate(patches):
        heard, notes, rows = phrase(plant, patch, 100 + number)
        recalled, far = memory.recall(heard[None], notes[None], 3)
        assert list(far) == sorted(far)
        found += bool((recalled - torch.from_numpy(rows).float()).abs().max(1).values.min() < 0.01)
    assert found >= 20  # of 24 among three; by chance it would be three


def test_what_is_recalled_does_not_depend_on_level_or_padding(plant: Plant, remembered):
    memory, patches = remembered
    heard, notes, _ = phrase(plant, patches[0], 200)
    wanted = memory.recall(heard[None], notes[None], 5)
    for other in (memory.recall(7 * heard[None], notes[None], 5),
                  memory.recall(heard[None], notes[None, :4], 5)):  # fmt: skip
        for one, same in zip(wanted, other, strict=True):
            torch.testing.assert_close(one, same)


def test_no_more_is_recalled_than_is_remembered(plant: Plant, remembered):
    memory, patches = remembered
    heard, notes, _ = phrase(plant, patches[0], 0)
    assert len(memory.recall(heard[None], notes[None], 99)[0]) == len(memory) == 24


def test_a_memory_is_saved_with_the_model_and_none_is_read_from_earlier_ones(
    plant: Plant, remembered, tmp_path: Path
):
    memory, _ = remembered
    model = MirrorNet("vital", plant.controls, "recording")
    model.encoder.memory = memory
    model.save(tmp_path / "model.json", {}, half=True)
    loaded = MirrorNet.load(tmp_path / "model.json").encoder.memory
    assert torch.equal(loaded.patches, memory.patches)
    torch.testing.assert_close(loaded.keys.float(), memory.keys, atol=1e-3, rtol=1e-3)
    assert float(loaded.decoder_error) == pytest.approx(0.1, rel=1e-3)
    assert len(load_model(None, "patch").encoder.memory) == 0
