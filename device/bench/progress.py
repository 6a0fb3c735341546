"""How far a run is, on standard error: drawn between phases and while waiting, never while an answer runs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text


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
            seconds = max(0, round(self._until_s - time.monotonic()))
            left = f" - about {seconds // 60}:{seconds % 60:02d} left in all"
        self._live.update(Text(f"bench: {self._label}{left}", overflow="ellipsis", no_wrap=True), refresh=True)


class Silent:
    """Where standard error is no terminal."""

    def phase(self, label: str, left_s: float | None) -> None:
        """Shows nothing."""

    def tick(self) -> None:
        """Shows nothing."""


@contextmanager
def progress() -> Iterator[LiveLine | Silent]:
    """The line while the block runs; it is gone in the end."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield Silent()
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:
        yield LiveLine(live)
