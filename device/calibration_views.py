"""What `bedside device calibrate` prints."""

from collections.abc import Sequence
from pathlib import Path

import typer

from device.calibration import MIN_LEVELS, Calibration, Level, Sensor
from device.calibration_files import Stored
from device.levels import Seen, hold_s
from device.reading import Meter


def print_plan(sensor: Sensor, meter: Meter, steps: Sequence[int], *, asking: bool) -> None:
    """What is about to happen, and for how long."""
    settle_s, measure_s = hold_s(meter)
    typer.echo(f"Sensor: {sensor}")
    typer.echo(f"{len(steps)} levels of load, each for {settle_s + measure_s:.0f} s at least. Let nothing else run.")
    if len(steps) < MIN_LEVELS:
        typer.echo(
            f"{MIN_LEVELS} are needed: add others under loads of your own, such as an answer or half of one core."
        )
    if asking:
        typer.echo("At each one, read the meter at the supply while the load runs, and type what it says.")
    typer.echo("Ctrl-C ends it, and nothing is stored.")


def print_level(name: str, busy_threads: int | None) -> None:
    """The level that begins; None busy threads are a load of the user's own."""
    loads = {None: "your own load", 0: "idle", 1: "1 busy thread"}
    typer.echo(f"{name}: {loads.get(busy_threads, f'{busy_threads} busy threads')}")


def print_seen(seen: Seen) -> None:
    """What the sensor says at this level."""
    typer.echo(f"  the sensor says {seen.mean_w:.2f} W (spread {seen.spread_w:.2f} W, {seen.samples} samples)")


def print_levels(levels: Sequence[Level]) -> None:
    """What was read."""
    typer.echo("   sensor     meter")
    for level in levels:
        typer.echo(f"{level.sensor_w:7.2f} W {level.meter_w:7.2f} W")


def print_stored(calibration: Calibration, path: Path) -> None:
    """The line and what it leaves, and where it went."""
    for line in _line_of(calibration):
        typer.echo(line)
    typer.echo(f"stored in {path}; bedside device uses it from now on")


def _line_of(calibration: Calibration) -> list[str]:
    within, name = calibration.calibrated, calibration.reference
    residuals = ", ".join(f"{residual_w:+.2f}" for residual_w in calibration.residuals_w)
    held = f"from {within.from_w:.2f} W to {within.to_w:.2f} W"
    return [
        f"supply = {calibration.gain:.4f} x sensor {calibration.offset_w:+.4f} W",
        f"residuals (meter above the line): {residuals} W",
        f"one reading is within {within.half_width_w:.2f} W (95 %) of {name}, {held}",
    ]


def print_recorded(table: Path) -> None:
    """What is to be done with the table."""
    typer.echo(f"fill in the column meter_w of {table}, then run the line below")
    typer.echo(f"bedside device calibrate --readings {table}")


def print_removed(sensor: Sensor, path: Path) -> None:
    """What is gone."""
    typer.echo(f"removed {path}: {sensor.source} {sensor.rail} is shown as it is")


def print_calibrations(stored: Sequence[Stored], board: str | None) -> None:
    """Every calibration, whole."""
    if not stored:
        typer.echo("no calibration is stored")
    for file in stored:
        typer.echo(str(file.path))
        if file.calibration is None:
            typer.echo(f"  cannot be used: {file.fault}")
            continue
        calibration = file.calibration
        typer.echo(f"  {calibration.sensor}" + ("" if calibration.sensor.board == board else ": not this board"))
        typer.echo(f"  {calibration.reference}, {calibration.made}, {len(calibration.levels)} levels")
        for line in _line_of(calibration):
            typer.echo(f"  {line}")
