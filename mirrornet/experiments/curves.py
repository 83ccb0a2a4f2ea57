"""The benchmark's picture: how far off every method is, against the renders it spent.

Colours are Okabe and Ito's, which colour-blind eyes can tell apart; markers and dashes differ, too.
"""

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from ..plots import INK, NOTE, QUIET, RULE

NO_RENDER = 0.3  # where 0 stands on the logarithmic axis
OURS = {"listened": "-", "babble only": (0, (3, 1.5))}  # solid, dashed
SEARCHES = (
    ("#e69f00", "o"),
    ("#cc79a7", "v"),
    ("#009e73", "s"),
    ("#d55e00", "^"),
    ("#8c6510", "D"),
)
LEARNED = ((INK, (0, (5, 3)), "P"), (QUIET, (0, (1, 1.5)), "X"))
FLAT = {"constant guess": (0, (1, 3)), "true controls, played again": (0, (4, 2, 1, 2))}


def benchmark_curves(result: dict[str, Any]) -> Figure:
    """Match error (% of variance) against renders spent on each melody, both logarithmic.

    Ours, refined and searched, are lines. What answers without a render is a mark at 0, and a
    dashed line on from there, as more renders do not help it. The floor is not drawn where it is 0.
    """
    figure = Figure(figsize=(8.6, 5.2), layout="constrained", facecolor="white")
    axis = figure.subplots()
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
    _dress(axis, furthest)
    axis.set_title(
        f"MirrorNet and its peers: {result['what']}",
        loc="left",
        color=INK,
        fontsize=10,
        fontweight="bold",
    )
    figure.legend(loc="outside right upper", frameon=False, fontsize=8, labelcolor=INK)
    return figure


def _curves(result: dict[str, Any]) -> dict[str, tuple[str, list[float], list[float]]]:
    """Family, places on the axis of renders, and errors in %, of each method."""
    curves: dict[str, tuple[str, list[float], list[float]]] = {}
    for record in result["matched"]:
        _, x, y = curves.setdefault(record["method"], (record["family"], [], []))
        x.append(record["renders"] or NO_RENDER)
        y.append(100 * record["scores"]["spectrogram_error"])
    return curves


def _draw_ours(axis: Axes, method: str, x: list[float], y: list[float]) -> None:
    """The encoder's answer is an open mark; decoder and renders lead on from it."""
    dashes = next(style for which, style in OURS.items() if which in method)
    refined = len(x) > 1
    axis.plot(
        x,
        y,
        color=NOTE,
        linestyle=dashes if refined else "none",
        linewidth=2.4,
        marker="o" if refined else "*",
        markersize=5.5 if refined else 11,
        markerfacecolor=NOTE if "listened" in method else "white",
        zorder=4,
        label=method,
    )


def _dress(axis: Axes, furthest: float) -> None:
    axis.set_xscale("log")
    axis.set_yscale("log")
    powers = [10**n for n in range(6) if 10**n <= furthest]
    axis.set_xticks([NO_RENDER, *powers], ["0", *(f"{power:,}" for power in powers)])
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xlim(NO_RENDER / 1.5, 1.5 * furthest)
    axis.axvline(NO_RENDER**0.5, color=RULE, lw=0.8)  # left of it, no render
    axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axis.set_xlabel("renders spent on each melody", color=QUIET, fontsize=8)
    axis.set_ylabel("match error (% of variance)", color=QUIET, fontsize=8)
    axis.tick_params(labelsize=7.5, colors=QUIET, length=2.5, width=0.6)
    axis.grid(axis="y", color=RULE, linewidth=0.6)
    for spine in axis.spines.values():
        spine.set_visible(False)
