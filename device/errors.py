"""Errors of power measurement.

BedsideError
└── DeviceError
    ├── SourceUnavailableError   a meter is not here, or may not be read; carries the remedy
    ├── ReadingError             one reading failed; the next may succeed
    ├── ScopeError               figures that measure different things were put together
    ├── MemoryShortError         too little memory is free to measure with
    ├── BenchError               a bench cannot be run as asked
    └── CalibrationError         readings make no calibration, or a calibration is not for this meter
"""

from models.errors import BedsideError


class DeviceError(BedsideError):
    """Something about this machine cannot be measured."""


class SourceUnavailableError(DeviceError):
    """A meter is not here, or may not be read."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason, self.remedy = reason, remedy


class ReadingError(DeviceError):
    """One reading failed; the next may succeed."""


class ScopeError(DeviceError):
    """Figures that measure different things were put together."""


class MemoryShortError(DeviceError):
    """Too little memory is free to measure with."""


class BenchError(DeviceError):
    """A bench cannot be run as asked."""


class CalibrationError(DeviceError):
    """Readings make no calibration, or a calibration is not for this meter."""
