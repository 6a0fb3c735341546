"""What is typed before the terminal is taken over: a passphrase must not be shown, and must not be lost."""

import signal
import sys
import termios
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn


@contextmanager
def unseen() -> Iterator[None]:
    """Standard input, a terminal, without echo, each key as it is pressed; as it was when the block ends, however it does.

    What was typed already stays in line. Ctrl-C, SIGTERM and SIGHUP end the block as an error does.
    """
    before = termios.tcgetattr(sys.stdin)
    now = [*before]
    now[tty.LFLAG] &= ~(termios.ECHO | termios.ICANON)
    now[tty.IFLAG] &= ~termios.ICRNL  # Enter is Enter, not the end of a line
    handlers = {number: signal.signal(number, _end) for number in (signal.SIGTERM, signal.SIGHUP)}
    try:
        termios.tcsetattr(sys.stdin, termios.TCSANOW, now)
        yield
    finally:
        with suppress(termios.error):  # the terminal has gone
            termios.tcsetattr(sys.stdin, termios.TCSANOW, before)
        for number, handler in handlers.items():
            signal.signal(number, handler)


def _end(number: int, frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)
