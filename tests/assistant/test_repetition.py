"""A circle of tokens is noticed, honest repetition is not."""

from hypothesis import given
from hypothesis import strategies as st

from assistant.engine.repetition import repeats


@given(
    before=st.lists(st.integers(0, 50), max_size=30),
    circle=st.lists(st.integers(100, 5000), min_size=2, max_size=48, unique=True),
)
def test_three_rounds_are_noticed_and_two_are_not(before: list[int], circle: list[int]) -> None:
    assert repeats([*before, *circle * 3])
    assert not repeats([*range(-60, -30), *circle * 2])


def test_a_short_run_of_one_token_is_no_circle() -> None:
    assert not repeats([1, *[7] * 15])
    assert repeats([1, *[7] * 16])
    assert not repeats([])
