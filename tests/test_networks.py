"""The default networks: what each must know by construction."""

import numpy as np
import pytest
import torch

from mirrornet.cochlea import loudness_compress
from mirrornet.errors import ControlError
from mirrornet.models.notewise import NotewiseDecoder, as_heard
from mirrornet.models.reader import (
    APART,
    NoteReader,
    centred_durations,
    centroid,
    note_windows,
    onset_marks,
    pick_onsets,
)
from mirrornet.score import MELODY_S, duration_controls, note_spans
from mirrornet.training.augment import augment


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def test_as_heard_is_the_compressed_exponential():
    z = 3 * torch.randn(2, 128, 50, dtype=torch.double)
    torch.testing.assert_close(as_heard(z), loudness_compress(z.exp()))


def test_a_note_sounds_only_while_it_lasts():
    """Changing the knobs of one note leaves the frames of the others alone, up to the gain."""
    decoder = NotewiseDecoder(7)
    controls = torch.rand(1, 7, 5)
    other = controls.clone()
    other[0, 2:, 2] = 1 - other[0, 2:, 2]
    starts = (note_spans(controls[:, 1]).cumsum(-1)[0] / 0.008).round().long()
    with torch.no_grad():
        ratio = torch.expm1(4 * decoder(controls)) / torch.expm1(4 * decoder(other))
    outside = torch.cat([ratio[0, :, : starts[1] - 1], ratio[0, :, starts[2] + 1 :]], -1)
    assert outside.std() < 1e-3 * outside.mean()
    assert ratio[0, :, starts[1] + 1 : starts[2] - 1].std() > 1e-2


def test_decoder_gives_gradients_to_every_control():
    controls = torch.rand(2, 7, 5, requires_grad=True)
    NotewiseDecoder(7)(controls)[..., 40:].square().sum().backward()
    assert controls.grad is not None
    assert (controls.grad.abs().sum((0, 2)) > 0).all()


def test_the_same_note_sounds_the_same_wherever_it_stands():
    decoder = NotewiseDecoder(7)
    pitch, knobs = torch.full((1, 2), 0.5), torch.full((1, 5, 2), 0.3)
    onsets_s = torch.tensor([[0.0, 0.8]])
    with torch.no_grad():
        S = decoder.sing(pitch, knobs, onsets_s, onsets_s + 0.5, 200)
    torch.testing.assert_close(S[..., :100], S[..., 100:], atol=1e-4, rtol=1e-3)


def test_marks_and_centroids_are_inverse():
    onsets = torch.tensor([[0.0, 40.25, 99.5, 160.0, 230.75]])
    marks = onset_marks(onsets, 250).clamp(1e-4, 1 - 1e-4)
    logits = marks.logit()
    picked = pick_onsets(logits, 5)
    torch.testing.assert_close(picked, onsets, atol=0.02, rtol=0)
    torch.testing.assert_close(centroid(logits, onsets.round().long()), onsets, atol=0.02, rtol=0)


def test_picked_onsets_ascend_and_stay_apart():
    onsets = pick_onsets(10 * torch.randn(16, 250), 8)
    assert (onsets[:, 0] == 0).all()
    assert (onsets.diff(dim=-1) >= APART - 6).all()
    assert (onsets < 250).all()


def test_more_notes_than_there_is_room_for_are_refused():
    with pytest.raises(ControlError, match="10 notes"):
        NoteReader(7)(torch.rand(1, 128, 250), 11)
    assert NoteReader(7)(torch.rand(1, 128, 250), 10).isfinite().all()


def test_silence_and_confident_nonsense_are_read_without_nan():
    reader = NoteReader(7)
    for heard in (torch.zeros(1, 128, 250), torch.full((1, 128, 250), 1e3)):
        assert reader(heard).isfinite().all()


def test_windows_follow_their_onsets():
    """A sound moved by a fraction of a frame gives the same window at the moved onset."""
    frames = torch.arange(250.0)
    ramp = frames.expand(1, 128, 250)
    windows = note_windows(ramp, torch.tensor([[0.0, 50.5, 120.25]]))
    assert windows.shape == (1, 3, 129, 88)
    inside = windows[0, 1, 128] > 0
    expected = 50.5 + torch.arange(-4, 84)
    torch.testing.assert_close(windows[0, 1, 0][inside], expected[inside])
    assert inside.sum() == 74  # until the next onset
    assert not windows[0, 1, :128][:, ~inside].any()


def test_centred_durations_agree_with_the_melodys():
    spans = torch.rand(6, 5, dtype=torch.double) + 0.9
    ours, theirs = centred_durations(spans), duration_controls(spans.numpy())
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-9)
    decoded = note_spans(ours)
    torch.testing.assert_close(decoded, MELODY_S * spans / spans.sum(-1, keepdim=True))


def test_augmentation_keeps_times_and_changes_the_rest():
    heard = torch.zeros(8, 128, 250)
    heard[..., 60:80, 100:150] = 0.8
    hidden = augment(heard, torch.Generator().manual_seed(0))
    assert hidden.isfinite().all()
    assert (hidden - heard).abs().mean((1, 2)).min() > 0.01
    change = hidden[:, 60:80].mean(1).diff(dim=-1)
    assert (change.argmax(-1) == 99).all()
    assert torch.equal(hidden, augment(heard, torch.Generator().manual_seed(0)))
