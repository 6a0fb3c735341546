"""The cache of saved sequences keeps to its limit and forgets the oldest."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from assistant.engine.states import SHORTEST_TOKENS, StateCache, common_prefix

LONG = tuple(range(SHORTEST_TOKENS))


def state(size_bytes: int) -> NDArray[np.uint8]:
    return np.zeros(size_bytes, np.uint8)


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 400)), max_size=20))
def test_bytes_stay_within_the_limit(puts: list[tuple[int, int]]) -> None:
    cache = StateCache(1000)
    for number, size in puts:
        tokens = (*LONG, number)
        if cache.wants(tokens, size):
            cache.put(tokens, state(size))
        assert cache.bytes_used <= 1000


def test_what_is_contained_in_another_is_not_kept_twice() -> None:
    cache = StateCache(1000)
    cache.put(LONG, state(5))
    longer = (*LONG, 7, 8)
    assert cache.wants(longer, 5)
    cache.put(longer, state(6))
    assert cache.bytes_used == 6
    assert not cache.wants(LONG, 5)
    found, length = cache.longest((*LONG, 7, 9))
    assert found is not None
    assert (found.tokens.tolist(), len(found.data), length) == (list(longer), 6, SHORTEST_TOKENS + 1)


def test_the_longest_unused_goes_first() -> None:
    cache = StateCache(20)
    for number in range(2):
        cache.put((number, *LONG), state(10))
    oldest, _ = cache.longest((0, *LONG))
    assert oldest is not None
    cache.use(oldest)
    cache.put((2, *LONG), state(10))
    assert [cache.longest((number, *LONG))[1] > 1 for number in range(3)] == [True, False, True]


def test_short_or_too_large_ones_are_not_wanted() -> None:
    cache = StateCache(20)
    assert not cache.wants(LONG[:-1], 1)
    assert not cache.wants(LONG, 21)


def test_what_is_pinned_stays() -> None:
    cache = StateCache(20)
    cache.pin((9, *LONG), state(8))
    cache.pin((8, *LONG), state(13))  # no room beside the first
    for number in range(3):
        assert cache.wants((number, *LONG), 12)
        assert not cache.wants((number, *LONG), 13)
        cache.put((number, *LONG), state(12))
    assert [cache.longest((number, *LONG))[1] > 1 for number in (9, 8, 0, 1, 2)] == [True, False, False, False, True]
    pinned, _ = cache.longest((9, *LONG))
    assert pinned is not None
    cache.use(pinned)
    assert cache.bytes_used == 20
    assert not cache.wants((9, *LONG), 1)


@given(st.lists(st.integers(0, 2)), st.lists(st.integers(0, 2)))
def test_common_prefix(left: list[int], right: list[int]) -> None:
    length = common_prefix(left, right)
    assert left[:length] == right[:length]
    assert left[length : length + 1] != right[length : length + 1] or length == min(len(left), len(right))
