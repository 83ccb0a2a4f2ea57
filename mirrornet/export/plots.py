"""Plots: a match compared with its target, and the paper's panels of auditory spectrograms.

Figures are built without pyplot, so they need no display, and are all rendered by `png`. The colour
maps, magma and RdBu, are suitable for colour-blind readers.
"""

import io
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.patches import Rectangle
from torch import Tensor

from ..features import FRAME_S, frequencies_hz
from ..plants.timbre import BAND_HZ, BANDS_HZ, HARMONICS, TIMES_S
from ..score import Note, note_name
from .answer import Answer

MOST_FRAMES = 5000  # shown side by side; longer sounds are averaged
MOST_NAMED = 60  # notes; more are not labelled
TIMBRE_MARKS = (1, 2, 4, 8, 16, 32, 64, 125, 250, 500, 1000, 2000, 4000, 8000)
RANGE_DB = 70.0  # of a timbre's colour scale
QUIETEST_DB = -100.0  # of a partial that is not played
MARKS_HZ = (125, 250, 500, 1000, 2000, 4000, 8000)
PANELS = (
    "(a) input melody",
    "(b) decoder,\ntrue controls",
    "(c) decoder,\nlearned controls",
    "(d) plant,\nlearned controls",
)
SOON = {"compress_level": 3}  # half the time of the default 6, for a file a sixth larger
INK, QUIET, RULE, NOTE = "#1c2430", "#5f6b7a", "#d9dee5", "#0072b2"

Spectrogram = Float[Tensor, "channel frame"] | Float[np.ndarray, "channel frame"]

# matplotlib's settings are global to the process: one thread at a time changes them.
_DRAWING = Lock()


def png(draw: Callable[[], Figure], dpi: int) -> bytes:
    """Render the figure that `draw` returns as PNG, with matplotlib's default settings instead of
    the user's style, matplotlibrc and backend, which are restored afterwards."""
    picture = io.BytesIO()
    with _DRAWING:
        theirs, usual = matplotlib.rcParams, matplotlib.rcParamsDefault.items()
        # Reading the setting `backend` would load the backend.
        changed: Any = {k: value for k, value in usual if k != "backend" and theirs[k] != value}
        with matplotlib.rc_context(changed):
            canvas = FigureCanvasAgg(draw())
            canvas.print_figure(picture, dpi=dpi, format="png", pil_kwargs=SOON)
    return picture.getvalue()


def compare(match: Answer) -> Figure:
    """Plot the auditory spectrograms of target, match and their difference, above the notes.

    All three share one scale: the smaller the difference is relative to the sounds, the paler.
    """
    target, heard = match.target_heard, match.heard
    loudest = _loudest([target, heard])
    duration_s = target.shape[1] * FRAME_S
    width_inches = min(max(8.0, 2.0 * duration_s), 24.0)
    layout = ConstrainedLayoutEngine(h_pad=0.06, hspace=0.04)
    figure = Figure(figsize=(width_inches, 8.8), layout=layout, facecolor="white")
    axes = figure.subplots(4, 1, sharex=True, height_ratios=(3, 3, 3, 2.6))
    sounds = [
        _show(axis, S, title, "magma", 0, loudest)
        for axis, S, title in zip(axes, (target, heard), ("Target", "Match"), strict=False)
    ]
    change = _show(axes[2], heard - target, "Match − target", "RdBu_r", -loudest, loudest)
    for axis in axes[:3]:
        axis.set_ylabel("frequency (Hz)", color=QUIET, fontsize=8)
        axis.tick_params(bottom=False)
    _piano_roll(axes[3], match.notes)
    axes[3].set_xlabel("time (s)", color=QUIET, fontsize=8)
    axes[3].set_xlim(0, duration_s)
    _colour_bar(
        figure.colorbar(sounds[0], ax=axes[:2], aspect=36, pad=0.015), "loudness (compressed)"
    )
    _colour_bar(figure.colorbar(change, ax=axes[2], aspect=17.2, pad=0.015), "quieter  ·  louder")
    return figure


