"""Random melodies: babble, and the targets of the paper."""

import numpy as np

from mirrornet.controls import Control, ControlSpace
from mirrornet.plants.prior import random_score
from mirrornet.plants.vital import SET1
from mirrornet.training.sampling import SCALE_SEMITONES, random_melodies


def test_more_melodies_keep_the_first_ones():
    few, many = (random_melodies(SET1, "babble", count, seed=3) for count in (4, 9))
    np.testing.assert_array_equal(few, many[:4])


def test_kinds_and_seeds_never_share_a_melody():
    kinds = ("babble", "targets", "tuning", "held-out")
    sets = [random_melodies(SET1, kind, 50, seed) for kind in kinds for seed in (0, 1)]
    first = [melody[1:].tobytes() for melodies in sets for melody in melodies]
    assert len(set(first)) == len(first)


def test_ranges_narrow_the_controls_they_name_and_no_others():
    whole = random_melodies(SET1, "targets", 20, seed=0)
    narrow = random_melodies(SET1, "targets", 20, seed=0, ranges={"decay": (0.3, 0.5)})
    row = SET1.row("decay")
    np.testing.assert_allclose(narrow[:, row], 0.3 + 0.2 * whole[:, row])
    others = [n for n in range(len(SET1)) if n != row]
    assert np.array_equal(narrow[:, others], whole[:, others])


def test_babble_explores_every_semitone_and_targets_keep_to_the_scale():
    babble = random_melodies(SET1, "babble", 200, seed=0)
    assert set(np.rint(12 * babble[:, 0]).astype(int).flat) == set(range(13))
    targets = random_melodies(SET1, "targets", 200, seed=0)
    assert set(np.rint(12 * targets[:, 0]).astype(int).flat) == set(SCALE_SEMITONES)
    for melodies in (babble, targets):
        assert melodies[:, 1:].min() < 0.01
        assert melodies[:, 1:].max() > 0.99


def test_all_values_of_a_choice_a_switch_or_an_integer_are_equally_likely():
    space = ControlSpace(
        (
            Control("wave", kind="choice", choices=("sine", "saw", "square"), scope="patch"),
            Control("sync", kind="switch", scope="patch"),
            Control("voices", low=1, high=4, kind="integer", scope="patch"),
        )
    )
    generator = np.random.default_rng(0)
    patches = [random_score(space, range(60, 73), generator, 0.5).patch for _ in range(2000)]
    for control, steps in zip(space, (3, 2, 4), strict=True):
        values = [control.from_physical(patch[control.name]) for patch in patches]
        values = np.rint(np.array(values, float) * (steps - 1))
        shares = np.unique(values, return_counts=True)[1] / len(patches)
        np.testing.assert_allclose(shares, 1 / steps, atol=0.04)
