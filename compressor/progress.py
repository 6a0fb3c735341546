"""Progress bars on stderr for the stages."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from compressor.walk import Advance


class Reporter(Protocol):
    """Where stages say how far they are."""

    def step(self, label: str, total: int) -> Advance:
        """Start a bar of `total` steps; call the result once a step."""

    def say(self, line: str) -> None:
        """One line that stays."""


class BarReporter:
    """Rich bars on stderr."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def step(self, label: str, total: int) -> Advance:
        """Start a bar of `total` steps; call the result once a step."""
        self._progress.start()  # not before there is a bar: an early error would come after a blank line
        task = self._progress.add_task(label, total=total)
        return lambda: self._progress.advance(task)

    def say(self, line: str) -> None:
        """One line above the bars."""
        self._progress.console.print(line, highlight=False, markup=False)


@contextmanager
def bars(*, shown: bool = True) -> Iterator[BarReporter]:
    """Bars while the block runs; nothing at all where they are not `shown`, as in all processes of a job but the first."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    progress = Progress(*columns, console=Console(stderr=True, quiet=not shown))
    try:
        yield BarReporter(progress)
    finally:
        if progress.live.is_started:
            progress.stop()
