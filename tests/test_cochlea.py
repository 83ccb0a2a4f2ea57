"""The cochlea against the original toolbox, and what its users rely on."""

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import lfilter
from torch.utils._python_dispatch import TorchDispatchMode

import mirrornet.cochlea
from mirrornet.cochlea import Cochlea, loudness_compress, unit_sequence

# Sounds, and their spectrograms by the original NSL toolbox run in Octave, float64.
GOLDEN = np.load(Path(__file__).parent / "golden" / "auditory_spectrogram.npz")
CASES = {
    "odd_linear": {},
    "odd_halfwave": {"hair_cell": "half-wave"},
    "odd_hardlimit": {"hair_cell": "hard-limit"},
    "odd_sigmoid": {"hair_cell": 0.1},
    "odd_linear_tc0": {"time_constant_ms": 0},
    "odd_linear_16k": {"sample_rate_hz": 16000},
    "noise_linear": {},
    "chirp_linear": {},
    "tone_linear": {},
}
HAIR_CELLS = ["linear", "half-wave", "hard-limit", 0.1]
TOLERANCE = {torch.float64: 1e-6, torch.float32: 2e-6}


def golden_sound(case: str, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.tensor(GOLDEN["x_" + case.split("_")[0]], dtype=dtype)


def error(spectrogram: torch.Tensor, case: str) -> float:
    """Largest error, relative to the largest value.

    The toolbox drops the last sample of a sound of whole frames, so its last frame is left out.
    """
    expected = torch.tensor(GOLDEN[case])
    assert spectrogram.shape == expected.shape
    kept = slice(None) if case.startswith("odd") else slice(-1)
    difference = spectrogram.double()[:, kept] - expected[:, kept]
    return float(difference.abs().max() / expected.max())


def recursive(x: np.ndarray, channels: list[int]) -> np.ndarray:
    """wav2aud with its defaults, recursion by recursion, for some channels."""
    path = Path(mirrornet.cochlea.__file__).parent / "data" / "cochlear_filters.npz"
    with np.load(path) as stored:
        filters = list(zip(stored["numerator"], stored["denominator"], strict=True))
    frames = -(-len(x) // 64)
    x = np.pad(x, (0, 64 * frames - len(x)))
    low = np.array([lfilter(*filters[c], x) for c in channels])
    high = np.array([lfilter(*filters[c + 1], x) for c in channels])
    return np.asarray(lfilter([1], [1, -np.exp(-1 / 64)], np.maximum(low - high, 0)))[:, 63::64]


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("case", CASES)
def test_agrees_with_the_toolbox(case, dtype):
    spectrogram = Cochlea(**CASES[case])(golden_sound(case, dtype))
    assert spectrogram.dtype == dtype
    assert error(spectrogram, case) <= TOLERANCE[dtype]


@pytest.mark.parametrize("case", ["odd_linear", "odd_halfwave"])
@pytest.mark.parametrize("constant", ["leak", "membrane_leak"])
def test_golden_numbers_notice_a_leak_off_by_a_hundred_thousandth(constant, case):
    cochlea = Cochlea(**CASES[case])
    setattr(cochlea, constant, getattr(cochlea, constant) * (1 - 1e-5))
    unused = constant == "membrane_leak" and case == "odd_linear"
    assert (error(cochlea(golden_sound(case)), case) > TOLERANCE[torch.float64]) != unused


@pytest.mark.parametrize("hair_cell", HAIR_CELLS)
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_silence_gives_zeros_and_a_finite_gradient(hair_cell, dtype):
    silence = torch.zeros(700, dtype=dtype, requires_grad=True)
    spectrogram = Cochlea(hair_cell=hair_cell)(silence)
    assert torch.equal(spectrogram, torch.zeros(128, 11, dtype=dtype))
    spectrogram.sum().backward()
    assert silence.grad is not None
    assert silence.grad.isfinite().all()


@pytest.mark.parametrize("hair_cell", HAIR_CELLS)
def test_silence_before_a_sound_stays_silent(hair_cell):
    sound = torch.zeros(16000)
    sound[8000:] = torch.randn(8000, generator=torch.Generator().manual_seed(0))
    spectrogram = Cochlea(hair_cell=hair_cell)(sound)
    assert spectrogram[:, :125].max() <= 2e-6 * spectrogram.max()


@pytest.mark.parametrize("hair_cell", ["linear", "half-wave", 0.1])
def test_gradient(hair_cell):
    sound = torch.randn(2, 40, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    cochlea = Cochlea(hair_cell=hair_cell, frame_ms=2)
    assert torch.autograd.gradcheck(cochlea, sound.requires_grad_(), fast_mode=True)


def test_can_train_after_inference():
    cochlea = Cochlea(frame_ms=3)  # a frame length of its own: its filters are made here
    with torch.inference_mode():
        cochlea(golden_sound("odd")[:500])
    sound = golden_sound("odd")[:500].requires_grad_()
    cochlea(sound).sum().backward()
    assert sound.grad is not None
    assert sound.grad.abs().max() > 0


@pytest.mark.parametrize("samples", [0, 1, 63, 64, 65, 5000])
def test_any_length(samples):
    sound = golden_sound("noise")[:samples]
    spectrogram = Cochlea()(sound)
    channels = [0, 60, 127]
    assert spectrogram.shape == (128, -(-samples // 64))
    expected = recursive(sound.numpy(), channels) if samples else np.zeros((3, 0))
    np.testing.assert_allclose(spectrogram[channels], expected, atol=1e-7)


@pytest.mark.parametrize("frame_ms", [0.125, 7.94, 10, 1000])
def test_any_frame_length_reads_the_same_integrator(frame_ms):
    sound = golden_sound("odd")
    step = round(8 * frame_ms)
    every_sample = Cochlea(frame_ms=0.125)(sound)
    expected = every_sample[:, step - 1 :: step]
    got = Cochlea(frame_ms=frame_ms)(sound)[:, : expected.shape[1]]
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-7)


def test_a_batch_hears_each_sound_as_if_alone():
    sounds = torch.stack([golden_sound(case, torch.float32) for case in ("noise", "chirp", "tone")])
    cochlea = Cochlea()
    together = cochlea(sounds[:, None])
    assert together.shape == (3, 1, 128, 250)
    alone = torch.stack([cochlea(sound) for sound in sounds])
    torch.testing.assert_close(together[:, 0], alone, rtol=0, atol=1e-5)
    assert cochlea(sounds[:0]).shape == (0, 128, 250)


def test_hears_no_future():
    sound = golden_sound("odd")
    cochlea = Cochlea()
    torch.testing.assert_close(cochlea(sound[:6400]), cochlea(sound)[:, :100], rtol=0, atol=1e-7)


def test_a_tone_excites_the_channel_of_its_frequency():
    cochlea = Cochlea()
    assert cochlea.frequencies_hz[[31, 127]] == pytest.approx([220, 3520])
    for channel in (10, 55, 100):
        tone = torch.sin(2 * torch.pi * cochlea.frequencies_hz[channel] / 8000 * torch.arange(8000))
        assert abs(int(cochlea(tone)[:, -1].argmax()) - channel) <= 1


def test_a_minute_is_as_exact_as_a_second():
    # Blocks must join without a seam, and filters 75 and 76 remember all of it.
    sound = np.random.default_rng(2).standard_normal(60 * 8000)
    channels = [0, 40, 74, 75, 76, 127]
    expected = recursive(sound, channels)
    for dtype, tolerance in TOLERANCE.items():
        heard = Cochlea()(torch.tensor(sound, dtype=dtype))[channels]
        assert abs(heard.numpy() - expected).max() <= tolerance * expected.max()


class LargestTensor(TorchDispatchMode):
    """Notes the size of the largest tensor that any operation makes."""

    megabytes = 0.0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.megabytes = max(self.megabytes, made.untyped_storage().nbytes() / 1e6)
        return made


def test_a_long_recording_needs_little_memory():
    # The sound takes 4 MB and its spectrogram 8; every channel at every sample would take 490.
    with LargestTensor() as largest:
        Cochlea()(torch.zeros(120 * 8000))
    assert 8 <= largest.megabytes <= 32


def test_has_no_state_and_follows_the_sound():
    cochlea = Cochlea().half()
    assert cochlea.state_dict() == {}
    assert cochlea(torch.ones(64, dtype=torch.float64)).dtype == torch.float64
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert error(cochlea(golden_sound("noise", torch.float32)), "noise_linear") <= 2e-6


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"sample_rate_hz": 44100}, "44100"),
        ({"lowest_channel": 8}, "multiple of 16"),
        ({"lowest_channel": 128}, "multiple of 16"),
        ({"frame_ms": 0}, "frame_ms"),
        ({"frame_ms": float("nan")}, "frame_ms"),
        ({"frame_ms": float("inf")}, "frame_ms"),
        ({"time_constant_ms": -1}, "time_constant_ms"),
        ({"time_constant_ms": float("nan")}, "time_constant_ms"),
        ({"hair_cell": "sigmoid"}, "sigmoid"),
        ({"hair_cell": 0}, "hair_cell"),
        ({"hair_cell": -2}, "hair_cell"),
        ({"hair_cell": float("nan")}, "hair_cell"),
    ],
)
def test_refuses_settings_out_of_range(settings, says):
    with pytest.raises(ValueError, match=says):
        Cochlea(**settings)


