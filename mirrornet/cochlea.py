"""The auditory front end: from sound to auditory spectrogram, as the early auditory system does it."""

import math
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from scipy.fft import next_fast_len
from scipy.signal import lfilter
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 128
TAIL = 1e-9


class _Band(NamedTuple):
    first: int
    stop: int
    history: int
    fft: int
    hop: int
    spectra: Tensor


@lru_cache(maxsize=1)
def _impulse_responses() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    with files("mirrornet").joinpath("data/cochlear_filters.npz").open("rb") as file:
        stored = np.load(file)
        numerator, denominator = stored["numerator"], stored["denominator"]
    impulse = np.zeros(16384)
    impulse[0] = 1
    responses = np.stack(
        [lfilter(b, a, impulse) for b, a in zip(numerator, denominator, strict=True)]
    )
    poles, gains = np.zeros(129), np.zeros(129)
    for c, a in enumerate(denominator):
        slowest = max(np.roots(np.trim_zeros(a, "b")), key=abs)
        if abs(slowest) > 0.9999:
            poles[c] = slowest.real
            gains[c] = responses[c, -1] / slowest.real ** (impulse.size - 1)
            responses[c] -= gains[c] * slowest.real ** np.arange(impulse.size)
    return responses, poles, gains


def _length(response: np.ndarray) -> int:
    tail = np.cumsum(np.abs(response[..., ::-1]), axis=-1)[..., ::-1].max(axis=0)
    return int(np.nonzero(tail > TAIL)[0][-1]) + 1


@lru_cache(maxsize=16)
def _bands(
    linear: bool, frame: int, extra: int, dtype: torch.dtype, device: torch.device
) -> list[_Band]:
    responses = _impulse_responses()[0]
    if linear:
        responses = responses[:-1] - responses[1:]
    bands = []
    for first in range(0, CHANNELS, 16):
        rows = responses[first : first + 16 + (not linear)]
        taps = _length(rows)
        history = taps - 1 + extra
        fft = next_fast_len(history + max(frame, 3 * history), real=True)
        hop = (fft - history) // frame * frame
        spectra = torch.from_numpy(np.fft.rfft(rows[:, :taps], fft))
        complex_dtype = torch.complex64 if dtype == torch.float32 else torch.complex128
        spectra = spectra.to(device, complex_dtype)
        bands.append(_Band(first, first + 16, history, fft, hop, spectra))
    return bands


def _leak(signal: Tensor, decay: float) -> Tensor:
    """y[n] = x[n] + decay * y[n-1] along the last axis, by recursive doubling."""
    shift = 1
    while shift < signal.shape[-1] and decay**shift > 1e-18:
        signal = signal + decay**shift * functional.pad(signal, (shift, 0))[..., :-shift]
        shift *= 2
    return signal


