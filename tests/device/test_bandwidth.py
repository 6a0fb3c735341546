"""The read test: every byte counts once, caches are outgrown, and short memory is a refusal."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device import bandwidth
from device.bandwidth import (
    METHOD,
    choose_buffer_bytes,
    measure_bandwidth,
    read_cache_bytes,
    read_once,
    time_passes,
)
from device.errors import MemoryShortError
from device.system import System
from tests.device.test_board import tree

MIB = 1 << 20
CPU = "sys/devices/system/cpu"


@given(words=st.integers(1, 300), threads=st.integers(1, 9), data=st.data())
def test_every_word_is_read(words: int, threads: int, data: st.DataObject) -> None:
    """A value that is larger than all others is found wherever it lies, in whatever number of parts."""
    buffer = np.full(words, 1, np.int32)
    buffer[data.draw(st.integers(0, words - 1))] = 7
    parts = np.array_split(buffer, threads)
    assert sum(part.size for part in parts) == words
    with ThreadPoolExecutor(threads) as pool:
        assert read_once(pool, parts) == 7


def ticking(step_s: float) -> Iterator[float]:
    now_s = 100.0
    while True:
        yield now_s
        now_s += step_s


def test_passes_are_timed_until_the_time_is_over() -> None:
    clock = ticking(0.25)
    assert time_passes(np.ones(8, np.int32), 2, 1.0, lambda: next(clock)) == [0.25, 0.25]
    clock = ticking(5.0)
    assert time_passes(np.ones(8, np.int32), 2, 1.0, lambda: next(clock)) == [5.0]


def test_the_figure_is_the_buffer_over_the_fastest_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bandwidth, "free_memory_bytes", lambda: 128 * MIB)
    monkeypatch.setattr(bandwidth, "read_cache_bytes", lambda _: 0)
    monkeypatch.setattr(bandwidth, "time_passes", lambda *_: [0.5, 0.25, 0.75])
    measured = measure_bandwidth(3)
    assert (measured.buffer_bytes, measured.threads, measured.method) == (64 * MIB, 3, METHOD)
    assert measured.bytes_per_s == 64 * MIB / 0.25


def test_this_machine_reads_its_memory() -> None:
    if psutil.virtual_memory().available < 2048 * MIB:
        pytest.skip("2 GiB of memory are not free")
    measured = measure_bandwidth(1)
    assert measured.bytes_per_s > 1e8
    assert measured.buffer_bytes >= 64 * MIB


def test_no_thread_reads_nothing() -> None:
    with pytest.raises(ValueError, match="use 1 or more"):
        measure_bandwidth(0)


@pytest.mark.parametrize(
    ("free_mib", "cache_mib", "expected_mib"),
    [(8192, 2, 256), (8192, 96, 384), (400, 2, 200), (128, 2, 64), (400, 50, 200)],
)
def test_the_buffer_outgrows_the_caches_and_leaves_half_of_what_is_free(
    free_mib: int, cache_mib: int, expected_mib: int
) -> None:
    assert choose_buffer_bytes(free_mib * MIB, cache_mib * MIB) == expected_mib * MIB


@pytest.mark.parametrize(("free_mib", "cache_mib", "needs"), [(127, 2, "128.0 MiB"), (400, 51, "408.0 MiB")])
def test_short_memory_is_a_refusal_with_the_numbers(free_mib: int, cache_mib: int, needs: str) -> None:
    with pytest.raises(MemoryShortError, match=f"{free_mib}.0 MiB of memory are free .* needs {needs}; end other"):
        choose_buffer_bytes(free_mib * MIB, cache_mib * MIB)


def cache(cpu: int, index: int, level: int, size: str, shared: str) -> dict[str, str]:
    folder = f"{CPU}/cpu{cpu}/cache/index{index}"
    return {f"{folder}/level": f"{level}\n", f"{folder}/size": f"{size}\n", f"{folder}/shared_cpu_list": f"{shared}\n"}


def test_last_level_caches_count_once_each(tmp_path: Path) -> None:
    """Two clusters of two cores: a level-3 cache each, beside their level-2 caches."""
    files: dict[str, str] = {}
    for cpu in range(4):
        files |= cache(cpu, 2, 2, "512K", f"{cpu}") | cache(cpu, 3, 3, "2M", "0-1" if cpu < 2 else "2-3")
    assert read_cache_bytes(tree(tmp_path, files)) == 4 * MIB


def test_a_kernel_that_does_not_tell_of_caches_has_none(tmp_path: Path) -> None:
    assert read_cache_bytes(System(tmp_path)) == 0
    assert read_cache_bytes(tree(tmp_path, cache(0, 3, 3, "large", "0"))) == 0
