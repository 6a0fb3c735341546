"""What a power source gives, and what it is: figures of different scope are never compared or added."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from device.errors import ReadingError

Scope = Literal["supply", "module", "pmic-rails", "cpu-package", "gpu"]
"""What is inside a figure: all that the supply feeds, the compute module, the rails that a power chip measures, a part."""
Kind = Literal["measured", "estimated"]
MOST_W = 1e6
"""No machine that is measured here draws so much: a figure from there on is a fault of the meter."""


@dataclass(frozen=True)
class Reading:
    """One look at a meter. Power or energy or both; None, never 0, for what it does not have."""

    power_w: float | None = None
    energy_j: float | None = None
    """A counter that only grows, wrap-around undone; only differences mean anything."""
    rails_w: Mapping[str, float] = field(default_factory=dict)
    """Parts of the whole, or other rails, for the reader's information: never added up."""

    def __post_init__(self) -> None:
        """Raises ReadingError for `MOST_W` or more: whatever the meter, that look failed."""
        if self.power_w is not None and abs(self.power_w) >= MOST_W:
            raise ReadingError(f"the meter says {self.power_w:g} W, which no machine draws")


@dataclass(frozen=True)
class Filter:
    """How the sensor smooths: what it says now is an average over about the last `time_constant_s`."""

    samples: int | None
    """How many conversions it averages; None where only the interval is known."""
    update_interval_s: float
    """What the driver's file says, which for some kernels is one cycle, not the time that it takes to settle."""
    time_constant_s: float
    """After a step the figure is e times nearer each such time: what waits for a sensor to settle goes by this one."""


@dataclass(frozen=True)
class Calibrated:
    """How well a calibration makes a sensor agree with the meter that it was made with, between two levels."""

    half_width_w: float
    """Half of the 95 % interval of one reading."""
    from_w: float
    to_w: float


@dataclass(frozen=True)
class Meter:
    """What a source measures, with which figures must be labelled."""

    source: str
    """`ina3221-sysfs`, `ina3221x-iio`, `hwmon`, `jtop`, `tegrastats`, `pmic-ioctl`, `vcgencmd`, `rapl`, `battery`, `nvml`,
    `replay`."""
    rail: str
    scope: Scope
    kind: Kind
    correction: str | None = None
    """What was done to the sensor's figure, with its origin."""
    shunt_ohm: float | None = None
    filter: Filter | None = None
    period_s: float = 0.1
    """How often it is worth reading."""
    calibrated: Calibrated | None = None


class Source(Protocol):
    """An open meter. Reading it again and again costs little."""

    @property
    def meter(self) -> Meter:
        """What it measures."""

    def read(self) -> Reading:
        """Look now. Raises ReadingError where this look failed, SourceUnavailableError where all further ones will."""

    def close(self) -> None:
        """Give back what it holds; safe to call twice."""
