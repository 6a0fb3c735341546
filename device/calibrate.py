"""`bedside device calibrate`: levels of load held, the meter's readings typed, the line stored for this board."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import typer

from device import calibration_views as views
from device.board import read_model
from device.calibration import CalibratedSource, Level, Sensor, calibrate, check_reference, sensor_of
from device.calibration_files import CalibrationFiles
from device.detect import open_source
from device.errors import CalibrationError, SourceUnavailableError
from device.level_table import RecordedLevel, read_levels, write_levels
from device.levels import Seen, load_steps, parse_reading, take_level
from device.reading import Source
from device.system import System

_BLIND = ("cpu-package", "gpu")  # scopes that leave out most of what a meter at the supply sees


def calibrate_by_asking(meter: Path | None, reference: str) -> None:
    """Hold the levels, ask for the meter's reading at each, and store the line.

    Raises:
        CalibrationError: this machine's sensor cannot be calibrated, or the readings make no line; nothing is stored.
    """
    check_reference(reference)
    with _open(meter) as (source, sensor):
        views.print_plan(sensor, source.meter, load_steps(), asking=True)
        levels = []
        for number, busy in enumerate(load_steps(), start=1):
            views.print_level(f"Level {number} of {len(load_steps())}", busy)
            levels.append(take_level(source, busy, _ask))
        while typer.confirm("One more level, under a load of your own that you have started?"):
            views.print_level(f"Level {len(levels) + 1}", None)
            levels.append(take_level(source, 0, _ask))
    _store(sensor, levels, reference)


def calibrate_from_table(meter: Path | None, reference: str, table: Path) -> None:
    """Store the line through the levels of a table that `record_levels` wrote and somebody completed.

    Raises:
        CalibrationError: as above, or for what is wrong with the table.
    """
    with _open(meter) as (_, sensor):
        levels = read_levels(table, sensor)
    _store(sensor, levels, reference)


def record_levels(meter: Path | None, table: Path) -> None:
    """Hold the levels without asking, and write a table for the meter's readings.

    Raises:
        CalibrationError: this machine's sensor cannot be calibrated, or the file is there already or has no folder.
    """
    if not table.absolute().parent.is_dir():
        raise CalibrationError(f"{table.absolute().parent} is no folder: create it first")
    if table.exists():
        raise CalibrationError(f"{table} is there already: give another name, or calibrate with --readings {table}")
    with _open(meter) as (source, sensor):
        views.print_plan(sensor, source.meter, load_steps(), asking=False)
        recorded = []
        for number, busy in enumerate(load_steps(), start=1):
            views.print_level(f"Level {number} of {len(load_steps())}", busy)
            recorded.append(RecordedLevel(busy, take_level(source, busy, _show).sensor_w))
    write_levels(table, sensor, recorded)
    views.print_recorded(table)


def show_calibrations() -> None:
    """Every stored calibration, and whether it is for a board like this one."""
    views.print_calibrations(CalibrationFiles().all(), read_model(System()))


def remove_calibration(meter: Path | None) -> None:
    """Forget that of the sensor which measurements use here. Raises CalibrationError: there is none."""
    with _open(meter) as (_, sensor):
        path = CalibrationFiles().remove(sensor)
    views.print_removed(sensor, path)


@contextmanager
def _open(meter: Path | None) -> Iterator[tuple[Source, Sensor]]:
    """The sensor that measurements use here, without a correction, and what tells it from others."""
    system = System()
    found = open_source(system, meter)
    if meter is not None and found.unavailable and found.unavailable[0].source in ("hwmon", "replay"):
        if found.selected is not None:
            found.selected.close()
        raise SourceUnavailableError(found.unavailable[0].reason, found.unavailable[0].remedy)
    source = found.selected
    if source is None:
        raise CalibrationError("no meter that can be used: bedside device says what is missing")
    try:
        source = source.uncorrected if isinstance(source, CalibratedSource) else source
        board = read_model(system)
        if board is None:
            raise CalibrationError("the system does not say which board this is, and a calibration holds for one board")
        if source.meter.scope in _BLIND or source.meter.source in ("battery", "replay"):
            raise CalibrationError(
                f"{source.meter.source} does not see what a meter at the supply sees; name a meter that does by --meter"
            )
        yield source, sensor_of(source.meter, board)
    finally:
        source.close()


def _ask(seen: Seen) -> float:
    """The meter's reading, asked for until it is one. Raises typer.Abort where nobody answers."""
    views.print_seen(seen)
    while True:
        try:
            return parse_reading(str(typer.prompt("  The meter at the supply says, in W")), seen.mean_w)
        except ValueError as error:
            typer.echo(f"  {error}")


def _show(seen: Seen) -> float:
    views.print_seen(seen)
    return seen.mean_w


def _store(sensor: Sensor, levels: list[Level], reference: str) -> None:
    """Show the levels first: those that make no line are not lost to who typed them."""
    views.print_levels(levels)
    calibration = calibrate(sensor, levels, reference, datetime.now().astimezone().date())
    path = CalibrationFiles().save(calibration)
    views.print_stored(calibration, path)
