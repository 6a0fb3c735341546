"""A board whose power follows the load that is put on it."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from device.reading import Meter, Reading


class Board:
    """A source whose power follows the load that is held, and a `wait` that lasts so many looks instead of seconds."""

    meter = Meter("pmic-ioctl", "sum of PMIC rails", "pmic-rails", "measured", period_s=0.001)

    def __init__(self, fault: Exception | None = None) -> None:
        self.busy: int | None = None
        self.fault, self.reads = fault, 0
        self._changed = threading.Condition()

    def read(self) -> Reading:
        with self._changed:
            self.reads += 1
            self._changed.notify_all()
        if self.fault:
            raise self.fault
        assert self.busy is not None, "the sensor was read without a load"
        return Reading(2.0 + 1.5 * self.busy)

    def close(self) -> None:
        """Holds nothing."""

    @contextmanager
    def load(self, busy: int) -> Iterator[None]:
        self.busy = busy
        try:
            yield
        finally:
            self.busy = None

    def wait(self, seconds: float) -> None:
        """Ten looks, each after the one before it was taken down."""
        assert seconds >= 10
        with self._changed:
            enough = self.reads + 10
            assert self._changed.wait_for(lambda: self.reads >= enough, 30)
