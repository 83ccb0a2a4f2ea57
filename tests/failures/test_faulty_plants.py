"""Bad controls never reach a plant, and a plant that goes wrong costs its own row only."""

import multiprocessing

import numpy as np
import pytest
from faulty_plant import (
    ABORT,
    BUG,
    EXIT,
    FLOOD,
    GOOD,
    HANG,
    HOG,
    NAN,
    SEGFAULT,
    Faulty,
    crashing_when_loaded,
    unloadable,
)
from toy_plant import Toy

from mirrornet.controls import ControlSpace
from mirrornet.errors import ControlError, PlantError
from mirrornet.plants import Plant, load_plant
from mirrornet.plants.pool import Pool
from mirrornet.plants.vital import Vital
from mirrornet.score import Note

KNOBS = {"level": 0.0, "cutoff": 800.0, "resonance": 0.0, "attack": 0.01, "decay": 0.5}


class Untouchable(Toy):
    def note_sound(self, note):
        raise AssertionError("bad controls reached the synthesizer")


def spoilt(value: float) -> np.ndarray:
    controls = np.full((3, 7, 5), 0.5)
    controls[2, 3, 4] = value
    return controls


@pytest.mark.parametrize(
    ("controls", "reason"),
    [
        (np.full((6, 5), 0.5), r"shape \(\.\.\., 7, note\).*got \(6, 5\)"),
        (np.full((5, 7), 0.5), r"got \(5, 7\)"),
        (np.full(7, 0.5), r"got \(7,\)"),
        (np.full((7, 0), 0.5), r"got \(7, 0\)"),
        (spoilt(np.nan), "cutoff holds NaN"),
        (spoilt(np.inf), "cutoff holds NaN or infinity"),
        (spoilt(1.01), "cutoff must lie in 0..1; got 0.5 to 1.01"),
        (spoilt(-0.5), "cutoff must lie in 0..1; got -0.5 to 0.5"),
        ([["loud"] * 5] * 7, "numbers"),
    ],
)
def test_bad_controls_are_refused_before_the_synthesizer_sees_them(controls, reason):
    with pytest.raises(ControlError, match=reason):
        Untouchable().render(controls)


@pytest.mark.parametrize(
    ("note", "reason"),
    [
        (Note(20, 0.0, 1.0, KNOBS), r"21\.\.108; got 20"),
        (Note(109, 0.0, 1.0, KNOBS), r"21\.\.108; got 109"),
        (Note(60.5, 0.0, 1.0, KNOBS), "whole MIDI pitch"),  # pyright: ignore[reportArgumentType]
        (Note(60, -0.1, 1.0, KNOBS), r"0 s or later.*got -0\.1 to 1"),
        (Note(60, 1.0, 1.0, KNOBS), "end after it starts"),
        (Note(60, 0.0, np.inf, KNOBS), "end after it starts"),
        (Note(60, np.nan, 1.0, KNOBS), "0 s or later"),
        (Note(60, 0.0, 1.0), "needs exactly the controls attack, cutoff, .*; got none"),
        (Note(60, 0.0, 1.0, KNOBS | {"wah": 1.0}), "needs exactly .* wah"),
        (Note(60, 0.0, 1.0, KNOBS | {"cutoff": 5000.0}), r"cutoff .* 200\.\.3200 Hz; got 5000"),
        (Note(60, 0.0, 1.0, KNOBS | {"decay": np.nan}), r"decay must lie in 0\.05\.\.1 s; got nan"),
    ],
)
def test_bad_notes_are_refused_before_the_synthesizer_sees_them(note, reason):
    with pytest.raises(ControlError, match=reason):
        Untouchable().play([Note(60, 0.0, 1.0, KNOBS), note])


@pytest.mark.parametrize("duration_s", [-1.0, np.nan, np.inf])
def test_an_impossible_duration_is_refused(duration_s: float):
    with pytest.raises(ControlError, match="duration must be 0 s or longer"):
        Toy().play([], duration_s)


def test_the_real_plant_is_as_strict_and_recovers():
    plant = Vital()
    good = np.full((7, 2), 0.5)
    before = plant.render(good)
    for bad in (good * np.nan, good * 3):
        with pytest.raises(ControlError):
            plant.render(bad)
    np.testing.assert_array_equal(plant.render(good), before)


@pytest.mark.parametrize(
    ("name", "options", "reason"),
    [
        ("moog", {}, "no plant 'moog'; choose one of vital"),
        ("vital", {"controls": "set3"}, "set1, set2, patch, 48, wavetable, not 'set3'"),
        ("vital", {"sample_rate_hz": 10}, "8000 to 192000 Hz, not at 10"),
        ("vital", {"colour": "red"}, "no option colour; choose from controls, sample_rate_hz"),
    ],
)
def test_a_plant_that_does_not_exist(name, options, reason):
    with pytest.raises(PlantError, match=reason):
        load_plant(name, **options)


def test_sound_that_is_not_finite_is_an_error_that_names_the_note():
    controls = np.full((7, 1), 0.0)
    controls[0] = NAN
    with pytest.raises(PlantError, match=r"not finite for Note\(pitch_midi=63"):
        Faulty().render(controls)


