"""Rows of a TOML file as frozen dataclasses: types checked, unknown keys refused, all faults reported together."""

import sys
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from models.errors import ModelFileError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Row = TypeVar("Row")


def read_rows(path: Path, table: str, row_type: type[Row]) -> tuple[Row, ...]:
    """Every `[[table]]` of `path` as a `row_type`; fields are str, int, float, bool, tuple[str, ...] or dataclasses.

    Raises:
        ModelFileError: not TOML, or rows with missing, unknown or mistyped keys; the message lists all of them.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFileError(f"cannot read {path}: {error}") from None
    faults = [f"unknown key {key!r}" for key in document if key != table]
    rows = document.get(table)
    if not isinstance(rows, list) or not rows:
        raise ModelFileError(f"{path}: no [[{table}]] in it")
    built = [_build(row_type, row, f"{table} {number}", faults) for number, row in enumerate(rows, start=1)]
    names = [row["id"] for row in rows if isinstance(row, dict) and "id" in row]
    faults += [f"id {name!r} occurs twice" for name in sorted({str(name) for name in names if names.count(name) > 1})]
    if faults:
        raise ModelFileError(f"{path}: {'; '.join(faults)}")
    return tuple(row for row in built if row is not None)


def _build(row_type: type[Row], row: object, where: str, faults: list[str]) -> Row | None:
    if not isinstance(row, dict):
        faults.append(f"{where} is not a table")
        return None
    assert is_dataclass(row_type)
    known = {field.name: field for field in fields(row_type)}
    hints = get_type_hints(row_type)
    before = len(faults)
    faults += [f"{where}: unknown key {key!r}" for key in row if key not in known]
    faults += [
        f"{where}: {name!r} is missing" for name, field in known.items() if name not in row and field.default is MISSING
    ]
    values = {
        key: _convert(hints[key], value, f"{where}, {key!r}", faults) for key, value in row.items() if key in known
    }
    return row_type(**values) if len(faults) == before else None


def _convert(hint: Any, value: object, where: str, faults: list[str]) -> Any:
    if is_dataclass(hint) and isinstance(hint, type):
        return _build(hint, value, where, faults)
    if get_origin(hint) is tuple:
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        faults.append(f"{where} is not a list of strings")
        return None
    wanted = (get_args(hint) or (hint,))[0]
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not wanted:
        faults.append(f"{where} is {value!r}, not {wanted.__name__}")
    return value
