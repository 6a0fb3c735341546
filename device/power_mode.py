"""A Jetson's power mode, without jtop: a name that caps clocks, not watts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from device.errors import SourceUnavailableError
from device.system import System

_STATUS, _NAMES = "/var/lib/nvpmodel/status", "/etc/nvpmodel.conf"
_QUERY = re.compile(r"NV Power Mode: (\S+)\s*\n\s*(\d+)\s*$")
_STATUS_LINE = re.compile(r"^pmode:(\d+)$", re.MULTILINE)
_MODEL = re.compile(r"^<\s*POWER_MODEL\s+ID=(\d+)\s+NAME=(\S+)\s*>", re.MULTILINE)
_DEFAULT = re.compile(r"^<\s*PM_CONFIG\s+DEFAULT=(\d+)\s*>", re.MULTILINE)


@dataclass(frozen=True)
class PowerMode:
    """The mode's number, and its name on this board where that is known: numbers differ between boards."""

    id: int
    name: str | None


@dataclass(frozen=True)
class PowerModes:
    """The modes that a board offers."""

    names: Mapping[int, str]
    default: int | None


def parse_query(text: str) -> PowerMode | None:
    """What `nvpmodel -q` prints, with or without --verbose."""
    found = _QUERY.search(text.rstrip())
    return PowerMode(int(found[2]), found[1]) if found else None


def parse_modes(text: str) -> PowerModes:
    """The modes in nvpmodel.conf."""
    default = _DEFAULT.search(text)
    return PowerModes({int(id_): name for id_, name in _MODEL.findall(text)}, int(default[1]) if default else None)


def read_power_mode(system: System) -> PowerMode | None:
    """The mode that was set last: by files, else by nvpmodel where it is set up; None where neither says."""
    names: Mapping[int, str] | None
    try:
        names = parse_modes(system.read(system.path(_NAMES))).names
    except OSError:
        names = None
    try:
        found = _STATUS_LINE.search(system.read(system.path(_STATUS)))
    except OSError:
        found = None
    if found:
        return PowerMode(int(found[1]), (names or {}).get(int(found[1])))
    return None if names is None else _ask(system)


def _ask(system: System) -> PowerMode | None:
    """Only on this very machine."""
    try:
        return parse_query(system.run(["nvpmodel", "-q"]))
    except SourceUnavailableError:
        return None
