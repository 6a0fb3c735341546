"""How far a run is, on standard error: drawn between phases and while waiting, never while an answer runs."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

_LINE_EVERY_S = 60.0


class LiveLine:
    """One line that names the phase and the time left."""

    def __init__(self, live: Live) -> None:
        self._live = live
        self._label = ""
        self._until_s: float | None = None

    def phase(self, label: str, left_s: float | None) -> None:
        """A new phase begins."""
        self._label = label
        self._until_s = None if left_s is None else time.monotonic() + left_s
        self.tick()

    def tick(self) -> None:
        """Show the time left anew."""
        left = ""
        if self._until_s is not None:
            left = f" - about {_minutes(self._until_s - time.monotonic())} left in all"
        self._live.update(Text(f"bench: {self._label}{left}", overflow="ellipsis", no_wrap=True), refresh=True)


class Lines:
    """Where standard error is no terminal: a line for a phase that begins a minute or more after the one before."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._said_s = clock, clock()

    def phase(self, label: str, left_s: float | None) -> None:
        """A new phase begins."""
        if self._clock() - self._said_s >= _LINE_EVERY_S:
            self._said_s = self._clock()
            left = "" if left_s is None else f" - about {_minutes(left_s)} left in all"
            print(f"bench: {label}{left}", file=sys.stderr, flush=True)

    def tick(self) -> None:
        """Shows nothing."""


def _minutes(seconds: float) -> str:
    whole = max(0, round(seconds))
    return f"{whole // 60}:{whole % 60:02d}"


@contextmanager
def progress() -> Iterator[LiveLine | Lines]:
    """The line while the block runs; it is gone in the end."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Lines()
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield LiveLine(live)
