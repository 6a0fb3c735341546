"""Numbers in the kernel's small files, and what each way of not getting one means."""

import errno
from collections.abc import Iterable, Iterator
from pathlib import Path

from device.errors import DeviceError, ReadingError, SourceUnavailableError
from device.system import System

RULES_FILE = "/etc/udev/rules.d/70-bedside-power.rules"
_FORBIDDEN = {errno.EACCES, errno.EPERM}
_UNCONNECTED = "NC"  # NVIDIA's device trees call a channel so
_GONE = {errno.ENOENT, errno.ENOTDIR, errno.ENODEV, errno.ENXIO}


def read_number(system: System, path: Path, if_forbidden: str) -> int:
    """The whole number in a file; `if_forbidden` is the remedy where this user may not read it.

    Raises:
        SourceUnavailableError: the file may not be read, is gone, or its channel is switched off.
        ReadingError: any other fault; the next look may succeed.
    """
    try:
        text = system.read(path)
    except OSError as error:
        raise _fault(error, path, if_forbidden) from None
    try:
        return _whole(text)
    except ValueError:
        raise ReadingError(f"{path} says {text[:40]!r} instead of a number") from None


def _whole(text: str) -> int:
    """A number as the kernel writes it, of 64 bits. Raises ValueError."""
    number = int(text)
    if abs(number) >= 1 << 64:
        raise ValueError(text)
    return number


def _fault(error: OSError, path: Path, if_forbidden: str) -> DeviceError:
    if error.errno in _FORBIDDEN:
        return SourceUnavailableError(f"this user may not read {path}", if_forbidden)
    if error.errno in _GONE:
        return SourceUnavailableError(f"{path} is not there", "connect the meter again, then see bedside device")
    if error.errno == errno.ENODATA:
        return SourceUnavailableError(
            f"{path} has no data: its channel is switched off",
            f"as root, write 1 to the channel's enable file in {path.parent}",
        )
    return ReadingError(f"{path} cannot be read now ({error.strerror or type(error).__name__})")


def rail_names(
    system: System, chip: Path, pattern: str, channels: Iterable[int], if_forbidden: str
) -> Iterator[tuple[int, str]]:
    """The channels of a power chip that are connected, with the names of their rails; `pattern` is the file, `{}` the channel.

    Raises SourceUnavailableError where this user may not read a name.
    """
    for channel in channels:
        path = chip / pattern.format(channel)
        try:
            name = system.read(path)
        except PermissionError:
            raise SourceUnavailableError(f"this user may not read {path}", if_forbidden) from None
        except OSError:
            continue
        if name and name != _UNCONNECTED:
            yield channel, name


def supply_w(millivolts: int, milliamperes: int) -> float:
    """Their product. Raises ReadingError where the supply's voltage is negative: a negative current would hide it."""
    if millivolts < 0:
        raise ReadingError(f"the meter says {millivolts} mV, and a supply has none below zero: its wires are swapped")
    return millivolts * milliamperes / 1e6


def number_if_any(system: System, path: Path) -> int | None:
    """The number in a file that tells about a meter; None where it is not there or not a number."""
    try:
        return _whole(system.read(path))
    except (OSError, ValueError):
        return None


def text_if_any(system: System, path: Path) -> str:
    """A file's text; nothing where it cannot be read."""
    try:
        return system.read(path)
    except OSError:
        return ""


def udev_remedy(rule: str, match: str) -> str:
    """How to let users read files for good: a sentence, then the rule and the command, each on a line of its own.

    `match` says which devices the rule is for, as an option of `udevadm trigger`: `subsystem-match=hwmon`.
    """
    return (
        f"as root, write this line into {RULES_FILE}, then run the command below it\n"
        f"{rule}\n"
        f"udevadm control --reload && udevadm trigger --{match}"
    )
