"""What sensors may be off by: the computed figures of the data sheet, and what is not known."""

from dataclasses import replace

import pytest

from device.reading import Calibrated, Meter
from device.systematic import systematic_difference_w, systematic_w
from tests.device.meters import INA3221, PMIC, SUPPLY


@pytest.mark.parametrize(("power_w", "percent"), [(5.0, "2.4"), (18.7, "1.3")])
def test_an_ina3221_is_off_by_what_its_data_sheet_adds_up_to(power_w: float, percent: str) -> None:
    off_w = systematic_w(INA3221, power_w)
    assert off_w is not None
    assert f"{100 * off_w / power_w:.1f}" == percent


@pytest.mark.parametrize("power_w", [5.0, 18.7])
def test_it_is_the_worst_corner_of_all_faults_together(power_w: float) -> None:
    volts = 5.0
    shown = (volts * 1.0025 + 0.016) * (power_w / volts * 1.0025 + 0.016)  # 80 uV over 5 mOhm are 16 mA
    assert systematic_w(INA3221, power_w) == pytest.approx(shown - power_w)


def test_an_offset_is_not_in_a_difference() -> None:
    high, low = systematic_w(INA3221, 18.7), systematic_w(INA3221, 5.0)
    assert high is not None
    assert low is not None
    assert systematic_difference_w(INA3221, 18.7, 5.0) == pytest.approx(high - low)
    assert systematic_difference_w(INA3221, 18.7, 5.0) == pytest.approx(13.7 * 0.008214, rel=1e-3)


@pytest.mark.parametrize("meter", [PMIC, SUPPLY, replace(INA3221, shunt_ohm=None), replace(INA3221, rail="VDD_SOC")])
def test_what_is_not_known_is_none(meter: Meter) -> None:
    assert systematic_w(meter, 5.0) is None
    assert systematic_difference_w(meter, 5.0, 2.0) is None


def test_a_smaller_shunt_is_worse() -> None:
    smaller, usual = systematic_w(replace(INA3221, shunt_ohm=0.002), 5.0), systematic_w(INA3221, 5.0)
    assert smaller is not None
    assert usual is not None
    assert smaller - usual == pytest.approx((0.04 - 0.016) * (5 * 1.0025 + 0.016))


def test_a_calibration_says_how_far_off_between_its_levels_only() -> None:
    meter = replace(PMIC, calibrated=Calibrated(0.07, 2.0, 9.0))
    assert [systematic_w(meter, power) for power in (1.9, 2.0, 9.0, 9.1)] == [None, 0.07, 0.07, None]
    assert systematic_difference_w(meter, 8.0, 3.0) == pytest.approx(0.14)
    assert systematic_difference_w(meter, 8.0, 1.0) is None
