"""What sampling costs: the sampler at 10 Hz over files as an Orin Nano has them, as a share of one core.

Usage: `python -m benchmarks.sampling [--seconds N] [--root DIR]`. Without `--root` it makes the files itself; on a Jetson
`--root /` reads the chip. It exits with 1 where sampling takes 1 % of a core or more, or looks fail.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from device.errors import ReadingError, SourceUnavailableError
from device.reading import Meter, Reading
from device.sampler import Sampler
from device.system import System
from device.trace import Trace

LIMIT = 0.01
PERIOD_S = 0.1
CHIP = "/sys/bus/i2c/drivers/ina3221/1-0040/hwmon/hwmon1"
RAILS = ("VDD_IN", "VDD_CPU_GPU_CV", "VDD_SOC")


def make_files(root: Path) -> None:
    """The files of the three rails, 5.006848 W at the input."""
    folder = root / CHIP.lstrip("/")
    folder.mkdir(parents=True)
    for index, (millivolts, milliamperes) in enumerate(((4928, 1016), (4944, 112), (4936, 304)), start=1):
        (folder / f"in{index}_input").write_text(f"{millivolts}\n", "utf-8")
        (folder / f"curr{index}_input").write_text(f"{milliamperes}\n", "utf-8")


class RailFiles:
    """Volts and amperes of three rails, six files a look."""

    meter = Meter("ina3221-sysfs", "VDD_IN", "module", "measured", shunt_ohm=0.005, period_s=PERIOD_S)

    def __init__(self, system: System) -> None:
        self._system = system
        chips = system.glob("/sys/bus/i2c/drivers/ina3221/*/hwmon/hwmon*")
        if not chips:
            raise SourceUnavailableError(f"no ina3221 below {system.root}", "leave --root out to make one")
        self._rails = [
            (name, chips[0] / f"in{i}_input", chips[0] / f"curr{i}_input") for i, name in enumerate(RAILS, 1)
        ]

    def read(self) -> Reading:
        """Look now."""
        try:
            watts = {name: self._number(volts) * self._number(amperes) / 1e6 for name, volts, amperes in self._rails}
        except (OSError, ValueError) as error:
            raise ReadingError(f"a rail cannot be read ({error})") from None
        return Reading(power_w=watts.pop(RAILS[0]), rails_w=watts)

    def _number(self, path: Path) -> float:
        return float(self._system.read(path))

    def close(self) -> None:
        """Holds nothing."""


def verdict(trace: Trace) -> tuple[str, bool]:
    """What to print, and whether it is good enough."""
    cost, looks = trace.cost, len(trace.times_s)
    if cost.share is None or not looks:
        return f"nothing was sampled: {trace.ended or trace.failures[:1]}", False
    text = (
        f"{looks} looks in {cost.wall_s:.1f} s ({looks / cost.wall_s:.2f} Hz), {len(trace.failures)} failed; "
        f"{1e6 * cost.cpu_s / looks:.0f} us of computing each, {cost.share:.3%} of one core (limit {LIMIT:.0%})"
    )
    return text, cost.share < LIMIT and not trace.failures and trace.ended is None


def measure(system: System, seconds: float) -> Trace:
    """Sample for so long."""
    with Sampler(RailFiles(system)) as sampler:
        time.sleep(seconds)
    return sampler.trace()


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and give the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--root", type=Path)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        if given.root is None:
            make_files(Path(folder))
        text, is_good = verdict(measure(System(given.root or Path(folder)), given.seconds))
    print(text)
    return 0 if is_good else 1


if __name__ == "__main__":
    raise SystemExit(main())