@pytest.mark.parametrize("hair_cell", ["linear", "half-wave"])
def test_channels_left_out_change_nothing_in_the_others(hair_cell):
    sound = torch.randn(2, 4000, generator=torch.Generator().manual_seed(0))
    whole = Cochlea(sample_rate_hz=32000, hair_cell=hair_cell)
    upper = Cochlea(sample_rate_hz=32000, lowest_channel=80, hair_cell=hair_cell)
    torch.testing.assert_close(upper(sound), whole(sound)[:, 80:])
    np.testing.assert_array_equal(upper.frequencies_hz, whole.frequencies_hz[80:])
    assert upper(torch.zeros(2, 0)).shape == (2, 48, 0)


@pytest.mark.parametrize(
    ("audio", "says"),
    [
        (torch.zeros(64, dtype=torch.int16), "int16"),
        (torch.zeros(64, dtype=torch.float16), "float16"),
        (torch.zeros(64, dtype=torch.complex64), "complex64"),
        (torch.tensor(0.5), "axis"),
    ],
)
def test_refuses_what_is_not_a_sound(audio, says):
    with pytest.raises(ValueError, match=says):
        Cochlea()(audio)


def test_unit_sequence_is_the_toolbox_normalisation():
    sound = golden_sound("odd")  # which the toolbox has normalised
    torch.testing.assert_close(unit_sequence(3 * sound + 2), sound)
    faint = unit_sequence(1e-30 * sound.float())
    torch.testing.assert_close(faint, sound.float(), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("dtype", TOLERANCE)
def test_unit_sequence_of_silence_is_zero_whatever_its_offset(dtype):
    for sound in (torch.zeros(2, 16000), torch.full((2, 16000), 0.1), torch.ones(2, 1)):
        sound = sound.to(dtype).requires_grad_()
        unit = unit_sequence(sound)
        assert torch.equal(unit, torch.zeros_like(sound))
        unit.sum().backward()
        assert sound.grad is not None
        assert sound.grad.isfinite().all()
    assert unit_sequence(torch.zeros(2, 0)).shape == (2, 0)


def test_unit_sequence_gradient():
    sound = torch.randn(2, 9, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    assert torch.autograd.gradcheck(unit_sequence, sound.requires_grad_())


def test_loudness_compress():
    S = torch.tensor([[0.0, 1.0], [2.0, 5.0]], dtype=torch.float64)  # of mean 2
    expected = torch.tensor([[0.0, 3.0], [5.0, 11.0]], dtype=torch.float64).log() / 4
    expected[0, 0] = 0
    torch.testing.assert_close(loudness_compress(S), expected)
    both = loudness_compress(torch.stack([S, 1e6 * S]))
    torch.testing.assert_close(both, torch.stack([expected, expected]))
    assert torch.autograd.gradcheck(loudness_compress, S.requires_grad_())


def test_loudness_compress_of_silence_is_zero_with_a_finite_gradient():
    silence = torch.zeros(2, 128, 3, requires_grad=True)
    compressed = loudness_compress(silence)
    assert torch.equal(compressed, torch.zeros(2, 128, 3))
    compressed.sum().backward()
    assert silence.grad is not None
    assert silence.grad.isfinite().all()
    assert loudness_compress(torch.zeros(2, 128, 0)).shape == (2, 128, 0)
