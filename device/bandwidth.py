"""How fast this board's memory can be read, measured in about a second.

As in McCalpin's STREAM: a buffer several times larger than all caches together, the best of several passes, and no page
touched for the first time while the clock runs. What is timed is the maximum of 32-bit integers, one part of the buffer for
each thread: vector instructions on x86 and Arm, exact in any order, so that a Cortex-A76 (two 16-byte loads per cycle) waits
for memory too and not for arithmetic; numpy releases the interpreter's lock in it. Reading only: what weights are to an answer.
"""

import re
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from device.errors import MemoryShortError
from device.system import System
from models.disk import show_bytes
from models.free_memory import free_memory_bytes

METHOD = "read test: maximum of 32-bit integers, best pass"
_BUFFER_BYTES = 256 << 20
_CACHES = 4  # the buffer in sizes of all caches together: of a pass at most a quarter can still lie in them
_SMALLEST_BYTES = 64 << 20
_FREE_SHARE = 0.5
_MEASURE_S = 1.0
_SIZES = {"K": 10, "M": 20, "G": 30}

Words = NDArray[np.int32]


@dataclass(frozen=True)
class Bandwidth:
    """What reading memory reached, all threads together, and how it was measured."""

    bytes_per_s: float
    threads: int
    buffer_bytes: int
    method: str


def measure_bandwidth(threads: int) -> Bandwidth:
    """Read a buffer with `threads` threads for about a second; the fastest pass counts.

    Raises:
        MemoryShortError: half of the free memory holds no buffer that is large enough.
        ValueError: fewer than one thread.
    """
    if threads < 1:
        raise ValueError(f"{threads} threads cannot read; use 1 or more")
    buffer = np.full(choose_buffer_bytes(free_memory_bytes(), read_cache_bytes(System())) // 4, 1, np.int32)
    fastest_s = min(time_passes(buffer, threads, _MEASURE_S))
    return Bandwidth(buffer.nbytes / fastest_s, threads, buffer.nbytes, METHOD)


def choose_buffer_bytes(free_bytes: int, cache_bytes: int) -> int:
    """256 MiB, more where the caches are large, less where memory is short; whole numbers of 4 bytes.

    Raises:
        MemoryShortError: half of `free_bytes` is less than 64 MiB or than four times `cache_bytes`.
    """
    smallest = max(_SMALLEST_BYTES, _CACHES * cache_bytes)
    most = int(free_bytes * _FREE_SHARE)
    if most < smallest:
        raise MemoryShortError(
            f"{show_bytes(free_bytes)} of memory are free and measuring its bandwidth needs"
            f" {show_bytes(int(smallest / _FREE_SHARE))}; end other programs"
        )
    return min(max(_BUFFER_BYTES, smallest), most) // 4 * 4


def read_cache_bytes(system: System) -> int:
    """All last-level caches together, 0 where the kernel does not say."""
    found: dict[tuple[int, str], int] = {}
    for folder in system.glob("/sys/devices/system/cpu/cpu*/cache/index*"):
        try:
            size = re.fullmatch(r"(\d+)([KMG])", system.read(folder / "size"))
            level = int(system.read(folder / "level"))
            shared = system.read(folder / "shared_cpu_list")
        except (OSError, ValueError):
            continue
        if size:
            found[level, shared] = int(size[1]) << _SIZES[size[2]]
    last = max((level for level, _ in found), default=0)
    return sum(size for (level, _), size in found.items() if level == last)


def time_passes(
    buffer: Words, threads: int, measure_s: float, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """Seconds of each pass over the whole buffer, begun as long as `measure_s` seconds have not passed; one at least."""
    parts = np.array_split(buffer, threads)
    passes: list[float] = []
    with ThreadPoolExecutor(threads) as pool:
        read_once(pool, parts)  # threads start with their first work
        begun = clock()
        while True:
            before = clock()
            read_once(pool, parts)
            after = clock()
            passes.append(after - before)
            if after - begun >= measure_s:
                return passes


def read_once(pool: ThreadPoolExecutor, parts: Sequence[Words]) -> int:
    """Read every part, each in a thread of its own; their maximum."""
    return max(pool.map(lambda part: int(part.max(initial=0)), parts))
