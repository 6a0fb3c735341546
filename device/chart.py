"""Power over time in block characters."""

import math
from collections.abc import Sequence

from device.trace import Numbers

_BLOCKS = " ▁▂▃▄▅▆▇█"
_EIGHTHS = len(_BLOCKS) - 1


def columns_w(times_s: Numbers, powers_w: Numbers, now_s: float, column_s: float, count: int) -> list[float | None]:
    """The mean of the samples of each stretch of `column_s`, `count` of them up to now, oldest first; None without one.

    Stretches begin at multiples of `column_s`, so that a column keeps its samples while it moves to the left.
    """
    newest = math.floor(now_s / column_s)
    found: list[list[float]] = [[] for _ in range(count)]
    for time_s, power_w in zip(times_s.tolist(), powers_w.tolist(), strict=True):
        place = math.floor(time_s / column_s) - newest + count - 1
        if 0 <= place < count:
            found[place].append(power_w)
    return [sum(each) / len(each) if each else None for each in found]


def top_w(peak_w: float) -> float:
    """The end of a scale from 0 that holds the peak: 1, 2 or 5 times a power of ten."""
    if peak_w <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(peak_w))
    return next((unit * step for step in (1, 2, 5) if unit * step >= peak_w), 10 * unit)


def bars(heights_w: Sequence[float | None], most_w: float, rows: int) -> list[str]:
    """One line for each row, the highest first. What was measured shows by an eighth of a row at least, else nothing."""
    eighths = [
        0 if power_w is None else max(1, round(min(power_w / most_w, 1) * rows * _EIGHTHS)) for power_w in heights_w
    ]
    return [
        "".join(_BLOCKS[min(max(each - row * _EIGHTHS, 0), _EIGHTHS)] for each in eighths)
        for row in reversed(range(rows))
    ]