def timbre(match: Answer) -> Figure:
    """Plot the tables of a patch over the time since a note's onset: harmonics of each register,
    noise, and partials beside the harmonics if there are any. The patch must have controls with
    the roles of `plants/timbre.py`."""
    roles = ("harmonics", "noise", "partials", "partial_levels")
    found = [match.plant.controls.patch.of_role(role) for role in roles]
    harmonics, noise, partials, levels = (
        np.asarray(match.score.patch[control.name], float) for control in found if control
    )
    tables = [*harmonics, noise]
    titles = ["Harmonics, low notes", "Harmonics, high notes", f"Noise, per {BAND_HZ:g} Hz"]
    rows: list[Sequence[float]] = [HARMONICS, HARMONICS, BANDS_HZ]
    heard = np.flatnonzero(levels.max(0) > QUIETEST_DB)
    if len(heard):  # a row each, whatever lies between them
        heard = heard[np.argsort(partials[heard])]
        tables.append(levels[:, heard])
        titles.append("Other partials")
        rows.append(range(len(heard)))
    figure = Figure(figsize=(3.0 * len(tables), 3.2), layout="constrained", facecolor="white")
    axes = figure.subplots(1, len(tables))
    loudest = max(table.max() for table in tables)
    for axis, table, title, heights in zip(axes, tables, titles, rows, strict=True):
        colours = {"cmap": "magma", "vmin": loudest - RANGE_DB, "vmax": loudest}
        if isinstance(heights, range):
            image = axis.imshow(table.T, origin="lower", aspect="auto", **colours)
            axis.set_yticks(heights, [f"{partials[one]:.3g}" for one in heard])
        else:
            image = axis.pcolormesh(
                np.arange(len(TIMES_S)), heights, table.T, shading="nearest", **colours
            )
            axis.set_yscale("log")
            marks = [mark for mark in TIMBRE_MARKS if heights[0] <= mark <= heights[-1]]
            axis.set_yticks(marks, [f"{mark:g}" for mark in marks], minor=False)
            axis.minorticks_off()
        shown = range(0, len(TIMES_S), 4)
        axis.set_xticks(shown, [f"{TIMES_S[n]:g}" for n in shown])
        axis.set_xlabel("time since the onset (s)", color=QUIET, fontsize=8)
        _clean(axis, title)
    names = ("harmonic", "", "frequency (Hz)", "frequency over the pitch")
    for axis, name in zip(axes, names, strict=False):
        axis.set_ylabel(name, color=QUIET, fontsize=8)
    _colour_bar(figure.colorbar(image, ax=figure.axes, aspect=24, pad=0.015), "amplitude (dB)")
    return figure


def panels(
    rows: Sequence[Sequence[Spectrogram | None]],
    titles: Sequence[str],
) -> Figure:
    """Plot the MirrorNet paper's figure: a row of four auditory spectrograms for each melody.

    (a) input melody, (b) decoder output from the true controls, (c) final decoder output from
    the learned controls, (d) the plant's output from the learned controls. `titles` names the
    melodies. Each row has its own colour scale, shared by its panels. A panel that is None in all
    rows, such as (b) if the true controls are not known, is left out.
    """
    shown = [n for n in range(len(PANELS)) if rows[0][n] is not None]
    figure = Figure(figsize=(8.0, 0.6 + 1.45 * len(rows)), layout="constrained", facecolor="white")
    grid = figure.subplots(len(rows), len(shown), sharex=True, sharey=True, squeeze=False)
    for axes, row, title in zip(grid, rows, titles, strict=True):
        spectrograms = [_array(S) for S in row if S is not None]
        loudest = _loudest(spectrograms)
        for axis, S in zip(axes, spectrograms, strict=True):
            _show(axis, S, "", "magma", 0, loudest)
        axes[0].set_ylabel(f"{title}\nfrequency (Hz)", color=INK, fontsize=8)
    for axis, panel in zip(grid[0], shown, strict=True):
        axis.set_title(PANELS[panel], color=INK, fontsize=9)
    for axis in grid[-1]:
        axis.set_xlabel("time (s)", color=QUIET, fontsize=8)
    return figure


