"""Since when an engine's thread has been at one piece of work: what a watchdog goes by."""

import time


class Progress:
    """Told by the thread, asked from any other."""

    def __init__(self) -> None:
        self._begun: tuple[float, float] | None = None

    def begin(self, size: float = 1.0) -> None:
        """A piece of work begins, `size` times as long as the usual one may take."""
        self._begun = (time.monotonic(), size)

    def rest(self) -> None:
        """There is no work."""
        self._begun = None

    def stalled_s(self) -> float:
        """What the piece has taken until now, for the size of a usual one; 0 where there is none."""
        begun = self._begun
        return 0.0 if begun is None else (time.monotonic() - begun[0]) / begun[1]
