"""Power over the run as a picture, like the paper's figure 5: watts over seconds, idle, prefill and decode shaded."""

import math
from collections.abc import Iterator
from importlib.util import find_spec
from io import BytesIO

import numpy as np

from device.bench.series import Series
from device.energy import gap_limit_s
from device.trace import Numbers, Trace

HOW_TO_GET = "for a picture of it: pip install 'bedside[bench]'"
_SHADES = {"idle": "#D9E7F2", "prefill": "#F6C89F", "decode": "#D5EBDD", "answer without sampling": "#F0F0F0"}
_LINE = "#0072B2"
_INCHES, _DPI = (7.5, 3.0), 200
_MOST_NUMBERS = 40  # of answers: more would not fit beside each other
_HEADROOM = 1.15  # for the answers' numbers


def can_draw() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def draw_power(series: Series, trace: Trace, title: str) -> bytes:
    """A PNG; times from the start of the run, answers numbered that the meter was read in."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    shown: set[str] = set()
    for kind, start_s, end_s in _shaded(series):
        axes.axvspan(start_s, end_s, color=_SHADES[kind], linewidth=0, label=None if kind in shown else kind)
        shown.add(kind)
    times_s, power_w = _with_breaks(trace)
    axes.plot(times_s - series.start_s, power_w, color=_LINE, linewidth=0.9)
    sampled = [answer for answer in series.answers if answer.sampled]
    for number, answer in list(enumerate(sampled, start=1))[:: math.ceil(len(sampled) / _MOST_NUMBERS) or 1]:
        middle_s = answer.window.middle_s - series.start_s
        axes.annotate(
            str(number), (middle_s, 0.99), xycoords=("data", "axes fraction"), ha="center", va="top", fontsize=7
        )
    axes.set(xlabel="seconds", ylabel="power (W)", xlim=(0, None), ylim=(0, _HEADROOM * float(np.nanmax(power_w))))
    axes.set_title(title, loc="left", fontsize=9)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside lower center", ncols=len(shown), frameon=False, fontsize=8)
    content = BytesIO()
    figure.savefig(content, format="png", dpi=_DPI, metadata={"Software": None})
    return content.getvalue()


def _shaded(series: Series) -> Iterator[tuple[str, float, float]]:
    """Kind, start and end of each stretch, in seconds of the run."""
    zero_s = series.start_s
    for phase in series.phases:
        if phase.name in ("board idle", "idle before", "idle after"):
            yield "idle", phase.start_s - zero_s, phase.end_s - zero_s
    for answer in series.answers:
        times = answer.times
        if answer.sampled:
            yield "prefill", times.start_s - zero_s, times.first_token_s - zero_s
            yield "decode", times.first_token_s - zero_s, times.end_s - zero_s
        else:
            yield "answer without sampling", times.start_s - zero_s, times.end_s - zero_s


def _with_breaks(trace: Trace) -> tuple[Numbers, Numbers]:
    """Samples with a hole in the line wherever they may not be joined; of a counter, power between two of them."""
    times_s, power_w = trace.times_s, trace.power_w
    if not np.isfinite(power_w).any() and len(times_s) > 1:
        power_w = np.diff(trace.energy_j) / np.diff(times_s)
        times_s = (times_s[1:] + times_s[:-1]) / 2
    gaps = np.flatnonzero(np.diff(times_s) > gap_limit_s(trace.meter)) + 1
    return np.insert(times_s, gaps, times_s[gaps]), np.insert(power_w, gaps, np.nan)