def _array(S: Spectrogram) -> Float[np.ndarray, "channel frame"]:
    return S.detach().cpu().numpy() if isinstance(S, Tensor) else np.asarray(S)


def _loudest(spectrograms: Sequence[Float[np.ndarray, "channel frame"]]) -> float:
    """Maximum of the colour scale; 1 if all is silent, since 0 would not give a scale."""
    return max(float(S.max(initial=0.0)) for S in spectrograms) or 1.0


def _show(
    axis: Axes,
    S: Float[np.ndarray, "channel frame"],
    title: str,
    colours: str,
    low: float,
    high: float,
) -> AxesImage:
    channels, frames = S.shape
    image = axis.imshow(
        _thinned(S),
        cmap=colours,
        vmin=low,
        vmax=high,
        extent=(0, frames * FRAME_S, -0.5, channels - 0.5),
        origin="lower",
        aspect="auto",
    )
    centres_hz = frequencies_hz(channels)
    marks_hz = [mark_hz for mark_hz in MARKS_HZ if mark_hz < centres_hz[-1]]
    ticks = np.interp(np.log2(marks_hz), np.log2(centres_hz), np.arange(channels))
    axis.set_yticks(ticks, [str(mark_hz) for mark_hz in marks_hz])
    _clean(axis, title)
    return image


def _thinned(S: Float[np.ndarray, "channel frame"]) -> Float[np.ndarray, "channel shown"]:
    """Average groups of adjacent frames, so that at most `MOST_FRAMES` are left."""
    some = -(-S.shape[1] // MOST_FRAMES)
    if some <= 1:
        return S
    firsts = np.arange(0, S.shape[1], some)
    return np.add.reduceat(S, firsts, axis=1) / np.diff(firsts, append=S.shape[1])


def _piano_roll(axis: Axes, notes: Sequence[Note]) -> None:
    """Draw the notes as bars over the rows of a keyboard, labelled if there are few."""
    pitches = [note.pitch_midi for note in notes]
    low, high = min(pitches, default=60) - 2, max(pitches, default=60) + 3
    low = min(low, high - 12)
    for pitch in range(low, high + 1):
        if "#" in note_name(pitch):
            axis.axhspan(pitch - 0.5, pitch + 0.5, color="#f1f3f6", linewidth=0)
        if pitch % 12 in (0, 5):  # adjacent white keys: B and C, E and F
            axis.axhline(pitch - 0.5, color=RULE, linewidth=0.6)
    for note in notes:
        start, length = note.onset_s, note.offset_s - note.onset_s
        bar = Rectangle((start, note.pitch_midi - 0.45), length, 0.9, color=NOTE, linewidth=0)
        axis.add_patch(bar)
        if note.glide:
            times_s, semitones = np.array(note.glide).T
            axis.plot(note.onset_s + times_s, note.pitch_midi + semitones, color=INK, linewidth=0.8)
        if len(notes) <= MOST_NAMED:
            axis.annotate(
                note_name(note.pitch_midi),
                (start, note.pitch_midi + 0.5),
                xytext=(0, 1.5),
                textcoords="offset points",
                color=INK,
                fontsize=8,
                fontweight="bold",
            )
    axis.set_ylim(low - 0.5, high + 0.5)
    triad = (0, 4, 7) if high - low <= 24 else (0,)  # C, E, G; over more than two octaves only C
    shown = [pitch for pitch in range(low, high + 1) if pitch % 12 in triad]
    axis.set_yticks(shown, [note_name(p) for p in shown])
    axis.set_ylabel("pitch", color=QUIET, fontsize=8)
    _clean(axis, "Notes of the match")


def _clean(axis: Axes, title: str) -> None:
    axis.set_title(title, loc="left", color=INK, fontsize=10, fontweight="bold")
    axis.tick_params(labelsize=7.5, colors=QUIET, length=2.5, width=0.6)
    for spine in axis.spines.values():
        spine.set_visible(False)


def _colour_bar(bar: Colorbar, label: str) -> None:
    bar.set_label(label, color=QUIET, fontsize=8)
    bar.ax.tick_params(labelsize=7.5, colors=QUIET, length=2.5, width=0.6)
    bar.outline.set_visible(False)
