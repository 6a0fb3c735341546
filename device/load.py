"""A steady load on the processor, for want of a model: threads that compute without pause."""

import threading
from types import TracebackType

import numpy as np

_VALUES = 1 << 17  # 1 MiB for each thread: it computes rather than waits for memory, and the lock is free meanwhile


class BusyThreads:
    """So many threads at work from `with` to its end; none is idle, and takes nothing."""

    def __init__(self, count: int) -> None:
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._work, name=f"load {number}", daemon=True) for number in range(count)
        ]

    def __enter__(self) -> None:
        for thread in self._threads:
            thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        values = np.linspace(-1.0, 1.0, _VALUES)
        results = np.empty_like(values)
        while not self._stopping.is_set():
            np.exp(values, out=results)  # numpy gives the interpreter's lock back while it computes
