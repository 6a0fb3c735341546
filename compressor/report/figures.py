"""The figures: size against perplexity, perplexity against pruning rate, widths per layer, loss curves.

Each function takes plain numbers and gives a matplotlib figure; `compressor.report.canvas` says how they look.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, log

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullLocator

from compressor.report.canvas import COLOURS, ORDER, new_figure, spread
from compressor.report.published import CURVES, SIZE_POINT, SOURCE

LINE_MM = 2.9
"""Least distance of two direct labels."""
RATE_AXIS = "FFN neurons removed, %"


@dataclass(frozen=True)
class SizeLine:
    """One method's models in figure 1, joined: (bytes or parameters, perplexity) of each."""

    label: str
    points: tuple[tuple[float, float], ...]
    kind: str
    """`dense`, `ours` or `other`."""


@dataclass(frozen=True)
class RateCurve:
    """Perplexity against the share of FFN neurons removed."""

    label: str
    shares: tuple[float, ...]
    perplexities: tuple[float, ...]


@dataclass(frozen=True)
class _Label:
    """A direct label and the point that it belongs to."""

    text: str
    x: float
    y: float
    colour: str


def knee(shares: Sequence[float], perplexities: Sequence[float]) -> int | None:
    """Index of the knee: where ln perplexity lies furthest below the straight line from the first point to the last.

    None for fewer than four points, or a curve that bends nowhere.
    """
    if len(shares) < 4:
        return None
    heights = [log(value) for value in perplexities]
    slope = (heights[-1] - heights[0]) / (shares[-1] - shares[0])
    below = [heights[0] + slope * (share - shares[0]) - height for share, height in zip(shares, heights, strict=True)]
    deepest = max(range(len(below)), key=lambda index: below[index])
    return deepest if 0 < deepest < len(below) - 1 else None


def size_figure(lines: Sequence[SizeLine], title: str, axis: str, scale: float) -> Figure:
    """Figure 1: size against perplexity, labels at each method's smallest model; below it what the paper published."""
    height_mm = max(55.0, 20 + (LINE_MM + 0.4) * len(lines))
    style = {"dense": ("black", "s"), "ours": ("blue", "o"), "other": ("grey", "o")}
    with new_figure(height_mm, 32) as (figure, axes):
        labels = []
        for line in lines:
            colour, marker = style[line.kind]
            points = sorted((size / scale, perplexity) for size, perplexity in line.points)
            weight, order = (1.4, 4) if line.kind == "ours" else (0.7, 3)
            axes[0].plot(
                *zip(*points, strict=True), marker=marker, color=COLOURS[colour], linewidth=weight, zorder=order
            )
            if line.kind == "dense":
                axes[0].annotate(line.label, points[0], (4, 5), textcoords="offset points", ha="right", fontsize=6)
            else:
                labels.append(_Label(line.label, *points[0], COLOURS[colour]))
        axes[0].set_yscale("log")
        _label_left(axes[0], labels, height_mm)
        _finish(axes[0], title, axis)
        _draw_published_size(axes[1])
        figure.align_ylabels()
    return figure


def _label_left(axes: Axes, labels: Sequence[_Label], height_mm: float) -> None:
    """Labels in a column left of the points, thin lines to them; the axis is drawn below the points only."""
    left, right = axes.get_xlim()
    low, high = axes.get_ylim()
    room, span = log(high / low), right - left
    heights = spread([log(label.y / low) / room for label in labels], (LINE_MM + 0.4) / (height_mm - 14))
    top = max(1.0, *heights)
    for label, height in zip(labels, heights, strict=True):
        place = (left - 0.08 * span, low * exp(height * room))
        axes.plot((place[0], label.x), (place[1], label.y), color=label.colour, linewidth=0.3, alpha=0.7)
        axes.text(
            place[0] - 0.015 * span, place[1], label.text, va="center", ha="right", color=label.colour, fontsize=6
        )
    axes.set_ylim(low, low * exp(room * top * 1.02))
    axes.set_xlim(left - 0.75 * span, right)
    axes.spines["bottom"].set_bounds(left, right)
    axes.set_xticks([tick for tick in axes.get_xticks() if left <= tick <= right])


def _draw_published_size(axes: Axes) -> None:
    label, parameters, perplexity = SIZE_POINT
    axes.plot(parameters / 1e9, perplexity, "D", color=COLOURS["orange"])
    axes.annotate(
        f"{label}: {perplexity}",
        (parameters / 1e9, perplexity),
        xytext=(5, -2),
        textcoords="offset points",
        color=COLOURS["orange"],
    )
    axes.set(xlim=(0, 9), ylim=(0, 16))
    _finish(axes, f"{SOURCE}, figure 1\n(another model, another text)", "parameters, billions", logarithmic=False)


