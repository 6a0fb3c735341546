"""Calibration: the line, what it leaves, what is refused, the file, and the source that it corrects."""

from dataclasses import replace
from datetime import date

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device.calibration import _T, CalibratedSource, Calibration, Level, calibrate, sensor_of
from device.errors import CalibrationError, ReadingError
from device.reading import Meter, Reading
from device.systematic import systematic_w
from device.trace import Numbers
from tests.device.meters import INA3221, PMIC, SUPPLY, Script

MADE = date(2026, 11, 22)
BOARD = "Raspberry Pi 5 Model B Rev 1.0"
SAID = (2.0, 3.5, 5.0, 6.5)


def levels(*pairs: tuple[float, float]) -> list[Level]:
    return [Level(*pair) for pair in pairs]


def along(gain: float, offset_w: float, said: tuple[float, ...] = SAID) -> list[Level]:
    return [Level(value, gain * value + offset_w) for value in said]


def made(given_levels: list[Level], sensor: Meter = PMIC) -> Calibration:
    return calibrate(sensor_of(sensor, BOARD), given_levels, "FNB58", MADE)


UNEVEN = levels((2.0, 2.9), (3.5, 4.5), (5.0, 6.4), (6.5, 8.0))


@given(st.floats(0.3, 4.0), st.floats(-0.5, 3.0))
def test_levels_on_a_line_give_that_line(gain: float, offset_w: float) -> None:
    calibration = made(along(gain, offset_w))
    assert calibration.gain == pytest.approx(gain, rel=1e-6)
    assert calibration.offset_w == pytest.approx(offset_w, abs=1e-6)
    assert calibration.residuals_w == pytest.approx((0, 0, 0, 0), abs=1e-9)
    assert calibration.calibrated.half_width_w == pytest.approx(0.0, abs=1e-6)


def test_no_other_line_has_smaller_residuals() -> None:
    calibration = made(UNEVEN)
    gain, offset_w = np.polyfit([2.0, 3.5, 5.0, 6.5], [2.9, 4.5, 6.4, 8.0], 1)
    assert (calibration.gain, calibration.offset_w) == pytest.approx((gain, offset_w))
    assert calibration.residuals_w == pytest.approx((0.03, -0.09, 0.09, -0.03))


def test_the_interval_is_that_of_one_more_reading_at_the_end_of_the_range() -> None:
    calibrated = made(UNEVEN).calibrated
    deviation_w = np.sqrt((0.03**2 + 0.09**2) * 2 / 2)
    half_width_w = 4.303 * deviation_w * np.sqrt(1 + 1 / 4 + 2.7**2 / 11.25)
    assert calibrated.half_width_w == pytest.approx(half_width_w)
    line = made(UNEVEN)
    assert (calibrated.from_w, calibrated.to_w) == pytest.approx((line.power_w(1.55), line.power_w(6.95)))


def test_the_interval_holds_one_more_reading_as_often_as_it_says() -> None:
    generator = np.random.default_rng(6)
    held = []
    for _ in range(4000):
        noisy = [Level(said, 1.1 * said + 0.6 + generator.normal(0, 0.05)) for said in SAID]
        calibration, end_w = made(noisy), 6.95
        more_w = 1.1 * end_w + 0.6 + generator.normal(0, 0.05)
        held.append(abs(more_w - calibration.power_w(end_w)) <= calibration.calibrated.half_width_w)
    assert np.mean(held) == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize("freedom", range(2, 11))
def test_students_t_is_that_of_its_density(freedom: int) -> None:
    end = _T[freedom - 2]
    grid = np.linspace(-end, end, 20_001)
    density = (1 + grid**2 / freedom) ** (-(freedom + 1) / 2)
    # The rest of its area, by substitution of 1/x: from `end` to infinity, twice.
    inverse = np.linspace(1e-9, 1 / end, 20_001)
    beyond = (1 + 1 / inverse**2 / freedom) ** (-(freedom + 1) / 2) / inverse**2

    def area(values: Numbers, step: float) -> float:
        return float((values.sum() - (values[0] + values[-1]) / 2) * step)

    inside = area(density, grid[1] - grid[0])
    outside = 2 * area(beyond, inverse[1] - inverse[0])
    assert inside / (inside + outside) == pytest.approx(0.95, abs=2e-4)


def test_more_levels_than_the_table_knows_are_taken_for_its_last() -> None:
    said = tuple(np.linspace(2, 7, 30))
    calibrated = made([Level(value, value + 0.1 * (-1) ** index) for index, value in enumerate(said)]).calibrated
    assert 0.1 * 2.2 < calibrated.half_width_w < 0.1 * 2.5


