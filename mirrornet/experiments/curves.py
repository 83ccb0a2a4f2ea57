"""The benchmark's plot: match error of each method against its renders, per melody and in training.

Colours are of Okabe and Ito's palette for colour-blind readers; markers and dashes differ, too.
"""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, NullLocator

from ..export.plots import INK, NOTE, QUIET, RULE

NO_RENDER = 0.3  # position of 0 renders on the logarithmic axis
OURS = {"listened": "-", "babble only": (0, (3, 1.5))}  # solid, dashed
SEARCHES = (
    ("#e69f00", "o"),
    ("#cc79a7", "v"),
    ("#009e73", "s"),
    ("#d55e00", "^"),
    ("#8c6510", "D"),
)
PAPER = ("#56b4e9", (0, (3, 1, 1, 1)), "d")
LEARNED = ((INK, (0, (5, 3)), "P"), (QUIET, (0, (1, 1.5)), "X"))
FLAT = {"constant guess": (0, (1, 3)), "true controls, played again": (0, (4, 2, 1, 2))}


def benchmark_curves(result: dict[str, Any]) -> Figure:
    """Plot a result of `run_benchmark`: two panels of match error (% of variance), log-log axes.

    Left, against renders per melody: MirrorNet and the searches are lines. A method that answers
    without a render is a marker at 0 with a dashed horizontal line, as more renders do not change
    it. The error of the true controls is not drawn where it is 0. Right, against renders in
    training: methods that answer without a render, by size of babble; the paper's recipe by round.
    """
    figure = Figure(figsize=(12.6, 5.2), layout="constrained", facecolor="white")
    matching, learning = figure.subplots(1, 2, sharey=True, width_ratios=(3, 2))
    _draw_matching(matching, result)
    _draw_learning(learning, result)
    matching.set_title(
        f"MirrorNet and its peers: {result['what']}",
        loc="left",
        color=INK,
        fontsize=10,
        fontweight="bold",
    )
    named = dict(zip(*reversed(learning.get_legend_handles_labels()), strict=True))
    named |= dict(zip(*reversed(matching.get_legend_handles_labels()), strict=True))
    figure.legend(
        named.values(),
        named,
        loc="outside right upper",
        frameon=False,
        fontsize=8,
        labelcolor=INK,
    )
    return figure


def _draw_matching(axis: Axes, result: dict[str, Any]) -> None:
    curves = _curves(result)
    furthest = max(max(x) for _, x, _ in curves.values())
    searches, learned = iter(SEARCHES), iter(LEARNED)
    for method, (family, x, y) in curves.items():
        match family:
            case "ours":
                _draw_ours(axis, method, x, y)
            case "search":
                colour, marker = next(searches)
                axis.plot(x, y, color=colour, marker=marker, markersize=4.5, lw=1.3, label=method)
            case "learned":
                colour, dashes, marker = next(learned)
                axis.plot(x, y, marker, color=colour, markersize=7, zorder=3)
                axis.plot([x[0], furthest], 2 * y, color=colour, ls=dashes, lw=1.2)
                axis.plot([], [], color=colour, ls=dashes, lw=1.2, marker=marker, label=method)
            case _ if y[0] > 1e-3:
                axis.axhline(y[0], color=QUIET, linestyle=FLAT[method], lw=1, label=method)
    _dress(axis)
    powers = [10**n for n in range(6) if 10**n <= furthest]
    axis.set_xticks([NO_RENDER, *powers], ["0", *(f"{power:,}" for power in powers)])
    axis.set_xlim(NO_RENDER / 1.5, 1.5 * furthest)
    axis.axvline(NO_RENDER**0.5, color=RULE, lw=0.8)  # separates 0 renders from the others
    axis.set_xlabel("renders spent on each melody", color=QUIET, fontsize=8)
    axis.set_ylabel("match error (% of variance)", color=QUIET, fontsize=8)


def _draw_learning(axis: Axes, result: dict[str, Any]) -> None:
    courses: dict[str, tuple[str, list[float], list[float]]] = {}
    for record in result["learned"]:
        family, x, y = courses.setdefault(record["method"], (record["family"], [], []))
        for point in record.get("course", [record | record["scores"]]):
            x.append(point["learning_renders"])
            y.append(100 * point["spectrogram_error"])
    learned, papers = iter(LEARNED), iter((PAPER, PAPER))
    for method, (family, x, y) in courses.items():
        if family == "ours":
            _draw_ours(axis, method, x, y)
            continue
        colour, dashes, marker = next(papers if family == "paper" else learned)
        axis.plot(x, y, color=colour, ls=dashes, lw=1.2, marker=marker, label=method)
    _dress(axis)
    axis.set_xlabel("renders heard while learning; then none", color=QUIET, fontsize=8)
    axis.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")


def _curves(result: dict[str, Any]) -> dict[str, tuple[str, list[float], list[float]]]:
    """Family, x positions (renders) and errors in % of each method."""
    curves: dict[str, tuple[str, list[float], list[float]]] = {}
    for record in result["matched"]:
        _, x, y = curves.setdefault(record["method"], (record["family"], [], []))
        x.append(record["renders"] or NO_RENDER)
        y.append(100 * record["scores"]["spectrogram_error"])
    return curves


def _draw_ours(axis: Axes, method: str, x: list[float], y: list[float]) -> None:
    """Draw MirrorNet: the encoder alone as stars, its refinement as circles; open if trained on
    babble only."""
    encoder = method.startswith("encoder")
    axis.plot(
        x,
        y,
        color=NOTE,
        linestyle=next(style for which, style in OURS.items() if which in method),
        linewidth=1.4 if encoder else 2.4,
        marker="*" if encoder else "o",
        markersize=11 if encoder else 5.5,
        markerfacecolor=NOTE if "listened" in method else "white",
        zorder=4,
        label=method,
    )


def _dress(axis: Axes) -> None:
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.xaxis.set_minor_locator(NullLocator())
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.yaxis.set_minor_formatter(LogFormatter())  # labels, if the axis spans few decades
    axis.tick_params(which="both", labelsize=7.5, colors=QUIET, length=2.5, width=0.6)
    axis.grid(axis="y", color=RULE, linewidth=0.6)
    for spine in axis.spines.values():
        spine.set_visible(False)
