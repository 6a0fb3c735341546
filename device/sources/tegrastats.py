"""A Jetson's tegrastats: the same sensors as sysfs, where sysfs may not be read. VDD_IN alone is a total."""

import re

from device.child import LineChild
from device.errors import ReadingError, SourceUnavailableError
from device.reading import Filter, Meter, Reading
from device.sources.jetson_filter import TOTAL_RAIL, read_total_filter
from device.system import System

_PERIOD_S = 0.2
_DEADLINE_S = 2.0
# `VDD_IN 5014mW/5100mW`: now and average, with or without the unit; JetPack 7 adds a third figure. `RAM 1/2MB` is none.
_RAIL = re.compile(r"(?<!\S)([A-Z][A-Z0-9_]*) ([0-9]{1,9})(?:mW)?/\d+(?:mW)?(?:/\d+(?:mW)?)?(?!\S)")


def parse_line(line: str) -> dict[str, float] | None:
    """Watts that each rail takes now, from one line of tegrastats; None where the line has no rails."""
    rails = {name: int(milliwatts) / 1000 for name, milliwatts in _RAIL.findall(line)}
    return rails or None


def to_reading(rails_w: dict[str, float] | None) -> Reading:
    """VDD_IN as power, all rails for information. Raises ReadingError where there is no VDD_IN or it is 0."""
    if rails_w is None:
        raise ReadingError("tegrastats printed a line without power rails")
    if TOTAL_RAIL not in rails_w:
        raise ReadingError(f"tegrastats has no {TOTAL_RAIL}, only {', '.join(rails_w)}: parts that may hold each other")
    if not rails_w[TOTAL_RAIL]:
        raise ReadingError(f"tegrastats says 0 W at {TOTAL_RAIL}: the sensor is not read")
    return Reading(rails_w[TOTAL_RAIL], rails_w=rails_w)


class Tegrastats:
    """A tegrastats that runs as long as this source is open. Its figure is up to one period old."""

    def __init__(self, child: LineChild, deadline_s: float, smoothing: Filter | None) -> None:
        self._child, self._deadline_s, self._filter = child, deadline_s, smoothing

    @property
    def meter(self) -> Meter:
        """The module's input."""
        return Meter("tegrastats", TOTAL_RAIL, "module", "measured", filter=self._filter, period_s=_PERIOD_S)

    def read(self) -> Reading:
        """Power now, from the newest line."""
        return to_reading(parse_line(self._child.line(self._deadline_s)))

    def close(self) -> None:
        """End tegrastats."""
        self._child.close()


def open_tegrastats(system: System, deadline_s: float = _DEADLINE_S, program: str = "tegrastats") -> Tegrastats:
    """Start tegrastats and wait for its first line.

    Raises:
        SourceUnavailableError: it is not here, mute, or has no total.
    """
    if not system.is_own:
        raise SourceUnavailableError(
            f"tegrastats is not run for {system.root}", "look at the machine itself, without --sysroot"
        )
    child = LineChild([program, "--interval", str(round(_PERIOD_S * 1000))], "tegrastats")
    source = Tegrastats(child, deadline_s, read_total_filter(system))
    try:
        source.read()
    except ReadingError as error:
        source.close()
        raise SourceUnavailableError(str(error), "measure at the supply, or check tegrastats in a shell") from None
    except BaseException:
        source.close()
        raise
    return source