class Cochlea(nn.Module):
    """NSL `wav2aud`: `(*batch, sample)` to `(*batch, 128, frame)`."""

    def __init__(
        self,
        *,
        sample_rate_hz: int = 8000,
        frame_ms: float = 8.0,
        time_constant_ms: float = 8.0,
        hair_cell: str | float = "linear",
    ) -> None:
        super().__init__()
        if sample_rate_hz not in (8000, 16000):
            raise ValueError(
                f"The cochlea hears 8000 or 16000 Hz, not {sample_rate_hz}: resample first."
            )
        kinds = ("linear", "half-wave", "hard-limit")
        level = hair_cell if isinstance(hair_cell, (int, float)) else None
        if not (hair_cell in kinds or (level is not None and 0 < level < math.inf)):
            raise ValueError(f"hair_cell must be one of {kinds} or a level > 0, not {hair_cell!r}.")
        self.sample_rate_hz = sample_rate_hz
        self.hair_cell = hair_cell
        self.frame_length = round(frame_ms * sample_rate_hz / 1000) if 0 < frame_ms < 1e6 else 0
        if self.frame_length < 1:
            raise ValueError(f"frame_ms must span at least one sample, not {frame_ms}.")
        if not 0 <= time_constant_ms < math.inf:
            raise ValueError(f"time_constant_ms must be 0 or more, not {time_constant_ms}.")
        self.time_constant_ms = time_constant_ms

    def forward(self, audio: Float[Tensor, "*batch sample"]) -> Float[Tensor, "*batch 128 frame"]:
        if audio.dim() < 1 or audio.dtype not in (torch.float32, torch.float64):
            raise ValueError("audio must be a float32 or float64 tensor of shape (..., sample).")
        *batch, samples = audio.shape
        frames = -(-samples // self.frame_length)
        if audio.numel() == 0:
            return audio.new_zeros(*batch, CHANNELS, frames)
        x = audio.reshape(-1, samples)
        drift = self._drift(x)
        linear = self.hair_cell == "linear"
        per_ms = self.sample_rate_hz / 1000
        beta = math.exp(-1 / (0.5 * per_ms))
        extra = 0 if linear else math.ceil(math.log(TAIL) / math.log(beta))
        out = []
        for band in _bands(linear, self.frame_length, extra, audio.dtype, audio.device):
            out.append(self._band(x, drift, band, frames, beta))
        v = torch.cat(out, dim=1)
        if self.time_constant_ms > 0:
            alpha = math.exp(-1 / (self.time_constant_ms * per_ms))
            v = _leak(v, alpha**self.frame_length)
        return v.reshape(*batch, CHANNELS, frames)

    def _drift(self, x: Tensor) -> dict[int, Tensor]:
        _, poles, gains = _impulse_responses()
        n = torch.arange(x.shape[-1], dtype=torch.float64, device=x.device)
        drift = {}
        for c in np.nonzero(gains)[0]:
            fading = poles[c] ** n
            drift[int(c)] = (gains[c] * fading * torch.cumsum(x / fading, -1)).to(x.dtype)
        return drift

    def _band(
        self, x: Tensor, drift: dict[int, Tensor], band: _Band, frames: int, beta: float
    ) -> Tensor:
        frame = self.frame_length
        linear = self.hair_cell == "linear"
        blocks = -(-frames * frame // band.hop)
        right = blocks * band.hop - x.shape[-1]
        padded = functional.pad(x, (band.history, right))
        segments = padded.unfold(-1, band.history + band.hop, band.hop)
        y = torch.fft.irfft(
            torch.fft.rfft(segments, band.fft)[:, None] * band.spectra[:, None], band.fft
        )[..., : band.history + band.hop]
        rows = []
        for i, c in enumerate(range(band.first, band.first + y.shape[1])):
            row = y[:, i]
            for k, sign in ((c, 1), (c + 1, -1)) if linear else ((c, 1),):
                if k in drift:
                    d = functional.pad(drift[k], (band.history, right))
                    row = row + sign * d.unfold(-1, band.history + band.hop, band.hop)
            rows.append(row)
        y = torch.stack(rows, 1)
        if not linear:
            if self.hair_cell == "half-wave":
                y = y.clamp_min(0)
            elif self.hair_cell == "hard-limit":
                y = (y > 0).to(y.dtype)
            else:
                y = torch.sigmoid(y / float(self.hair_cell))
            y = _leak(y[:, :-1] - y[:, 1:], beta)
        y = y[..., band.history :].relu()
        y = y.reshape(*y.shape[:-1], band.hop // frame, frame)
        if self.time_constant_ms > 0:
            alpha = math.exp(-1000 / (self.time_constant_ms * self.sample_rate_hz))
            w = alpha ** torch.arange(frame - 1, -1, -1, dtype=torch.float64)
        else:
            w = torch.full((frame,), 1 / frame)
        v = y @ w.to(y)
        return v.flatten(2)[..., :frames]


def unit_sequence(audio: Float[Tensor, "*batch sample"]) -> Float[Tensor, "*batch sample"]:
    """Zero mean, unit variance over the last axis; silence gives zeros."""
    if audio.shape[-1] == 0:
        return audio
    centred = audio - audio.mean(-1, keepdim=True)
    power = centred.square().mean(-1, keepdim=True)
    heard = power > 0
    return centred / torch.where(heard, power, 1).sqrt()


def loudness_compress(
    S: Float[Tensor, "*batch channel frame"],
) -> Float[Tensor, "*batch channel frame"]:
    """`log1p(4 S / mean(S)) / 4`, mean over channel and frame; silence gives zeros."""
    if S.numel() == 0:
        return S
    mean = S.mean((-2, -1), keepdim=True)
    return torch.log1p(4 * S / torch.where(mean > 0, mean, 1)) / 4
