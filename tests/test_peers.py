"""Searches under one render budget: counted, repeatable, resumable, and not fooled."""

import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest

import mirrornet.experiments.baselines.ledger
from mirrornet.errors import MirrorNetError, OutputError, PlantError
from mirrornet.events import Progress
from mirrornet.experiments.baselines.cma_es import CmaEs
from mirrornet.experiments.baselines.genetic import Genetic
from mirrornet.experiments.baselines.nearest import Nearest, babble_distances
from mirrornet.experiments.baselines.random_search import RandomSearch
from mirrornet.experiments.baselines.search import FAILED, Search, search
from mirrornet.metrics import spectrogram_error
from mirrornet.plants.pool import Pool
from mirrornet.plants.vital import SET1
from mirrornet.training.sampling import random_melodies

MIXTURE = np.random.default_rng(0).normal(size=(35, 128 * 3)) / 6


def heard_of(controls: np.ndarray) -> np.ndarray:
    """A smooth function of the knobs that rounds pitch, as a plant does."""
    rounded = controls.copy()
    rounded[..., 0, :] = np.rint(12 * rounded[..., 0, :]) / 12
    flat = rounded.reshape(*controls.shape[:-2], 35)
    return np.tanh(flat @ MIXTURE).reshape(*controls.shape[:-2], 128, 3).astype(np.float32)


class Echo(Pool):
    """A pool without workers or sound. Counts renders; is interrupted after some of them."""

    def __init__(self, renders: int | None = None, fails=lambda row: False):
        self.name, self.controls, self.sample_rate_hz = "echo", SET1, 8000
        self.progress = Progress()
        self.renders, self._most, self._fails = 0, renders, fails

    def hear(self, controls, hearing="loudness", chunk=16):
        for row in self.controls.check(controls):
            if self.renders == self._most:
                raise KeyboardInterrupt
            self.renders += 1
            yield PlantError("it crashed.") if self._fails(row) else heard_of(row)


TRUE = random_melodies(SET1, "tuning", 3, seed=0)
TARGETS = heard_of(TRUE)
BABBLE = random_melodies(SET1, "babble", 150, seed=0)


def cma_es(number: int, seed: int = 0, **options) -> Search:
    pytest.importorskip("cma")
    return CmaEs(SET1, (seed, number), **options)


def genetic(number: int, seed: int = 0) -> Search:
    pytest.importorskip("pymoo")
    return Genetic(SET1, (seed, number))


def random_search(number: int, seed: int = 0) -> Search:
    return RandomSearch(SET1, (seed, number))


def nearest(number: int) -> Search:
    return Nearest(BABBLE, babble_distances(heard_of(BABBLE), TARGETS)[number])


RANDOM = [cma_es, genetic, random_search]
PEERS = [*RANDOM, nearest]
MARKS = (1, 10, 50, 120)


def same(one, other) -> bool:
    return np.array_equal(one.errors, other.errors) and np.array_equal(one.controls, other.controls)


@pytest.mark.parametrize("peer", PEERS)
def test_a_course_is_the_best_so_far_with_exactly_the_renders_of_each_mark(peer):
    pool = Echo()
    course = search(peer, pool, TARGETS, 120, MARKS)
    assert pool.renders == 3 * 120
    assert course.marks == MARKS
    assert (course.errors.shape, course.controls.shape) == ((4, 3), (4, 3, 7, 5))
    assert (np.diff(course.errors, axis=0) <= 0).all()
    for at in range(4):
        for target, controls, error in zip(
            TARGETS, course.controls[at], course.errors[at], strict=True
        ):
            assert spectrogram_error(target[None], heard_of(controls)[None]) == error
    for at, target in np.ndindex(4, 3):
        few = search(lambda _, t=target: peer(t), Echo(), TARGETS[[target]], MARKS[at], [MARKS[at]])
        assert few.errors == course.errors[at, target]


class Greedy(RandomSearch):
    """Asks for more than others do, and more for each target than for the last."""

    def __init__(self, number: int):
        super().__init__(SET1, (0, number))
        self._shape = (7 * number + 7, 7, 5)
        self.told = 0

    def tell(self, controls, errors):
        assert len(controls) == len(errors) == self._shape[0]
        self.told += len(errors)