@pytest.mark.parametrize(
    ("given_levels", "says"),
    [
        ([], "0 different levels"),
        (along(1.1, 0.6)[:3], "3 different levels of load are too few; take at least 4"),
        (along(1.1, 0.6, (2.0, 2.0, 2.0, 2.0)), "1 different"),
        (along(1.1, 0.6, (2.0, 2.01, 5.0, 5.01, 2.02)), "2 different"),
        (along(1.1, 0.6, (5.0, 5.1, 5.2, 5.3)), "too close together"),
        (along(1100.0, 600.0), "both are in watts"),
        (along(-1.0, 9.0), "both are in watts"),
        (along(0.0, 5.0), "both are in watts"),
        (along(1.1, 0.6)[:3] + levels((6.5, float("nan"))), "above zero, in watts"),
        (along(1.1, 0.6)[:3] + levels((-6.5, 8.0)), "above zero, in watts"),
        (levels((2.0, 3.0), (3.5, 5.1), (5.0, 5.0), (6.5, 8.0)), "goes from 5.10 W to 5.00 W: it does not follow"),
        (
            levels((2.0, 3.0), (3.5, 4.0), (5.0, 6.4), (6.5, 8.0)),
            r"meter's 4.00 W lies -0.48 W from the line, more than 5%",
        ),
        (
            # 5% of what the meter changes are 0.22 W, of its largest reading 0.72 W
            levels((12.0, 10.0), (13.5, 11.2), (15.0, 13.3), (16.5, 14.5)),
            r"W lies [+-]0.\d\d W from the line, more than 5%",
        ),
    ],
)
def test_readings_that_make_no_calibration_are_refused(given_levels: list[Level], says: str) -> None:
    with pytest.raises(CalibrationError, match=says):
        made(given_levels)


def test_the_meter_names_its_calibration_and_takes_the_scope_of_the_reference() -> None:
    meter = made(along(1.1451, 0.5879)).meter(PMIC, BOARD)
    assert meter.correction == "1.1451 x +0.5879 W, calibrated with FNB58 at 4 levels on 2026-11-22"
    assert (meter.scope, meter.kind) == ("supply", "estimated")
    assert meter.source == PMIC.source


def test_within_a_scope_a_measurement_stays_one() -> None:
    meter = made(along(1.01, 0.0), SUPPLY).meter(SUPPLY, BOARD)
    assert (meter.scope, meter.kind) == ("supply", "measured")


def test_a_correction_that_was_there_is_still_named() -> None:
    sensor = replace(PMIC, correction="shunt 0.1 ohm")
    named = made(along(1.1, 0.0), sensor).meter(sensor, BOARD).correction
    assert named is not None
    assert named.startswith("shunt 0.1 ohm, then 1.1000 x")


def test_a_calibration_quantifies_what_was_unknown() -> None:
    calibration = made(UNEVEN)
    assert systematic_w(PMIC, 5.0) is None
    assert systematic_w(calibration.meter(PMIC, BOARD), 5.0) == calibration.calibrated.half_width_w


@pytest.mark.parametrize(
    ("other", "board"),
    [
        (INA3221, BOARD),
        (replace(PMIC, rail="VDD_CORE"), BOARD),
        (replace(PMIC, correction="1.1451 x + 0.5879 (jfikar)"), BOARD),
        (replace(PMIC, shunt_ohm=0.1), BOARD),
        (PMIC, "Raspberry Pi 5 Model B Rev 1.1"),
    ],
)
def test_another_sensor_or_board_is_refused(other: Meter, board: str) -> None:
    with pytest.raises(CalibrationError, match="make one for this sensor"):
        made(UNEVEN).meter(other, board)
    with pytest.raises(CalibrationError, match="make one for this sensor"):
        CalibratedSource(Script(meter=other), made(UNEVEN), board)


def test_a_calibrated_source_corrects_power_and_leaves_rails() -> None:
    script = Script(Reading(5.0, 70.0, {"VDD_CORE": 2.0}), ReadingError("no"), Reading(energy_j=71.0), meter=PMIC)
    source = CalibratedSource(script, made(along(1.2, 0.5)), BOARD)
    reading = source.read()
    assert reading.power_w == pytest.approx(6.5)
    assert reading.energy_j is None
    assert reading.rails_w == {"VDD_CORE": 2.0, PMIC.rail: 5.0}
    assert source.meter.calibrated is not None
    with pytest.raises(ReadingError, match="no"):
        source.read()
    with pytest.raises(ReadingError, match="gives no power"):
        source.read()
    source.close()


def test_a_line_below_its_levels_gives_no_power() -> None:
    """The levels hold, but 6 W would be -78 W."""
    calibration = made(levels((50, 10), (70, 50), (90, 90), (110, 130)))
    assert calibration.calibrated.from_w == 0
    source = CalibratedSource(Script(Reading(6.0), Reading(50.0), meter=PMIC), calibration, BOARD)
    with pytest.raises(ReadingError, match=r"makes -78 W of the sensor's 6 W"):
        source.read()
    assert source.read().power_w == pytest.approx(10.0)


@pytest.mark.parametrize("name", ["", " ", "FNB\u202e58", "a\nb", "\x1b[2J"])
def test_a_name_that_does_not_show_as_it_is_is_refused(name: str) -> None:
    with pytest.raises(CalibrationError, match="does not name the meter") as refused:
        calibrate(sensor_of(PMIC, BOARD), UNEVEN, name, MADE)
    assert str(refused.value).isprintable()
