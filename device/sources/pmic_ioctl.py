"""A Raspberry Pi 5's power chip without a program: the firmware's text interface through one ioctl.

The message, as in raspberrypi/utils' vcgencmd: 32-bit words `size, status, tag, buffer size, answer length, error`,
then the buffer with the command or the answer, then an end tag.
"""

import contextlib
import fcntl
import grp
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path

from device.errors import ReadingError, SourceUnavailableError
from device.reading import Meter, Reading
from device.sources.pmic_text import COMMAND, pmic_meter, to_reading
from device.sources.sysfs import udev_remedy
from device.system import System

DEVICES = ("/dev/vcio_gencmd", "/dev/vcio")
BUFFER_BYTES = 4096
# _IOWR(100, 0, char *): read and write, the size of a pointer, the mailbox driver's number.
REQUEST = 3 << 30 | struct.calcsize("P") << 16 | 100 << 8
_TAG = 0x00030080
_DONE = 0x80000000
_JOIN = "be a user of the group video (usermod -aG video NAME); then as root, "
_HEADER = struct.Struct("=6I")
_END = struct.pack("=I", 0)

Ioctl = Callable[[int, int, bytearray], object]


def encode_command(command: str) -> bytearray:
    """The firmware's message that asks `command`."""
    text = command.encode("ascii")
    if len(text) >= BUFFER_BYTES:
        raise ValueError(f"a firmware command holds at most {BUFFER_BYTES - 1} bytes, not {len(text)}")
    size = _HEADER.size + BUFFER_BYTES + len(_END)
    return bytearray(_HEADER.pack(size, 0, _TAG, BUFFER_BYTES, 0, 0) + text.ljust(BUFFER_BYTES, b"\0") + _END)


def decode_answer(message: bytes | bytearray) -> str:
    """The text in an answered message. Raises ReadingError where the firmware did not answer, or with an error."""
    _, status, _, _, _, error = _HEADER.unpack_from(message)
    body = bytes(message[_HEADER.size : _HEADER.size + BUFFER_BYTES])
    text = body.partition(b"\0")[0].decode("ascii", "replace")
    if status != _DONE:
        raise ReadingError(f"the firmware did not answer (status {status:#x})")
    if error and "error" not in text:
        raise ReadingError(f"the firmware answered with error {error}")
    if b"\0" not in body:
        raise ReadingError("the firmware's answer is longer than the buffer")
    return text


def _ioctl(descriptor: int, request: int, message: bytearray) -> object:
    return fcntl.ioctl(descriptor, request, message, True)


class PmicIoctl:
    """The open device; one ioctl a look."""

    def __init__(self, descriptor: int, ioctl: Ioctl = _ioctl) -> None:
        """Takes `descriptor` over."""
        self._descriptor: int | None = descriptor
        self._ioctl = ioctl

    @property
    def meter(self) -> Meter:
        """The sum of the rails."""
        return pmic_meter("pmic-ioctl")

    def read(self) -> Reading:
        """All rails now."""
        if self._descriptor is None:
            raise SourceUnavailableError("the power chip's device is closed", "open it again")
        message = encode_command(COMMAND)
        try:
            self._ioctl(self._descriptor, REQUEST, message)
        except OSError as error:
            raise ReadingError(f"the firmware refused the question ({error.strerror or error})") from None
        return to_reading(decode_answer(message))

    def close(self) -> None:
        """Close the device."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def open_pmic_ioctl(system: System, devices: tuple[Path, ...] | None = None, ioctl: Ioctl = _ioctl) -> PmicIoctl:
    """Open the first device that may be opened and look once.

    Raises:
        SourceUnavailableError: no device, no permission, no such chip, or an answer that is not whole.
    """
    if not system.is_own:
        raise SourceUnavailableError(
            f"no device is asked for {system.root}", "look at the machine itself, without --sysroot"
        )
    source = PmicIoctl(_open_device(devices or tuple(map(system.path, DEVICES))), ioctl)
    try:
        source.read()
    except ReadingError as error:
        source.close()
        raise SourceUnavailableError(str(error), f"check `vcgencmd {COMMAND}` in a shell") from None
    except BaseException:
        source.close()
        raise
    return source


def _open_device(devices: tuple[Path, ...]) -> int:
    forbidden: dict[Path, str] = {}
    for device in devices:
        try:
            return os.open(device, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        except OSError as error:
            forbidden[device] = f"{device} may not be opened ({error.strerror})"
    if forbidden:
        first = next(iter(forbidden))
        raise SourceUnavailableError("; ".join(forbidden.values()), access_remedy(first.name, first.stat()))
    raise SourceUnavailableError(
        f"none of {', '.join(map(str, devices))} is here", "nothing to do on a board other than a Raspberry Pi"
    )


def access_remedy(name: str, status: os.stat_result) -> str:
    """How a user comes to open a device: by its group where that may read it, else by a rule that gives it one."""
    if status.st_mode & stat.S_IRGRP and status.st_gid:
        with contextlib.suppress(KeyError):  # a group without a name
            return f"sudo usermod -aG {grp.getgrgid(status.st_gid).gr_name} $USER, then log in again"
    rule = f'KERNEL=="{name}", GROUP="video", MODE="0660"'
    return udev_remedy(rule, f"name-match={name}").replace("as root, ", _JOIN, 1)
