"""The auditory front end: from sound to auditory spectrogram, as NSL `wav2aud`.

An auditory spectrogram models a sound on its way from the cochlea to the midbrain, as `wav2aud` of
the NSL toolbox (Neural Systems Laboratory, University of Maryland) does. It has four stages, each a
model of one part of the auditory pathway:

1. **Filter bank: the basilar membrane.** Each place along the cochlea resonates at its own
   frequency: 129 filters, 24 per octave, from 90 to 3623 Hz for sound sampled at 8 kHz, an octave
   higher at 16 kHz. They are constant-Q: low ones ring long, high ones briefly. So they can also be
   used at 32 kHz, another octave higher, which the toolbox does not offer.
2. **Hair cells: transduction.** Inner hair cells turn motion into current through ion channels that
   open in one direction and saturate. Their membrane, a leaky integrator with a time constant of
   0.5 ms, attenuates the fastest cycles. The linear hair cell, the default, omits both.
3. **Lateral inhibition: the cochlear nucleus.** Each filter is inhibited by its higher neighbour,
   and firing rates are never negative: `max(y[c] - y[c + 1], 0)`. The filters' slopes are gentle
   below and steep above their frequency, so 129 wide filters become 128 narrow channels.
4. **Leaky integration: the midbrain.** Neurons here do not follow the waveform but its envelope:
   `v[n] = u[n] + exp(-1 / time constant) v[n - 1]`, sampled at the end of each frame.

Computation, for accuracy and speed:

- The filters are recursive, of order up to 24, and in single precision the recursion errs by 5 %.
  So their impulse responses are computed once in double precision, truncated where the remainder
  is negligible, and applied by fast Fourier transforms, which are accurate in single precision.
- With linear hair cells, everything before the rectifier is linear, so the difference of two
  neighbours is one filter: 128 filters instead of 129, and only the rectifier is left of stage 3.
- The lowest filters ring for 1.6 s, the highest for 50 ms. So channels are computed in bands of
  16, each in blocks (overlap-save) of a length that suits its impulse responses. Blocks fit the
  cache, and recordings of any length need little memory.
- Stage 4 is needed at frame ends only. The contribution of a frame is a weighted sum of its
  samples, a matrix product; the same leak is then applied from frame to frame.

References:
    X. Yang, K. Wang, S. A. Shamma, "Auditory representations of acoustic signals", IEEE
    Transactions on Information Theory 38(2), 1992. T. Chi, P. Ru, S. A. Shamma, "Multiresolution
    spectrotemporal analysis of complex sounds", JASA 118(2), 2005. The filters are those of the NSL
    toolbox by P. Ru, as in `naplib/features/cochba.mat` of naplib-python (MIT licence, see
    `mirrornet/data/LICENSES.md`).
"""

import math
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Complex, Float
from scipy.signal import lfilter
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 128
RATES_HZ = (8000, 16000, 32000)
HAIR_CELLS = ("linear", "half-wave", "hard-limit")

_MEMBRANE_MS = 0.5  # time constant of the hair cell's membrane
_REMAINDER = 1e-9  # truncated tail of an impulse response: sum of magnitudes, at a peak gain of 1
_SILENT = 1e-12  # of a sound's peak; below it, the sign of a response is a rounding error
_BAND = 16  # channels that share one block length
_SHORTEST_BLOCK = 4096  # samples; shorter transforms gain nothing


