"""The report on a screen of 80 columns, and as one object for programs."""

import json
import textwrap
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from typing import Any

from rich.console import Console
from rich.text import Text

from assistant.doctor.examine import Section
from assistant.doctor.line import Line, State
from assistant.plaintext import plain_line

_STYLES: dict[State, str] = {"ok": "green", "warning": "yellow", "fault": "bold red"}
_STATE, _NAME = 9, 13
"""Columns of the words at the left."""
_INDENT = " " * (_STATE + _NAME)
_WIDEST = 100


def worst(sections: Sequence[Section]) -> State:
    """The worst state of all lines."""
    states = {line.state for line in _all(sections)}
    return "fault" if "fault" in states else "warning" if "warning" in states else "ok"


def _all(sections: Sequence[Section]) -> Iterator[Line]:
    for section in sections:
        yield from section.lines


def report_facts(sections: Sequence[Section]) -> dict[str, Any]:
    """The report as plain values: `version`, `state`, `counts` by state, `lines` with group, name, state, found, remedy."""
    counts = {state: sum(line.state == state for line in _all(sections)) for state in _STYLES}
    lines = [{"group": section.name, **line.to_json()} for section in sections for line in section.lines]
    return {"version": version("bedside"), "state": worst(sections), "counts": counts, "lines": lines}


def print_json(value: dict[str, Any]) -> None:
    """One JSON document on standard output, not wrapped or coloured."""
    print(json.dumps(value, indent=2, ensure_ascii=False))


def print_report(sections: Sequence[Section]) -> None:
    """Section by section, with what mends a line under it, and the sum at the end."""
    console = Console(markup=False, highlight=False)
    width = min(console.width, _WIDEST)
    for section in sections:
        console.print(Text(section.name, style="bold"))
        for line in section.lines:
            _print_line(console, width, line)
        console.print()
    counts = report_facts(sections)["counts"]
    console.print(Text(_sum(counts), style=_STYLES[worst(sections)]))


def _print_line(console: Console, width: int, line: Line) -> None:
    first, *rest = textwrap.wrap(plain_line(line.found), width - len(_INDENT)) or [""]
    start = Text(f"{line.state:<{_STATE}}", style=_STYLES[line.state])
    console.print(start + Text(f"{line.name:<{_NAME}}{first}", style=""))
    for piece in rest:
        console.print(Text(_INDENT + piece))
    if line.remedy is None:
        return
    sentence, *commands = (plain_line(each) for each in line.remedy.splitlines())
    for piece in textwrap.wrap(f"-> {sentence}", width, initial_indent=_INDENT, subsequent_indent=_INDENT + "   "):
        console.print(Text(piece))
    for command in commands:  # to be copied: broken by nobody but the terminal
        console.print(Text(f"{_INDENT}   {command}"), soft_wrap=True)


def _sum(counts: dict[State, int]) -> str:
    def of(state: State, one: str, many: str) -> str:
        return f"{counts[state]} {one if counts[state] == 1 else many}"

    return f"{of('fault', 'fault', 'faults')}, {of('warning', 'warning', 'warnings')}, {counts['ok']} ok"
