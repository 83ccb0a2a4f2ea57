"""Refinement of one answer: first in the mind, then with the plant.

`imagine` spends no render: it moves the controls until the decoder expects the target.

`practise` plays and listens. The notes of a melody sound one after another, so one render is an
experiment on each of them: of a changed knob, every note shows the effect in its own frames. First
come Gauss-Newton steps on the heard residual (Levenberg 1944, Marquardt 1963), along the decoder's
Jacobian and then along one measured on the plant, kept up to date by what each trial teaches
(Broyden 1965). Once they find nothing better, random changes whose size follows their success
(Rechenberg 1973) are tried, and kept note by note.
"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float
from scipy.optimize import least_squares, lsq_linear
from torch import Tensor

from .controls import ControlSpace
from .hearing import FRAME_S
from .melody import PITCH_SPAN, duration_controls, note_spans
from .mirror import MirrorNet

Controls = Float[np.ndarray, "control note"]
Spectrogram = Float[np.ndarray, "channel=128 frame"]
Jacobian = Float[np.ndarray, "channel=128 frame place"]

IMAGINING_STEPS = 12
ONSET_UNIT_S = 0.02  # an onset moved by this counts as much as a knob moved over its whole range
DAMPING = (1e-7, 1e-3, 1.0)  # of Gauss-Newton, as a share of the mean curvature: least, first, most
EASIER, HARDER = 0.2, 6.0  # what success and failure do to it
DECODER_STEPS = 2  # trials along the decoder's Jacobian before one is measured
MEASURED_STEPS = 6  # trials along a measured one before the next is measured
PROBES = (0.02, 0.008, 0.0032)  # how far controls are moved to measure a Jacobian, ever finer


def imagine(
    model: MirrorNet, target: Float[Tensor, "channel=128 frame"], controls: Controls
) -> Controls:
    """Controls near `controls` from which the decoder expects `target`: least squares, no render.

    `target` is as the model hears it. Pitches are brought to semitones and stay.
    """
    controls = round_pitch(model.controls, controls)
    rows = [row for row in range(len(controls)) if row != model.controls.row("pitch")]
    expected = _decoder(model, controls, rows)

    def off(values: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            return (expected(_tensor(values, rows)) - target).double().numpy().ravel()

    def jacobian(values: np.ndarray) -> np.ndarray:
        slopes = torch.func.jacfwd(expected)(_tensor(values, rows)).detach()
        return slopes.double().numpy().reshape(target.numel(), -1)

    begin = controls[rows].clip(1e-6, 1 - 1e-6).ravel()
    found = least_squares(off, begin, jacobian, (0, 1), ftol=1e-3, max_nfev=IMAGINING_STEPS)
    controls[rows] = found.x.reshape(len(rows), -1)
    return controls


def practise(
    listen: Callable[[Controls], Spectrogram],
    space: ControlSpace,
    target: Spectrogram,
    controls: Controls,
    renders: int,
    model: MirrorNet | None = None,
    seed: int = 0,
) -> Controls:
    """The best controls found with `renders` renders, the first spent on `controls` themselves.

    `listen` plays controls and gives the linear spectrogram; `target` is loudness-compressed. A
    `model` that hears loudness lends its decoder's Jacobian for the first steps. Pitches are
    brought to semitones and stay.
    """
    practice = _Practice(listen, space, target, round_pitch(space, controls), renders)
    if model and model.hearing == "loudness":
        practice.correct(_decoder_jacobian(model, practice), DECODER_STEPS)
    for probe in PROBES:
        # Measuring pays only if there are renders left to use what was measured.
        while practice.renders > practice.probes + 1:
            before = practice.error
            practice.correct(practice.measure(probe), MEASURED_STEPS)
            if practice.error > 0.9 * before:
                break
    practice.explore(np.random.default_rng(seed))
    return practice.controls


def round_pitch(space: ControlSpace, controls: Controls) -> Controls:
    """The controls with pitches on semitones, as the plant plays them."""
    rounded = np.array(controls, dtype=np.float64)
    pitch = space.row("pitch")
    rounded[pitch] = np.rint(rounded[pitch] * PITCH_SPAN) / PITCH_SPAN
    return rounded


class _Practice:
    """The best answer so far, and ways to better it until the renders are spent.

    An answer is a place: the onsets of all notes but the first, in `ONSET_UNIT_S`, and the knobs,
    knob by knob. A note sounds as its own knobs, its onset and the next one's say.
    """

    def __init__(
        self,
        listen: Callable[[Controls], Spectrogram],
        space: ControlSpace,
        target: Spectrogram,
        controls: Controls,
        renders: int,
    ):
        self.listen, self.target, self.renders = listen, target.astype(np.float64), renders
        self.duration = space.row("duration")
        self.knobs = [n for n, c in enumerate(space) if c.name not in ("pitch", "duration")]
        self.notes = controls.shape[-1]
        self.melody_s = target.shape[-1] * FRAME_S
        onsets = self.notes - 1
        own = np.tile(np.eye(self.notes, dtype=bool), (len(self.knobs), 1))
        shared = np.eye(onsets, self.notes, dtype=bool) | np.eye(onsets, self.notes, 1, dtype=bool)
        self.touches = np.concatenate([shared, own])  # place, note
        self.probes = 2 + len(self.knobs)
        self.circular = np.zeros(len(self.touches), dtype=bool)
        for n, row in enumerate(self.knobs):
            self.circular[onsets + n * self.notes :][: self.notes] = space[row].circular
        self.low = np.where(np.arange(len(self.touches)) < onsets, -np.inf, 0.0)
        self.low[self.circular] = -np.inf
        self.high = np.where(np.isinf(self.low), np.inf, 1.0)
        self.controls, self.place = controls, self.place_of(controls)
        self.linear, self.error = self._hear(controls)

    def correct(self, jacobian: Jacobian, trials: int) -> None:
        """Gauss-Newton steps, each from the best place so far."""
        least, damping, most = DAMPING
        failures = 0
        while trials and self.renders and failures < 3:
            residual = self.target - compress(self.linear)
            step = self._step(jacobian, residual, damping)
            controls = self.controls_at(self.place + step)
            moved = self.place_of(controls) - self.place
            before, sounding = compress(self.linear), self._sounding()
            linear, error = self._hear(controls)
            # The decoder or an older measurement erred by this; blame the places that moved.
            surprise = compress(linear) - before - jacobian @ moved
            for note in range(self.notes):
                own = moved * self.touches[:, note]
                if own @ own > 1e-12:
                    frames = sounding == note
                    jacobian[:, frames] += surprise[:, frames, None] * (own / (own @ own))
            if error < self.error:
                self._take(controls, linear, error)
                damping, failures = max(damping * EASIER, least), 0
            else:
                damping, failures = min(damping * HARDER, most), failures + 1
            trials -= 1

    def measure(self, probe: float) -> Jacobian:
        """The plant's Jacobian at the best place, by one render for each knob and two for the
        onsets, of which every other one is moved at a time."""
        place, linear, sounding = self.place, self.linear, self._sounding()
        onsets = self.notes - 1
        groups = [np.arange(first, onsets, 2) for first in (0, 1)]
        groups += [onsets + k * self.notes + np.arange(self.notes) for k in range(len(self.knobs))]
        slopes = np.zeros((*linear.shape, len(place)))
        best = self.controls, self.linear, self.error
        for group in groups:
            moved = place.copy()
            # Knobs move inwards, onsets later and by less.
            moved[group] += np.where(place[group] < 0.5, probe, -probe)
            moved[group[group < onsets]] = place[group[group < onsets]] + 0.5 * probe
            controls = self.controls_at(moved)
            heard, error = self._hear(controls)
            moved = self.place_of(controls)
            for at in group:
                frames = self.touches[at, sounding]
                if moved[at] != place[at]:
                    slopes[:, frames, at] = (heard - linear)[:, frames] / (moved[at] - place[at])
            if error < best[2]:
                best = controls, heard, error
        self._take(*best)
        # Through the compression, which divides by the mean over the whole melody.
        mean = linear.mean()
        slopes = slopes / mean - (linear / mean**2)[..., None] * slopes.mean((0, 1))
        return slopes / (1 + 4 * linear / mean)[..., None]

    def explore(self, generator: np.random.Generator) -> None:
        """Spend what is left on random changes, kept note by note where they help."""
        size = np.full(self.notes, 0.02)
        onsets = self.notes - 1
        heard = self.controls, self.linear, self.error
        while self.renders > 1:
            change = generator.standard_normal(len(self.place))
            change[:onsets] = 0
            place = (self.place + change * (self.touches @ size)).clip(self.low, self.high)
            controls, sounding = self.controls_at(place), self._sounding()
            linear, error = self._hear(controls)
            for note in range(self.notes):
                mixed = np.where(sounding == note, linear, self.linear)
                better = self._error(mixed) < self.error
                size[note] *= 1.5 if better else 0.9
                if better:
                    kept = self.controls.copy()
                    kept[self.knobs, note] = controls[self.knobs, note]
                    self._take(kept, mixed, self._error(mixed))
        if self.controls is not heard[0]:  # what was put together was never heard as a whole
            linear, error = self._hear(self.controls)
            self._take(*min(heard, (self.controls, linear, error), key=lambda answer: answer[2]))

    def place_of(self, controls: Controls) -> Float[np.ndarray, " place"]:
        onsets_s = np.cumsum(note_spans(controls[self.duration], self.melody_s))[:-1]
        return np.concatenate([onsets_s / ONSET_UNIT_S, controls[self.knobs].ravel()])

    def controls_at(self, place: Float[np.ndarray, " place"]) -> Controls:
        """The melody at a place, as near as controls can bring it."""
        onsets = self.notes - 1
        starts_s = np.concatenate([[0.0], place[:onsets] * ONSET_UNIT_S, [self.melody_s]])
        controls = self.controls.copy()
        if onsets:
            controls[self.duration] = duration_controls(np.diff(starts_s).clip(min=0.01))
        knobs = np.where(self.circular, place % 1, place.clip(self.low, self.high))[onsets:]
        controls[self.knobs] = knobs.reshape(len(self.knobs), -1)
        return controls

    def _hear(self, controls: Controls) -> tuple[Spectrogram, float]:
        self.renders -= 1
        linear = self.listen(controls).astype(np.float64)
        return linear, self._error(linear)

    def _error(self, linear: Spectrogram) -> float:
        return float(np.mean((self.target - compress(linear)) ** 2))

    def _take(self, controls: Controls, linear: Spectrogram, error: float) -> None:
        self.controls, self.linear, self.error = controls, linear, error
        self.place = self.place_of(controls)

    def _sounding(self) -> Float[np.ndarray, " frame"]:
        """Which note sounds in each frame."""
        ends_s = np.cumsum(note_spans(self.controls[self.duration], self.melody_s))
        times_s = FRAME_S * np.arange(1, self.target.shape[-1] + 1)
        return np.searchsorted(ends_s[:-1], times_s)

    def _step(
        self, jacobian: Jacobian, residual: Spectrogram, damping: float
    ) -> Float[np.ndarray, " place"]:
        """Damped least squares within the bounds of the controls."""
        flat = jacobian.reshape(residual.size, -1)
        curvature, pull = flat.T @ flat, flat.T @ residual.ravel()
        curvature += damping * curvature.diagonal().mean() * np.eye(len(pull))
        root = np.linalg.cholesky(curvature)
        # A step of no length must lie within the bounds, not on them.
        bounds = np.minimum(self.low - self.place, -1e-9), np.maximum(self.high - self.place, 1e-9)
        return lsq_linear(root.T, np.linalg.solve(root, pull), bounds).x


def compress(linear: Spectrogram) -> Spectrogram:
    """`cochlea.loudness_compress` on numpy arrays."""
    return np.log1p(4 * linear / (linear.mean() or 1.0)) / 4


def _decoder(
    model: MirrorNet, controls: Controls, rows: list[int]
) -> Callable[[Float[Tensor, "row note"]], Float[Tensor, "channel=128 frame"]]:
    """What the decoder expects, as a function of some rows of the controls."""
    fixed, index = torch.from_numpy(controls).float(), torch.tensor(rows)
    return lambda values: model.decoder(fixed.index_copy(0, index, values)[None])[0]


def _tensor(values: np.ndarray, rows: list[int]) -> Float[Tensor, "row note"]:
    return torch.from_numpy(values.reshape(len(rows), -1)).float()


def _decoder_jacobian(model: MirrorNet, practice: _Practice) -> Jacobian:
    """The decoder's slopes at the best place, durations taken as the onsets they bring about."""
    rows = [practice.duration, *practice.knobs]
    values = torch.from_numpy(practice.controls[rows]).float()
    slopes = torch.func.jacfwd(_decoder(model, practice.controls, rows))(values).detach()

    def onsets(duration: Tensor) -> Tensor:
        return note_spans(duration, practice.melody_s).cumsum(-1)[:-1] / ONSET_UNIT_S

    by_duration = torch.func.jacfwd(onsets)(values[0])
    slopes = slopes.double().numpy()
    of_onsets = slopes[:, :, 0] @ np.linalg.pinv(by_duration.double().numpy())
    return np.concatenate([of_onsets, slopes[:, :, 1:].reshape(*slopes.shape[:2], -1)], -1)
