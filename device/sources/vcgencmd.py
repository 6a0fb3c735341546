"""A Raspberry Pi 5's power chip by the program vcgencmd: about 23 ms a look, so it is second to the ioctl."""

from device.errors import ReadingError, SourceUnavailableError
from device.reading import Meter, Reading
from device.sources.pmic_text import COMMAND, pmic_meter, to_reading
from device.system import System


class Vcgencmd:
    """Runs the program for each look. Its errors come on stdout with any exit status: the text alone decides."""

    def __init__(self, system: System) -> None:
        self._system = system

    @property
    def meter(self) -> Meter:
        """The sum of the rails."""
        return pmic_meter("vcgencmd")

    def read(self) -> Reading:
        """All rails now."""
        return to_reading(self._system.run(["vcgencmd", COMMAND]))

    def close(self) -> None:
        """Nothing is held."""


def open_vcgencmd(system: System) -> Vcgencmd:
    """Look once, to know that it works.

    Raises:
        SourceUnavailableError: no program, no permission, no such chip, or an answer that is not whole.
    """
    source = Vcgencmd(system)
    try:
        source.read()
    except ReadingError as error:
        raise SourceUnavailableError(str(error), f"check `vcgencmd {COMMAND}` in a shell") from None
    return source
