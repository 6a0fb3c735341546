"""A titled table, on the terminal as in the files."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

ABSENT = "–"
Section = tuple[str, tuple[str, ...], list[tuple[str, ...]]]
"""Title, columns and rows of one table."""


def print_sections(sections: Sequence[Section], console: Console) -> None:
    """The tables on the terminal; long cells fold at 80 columns."""
    for title, columns, cells in sections:
        table = Table(title=title, box=box.SIMPLE, padding=(0, 1), pad_edge=False)
        for index, column in enumerate(columns):
            table.add_column(column, justify="left" if index == 0 else "right")
        for row in cells:
            table.add_row(*row)
        console.print(table)
