"""The paper's networks are what Figure 3 draws."""

import pytest
import torch
from torch import nn

from mirrornet.errors import ControlError
from mirrornet.models.paper import DilatedNetwork, PaperDecoder, PaperEncoder, pooling_factors


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("notes", [1, 2, 5, 10, 25, 50, 250])
def test_maps_spectrograms_to_controls_and_back(notes):
    heard = torch.rand(2, 128, 250)
    controls = PaperEncoder(notes=notes)(heard, notes)
    assert controls.shape == (2, 7, notes)
    assert PaperDecoder(notes=notes)(controls, 250).shape == heard.shape


def test_fits_other_controls_and_durations():
    heard = torch.rand(2, 128, 96)
    controls = PaperEncoder(controls=10, notes=3, frames=96)(heard)
    assert controls.shape == (2, 10, 3)
    assert PaperDecoder(controls=10, notes=3, frames=96)(controls).shape == heard.shape


@pytest.mark.parametrize(
    ("frames", "notes", "factors"),
    [
        (250, 5, (5, 5, 2)),
        (250, 1, (10, 5, 5)),
        (250, 10, (5, 5, 1)),
        (250, 25, (5, 2, 1)),
        (72, 1, (6, 4, 3)),
        (7, 1, (7, 1, 1)),
        (5, 5, (1, 1, 1)),
    ],
)
def test_pools_by_even_factors_largest_first(frames, notes, factors):
    assert pooling_factors(frames, notes) == factors


def test_pools_after_c4_to_c6_and_upsamples_before_c7_to_c9():
    pools = [m.kernel_size for m in PaperEncoder().modules() if isinstance(m, nn.AvgPool1d)]
    assert pools == [(5,), (5,), (2,)]
    upsamplings = [m.scale_factor for m in PaperDecoder().modules() if isinstance(m, nn.Upsample)]
    assert upsamplings == [2, 5, 5]


def test_convolutions_have_the_widths_and_dilations_of_figure_3():
    def convolutions(network):
        found = (m for m in network.modules() if isinstance(m, nn.Conv1d))
        return [(m.in_channels, m.out_channels, m.kernel_size[0], m.dilation[0]) for m in found]

    dilated = [(256, 256, 3, d) for d in 3 * (1, 2, 4, 8, 16, 32)]
    c1_to_c3 = [(128, 128, 1, 1), (128, 256, 1, 1), (256, 256, 1, 1)]
    c4_to_c6 = [(256, 256, 1, 1), (256, 128, 1, 1), (128, 7, 1, 1)]
    assert convolutions(PaperEncoder()) == c1_to_c3 + dilated + c4_to_c6
    c7_to_c9 = [(7, 128, 1, 1), (128, 256, 1, 1), (256, 256, 1, 1)]
    c10_to_c12 = [(256, 256, 1, 1), (256, 128, 1, 1), (128, 128, 1, 1)]
    assert convolutions(PaperDecoder()) == c7_to_c9 + dilated + c10_to_c12


def test_about_seven_and_a_half_million_weights():
    # The authors' code has 7,537,550: 9,216 biases more, each cancelled by the BatchNorm behind it.
    networks = PaperEncoder(), PaperDecoder()
    assert sum(w.numel() for network in networks for w in network.parameters()) == 7_528_334


def test_a_frame_of_the_dilated_network_sees_189_frames_to_either_side():
    x = torch.rand(1, 256, 501, requires_grad=True)
    DilatedNetwork().eval()(x)[0, :, 250].sum().backward()
    assert x.grad is not None
    seen = x.grad[0].abs().sum(0).nonzero().squeeze()
    reach = 3 * (1 + 2 + 4 + 8 + 16 + 32)
    assert (seen.min(), seen.max()) == (250 - reach, 250 + reach)


def test_batch_normalisation_normalises_and_remembers_more_than_the_last_batch():
    # Positional arguments in the authors' code made these 256 and 1.
    norms = [m for m in PaperEncoder().modules() if isinstance(m, nn.BatchNorm1d)]
    assert {(m.eps, m.momentum) for m in norms} == {(1e-5, 0.1)}


def test_gradients_reach_every_weight():
    encoder, decoder = PaperEncoder(), PaperDecoder()
    heard = torch.rand(4, 128, 250)
    nn.functional.mse_loss(decoder(encoder(heard)), heard).backward()
    for network in encoder, decoder:
        for name, weight in network.named_parameters():
            assert weight.grad is not None, name
            assert weight.grad.abs().max() > 0, name


def test_controls_lie_between_0_and_1_however_loud_the_sound():
    encoder = PaperEncoder()
    for level in (0.0, 1.0, 1e4):
        controls = encoder(level * torch.rand(2, 128, 250))
        assert ((controls > 0) & (controls < 1)).all()


def test_each_melody_is_read_and_predicted_by_itself_once_learned():
    encoder, decoder = PaperEncoder().eval(), PaperDecoder().eval()
    heard = torch.rand(3, 128, 250)
    controls = encoder(heard)
    torch.testing.assert_close(encoder(heard), controls, rtol=0, atol=0)
    torch.testing.assert_close(encoder(heard[1:2]), controls[1:2])
    torch.testing.assert_close(decoder(controls)[1:2], decoder(controls[1:2]))


@pytest.mark.parametrize("network", [PaperEncoder, PaperDecoder])
@pytest.mark.parametrize("notes", [0, 3, -5, 500])
def test_refuses_notes_that_do_not_divide_the_frames(network, notes):
    with pytest.raises(ValueError, match=rf"250 frames cannot hold {notes} notes; choose"):
        network(notes=notes)


def test_refuses_other_notes_or_frames_than_it_was_built_for():
    encoder, decoder = PaperEncoder(), PaperDecoder()
    with pytest.raises(ControlError, match="built for 5 notes in 250 frames, not 10 in 250"):
        encoder(torch.rand(2, 128, 250), notes=10)
    with pytest.raises(ControlError, match="notes=5, frames=500"):
        encoder(torch.rand(2, 128, 500))
    with pytest.raises(ControlError, match="notes=4, frames=250"):
        decoder(torch.rand(2, 7, 4))
    with pytest.raises(ControlError, match="notes=5, frames=500"):
        decoder(torch.rand(2, 7, 5), frames=500)
