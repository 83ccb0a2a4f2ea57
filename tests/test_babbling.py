"""Random melodies and what is heard of them."""

import numpy as np
import pytest
from toy_plant import Toy

from mirrornet.errors import PlantError
from mirrornet.features import hear
from mirrornet.plants.pool import Pool
from mirrornet.plants.vital import SET1
from mirrornet.training.sampling import SCALE_SEMITONES, listen, random_melodies


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


class Moody(Toy):
    """Falls silent, for good reason, on one pitch."""

    def note_sound(self, note):
        sound = super().note_sound(note)
        return sound * np.nan if note.pitch_midi == 62 else sound


def test_melodies_the_plant_fails_on_are_left_out_and_the_rest_is_kept(tmp_path):
    controls = random_melodies(SET1, "babble", 12, seed=0, notes=3)
    controls[:, 0] = 0.5
    controls[4:6, 0, 1] = 0
    good = (controls[:, 0] > 0).all(-1)
    with Pool(Moody, workers=1) as pool:
        kept, heard = listen(pool, controls, folder=tmp_path)
        np.testing.assert_allclose(kept, controls[good], atol=1e-7)
        assert len(heard) == good.sum()
        with pytest.raises(PlantError, match="every melody"):
            listen(pool, controls[~good])
    # Heard again from the folder, without a plant.
    again = listen(pool, controls, folder=tmp_path)
    np.testing.assert_array_equal(again[1], heard)
    expected = hear(Toy().render(kept[0]), 8000)
    np.testing.assert_allclose(heard[0], expected, atol=1e-3)
