"""`bedside device watch`: the board and its power, as long as somebody looks."""

import os
import select
import sys
import termios
import textwrap
import threading
import time
import tty
from collections import deque
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np
import psutil
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from device.answer import filter_note
from device.board import Board, look_at_board
from device.chart import bars, columns_w, top_w
from device.energy import Window, window_energy
from device.monitor import Monitor, Sample
from device.trace import Numbers, make_trace
from device.views import NOT_MEASURED

_SHOWN_S = 0.5
_LINE_S = 1.0
_BOARD_S = 2.0
_ROWS = 8
_MOST_COLUMNS = 100
_FEWEST_COLUMNS = 40
_LABEL = 9  # columns of the names and of the scale at the left
_COLUMN_S = 0.5
_REMEMBERED = 4096


class History:
    """The newest samples; told in the monitor's thread, read in another."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=_REMEMBERED)
        self._lock = threading.Lock()

    def take(self, sample: Sample | None) -> None:
        """A sample; None, the meter is gone: the next one may be another, which is not drawn beside this one."""
        with self._lock:
            if sample is None:
                self._samples.clear()
            else:
                self._samples.append(sample)

    def since(self, time_s: float) -> Numbers:
        """Times and watts from then on, (2, samples)."""
        with self._lock:
            found = [(each.time_s, each.power_w) for each in self._samples if each.power_w is not None]
        return np.array([each for each in found if each[0] >= time_s], dtype=np.float64).reshape(-1, 2).T


class _Keys:
    """Keys as they are pressed, where standard input is a terminal."""

    def __init__(self) -> None:
        self._saved: list[Any] | None = None

    def __enter__(self) -> "_Keys":
        if sys.stdin.isatty():
            self._saved = termios.tcgetattr(sys.stdin)
            tty.setcbreak(sys.stdin)
        return self

    def __exit__(self, *_: object) -> None:
        if self._saved is not None:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._saved)

    def wait_for_q(self, seconds: float) -> bool:
        """Whether it was pressed, or the terminal is gone, within the time."""
        if self._saved is None:
            time.sleep(seconds)
            return False
        if not select.select([sys.stdin], [], [], seconds)[0]:
            return False
        pressed = os.read(sys.stdin.fileno(), 64)
        return not pressed or b"q" in pressed


def watch(monitor: Monitor) -> None:
    """Show it until q or Ctrl-C; where standard output is no terminal a line each second until Ctrl-C."""
    console, history, looked = Console(markup=False, highlight=False), History(), threading.Event()
    monitor.listen(history.take)
    monitor.listen(lambda _: looked.set())
    with monitor:
        looked.wait(_LINE_S)
        if not console.is_terminal:
            for line in _lines(monitor):
                print(line, flush=True)
                time.sleep(_LINE_S)
        with _Keys() as keys, Live(console=console, auto_refresh=False, vertical_overflow="crop") as live:
            board, looked_at = look_at_board(monitor.system), time.monotonic()
            while True:
                if time.monotonic() - looked_at > _BOARD_S:
                    board, looked_at = look_at_board(monitor.system), time.monotonic()
                width = min(console.width, _MOST_COLUMNS)
                live.update(Group(*page(monitor, board, history, width)), refresh=True)
                if keys.wait_for_q(_SHOWN_S):
                    return


def _lines(monitor: Monitor) -> Iterator[str]:
    """Time, power with what it is, and the hottest zone, for a pipe or a file."""
    while True:
        sample = monitor.latest
        shown = None if sample is None or sample.power_w is None else f"{sample.power_w:.2f} W {_label(sample)}"
        hottest = _hottest(look_at_board(monitor.system))
        yield "  ".join([datetime.now().astimezone().isoformat(timespec="seconds"), shown or NOT_MEASURED, *hottest])


def page(monitor: Monitor, board: Board, history: History, width: int) -> list[Text]:
    """The whole picture, no line wider than `width`, or than the picture can be narrow."""
    width = max(width, _FEWEST_COLUMNS)
    lines = [Text(textwrap.shorten(board.model or "board unknown (no model in the device tree)", width), style="bold")]
    sample = monitor.latest
    if sample is None:
        lines += _without_meter(monitor, width)
    else:
        lines += _power(sample, history, width)
    lines.append(Text())
    for name, text in _state(board, is_own=monitor.system.is_own):
        lines += _item(name, text, width)
    return [*lines, Text(), Text("q ends", style="dim")]


def _power(sample: Sample, history: History, width: int) -> list[Text]:
    """The figures, what they are of, and the chart of the time that it has room for."""
    count, column_s = width - _LABEL, max(_COLUMN_S, 2 * sample.meter.period_s)
    now_s = time.monotonic()
    times_s, powers_w = history.since(now_s - count * column_s)
    peak_w, mean_w = float(powers_w.max()) if len(powers_w) else None, _mean_w(sample, times_s, powers_w)
    figures = [
        "now -" if sample.power_w is None else f"now {sample.power_w:.2f} W",
        "mean -" if mean_w is None else f"mean {mean_w:.2f} W",
        "peak -"
        if peak_w is None
        else f"peak {peak_w:.2f} W" + (f" ({note})" if (note := filter_note(sample.meter)) else ""),
    ]
    if peak_w is None:
        return [*_item("Power", "  ".join(figures), width), *_item("", _label(sample), width)]
    most_w = top_w(peak_w)
    drawn = bars(columns_w(times_s, powers_w, now_s, column_s, count), most_w, _ROWS)
    scale = [f"{most_w:g} W", *[""] * (_ROWS - 1)]
    axis = f"{count * column_s:.0f} s ago"
    return [
        *_item("Power", "  ".join(figures), width),
        *_item("", _label(sample), width),
        Text(),
        *(Text(f"{label:>{_LABEL - 2}} │{row}") for label, row in zip(scale, drawn, strict=True)),
        Text(f"{'0 W':>{_LABEL - 2}} └" + "─" * count),
        Text(" " * _LABEL + axis + f"{'now':>{count - len(axis)}}", style="dim"),
    ]


def _mean_w(sample: Sample, times_s: Numbers, powers_w: Numbers) -> float | None:
    """Over all that is shown; None where that has a gap."""
    if len(times_s) < 2:
        return None
    return window_energy(make_trace(sample.meter, times_s, powers_w), Window(times_s[0], times_s[-1])).mean_w


def _label(sample: Sample) -> str:
    meter = sample.meter
    return f"{meter.scope}, {meter.kind}, {meter.rail} by {meter.source}"


def _without_meter(monitor: Monitor, width: int) -> list[Text]:
    """Why nothing is measured, and what mends it."""
    if monitor.unavailable is None:
        return _item("Power", "looking for a meter", width)
    if (found := monitor.missing) is None:
        return _item("Power", f"{NOT_MEASURED}: the meter has said nothing for a while", width)
    lines = _item("Power", f"{NOT_MEASURED}; what mends it, in full: bedside device", width)
    for missing in found:
        remedy = missing.remedy.splitlines()[0]
        lines += _item(missing.source, f"{missing.reason} -> {remedy}", width)
    return lines


def _state(board: Board, *, is_own: bool) -> Iterator[tuple[str, str]]:
    """What the board says of itself, by name."""
    if board.temperatures_c:
        yield "Degrees C", "  ".join(f"{zone} {celsius:.0f}" for zone, celsius in board.temperatures_c.items())
    clocks = [
        f"{clock.policy} {clock.now_mhz:.0f}" + (f" of {clock.max_mhz:.0f}" if clock.max_mhz else "")
        for clock in board.cpu_clocks
        if clock.now_mhz is not None
    ]
    if clocks:
        yield "MHz", "  ".join(clocks)
    if board.power_mode:
        yield "Mode", board.power_mode.name or str(board.power_mode.id)
    yield "Throttled", _throttling(board)
    if is_own:
        memory = psutil.virtual_memory()
        yield "Memory", f"{(memory.total - memory.available) / 2**30:.1f} of {memory.total / 2**30:.1f} GiB in use"
    elif board.memory_bytes:
        yield "Memory", f"{board.memory_bytes / 2**30:.1f} GiB"


def _throttling(board: Board) -> str:
    """What is known about it, in words."""
    known = board.throttling
    said = []
    if known.flags is not None:
        said += [
            f"now: {', '.join(known.flags.now) or 'no'}",
            f"since boot: {', '.join(known.flags.since_boot) or 'no'}",
        ]
    if known.over_current_events is not None:
        said.append(f"{sum(known.over_current_events.values())} over-current events since boot")
    if known.supply_too_low is not None:
        said.append("supply too low" if known.supply_too_low else "supply in order")
    return "  ".join(said) or "the board does not say"


def _hottest(board: Board) -> list[str]:
    if not board.temperatures_c:
        return []
    zone, celsius = max(board.temperatures_c.items(), key=lambda item: item[1])
    return [f"{celsius:.0f} C ({zone})"]


def _item(name: str, text: str, width: int) -> list[Text]:
    """A name at the left, the text beside it, wrapped."""
    lines = textwrap.wrap(text, width - _LABEL - 1, break_on_hyphens=False) or [""]
    indent = " " * (_LABEL + 1)
    if len(name) > _LABEL:  # a long name has its line to itself
        return [Text(name), *(Text(indent + line) for line in lines)]
    return [Text((f"{name:<{_LABEL}} " if place == 0 else indent) + line) for place, line in enumerate(lines)]
