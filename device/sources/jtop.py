"""A Jetson's power by jetson-stats: where sysfs may not be read and jtop.service runs.

The client lives in a process of its own (`device.sources.jtop_child`). It is never chosen unasked: its service takes a
tenth of a core.
"""

import importlib.util
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from device.child import LineChild
from device.errors import ReadingError, SourceUnavailableError
from device.reading import Filter, Meter, Reading
from device.sources.jetson_filter import TOTAL_RAIL, read_total_filter
from device.system import System

SOCKET = Path("/run/jtop.sock")
_INTERVAL_S = 0.5  # the service is not stable below
_START_S = 10.0
_READ_S = 4.0
_JOIN_GROUP = "sudo usermod -aG jtop $USER, then log in again"
_INSTALL = "pip install 'bedside[jetson]'"
# By what the client's error says, its own advice left out: the first that fits.
_REMEDIES = {
    "Mismatch version": "install the version of jetson-stats that the service has, here and there",
    "Mismatch of Python": "install jetson-stats for the same Python as the service",
    "not active": "sudo systemctl start jtop.service",
    "can't access": _JOIN_GROUP,
    "PermissionError": _JOIN_GROUP,
    "ModuleNotFoundError": _INSTALL,
}
_OTHER_REMEDY = "sudo systemctl restart jtop.service"


def parse_power(look: Mapping[str, Any]) -> Reading:
    """Watts from one look, of which `power` is jtop's. `tot` counts only when named VDD_IN: else it is a sum of anything.

    Raises:
        ReadingError: there is no such total, or the sensor is offline.
    """
    try:
        total, rails = look["power"].get("tot", {}), look["power"].get("rail", {})
        if total.get("name") != TOTAL_RAIL:
            named = ", ".join(rails) or "no rail at all"
            raise ReadingError(f"jtop has no {TOTAL_RAIL}, only {named}: parts that may hold each other")
        if not total.get("online", True) or not total["power"] > 0:
            raise ReadingError(f"jtop says that {TOTAL_RAIL} is offline or takes nothing")
        rails_w = {name: rail["power"] / 1000 for name, rail in rails.items() if rail.get("online", True)}
        total_w = total["power"] / 1000
        return Reading(total_w, rails_w={TOTAL_RAIL: total_w, **rails_w})
    except (AttributeError, KeyError, TypeError):
        raise ReadingError("jtop's figures have another shape than this version knows") from None


def parse_news(line: str) -> dict[str, Any]:
    """One line of the child. Raises SourceUnavailableError for the error that it ends with, ReadingError for none of ours."""
    try:
        news = json.loads(line)
    except ValueError:
        news = None
    if not isinstance(news, dict):
        raise ReadingError(f"jtop's process printed a line that is no news: {line[:60]!r}")
    if "error" in news:
        reason = f"jtop: {news['error']} {news.get('message', '')}".partition(" Please")[0].rstrip(" .")
        fitting = (remedy for sign, remedy in _REMEDIES.items() if sign in reason)
        raise SourceUnavailableError(reason, next(fitting, _OTHER_REMEDY))
    return news


class Jtop:
    """A running client. Figures are up to one interval of the service old."""

    def __init__(self, child: LineChild, start_s: float, read_s: float, smoothing: Filter | None = None) -> None:
        """Waits `start_s` for the first look, later `read_s` for each. Takes `child` over."""
        self._child, self._filter = child, smoothing
        first = self._look(start_s)
        parse_power(first)
        self._interval_s = float(first.get("interval_s", _INTERVAL_S))
        self._read_s = max(read_s, 4 * self._interval_s)

    @property
    def meter(self) -> Meter:
        """The module's input, at the service's pace."""
        return Meter("jtop", TOTAL_RAIL, "module", "measured", filter=self._filter, period_s=self._interval_s)

    def read(self) -> Reading:
        """The newest look, or the next one."""
        return parse_power(self._look(self._read_s))

    def close(self) -> None:
        """End the client's process."""
        self._child.close()

    def _look(self, timeout_s: float) -> dict[str, Any]:
        return parse_news(self._child.line(timeout_s))


def open_jtop(system: System, socket: Path = SOCKET, start_s: float = _START_S, read_s: float = _READ_S) -> Jtop:
    """Start the client's process and wait for its first look.

    Raises:
        SourceUnavailableError: no service, no permission, no jetson-stats, another version, no answer, or no total.
    """
    if not system.is_own:
        raise SourceUnavailableError(
            f"jtop is not asked for {system.root}", "look at the machine itself, without --sysroot"
        )
    _check_access(socket)
    command = [sys.executable, "-m", "device.sources.jtop_child", "--interval", str(_INTERVAL_S)]
    child = LineChild([*command, "--socket", str(socket)], "jtop", with_errors=False)
    try:
        return Jtop(child, start_s, read_s, read_total_filter(system))
    except ReadingError as error:
        child.close()
        raise SourceUnavailableError(str(error), _OTHER_REMEDY) from None
    except BaseException:
        child.close()
        raise


def _check_access(socket: Path) -> None:
    """What can be known without the client, which costs a process."""
    if not socket.exists():
        raise SourceUnavailableError("jtop.service is not active", "sudo systemctl start jtop.service")
    if not os.access(socket, os.R_OK | os.W_OK):
        raise SourceUnavailableError(f"{socket} may not be opened", _JOIN_GROUP)
    if importlib.util.find_spec("jtop") is None:
        raise SourceUnavailableError("jetson-stats is not installed", _INSTALL)
