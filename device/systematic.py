"""How far a sensor may be off however often it is read: from its data sheet, or from a calibration, or unknown."""

from device.reading import Meter

_VDD_IN_V = 5.0  # what a carrier board gives an Orin Nano
# SBOS576, largest values over temperature; the tolerance of the shunt itself is in no public document, and not in here.
_SHUNT_OFFSET_V = 80e-6
_BUS_OFFSET_V = 0.016
_GAIN = 0.0025  # of the current and of the voltage alike


def systematic_w(meter: Meter, power_w: float) -> float | None:
    """How far `power_w` may be off; None where nobody knows."""
    if meter.calibrated is not None:
        within = meter.calibrated.from_w <= power_w <= meter.calibrated.to_w
        return meter.calibrated.half_width_w if within else None
    terms = _ina3221_terms(meter)
    return None if terms is None else terms[0] + terms[1] * abs(power_w)


def systematic_difference_w(meter: Meter, high_w: float, low_w: float) -> float | None:
    """How far `high_w` - `low_w` may be off: an offset that both have is not in it."""
    if meter.calibrated is not None:
        ends = systematic_w(meter, high_w), systematic_w(meter, low_w)
        # What a calibration leaves is offset and gain in unknown parts: the worst case.
        return None if None in ends else 2 * meter.calibrated.half_width_w
    terms = _ina3221_terms(meter)
    return None if terms is None else terms[1] * abs(high_w - low_w)


def _ina3221_terms(meter: Meter) -> tuple[float, float] | None:
    """Watts off at any power, and further watts per watt: (V + dV)(I + dI) - V I, all worst cases in one direction."""
    if meter.source != "ina3221-sysfs" or meter.rail != "VDD_IN" or meter.shunt_ohm is None:
        return None
    offset_a, gain = _SHUNT_OFFSET_V / meter.shunt_ohm, 1 + _GAIN
    return offset_a * (_VDD_IN_V * gain + _BUS_OFFSET_V), gain**2 - 1 + gain * _BUS_OFFSET_V / _VDD_IN_V