class Short(Toy):
    """Gives some samples too few, or too many."""

    name = "short"

    def __init__(self, missing: int) -> None:
        super().__init__()
        self.missing = missing

    def note_sound(self, note):
        sound = super().note_sound(note)
        return sound[: -self.missing] if self.missing > 0 else np.pad(sound, (0, -self.missing))


@pytest.mark.parametrize("missing", [8, -8, 0])
def test_sound_about_as_long_as_its_note_is_taken(missing: int):
    notes = [Note(60, 0.0, 1.0, KNOBS), Note(67, 1.0, 1.5, KNOBS)]
    sound = Short(missing).play(notes)
    assert len(sound) == round(1.55 * 8000)
    np.testing.assert_array_equal(sound[:8000], Toy().play(notes)[:8000])


@pytest.mark.parametrize("missing", [100, -100])
def test_sound_of_another_length_than_its_notes_is_an_error(missing: int):
    words = rf"short gave {8400 - missing} samples and not 1\.05 s for Note\(pitch_midi=60"
    with pytest.raises(PlantError, match=words):
        Short(missing).play([Note(60, 0.0, 1.0, KNOBS)])


@pytest.mark.slow
def test_every_kind_of_failure_costs_its_own_row_only(capfd: pytest.CaptureFixture):
    controls = np.random.default_rng(0).random((16, 7, 2))
    controls[:, 0] = 0.0
    faults = {
        3: (NAN, "not finite"),
        5: (EXIT, "exit code 7"),
        6: (ABORT, "exit code -6"),
        8: (SEGFAULT, "exit code -11"),
        9: (HANG, "no answer within 10 s"),
        11: (BUG, "exit code 1"),
        14: (HOG, "exit code 1"),
    }
    for row, (fault, _) in faults.items():
        controls[row, 0, 1] = fault
    controls[12, 0, 1] = FLOOD  # costs nothing
    with Pool(Faulty, workers=2, timeout_s=10.0) as pool:
        outcomes = list(pool.render(controls, chunk=4))
    assert len(outcomes) == len(controls)
    good = Toy()
    for row, (outcome, one) in enumerate(zip(outcomes, controls, strict=True)):
        if row not in faults:
            np.testing.assert_array_equal(outcome, good.render(one))
            continue
        assert isinstance(outcome, PlantError)
        assert "faulty failed twice on the controls" in str(outcome)
        assert f"level {np.array2string(one[2], precision=4, separator=', ')}" in str(outcome)
        assert faults[row][1] in str(outcome)
    assert capfd.readouterr() == ("", "")
    assert not multiprocessing.active_children()


def test_controls_that_failed_three_times_are_not_played_again():
    controls = np.full((3, 7, 2), 0.5)
    controls[:, 0] = GOOD
    controls[1, 0, 1] = SEGFAULT
    with Pool(Faulty, workers=1) as pool:
        said = []
        for chunk in (3, 1, 2, 1):
            first, failed, last = pool.render(controls, chunk=chunk)
            np.testing.assert_array_equal(first, last)
            said.append(str(failed))
        worker = pool._crew[0]._process.pid  # pyright: ignore
        list(pool.render(controls, chunk=3))
        assert pool._crew[0]._process.pid == worker  # pyright: ignore  # nothing crashed

        # Its neighbours are as good as before.
        for _ in range(3):
            outcomes = [*pool.render(controls[[0, 1]], chunk=2)]
            assert isinstance(outcomes[0], np.ndarray)
    for early in said[:2]:
        assert "failed twice on the controls" in early
        assert "exit code -11" in early
    for later in said[2:]:
        assert "failed 3 times on the controls" in later
        assert later.endswith("not played again.")


def test_a_pool_refuses_bad_controls_at_once():
    with Pool(Untouchable, workers=1) as pool:
        for listen in (pool.render, pool.hear):
            with pytest.raises(ControlError, match="cutoff holds NaN"):
                listen(spoilt(np.nan))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plant", "reason"),
    [
        ("moog", "could not be loaded: there is no plant 'moog'"),
        (unloadable, "could not be loaded: the plugin is not installed; install it first"),
        (crashing_when_loaded, "could not be loaded: its process ended with exit code 3"),
    ],
)
def test_a_pool_whose_plant_cannot_be_made_leaves_nothing_behind(plant, reason):
    with pytest.raises(PlantError, match=reason):
        Pool(plant, workers=1)
    assert not multiprocessing.active_children()


class Whole(Plant):
    """Renders whole scores, as `sound`."""

    name = "whole"
    controls = ControlSpace((), "none")
    sample_rate_hz = 8000
    sound = np.zeros(8000)

    def _render_score(self, score, duration_s):
        return self.sound


@pytest.mark.parametrize(
    ("sound", "reason"),
    [
        (np.zeros((8000, 2)), "whole gave sound that is not mono"),
        (np.full(8000, np.nan), "whole gave sound that is not mono, or not finite"),
        (np.zeros(7999), "whole gave 7999 samples for 1 s at 8000 Hz"),
    ],
)
def test_bad_sound_of_a_whole_score_is_an_error(sound, reason):
    plant = Whole()
    assert plant.play([], 1.0).dtype == np.float32
    plant.sound = sound
    with pytest.raises(PlantError, match=reason):
        plant.play([], 1.0)
