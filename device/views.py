"""What `bedside device` prints: lines for people, one object for programs."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from device.bandwidth import Bandwidth
from device.board import Board
from device.board_text import state_lines
from device.detect import Look, Survey, Unavailable

NOT_MEASURED = "not measured"
_LABEL = 10  # columns of the names at the left
_SCOPES = {
    "supply": "all that the supply feeds",
    "module": "the module, without the carrier board",
    "pmic-rails": "the rails that the power chip measures",
    "cpu-package": "the processor's package only",
    "gpu": "the graphics processor only",
}


def print_json(found: Survey, bandwidth: Bandwidth | None = None) -> None:
    """One JSON document on standard output, not wrapped or coloured."""
    print(json.dumps(survey_facts(found, bandwidth), indent=2, ensure_ascii=False))


def survey_facts(found: Survey, bandwidth: Bandwidth | None = None) -> dict[str, Any]:
    """The survey as plain values: None, never 0, where nothing was read. Bandwidth is measured on demand only."""
    return {
        "board": {**found.board.to_json(), "bandwidth": None if bandwidth is None else asdict(bandwidth)},
        "selected": found.looks[0].meter.source if found.looks else None,
        "sources": [_source_facts(look) for look in found.looks],
        "unavailable": [asdict(missing) for missing in found.unavailable],
    }


def _source_facts(look: Look) -> dict[str, Any]:
    meter, reading = look.meter, look.reading
    return {
        "source": meter.source,
        "rail": meter.rail,
        "power_w": reading.power_w if reading else None,
        "energy_j": reading.energy_j if reading else None,
        "rails_w": dict(reading.rails_w) if reading else {},
        "scope": meter.scope,
        "kind": meter.kind,
        "correction": meter.correction,
        "shunt_ohm": meter.shunt_ohm,
        "filter": asdict(meter.filter) if meter.filter else None,
        "calibrated": asdict(meter.calibrated) if meter.calibrated else None,
    }


class Page:
    """Lines with a name at their left, wrapped at the terminal's width."""

    def __init__(self) -> None:
        self._console = Console(markup=False, highlight=False)
        self._width = min(self._console.width, 100)

    def item(self, name: str, text: str, style: str = "") -> None:
        """A text behind a name, or behind blanks."""
        start, indent = f"{name:<{_LABEL}}", " " * _LABEL
        if len(name) >= _LABEL:  # a long name has its line to itself
            self._console.print(Text(name))
            start = indent
        for line in textwrap.wrap(text, self._width, initial_indent=start, subsequent_indent=indent):
            self._console.print(Text(line, style=style))

    def verbatim(self, line: str) -> None:
        """To be copied: broken by nobody but the terminal. Neither a shell nor udev minds the blanks before it."""
        self._console.print(Text(" " * (_LABEL + 3) + line), soft_wrap=True)

    def heading(self, text: str) -> None:
        """A bold line with a blank one before it."""
        self._console.print()
        self._console.print(Text(text, style="bold"))


def print_survey(found: Survey, bandwidth: Bandwidth | None = None) -> None:
    """The board, the meter that measurements use, the others, and for what is missing the remedy."""
    page = Page()
    _print_board(page, found.board)
    if bandwidth is not None:
        page.item("", bandwidth_text(bandwidth))
    if not found.looks:
        page.item("Power", f"{NOT_MEASURED}: no meter that can be used")
    for number, look in enumerate(found.looks):
        if number == _first_other(found.looks):
            page.heading("Other meters (what they see differs: never add or compare their figures)")
        name = "Power" if number == 0 else look.meter.source
        page.item("Estimate" if look.is_derived else name, _reading_text(look))
        for detail in _details(look):
            page.item("", detail)
    if found.unavailable:
        page.heading("Not available")
    for missing in found.unavailable:
        _print_missing(page, missing)


def _print_board(page: Page, board: Board) -> None:
    page.item("Board", board.model or "unknown (no model in the device tree)")
    facts = []
    if board.memory_bytes:
        facts.append(f"{board.memory_bytes / 2**30:.1f} GiB")
    if board.power_mode:
        facts.append(f"power mode {board.power_mode.name or board.power_mode.id}")
    if board.temperatures_c:
        name, hottest_c = max(board.temperatures_c.items(), key=lambda item: item[1])
        facts.append(f"{hottest_c:.0f} C at most ({name})")
    if board.cuda:
        facts.append("CUDA's library is here")
    if facts:
        page.item("", ", ".join(facts))
    for line in state_lines(board):
        page.item("", line)


def bandwidth_text(bandwidth: Bandwidth) -> str:
    """How fast memory is read, and how that was found."""
    threads = "1 thread" if bandwidth.threads == 1 else f"{bandwidth.threads} threads"
    return f"memory is read at {bandwidth.bytes_per_s / 1e9:.1f} GB/s by {threads} ({bandwidth.method})"


def _print_missing(page: Page, missing: Unavailable) -> None:
    page.item(missing.source, missing.reason)
    sentence, *commands = missing.remedy.splitlines()
    page.item("", f"-> {sentence}")
    for command in commands:
        page.verbatim(command)


def _first_other(looks: Sequence[Look]) -> int | None:
    """Place of the first look that is neither the meter in use nor worked out from it."""
    return next((number for number, look in enumerate(looks) if number and not look.is_derived), None)


def _reading_text(look: Look) -> str:
    meter, reading = look.meter, look.reading
    figures = []
    if reading and reading.power_w is not None:
        figures.append(f"{reading.power_w:.2f} W")
    if reading and reading.energy_j is not None:
        figures.append(f"counter at {reading.energy_j:.1f} J")
    shown = ", ".join(figures) or "no reading"
    return f"{shown}: {meter.rail} by {meter.source}, {meter.kind} - {_SCOPES[meter.scope]}"


def _details(look: Look) -> list[str]:
    meter = look.meter
    details = [f"correction: {meter.correction}"] if meter.correction else []
    rails_w = look.reading.rails_w if look.reading else {}
    if meter.calibrated:
        within = meter.calibrated
        details.append(
            f"a reading is within {within.half_width_w:.2f} W (95 %) of that meter from {within.from_w:.2f} W to "
            f"{within.to_w:.2f} W, beyond that its error is not known"
        )
        if meter.rail in rails_w:
            details.append(f"without the correction: {rails_w[meter.rail]:.2f} W")
    if meter.shunt_ohm is not None:
        told = f"shunt: {meter.shunt_ohm * 1e3:g} mOhm as the driver was told"
        trust = "; if the resistor's marking differs, every figure is wrong by that factor"
        details.append(told + (trust if meter.scope == "supply" else ""))
    if meter.filter:
        samples = f" ({meter.filter.samples} samples)" if meter.filter.samples else ""
        details.append(f"smoothed by the sensor over about {meter.filter.time_constant_s:g} s{samples}")
    beside = [f"{name} {power_w:.2f} W" for name, power_w in rails_w.items() if name != meter.rail]
    if beside:
        details.append(f"other rails, not to be added: {', '.join(beside)}")
    return details
