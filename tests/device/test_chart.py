"""Columns, scale and blocks of a chart."""

import numpy as np
import pytest

from device.chart import bars, columns_w, top_w


def test_a_column_is_the_mean_of_its_samples() -> None:
    times = np.array([8.9, 9.1, 9.2, 10.1])
    assert columns_w(times, np.array([1.0, 2.0, 4.0, 7.0]), 10.4, 0.5, 4) == [1.0, 3.0, None, 7.0]


def test_a_column_keeps_its_samples_while_time_goes_on() -> None:
    times, powers = np.array([9.1, 9.4]), np.array([2.0, 4.0])
    shapes = {tuple(columns_w(times, powers, now_s, 0.5, 3)) for now_s in (9.5, 9.7, 9.99)}
    assert shapes == {(None, 3.0, None)}


def test_what_is_older_or_yet_to_come_is_not_drawn() -> None:
    assert columns_w(np.array([1.0, 99.0]), np.array([5.0, 5.0]), 10.0, 0.5, 4) == [None] * 4


@pytest.mark.parametrize(
    ("peak_w", "expected_w"), [(0.0, 1), (0.7, 1), (1.0, 1), (1.2, 2), (4.9, 5), (18.7, 20), (51, 100)]
)
def test_the_scale_ends_at_a_round_number(peak_w: float, expected_w: float) -> None:
    assert top_w(peak_w) == pytest.approx(expected_w)


def test_bars_are_as_high_as_their_share_in_eighths_of_a_row() -> None:
    assert bars([0.0, 1.25, 5.0, 10.0, None, 12.0], 10.0, 2) == ["   █ █", "▁▂██ █"]