def rates_figure(curves: Mapping[str, Sequence[RateCurve]], published: bool = True) -> Figure:
    """Figures 3 and 4: one panel for each text, one line for each way of healing, knees ringed; last what was published."""
    heights_mm = [46.0] * (len(curves) + published)
    with new_figure(*heights_mm) as (figure, axes):
        for panel, (text, lines) in zip(axes, curves.items(), strict=False):
            _draw_rates(panel, lines, "-o", ORDER)
            _finish(panel, f"{text}, held out", RATE_AXIS)
        if published:
            lines = [RateCurve(curve.label, *_rates_of(curve.points)) for curve in CURVES]
            axes[-1].set_ylim(2.5, 7.5)
            _draw_rates(axes[-1], lines, "--D", ("orange", "purple", "ochre", "sky"))
            _finish(axes[-1], f"{SOURCE}\n(other models, healed, on the text named)", RATE_AXIS)
        figure.align_ylabels()
    return figure


def _rates_of(points: Sequence[tuple[float, float]]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    return tuple(rate / 100 for rate, _ in points), tuple(perplexity for _, perplexity in points)


def _draw_rates(axes: Axes, lines: Sequence[RateCurve], form: str, colours: Sequence[str]) -> None:
    axes.set_yscale("log")
    labels, last = [], max(line.shares[-1] for line in lines) * 100
    for line, name in zip(lines, colours, strict=False):
        rates, text = [share * 100 for share in line.shares], line.label
        axes.plot(rates, line.perplexities, form, color=COLOURS[name], clip_on=False)
        bend = knee(line.shares, line.perplexities)
        if bend is not None:
            axes.plot(rates[bend], line.perplexities[bend], "o", markersize=7, fillstyle="none", color=COLOURS[name])
            text = f"{text}, knee {rates[bend]:.0f}%"
        labels.append(_Label(text, rates[-1], line.perplexities[-1], COLOURS[name]))
    low, high = axes.get_ylim()
    room = log(high / low)
    heights = spread([log(label.y / low) / room for label in labels], LINE_MM / 30)
    for label, height in zip(labels, heights, strict=True):
        axes.text(label.x + 3, low * exp(height * room), label.text, color=label.colour, va="center", fontsize=6)
    axes.set_xlim(0, last * 1.62)
    axes.spines["bottom"].set_bounds(0, last)
    axes.set_xticks(range(0, int(last) + 1, 10))


def widths_figure(widths: Sequence[int], dense: int) -> Figure:
    """Neurons that every layer keeps, the dense width as a line."""
    with new_figure(45) as (figure, (axes,)):
        layers = range(len(widths))
        axes.bar(layers, widths, color=COLOURS["blue"], width=0.7)
        axes.axhline(dense, color=COLOURS["grey"], linewidth=0.8, linestyle="--")
        axes.text(len(widths) - 0.5, dense, f"dense {dense:,}", ha="right", va="bottom", color=COLOURS["grey"])
        if len(widths) <= 16:
            for layer, width in zip(layers, widths, strict=True):
                axes.text(layer, width, str(width), ha="center", va="bottom", fontsize=5.5)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylim(0, dense * 1.12)
        _finish(axes, "FFN neurons kept in each layer", "layer", "neurons", logarithmic=False)
    return figure


def curves_figure(curves: Mapping[str, Sequence[tuple[float, float]]], title: str) -> Figure:
    """Loss against training step, one line for each name."""
    with new_figure(50) as (figure, (axes,)):
        labels = []
        for (text, points), name in zip(curves.items(), ORDER, strict=False):
            axes.plot(*zip(*points, strict=True), "-", color=COLOURS[name])
            labels.append(_Label(text, *points[-1], COLOURS[name]))
        low, high = axes.get_ylim()
        heights = spread([(label.y - low) / (high - low) for label in labels], LINE_MM / 34)
        last = max(label.x for label in labels)
        for label, height in zip(labels, heights, strict=True):
            axes.text(last * 1.03, low + height * (high - low), label.text, color=label.colour, va="center")
        axes.set_xlim(0, last * 1.35)
        axes.spines["bottom"].set_bounds(0, last)
        axes.set_xticks([tick for tick in axes.get_xticks() if tick <= last])
        _finish(axes, title, "step", "nats per token", logarithmic=False)
    return figure


def _finish(axes: Axes, title: str, x_label: str, y_label: str = "perplexity", *, logarithmic: bool = True) -> None:
    axes.set_title(title)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if logarithmic:
        low, high = axes.get_ylim()
        axes.set_yticks(_round_ticks(low, high))
        axes.yaxis.set_minor_locator(NullLocator())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _round_ticks(low: float, high: float) -> list[float]:
    """Round numbers between two heights of a logarithmic axis, few enough to read."""
    found: list[float] = []
    for steps in ((1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0), (1.0, 2.0, 3.0, 5.0), (1.0, 3.0), (1.0,)):
        found = [step * 10.0**power for power in range(-1, 7) for step in steps if low <= step * 10.0**power <= high]
        if len(found) <= 7:
            break
    # Between two such numbers the scale is nearly linear, and so are the ticks.
    if len(found) < 3:
        found = [float(tick) for tick in MaxNLocator(5, steps=[1, 2, 5, 10]).tick_values(low, high)]
    return [tick for tick in found if low <= tick <= high]
