"""What a Raspberry Pi 5's power chip says: `pmic_read_adc`, by whichever way it was asked.

The sum of the rails leaves out 5 V loads (USB, HATs, NVMe) and what the conversion loses.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from device.errors import ReadingError, SourceUnavailableError
from device.reading import Meter, Reading

COMMAND = "pmic_read_adc"
VOLTAGE_ONLY = ("EXT5V", "BATT")
PERIOD_S = 0.2
SUPPLY_GAIN, SUPPLY_OFFSET_W = 1.1451, 0.5879
SUPPLY_ORIGIN = (
    f"{SUPPLY_GAIN} x rails + {SUPPLY_OFFSET_W} W (jfikar/RPi5-power: one person, one board, one USB-C meter;"
    " error not known)"
)
_CHANNEL = re.compile(r"(\w+)_([AV]) (current|volt)\(\d+\)=([0-9]{1,9}\.[0-9]{1,16})([AV])")
_KIND_OF = {"current": "A", "volt": "V"}
_ACCESS = "sudo usermod -aG video $USER, then log in again; the kernel has to offer /dev/vcio_gencmd to that group"


@dataclass(frozen=True)
class PmicRails:
    """One look at all rails."""

    rails_w: Mapping[str, float]
    volts_only: Mapping[str, float]
    """EXT5V, the input, and BATT, the clock's cell: they have no current."""

    @property
    def sum_w(self) -> float:
        """All that the chip measures."""
        return sum(self.rails_w.values())


def parse_rails(text: str) -> PmicRails:
    """Watts per rail, current and voltage paired by name. A partial sum is never made.

    Raises:
        SourceUnavailableError: the text says that this machine cannot or may not be asked.
        ReadingError: the text is not whole.
    """
    refuse_errors(text)
    values: dict[str, dict[str, float]] = {"A": {}, "V": {}}
    for line in filter(None, map(str.strip, text.splitlines())):
        channel = _CHANNEL.fullmatch(line)
        if not channel or not channel[2] == _KIND_OF[channel[3]] == channel[5]:
            raise ReadingError(f"{COMMAND} printed a line that is no channel: {line[:60]!r}")
        if channel[1] in values[channel[2]]:
            raise ReadingError(f"{COMMAND} printed {channel[1]}_{channel[2]} twice")
        values[channel[2]][channel[1]] = float(channel[4])
    amperes, volts = values["A"], values["V"]
    alone = sorted(amperes.keys() ^ volts.keys() - set(VOLTAGE_ONLY))
    if alone:
        raise ReadingError(f"{COMMAND} gave only current or only voltage of {', '.join(alone)}: no sum without them")
    rails_w = {name: amperes[name] * volts[name] for name in amperes}
    if not sum(rails_w.values()):
        raise ReadingError(f"{COMMAND} gave no power on any rail")
    return PmicRails(rails_w, {name: volts[name] for name in VOLTAGE_ONLY if name in volts})


def refuse_errors(text: str) -> None:
    """vcgencmd's and the firmware's messages, which come where the answer should be.

    Raises:
        SourceUnavailableError: no further look will go better.
        ReadingError: the firmware refused this one.
    """
    if "Can't open device file" in text or "VCHI initialization failed" in text:
        raise SourceUnavailableError("the firmware may not be asked (no access to /dev/vcio)", _ACCESS)
    if "Command not registered" in text:
        raise SourceUnavailableError("this board's firmware has no power chip to ask", "only a Raspberry Pi 5 has one")
    if not text.strip() or "error=" in text or "ioctl" in text:
        raise ReadingError(f"the firmware gave no values: {text.strip()[:80]!r}")


def pmic_meter(source: str) -> Meter:
    """The sum of the rails, as measured."""
    return Meter(source, "sum of PMIC rails", "pmic-rails", "measured", period_s=PERIOD_S)


def to_reading(text: str) -> Reading:
    """One look, from the text."""
    rails = parse_rails(text)
    return Reading(rails.sum_w, rails_w=rails.rails_w)


def estimate_meter(rails: Meter) -> Meter:
    """What the whole board takes at its supply, guessed from the rails: a second figure, never in place of the first."""
    return Meter(rails.source, "board estimate", "supply", "estimated", SUPPLY_ORIGIN, period_s=rails.period_s)


def estimate_reading(sum_w: float) -> Reading:
    """The correction of the rails' sum, as published."""
    return Reading(SUPPLY_GAIN * sum_w + SUPPLY_OFFSET_W)
