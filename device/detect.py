"""Which meter this machine is measured with: candidates in the order of how much of the machine they see.

A meter at the supply that the user names comes first, or a recording of one (a CSV), then what the board itself offers, then
what any machine may have. To add a source: one line in the table of its boards.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple

from device.board import Board, look_at_board, read_model
from device.calibration import CalibratedSource, sensor_of
from device.calibration_files import CalibrationFiles
from device.errors import CalibrationError, ReadingError, SourceUnavailableError
from device.reading import Meter, Reading, Source
from device.sources import hwmon, ina3221x
from device.sources.battery import open_battery
from device.sources.ina3221 import open_ina3221
from device.sources.jtop import open_jtop
from device.sources.nvml import open_nvml
from device.sources.pmic_ioctl import open_pmic_ioctl
from device.sources.pmic_text import estimate_meter, estimate_reading
from device.sources.rapl import open_rapl
from device.sources.replay import open_replay
from device.sources.tegrastats import open_tegrastats
from device.sources.vcgencmd import open_vcgencmd
from device.system import System
from models.errors import StorageError

BoardKind = Literal["jetson", "jetson-jetpack4", "pi5", "other"]
Opener = Callable[[System], Source]
"""Gives the open source, or raises SourceUnavailableError with the remedy."""


class Candidate(NamedTuple):
    """A source's name as in `Meter.source`, and what opens it."""

    source: str
    open: Opener
    only_if_asked: bool = False
    """For a source that disturbs what it measures: left out, without a word, unless the caller asks for it by name."""


_JETSON = (Candidate("jtop", open_jtop, only_if_asked=True), Candidate("tegrastats", open_tegrastats))
OF_BOARD: dict[BoardKind, tuple[Candidate, ...]] = {
    "jetson": (Candidate("ina3221-sysfs", open_ina3221), *_JETSON),
    "jetson-jetpack4": (Candidate("ina3221x-iio", ina3221x.open_ina3221x), *_JETSON),
    "pi5": (Candidate("pmic-ioctl", open_pmic_ioctl), Candidate("vcgencmd", open_vcgencmd)),
    "other": (),
}
OF_ANY: tuple[Candidate, ...] = (
    Candidate("battery", open_battery),
    Candidate("rapl", open_rapl),
    Candidate("nvml", open_nvml),
)
LOOK_AGAIN = "look again; the next reading may succeed"
_CALIBRATE_ANEW = "see what is stored, then remove it or make it again\nbedside device calibrate --show"


@dataclass(frozen=True)
class Unavailable:
    """A source that cannot be used, why, and what the user can do about it."""

    source: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class Detection:
    """The source to measure with, open; None means that nothing here is measured. The caller closes it."""

    selected: Source | None
    unavailable: tuple[Unavailable, ...]


@dataclass(frozen=True)
class Look:
    """A meter that is here and what one look at it gave; no reading where that look failed."""

    meter: Meter
    reading: Reading | None
    is_derived: bool = False
    """Worked out from the look before it, not from a meter of its own."""


@dataclass(frozen=True)
class Survey:
    """Every meter of a machine, in order of precedence: the first is the one that measurements use."""

    board: Board
    looks: tuple[Look, ...]
    unavailable: tuple[Unavailable, ...]


def board_kind(system: System) -> BoardKind:
    """Which of the boards with meters of their own this is."""
    model = read_model(system) or ""
    if "Jetson" in model or system.path("/etc/nv_tegra_release").exists():
        return "jetson-jetpack4" if system.path(ina3221x.DRIVER).exists() else "jetson"
    return "pi5" if model.startswith("Raspberry Pi 5") else "other"


def is_recording(meter: Path) -> bool:
    """Whether what the user named is a recording of a meter: it has an end, and is not of now."""
    return meter.suffix == ".csv"


def open_source(system: System, meter: Path | None = None, asked_for: Collection[str] = ()) -> Detection:
    """The first source in order of precedence that opens; `meter` is the user's own at the supply, or a recording."""
    unavailable: list[Unavailable] = []
    for outcome in _try_each(system, meter, asked_for):
        if not isinstance(outcome, Unavailable):
            return Detection(outcome, tuple(unavailable))
        unavailable.append(outcome)
    return Detection(None, tuple(unavailable))


def survey(
    system: System, meter: Path | None = None, asked_for: Collection[str] = (), in_use: Source | None = None
) -> Survey:
    """One look at every source, whichever is selected; all are closed again. `in_use` is one that is open already."""
    looks: list[Look] = []
    unavailable: list[Unavailable] = []
    for outcome in _try_each(system, meter, asked_for, in_use):
        if isinstance(outcome, Unavailable):
            unavailable.append(outcome)
            continue
        name = outcome.meter.source
        try:
            looks += _looks(outcome.meter, outcome.read(), looks)
        except ReadingError as error:
            looks.append(Look(outcome.meter, None))
            unavailable.append(Unavailable(name, str(error), LOOK_AGAIN))
        except SourceUnavailableError as error:
            unavailable.append(Unavailable(name, error.reason, error.remedy))
        except Exception as error:  # one meter's fault is not to hide all the others
            looks.append(Look(outcome.meter, None))
            unavailable.append(_fault(name, error))
        finally:
            outcome.close()
    return Survey(look_at_board(system), tuple(looks), tuple(unavailable))


def _try_each(
    system: System, meter: Path | None, asked_for: Collection[str], in_use: Source | None = None
) -> Iterator[Source | Unavailable]:
    """Opens one candidate after the other, each only when the caller comes to it."""
    for candidate in _candidates(system, meter):
        if in_use is not None and candidate.source == in_use.meter.source:
            yield in_use
            continue
        if candidate.only_if_asked and candidate.source not in asked_for:
            continue
        try:
            source = candidate.open(system)
        except SourceUnavailableError as error:
            yield Unavailable(candidate.source, error.reason, error.remedy)
        except Exception as error:
            yield _fault(candidate.source, error)
        else:
            yield from _calibrated(system, source)


def _fault(source: str, error: Exception) -> Unavailable:
    """Of a source that failed in a way that nobody foresaw."""
    return Unavailable(source, f"looking at it failed ({type(error).__name__}: {error})", "report it")


def _calibrated(system: System, source: Source) -> Iterator[Source | Unavailable]:
    """The source, corrected where this user calibrated it on this board; first, why a calibration cannot be used."""
    board = read_model(system) if system.is_own else None
    try:
        found = CalibrationFiles().find(sensor_of(source.meter, board)) if board else None
    except (CalibrationError, StorageError) as error:
        yield Unavailable("calibration", str(error), _CALIBRATE_ANEW)
        found = None
    yield CalibratedSource(source, found, board) if found and board else source


def _looks(meter: Meter, reading: Reading, before: Sequence[Look]) -> Iterator[Look]:
    """What a meter said; of a Pi's rails, where nothing better is known of its supply, also the estimate that they allow."""
    yield Look(meter, reading)
    is_known = any(look.meter.scope == "supply" for look in before)
    if meter.scope == "pmic-rails" and reading.power_w is not None and not is_known:
        yield Look(estimate_meter(meter), estimate_reading(reading.power_w), is_derived=True)


def _candidates(system: System, meter: Path | None) -> Iterator[Candidate]:
    if meter is not None and is_recording(meter):
        path = meter if system.is_own else system.path(str(meter))
        yield Candidate("replay", lambda machine: open_replay(machine, path))
    elif meter is not None:
        yield Candidate(hwmon.SOURCE, lambda machine: hwmon.open_hwmon(machine, meter))
    yield from OF_BOARD[board_kind(system)]
    yield from OF_ANY
