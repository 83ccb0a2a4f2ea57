"""Scores: how the controls of a paper's melody become notes, and back."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from mirrornet.controls import Control, ControlSpace
from mirrornet.errors import ControlError
from mirrornet.score import duration_controls, melody_score, note_spans

SPACE = ControlSpace(
    (
        Control("pitch", "MIDI", 62, 74, role="pitch"),
        Control("duration", "share", 0.4, 0.9, role="duration"),
        Control("level", "dB", -20.0, 0.0),
        Control("cutoff", "Hz", 200.0, 3200.0, "exponential"),
    )
)


def melodies(notes: int = 5):
    return npst.arrays(np.float64, (4, notes), elements=st.floats(0, 1))


durations = st.integers(1, 8).flatmap(
    lambda notes: npst.arrays(np.float64, (3, notes), elements=st.floats(0, 1))
)


@given(melodies())
def test_decoding_is_the_seeds(controls):
    notes = melody_score(SPACE, controls).notes
    pitch, duration = controls[0], controls[1]
    assert [note.pitch_midi for note in notes] == [int(np.rint(12 * p)) + 62 for p in pitch]

    shares = 0.5 * duration + 0.4
    ends_s = 2.0 * np.cumsum(shares) / shares.sum()
    np.testing.assert_allclose([note.onset_s for note in notes], [0.0, *ends_s[:-1]])
    # Five notes leave each at least 0.2 s, so the gap is always whole.
    np.testing.assert_allclose([note.offset_s for note in notes], ends_s - 0.1)
    assert ends_s[-1] == pytest.approx(2.0)

    physical = SPACE.to_physical(controls)
    for n, note in enumerate(notes):
        assert note.controls == {"level": physical[2, n], "cutoff": physical[3, n]}


def test_decoding_in_numbers():
    controls = np.array([[0.0, 0.5, 1.0], [0.0, 1.0, 0.2], [1, 1, 1], [0, 0.5, 1]])
    first, second, third = melody_score(SPACE, controls).notes
    assert (first.pitch_midi, second.pitch_midi, third.pitch_midi) == (62, 68, 74)
    assert first.offset_s == pytest.approx(2 * 0.4 / 1.8 - 0.1)
    assert second.onset_s == pytest.approx(2 * 0.4 / 1.8)
    assert third.offset_s == pytest.approx(1.9)
    assert third.controls == pytest.approx({"level": 0.0, "cutoff": 3200.0})


@given(durations, st.floats(0.5, 10.0))
def test_spans_fill_the_melody_in_proportion(duration, melody_s):
    spans_s = note_spans(duration, melody_s)
    np.testing.assert_allclose(spans_s.sum(-1), melody_s)
    shares = 0.5 * duration + 0.4
    np.testing.assert_allclose(spans_s / spans_s[:, :1], shares / shares[:, :1])


def test_a_crowded_melody_still_sounds():
    controls = np.full((4, 40), 0.5)
    for note in melody_score(SPACE, controls).notes:
        assert note.offset_s - note.onset_s == pytest.approx(0.025)


@given(durations)
def test_spans_are_the_same_on_tensors(duration):
    tensor = torch.from_numpy(duration)
    np.testing.assert_allclose(note_spans(tensor).numpy(), note_spans(duration))


def test_spans_pass_gradients():
    duration = torch.tensor([[0.1, 0.6, 0.9]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(note_spans, duration)
    note_spans(duration)[0, 0].backward()
    assert duration.grad is not None
    assert duration.grad[0, 0] > 0
    assert (duration.grad[0, 1:] < 0).all()


@given(durations)
def test_duration_controls_give_the_spans_back(duration):
    spans_s = note_spans(duration)
    controls = duration_controls(spans_s)
    assert controls.min() >= 0
    assert controls.max() <= 1
    np.testing.assert_allclose(note_spans(controls), spans_s)


@given(durations, st.floats(0.01, 100.0))
def test_only_the_ratios_of_spans_matter(duration, factor):
    spans_s = note_spans(duration)
    np.testing.assert_allclose(
        duration_controls(factor * spans_s), duration_controls(spans_s), atol=1e-9
    )


def test_spans_beyond_the_range_keep_the_ratios_that_can_be_kept():
    spans_s = note_spans(duration_controls(np.array([1.8, 1.2, 0.0001])), 3.0)
    np.testing.assert_allclose(spans_s / spans_s[0], [1.0, 1.2 / 1.8, 0.4 / 0.9])


@pytest.mark.parametrize("shape", [(4,), (5, 4), (3, 5), (4, 0), (2, 4, 5)])
def test_one_melody_has_controls_by_notes(shape):
    with pytest.raises(ControlError, match="shape"):
        melody_score(SPACE, np.full(shape, 0.5))


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.1, 1.1])
def test_controls_outside_0_1_are_refused_before_any_note_is_made(value):
    controls = np.full((4, 5), 0.5)
    controls[1, 3] = value
    with pytest.raises(ControlError, match="duration"):
        melody_score(SPACE, controls)
