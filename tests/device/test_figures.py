"""Figures of one scope go together; others do not."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from device.errors import ScopeError
from device.figures import Figure, require_same_scope
from tests.device.meters import INA3221, PMIC, SUPPLY, other_scope

ONE, TWO = Figure(10.0, "J", INA3221, 0.5), Figure(4.0, "J", INA3221, 0.25)
OPERATIONS: list[Callable[[Figure, Figure], object]] = [
    lambda a, b: a + b,
    lambda a, b: a - b,
    lambda a, b: a < b,
    lambda a, b: a <= b,
    lambda a, b: a > b,
    lambda a, b: a >= b,
    lambda a, b: a.ratio(b),
    max,
    lambda a, b: sorted([a, b]),
]


def test_figures_of_one_scope_are_numbers() -> None:
    assert Figure(14.0, "J", INA3221, 0.75) == ONE + TWO
    assert Figure(6.0, "J", INA3221, 0.75) == ONE - TWO
    assert ONE.ratio(TWO) == 2.5
    assert (ONE > TWO, ONE >= TWO, ONE < TWO, ONE <= TWO) == (True, True, False, False)
    assert sorted([ONE, TWO]) == [TWO, ONE]


def test_a_sum_with_an_estimate_is_an_estimate() -> None:
    estimate = Figure(1.0, "J", replace(INA3221, kind="estimated"))
    assert [(one + other).meter.kind for one, other in ((ONE, estimate), (estimate, ONE), (ONE, TWO))] == [
        "estimated",
        "estimated",
        "measured",
    ]
    assert (ONE - estimate).meter.kind == "estimated"


def test_what_is_unquantified_stays_so() -> None:
    assert (ONE + Figure(1.0, "J", INA3221)).systematic is None


@pytest.mark.parametrize("operation", OPERATIONS)
def test_other_scopes_are_refused(operation: Callable[[Figure, Figure], object]) -> None:
    with pytest.raises(ScopeError, match=r"module \(ina3221-sysfs\) and supply \(ina3221-sysfs\) do not measure"):
        operation(ONE, Figure(4.0, "J", other_scope(INA3221)))


@pytest.mark.parametrize("operation", OPERATIONS)
def test_other_units_are_refused(operation: Callable[[Figure, Figure], object]) -> None:
    with pytest.raises(ScopeError, match=r"(J and W|W and J) are not the same unit"):
        operation(ONE, Figure(4.0, "W", INA3221))


def test_every_scope_is_named() -> None:
    require_same_scope([INA3221, INA3221])
    require_same_scope([])
    with pytest.raises(
        ScopeError, match=r"module \(ina3221-sysfs\) and pmic-rails \(pmic-ioctl\) and supply \(hwmon\)"
    ):
        require_same_scope([SUPPLY, INA3221, PMIC])