def test_no_search_gets_more_than_the_budget_however_much_it_asks():
    pool, searches = Echo(), [Greedy(number) for number in range(3)]
    search(searches.__getitem__, pool, TARGETS, 40, [40])
    assert pool.renders == 3 * 40
    assert [one.told for one in searches] == [35, 28, 21]


@pytest.mark.parametrize("peer", RANDOM)
def test_the_same_seed_gives_the_same_course_beside_whatever_other_searches(peer):
    both = search(peer, Echo(), TARGETS[:2], 120, MARKS)
    np.random.seed(1)  # the caller's chance must not matter
    again = search(peer, Echo(), TARGETS[:2], 120, MARKS)
    alone = search(lambda _: peer(1), Echo(), TARGETS[1:2], 120, MARKS)
    assert same(both, again)
    np.testing.assert_array_equal(both.controls[:, 1], alone.controls[:, 0])
    other = search(partial(peer, seed=1), Echo(), TARGETS[:2], 120, MARKS)
    assert not (other.controls[0, :, 2:] == both.controls[0, :, 2:]).any()
    assert not (both.controls[0, 0, 2:] == both.controls[0, 1, 2:]).any()


@pytest.mark.parametrize("peer", PEERS)
def test_an_interrupted_search_goes_on_bit_for_bit_and_plays_nothing_twice(peer, tmp_path: Path):
    folder = tmp_path / "search"
    whole = search(peer, Echo(), TARGETS, 120, MARKS)
    for renders in (0, 57, 200):
        with pytest.raises(KeyboardInterrupt):
            search(peer, Echo(renders), TARGETS, 120, MARKS, folder)
    pool = Echo()
    assert same(search(peer, pool, TARGETS, 120, MARKS, folder), whole)
    assert pool.renders == 3 * 120 - 57 - 200
    assert same(search(peer, Echo(0), TARGETS, 120, MARKS, folder), whole)