class Cochlea(nn.Module):
    """Auditory spectrogram: NSL `wav2aud`, batched and differentiable.

    Shape: `(*batch, sample)` to `(*batch, channel, frame)`, lowest channel first, 128 channels less
    those omitted. There are `ceil(sample / frame_length)` frames, the last one zero-padded. No
    samples give no frames, and silence gives zeros. Values are 0 or more and, with linear or
    half-wave hair cells, proportional to the amplitude. Dtype (float32 or float64) and device are
    those of the sound; the module has neither weights nor state.

    Args:
        sample_rate_hz: 8000 or 16000, the rates the filters are designed for, or 32000.
        lowest_channel: the first channel to compute, a multiple of 16; lower ones cost nothing.
        frame_ms: time from one frame to the next.
        time_constant_ms: of the leaky integration; 0 takes each frame's mean instead.
        hair_cell: "linear", "half-wave", "hard-limit", or the critical level of the sigmoid
            `1 / (1 + exp(-y / level))`: typically 0.1 for a sound of unit variance; lower
            compresses more. These are the toolbox's `fac` of -2, -1, 0 and above 0. The gradient of
            "hard-limit" is zero.

    Raises:
        ValueError: an argument is out of range, or the sound is not float32 or float64.

    Results are within 1e-6 of the toolbox's in both precisions, relative to the largest value (with
    a sigmoid, for levels of 0.1 and above). One exception: of a sound of whole frames, the
    toolbox's zero padding overwrites the last sample; here it is kept. Non-finite samples corrupt
    their block. Ten minutes at 8 kHz take 0.25 GB; with gradients, 7 MB per second of sound.

    >>> Cochlea()(torch.zeros(2, 16000)).shape
    torch.Size([2, 128, 250])
    """

    def __init__(
        self,
        *,
        sample_rate_hz: int = 8000,
        lowest_channel: int = 0,
        frame_ms: float = 8.0,
        time_constant_ms: float = 8.0,
        hair_cell: str | float = "linear",
    ) -> None:
        super().__init__()
        if sample_rate_hz not in RATES_HZ:
            raise ValueError(
                f"The cochlea hears at 8000, 16000 or 32000 Hz, not at {sample_rate_hz}; resample "
                "first."
            )
        if lowest_channel not in range(0, CHANNELS, _BAND):
            raise ValueError(
                f"lowest_channel is {lowest_channel}; it must be a multiple of {_BAND} from 0 to "
                f"{CHANNELS - _BAND}."
            )
        samples_per_ms = sample_rate_hz / 1000
        if not 1 <= frame_ms * samples_per_ms < math.inf:
            raise ValueError(f"frame_ms is {frame_ms}; a frame must hold at least one sample.")
        if not 0 <= time_constant_ms < math.inf:
            raise ValueError(f"time_constant_ms is {time_constant_ms}; it must be 0 or more.")
        named = isinstance(hair_cell, str)
        if not (hair_cell in HAIR_CELLS if named else 0 < hair_cell < math.inf):
            raise ValueError(
                f"hair_cell is {hair_cell!r}; it must be one of {', '.join(HAIR_CELLS)}, "
                "or a critical level above 0."
            )
        self.sample_rate_hz, self.lowest_channel = sample_rate_hz, lowest_channel
        self.frame_length = math.floor(frame_ms * samples_per_ms + 0.5)
        self.hair_cell = hair_cell
        self.leak = math.exp(-1 / (time_constant_ms * samples_per_ms)) if time_constant_ms else 0.0
        self.membrane_leak = math.exp(-1 / (_MEMBRANE_MS * samples_per_ms))

    @property
    def frequencies_hz(self) -> Float[np.ndarray, "channel"]:
        """The characteristic frequency of each channel in Hz."""
        channels = np.arange(self.lowest_channel, CHANNELS)
        return 440 * 2 ** ((channels - 31) / 24) * self.sample_rate_hz / 16000

    def forward(
        self, audio: Float[Tensor, "*batch sample"]
    ) -> Float[Tensor, "*batch channel frame"]:
        if audio.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"The sound is {audio.dtype}; convert it to float32 or float64.")
        if audio.ndim == 0:
            raise ValueError("The sound is a single number; it needs an axis of samples.")
        *batch, samples = audio.shape
        frames = -(-samples // self.frame_length)
        if audio.numel() == 0:
            return audio.new_zeros(*batch, CHANNELS - self.lowest_channel, frames)
        sound = functional.pad(audio, (0, frames * self.frame_length - samples))
        with torch.autocast(audio.device.type, enabled=False):  # half precision is too coarse
            gathered = self._within_frames(sound.reshape(-1, sound.shape[-1]))
            spectrogram = _leaky_sum(gathered, self.leak**self.frame_length)
        return spectrogram.to(audio.dtype).reshape(*batch, -1, frames)

    def _within_frames(
        self, sound: Float[Tensor, "item sample"]
    ) -> Float[Tensor, "item channel frame"]:
        """Stages 1 to 3, and the contribution of each frame to stage 4."""
        if self.hair_cell == "hard-limit":
            # Only signs matter, even of the faintest response: normalise, and use double precision.
            peak = sound.abs().amax(-1, keepdim=True)
            sound = sound.double() / peak.where(peak > 0, 1)
        linear = self.hair_cell == "linear"
        settling = 0 if linear else math.ceil(math.log(_REMAINDER) / math.log(self.membrane_leak))
        bank = _filter_bank(linear, self.frame_length, settling, sound.dtype, sound.device)
        bank = bank[self.lowest_channel // _BAND :]
        return torch.cat([self._hear(sound, band) for band in bank], dim=1)

    def _hear(
        self, sound: Float[Tensor, "item sample"], band: "_Band"
    ) -> Float[Tensor, "item channel frame"]:
        """One band by overlap-save: each block is preceded by `band.history` samples."""
        hop = band.block - band.history
        count = -(-sound.shape[-1] // hop)
        inputs = sound[:, None]
        if len(band.drift):
            inputs = torch.cat([inputs, _slow_modes(sound)], dim=1)
        inputs = functional.pad(inputs, (band.history, count * hop - sound.shape[-1]))
        blocks = inputs.unfold(-1, band.block, hop).transpose(1, 2).flatten(0, 1)
        window = self._window(sound)
        # Filled in place: small results between large temporaries would fragment the heap.
        known = sound.new_empty(len(blocks), _BAND, band.block // self.frame_length)
        start = 0
        for x in blocks.split(max(1, _working_set(sound.device) // (_BAND * band.block))):
            y = torch.fft.rfft(x[:, :1]) * band.spectra
            y = torch.fft.irfft(y, band.block, norm="forward")  # the spectra include 1 / block
            if len(band.drift):
                y[:, band.drifting] += band.drift @ x[:, 1:]
            if self.hair_cell != "linear":
                y = _leaky_sum(-self._current(y).diff(dim=1), self.membrane_leak)
            v = y.relu_().reshape(-1, self.frame_length) @ window
            known[start : start + len(x)] = v.view(len(x), -1, known.shape[-1])
            start += len(x)
        known = known[..., band.history // self.frame_length :]
        known = known.unflatten(0, (-1, count)).transpose(1, 2).flatten(2)
        return known[..., : sound.shape[-1] // self.frame_length]

    def _current(self, motion: Tensor) -> Tensor:
        """The ion channels of the hair cell: from motion to current."""
        if self.hair_cell == "half-wave":
            return motion.relu()
        if self.hair_cell == "hard-limit":
            return (motion - _SILENT).relu().sign()
        return torch.sigmoid(motion / float(self.hair_cell))

    def _window(self, like: Tensor) -> Float[Tensor, "sample"]:
        """The weight of each sample of a frame at the end of the frame."""
        age = np.arange(self.frame_length)[::-1]
        weights = self.leak**age if self.leak else np.full(age.size, 1 / age.size)
        return torch.tensor(weights, dtype=like.dtype, device=like.device)


def unit_sequence(audio: Float[Tensor, "*batch sample"]) -> Float[Tensor, "*batch sample"]:
    """Normalise each sound to zero mean and unit variance, as NSL `unitseq` does.

    The variance is the sample variance (N - 1). Silence and other constants give zeros.
    """
    if audio.numel() == 0:
        return audio
    peak = audio.detach().abs().amax(-1, keepdim=True)
    centred = audio / peak.where(peak > 0, 1)  # squares of a faint sound would underflow
    centred = centred - centred.mean(-1, keepdim=True)
    variance = centred.square().sum(-1, keepdim=True) / max(audio.shape[-1] - 1, 1)
    return centred / variance.where(variance > 0, 1).sqrt()


def loudness_compress(
    S: Float[Tensor, "*batch channel frame"],
) -> Float[Tensor, "*batch channel frame"]:
    """Compress a spectrogram to the scale on which sounds are compared: `log1p(4 S / mean(S)) / 4`.

    The mean is over channels and frames of each item, which removes the overall level. Silence
    gives zeros.
    """
    if S.numel() == 0:
        return S
    mean = S.mean((-2, -1), keepdim=True)
    return torch.log1p(4 * S / mean.where(mean > 0, 1)) / 4


def channel_gains(
    at_hz: Float[np.ndarray, " frequency"], sample_rate_hz: int
) -> Float[np.ndarray, "channel=128 frequency"]:
    """The gain of each channel's filter with linear hair cells, its higher neighbour subtracted, at
    the given frequencies; 0 above half the sample rate."""
    responses, _, _ = _impulse_responses()
    spectra = np.abs(np.fft.rfft(-np.diff(responses, axis=0), 2**15))
    bins = np.asarray(at_hz) / sample_rate_hz * 2 * (spectra.shape[1] - 1)
    places = np.arange(spectra.shape[1])
    return np.stack([np.interp(bins, places, gains, right=0.0) for gains in spectra])


def channel_rises(sample_rate_hz: int, frames: int) -> Float[np.ndarray, "channel=128 frame"]:
    """How each channel with linear hair cells rises, in frames of 8 ms, when a tone at its best
    frequency starts with a frame: the increments, which sum to 1.

    The filter's envelope is that of its response to the tone; the leaky integration follows it.
    """
    frame_length, leak = sample_rate_hz // 125, math.exp(-125 / sample_rate_hz)
    taps = -np.diff(_impulse_responses()[0], axis=0)[:, : frames * frame_length]
    taps = np.pad(taps, ((0, 0), (0, frames * frame_length - taps.shape[1])))
    size = 2**17
    best = np.abs(np.fft.rfft(taps, size)).argmax(1) / size
    turns = np.exp(-2j * np.pi * best[:, None] * np.arange(taps.shape[1]))
    envelopes = np.abs(np.cumsum(taps * turns, axis=1))
    integrated = np.asarray(lfilter([1 - leak], [1, -leak], envelopes, axis=1))
    gathered = integrated[:, frame_length - 1 :: frame_length]
    return np.diff(gathered / gathered[:, -1:], axis=1, prepend=0.0)


class _Band(NamedTuple):
    """Adjacent filters that share one block length."""

    history: int  # samples of context before a block, in whole frames
    block: int  # samples of one Fourier transform, history included, in whole frames
    spectra: Complex[Tensor, "filter bin"]  # of the impulse responses, over the block length
    drifting: slice  # the filters with a slow mode
    drift: Float[Tensor, "filter 2"]  # gains of the two slow modes in these filters


@lru_cache(maxsize=16)
@torch.inference_mode(False)  # cached tensors must be usable in training, too
def _filter_bank(
    linear: bool, frame_length: int, settling: int, dtype: torch.dtype, device: torch.device
) -> tuple[_Band, ...]:
    """The bands from low to high; with linear hair cells, each filter less its higher neighbour.

    Block lengths are a frame length times a power of two, fast to transform, and at most half of a
    block is history. `settling` is the number of samples in which the hair cell's membrane decays.
    """
    responses, _, gains = _impulse_responses()
    if linear:
        responses, gains = -np.diff(responses, axis=0), -np.diff(gains, axis=0)
    bands = []
    for first in range(0, CHANNELS, _BAND):
        members = slice(first, first + _BAND + (not linear))
        remainder = np.abs(responses[members, ::-1]).cumsum(axis=1)[:, ::-1].max(axis=0)
        memory = int(np.count_nonzero(remainder > _REMAINDER)) + settling
        history = -(-memory // frame_length) * frame_length
        block = frame_length
        while block < max(2 * history, _SHORTEST_BLOCK):
            block *= 2
        taps = responses[members, : history + 1 - settling]
        spectra = torch.tensor(np.fft.rfft(taps, block) / block, device=device)
        slow = np.flatnonzero(gains[members].any(axis=1))
        drifting = slice(slow[0], slow[-1] + 1) if slow.size else slice(0)
        drift = torch.tensor(gains[members][drifting], dtype=dtype, device=device)
        bands.append(_Band(history, block, spectra.to(dtype.to_complex()), drifting, drift))
    return tuple(bands)


@lru_cache(maxsize=1)
def _impulse_responses() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Impulse responses (129, sample) of the filters; poles (2,) and gains (129, 2) of slow modes.

    Filters 75 and 76 each have a pole within 3e-7 of z = 1, nearly cancelled by a zero. The
    remainder, `gain * pole**n`, has a magnitude of 1e-8 and lasts for minutes: too long to be part
    of an impulse response, too large to be dropped (3e-6 of the spectrogram of noise). It is
    subtracted here and added to the response as a running sum of the sound.
    """
    with files("mirrornet").joinpath("data/cochlear_filters.npz").open("rb") as file:
        stored = np.load(file)
        numerators, denominators = stored["numerator"], stored["denominator"]
    n = np.arange(2**14)  # by then all other modes have decayed
    responses = np.array(
        [lfilter(b, a, n == 0) for b, a in zip(numerators, denominators, strict=True)]
    )
    slowest = [np.abs(np.roots(a)).max() for a in denominators]
    slow = np.flatnonzero(np.greater(slowest, 1 - 1e-6))
    poles, gains = np.take(slowest, slow), np.zeros((len(responses), len(slow)))
    for mode, (filter_, pole) in enumerate(zip(slow, poles, strict=True)):
        gains[filter_, mode] = responses[filter_, -1] / pole ** n[-1]
        responses[filter_] -= gains[filter_, mode] * pole**n
    return responses, poles, gains


def _slow_modes(sound: Float[Tensor, "item sample"]) -> Float[Tensor, "item 2 sample"]:
    """`y[n] = x[n] + pole * y[n - 1]` for both slow poles, which need double precision."""
    rates = torch.tensor(np.log(_impulse_responses()[1]), device=sound.device)
    fading = torch.exp(rates[:, None] * torch.arange(sound.shape[-1], device=sound.device))
    return (fading * (sound[:, None] / fading).cumsum(-1)).to(sound.dtype)


def _leaky_sum(x: Float[Tensor, "*batch time"], leak: float) -> Float[Tensor, "*batch time"]:
    """`y[n] = x[n] + leak * y[n - 1]`, by recursive doubling.

    If each y[n] sums the last `reach` inputs, adding the weighted y[n - reach] doubles the reach.
    Inputs that weigh less than a rounding error are omitted.
    """
    reach = 1
    while reach < x.shape[-1] and leak**reach > 1e-17:
        x = x + leak**reach * functional.pad(x, (reach, 0))[..., :-reach]
        reach *= 2
    return x


def _working_set(device: torch.device) -> int:
    """Number of samples to compute at once: as fits a CPU's cache, or keeps an accelerator busy."""
    return 2**19 if device.type == "cpu" else 2**26
