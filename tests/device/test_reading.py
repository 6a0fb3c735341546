"""What no machine draws is no reading, whichever meter says so."""

import pytest

from device.errors import ReadingError
from device.reading import MOST_W, Reading


@pytest.mark.parametrize("power_w", [MOST_W, -MOST_W, 1e300, float("inf")])
def test_a_figure_beyond_all_machines_is_a_failed_look(power_w: float) -> None:
    with pytest.raises(ReadingError, match="which no machine draws"):
        Reading(power_w=power_w)


@pytest.mark.parametrize("power_w", [None, -0.2, 0.0, 4.8, MOST_W - 1])
def test_any_other_is_kept(power_w: float | None) -> None:
    assert Reading(power_w=power_w, energy_j=MOST_W * 2).power_w == power_w