def test_a_killed_search_goes_on_from_its_last_shard(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(mirrornet.experiments.baselines.ledger, "SHARD", 50)
    monkeypatch.setattr(mirrornet.experiments.baselines.ledger.Ledger, "__exit__", lambda *_: None)
    with pytest.raises(KeyboardInterrupt):
        search(random_search, Echo(170), TARGETS, 120, MARKS, tmp_path)
    (tmp_path / ".half.safetensors").write_bytes(b"cut off")
    pool = Echo()
    course = search(random_search, pool, TARGETS, 120, MARKS, tmp_path)
    assert pool.renders == 360 - 150
    assert same(course, search(random_search, Echo(), TARGETS, 120, MARKS))


@pytest.mark.parametrize(
    ("peer", "targets", "renders"),
    [(random_search, TARGETS + 1, 120), (nearest, TARGETS, 120), (random_search, TARGETS, 121)],
    ids=["targets", "peer", "renders"],
)
def test_a_folder_of_another_search_is_refused(peer, targets, renders, tmp_path: Path):
    search(random_search, Echo(), TARGETS, 120, MARKS, tmp_path)
    with pytest.raises(OutputError, match="holds another run"):
        search(peer, Echo(0), targets, renders, MARKS, tmp_path)


def test_a_folder_in_which_other_controls_were_played_is_refused(tmp_path: Path):
    search(partial(cma_es, start=TRUE[0]), Echo(), TARGETS, 50, [50], tmp_path)
    with pytest.raises(OutputError, match="what another search played"):
        search(partial(cma_es, start=TRUE[1]), Echo(), TARGETS, 50, [50], tmp_path)


def test_a_damaged_shard_is_named(tmp_path: Path):
    search(random_search, Echo(), TARGETS, 50, [50], tmp_path)
    (shard,) = tmp_path.glob("*.safetensors")
    shard.write_bytes(shard.read_bytes()[:-100])
    with pytest.raises(OutputError, match=rf"{shard.name} is damaged"):
        search(random_search, Echo(0), TARGETS, 50, [50], tmp_path)


@pytest.mark.parametrize("peer", PEERS)
def test_controls_the_plant_fails_on_cost_a_render_and_never_win(peer):
    pool = Echo(fails=lambda row: row[3, 0] > 0.5)
    course = search(peer, pool, TARGETS, 120, MARKS)
    assert pool.renders == 360
    assert (course.errors[-1] < 2).all()
    assert (course.controls[-1, :, 3, 0] <= 0.5).all()
    hopeless = search(peer, Echo(fails=lambda row: True), TARGETS, 120, [120])
    assert (hopeless.errors == FAILED).all()


def test_cma_es_beats_random_search_and_a_good_start_beats_none():
    by_chance = search(random_search, Echo(), TARGETS, 600, [600]).errors
    by_cma_es = search(cma_es, Echo(), TARGETS, 600, [600]).errors
    assert (by_cma_es < 0.5 * by_chance).all()
    starts = TRUE.copy()
    starts[:, 2:] = 0.5
    started = search(lambda n: cma_es(n, start=starts[n]), Echo(), TARGETS, 600, [600]).errors
    assert (started < by_cma_es).all()


def test_cma_es_keeps_to_what_it_was_given_to_start_from():
    start = np.full((7, 5), 0.5)
    start[0] = np.arange(5) / 4  # at both ends of the range too
    asked = np.concatenate([cma_es(number, start=start).ask() for number in range(30)])
    assert ((asked >= 0) & (asked <= 1)).all()
    spread = np.sqrt(np.mean((asked - start) ** 2, axis=(0, 2)))
    assert (spread[:2] < 0.1).all()
    assert (spread[2:] > 0.2).all()


def test_cma_es_that_gets_nowhere_starts_again_with_twice_the_population():
    stuck, sizes = cma_es(0), []
    for _ in range(3):
        sizes.append(len(asked := stuck.ask()))
        stuck.tell(asked, np.ones(len(asked)))
    assert sizes == [14, 28, 56]


def test_the_nearest_in_the_babble_comes_first_and_the_babble_ends():
    babble = np.concatenate([BABBLE, TRUE])
    distances = babble_distances(heard_of(babble).astype(np.float16), TARGETS)
    pool = Echo()
    course = search(lambda n: Nearest(babble, distances[n]), pool, TARGETS, 500, [1, 500])
    np.testing.assert_array_equal(course.controls[0], TRUE)
    assert pool.renders == 3 * len(babble)
    errors = [spectrogram_error(TARGETS[:1], heard_of(row)[None]) for row in nearest(0).ask()]
    assert errors == sorted(errors)


def test_no_search_draws_the_melodies_that_are_to_be_found():
    for number in range(6):
        asked = random_search(number).ask()
        for kind in ("babble", "targets", "tuning", "held-out"):
            true = random_melodies(SET1, kind, len(asked), seed=0)
            assert not np.isin(asked[:, 2:], true[:, 2:]).any()


@pytest.mark.parametrize("marks", [(), (0, 10), (10, 121), (50, 10), (10, 10)])
def test_marks_that_mean_nothing_are_refused(marks):
    with pytest.raises(MirrorNetError, match="rising order, from 1 to 120"):
        search(random_search, Echo(0), TARGETS, 120, marks)


@pytest.mark.parametrize(
    ("peer", "module"), [(CmaEs, "cma"), (Genetic, "pymoo.algorithms.soo.nonconvex.ga")]
)
def test_what_is_not_installed_is_named(peer, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MirrorNetError, match=r'pip install "mirrornet\[bench\]"'):
        peer(SET1, (0, 0))


def test_searches_play_vital():
    true = random_melodies(SET1, "tuning", 1, seed=0)
    with Pool("vital", workers=1) as pool:
        target = np.stack(list(pool.hear(true)))  # pyright: ignore
        course = search(lambda n: cma_es(n, start=true[n]), pool, target, 30, [1, 30])
        assert course.errors[1] < course.errors[0] < 2
        copy = search(lambda _: Nearest(true, np.zeros(1)), pool, target, 30, [30])
        assert copy.errors == 0
