"""Controls keep their meaning between 0..1 and physical units, and refuse what is out of range."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from mirrornet.controls import Control, ControlSpace
from mirrornet.errors import ControlError

SPACE = ControlSpace(
    (
        Control("level", "dB", -20.0, 0.0),
        Control("cutoff", "Hz", 200.0, 3200.0, "exponential"),
        Control("attack", "s", 0.003, 0.15, "exponential"),
    )
)
batches = st.sampled_from([(), (4,), (2, 3), (0,)])
controls_0_1 = batches.flatmap(
    lambda batch: npst.arrays(np.float64, (*batch, 3, 5), elements=st.floats(0, 1))
)


@given(controls_0_1)
def test_physical_values_and_back_are_the_same_controls(controls):
    values = SPACE.to_physical(controls)
    assert values.shape == controls.shape
    for row, control in enumerate(SPACE):
        assert (values[..., row, :] >= control.low * (1 - 1e-12 * np.sign(control.low))).all()
        assert (values[..., row, :] <= control.high + 1e-12).all()
    np.testing.assert_allclose(SPACE.from_physical(values), controls, atol=1e-9)


@given(st.sampled_from(SPACE), st.floats(0, 1), st.floats(0, 1))
def test_a_knob_turned_up_never_turns_its_value_down(control, one, other):
    low, high = sorted([one, other])
    assert control.to_physical(low) <= control.to_physical(high)


def test_curves():
    middle = SPACE.to_physical(np.full((3, 1), 0.5))[:, 0]
    np.testing.assert_allclose(middle, [-10.0, 800.0, np.sqrt(0.003 * 0.15)])
    ends = SPACE.to_physical(np.tile([0.0, 1.0], (3, 1)))
    np.testing.assert_allclose(ends, [[-20, 0], [200, 3200], [0.003, 0.15]])


def test_names_units_rows():
    assert SPACE.names == ("level", "cutoff", "attack")
    assert SPACE.units == {"level": "dB", "cutoff": "Hz", "attack": "s"}
    assert SPACE.row("cutoff") == 1
    assert SPACE[1].label == "cutoff (Hz)"
    assert len(SPACE) == 3
    with pytest.raises(ControlError, match="no control 'wah'; choose one of level, cutoff, attack"):
        SPACE.row("wah")


def test_check_takes_lists_and_tensors_and_leaves_them_alone():
    tensor = torch.full((2, 3, 5), 0.25)
    assert SPACE.check(tensor).dtype == np.float64
    np.testing.assert_array_equal(SPACE.check([[0], [1], [0.5]]), [[0], [1], [0.5]])
    given_controls = np.full((3, 2), 1 + 1e-7)
    assert SPACE.check(given_controls).max() == 1.0
    assert given_controls.max() > 1.0


def test_float32_rounding_is_no_error_in_either_direction():
    controls = np.tile(np.array([0, 1, 0.1, 1 / 3], np.float32), (3, 1))
    values = SPACE.to_physical(controls).astype(np.float32)
    np.testing.assert_allclose(SPACE.from_physical(values), controls, atol=1e-6)


@pytest.mark.parametrize("shape", [(), (3,), (2, 5), (4, 5), (3, 0), (3, 5, 2)])
def test_wrong_shapes_are_refused(shape):
    for convert in (SPACE.check, SPACE.to_physical, SPACE.from_physical):
        with pytest.raises(ControlError, match=r"\(\.\.\., 3, note\), for level, cutoff, attack"):
            convert(np.full(shape, 0.5))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -0.01, 1.01, 1e300])
def test_values_that_are_no_controls_are_refused_by_name(value):
    controls = np.full((2, 3, 5), 0.5)
    controls[1, 2, 4] = value
    with pytest.raises(ControlError, match="attack"):
        SPACE.check(controls)
    with pytest.raises(ControlError, match="attack"):
        SPACE.to_physical(controls)


@pytest.mark.parametrize("value", [np.nan, -np.inf, 0.0, -800.0, 199.0, 3201.0])
@pytest.mark.filterwarnings("error")
def test_physical_values_out_of_range_are_refused_in_their_unit(value):
    values = np.array([[-3.0], [value], [0.01]])
    expected = "cutoff must lie in 200..3200 Hz" if np.isfinite(value) else "cutoff holds NaN"
    with pytest.raises(ControlError, match=expected):
        SPACE.from_physical(values)


@pytest.mark.parametrize(
    "controls",
    [
        "loud",
        None,
        [[0.1], [0.2, 0.3], [0.4]],
        [["a"], ["b"], ["c"]],
        torch.zeros(3, 5, requires_grad=True),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(controls):
    with pytest.raises(ControlError):
        SPACE.check(controls)


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"low": 1, "high": 1}, "needs a low below its high; got 1 and 1"),
        ({"low": 0, "high": float("nan")}, "needs finite numbers for low and high"),
        ({"low": 0, "high": 9, "curve": "exponential"}, "its low must be above 0; got 0"),
        ({"curve": "cubic"}, "the curve 'cubic'; choose one of linear, exponential"),
        ({"kind": "knob"}, "the kind 'knob'; choose one of continuous, integer, choice, switch"),
        ({"kind": "integer", "high": 1.5}, "is an integer, so low and high must be"),
        ({"kind": "choice", "choices": ("saw",)}, "two or more choices"),
        ({"choices": ("saw", "sine")}, "needs the kind choice"),
        ({"shape": (0,)}, "whole numbers above 0 as its shape"),
        ({"shape": (10**6, 10**6)}, "entries"),
        ({"unit": 3}, "needs texts"),
    ],
)
def test_a_control_that_makes_no_sense_is_refused_with_the_reason(wrong, says):
    with pytest.raises(ControlError, match=rf"the control 'cutoff' .*{says}"):
        Control("cutoff", **wrong)
