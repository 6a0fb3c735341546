"""The key-value part of a GGUF file, read as if hostile: every count and length is checked before it is used.

llama.cpp allows strings of 1 GiB and 2**30 of nearly everything; these caps are far below that and far above real
files (the largest tokenizers, of 262,144 tokens, need about 8 MiB).
"""

import math
import struct
from dataclasses import dataclass
from typing import BinaryIO

from models.errors import ModelFileError

MAX_METADATA_BYTES = 64 << 20
MAX_KEYS = 4096
MAX_KEY_BYTES = 256
MAX_STRING_BYTES = 1 << 20
MAX_ARRAY_STRING_BYTES = 1 << 16
MAX_ARRAY_ELEMENTS = 1 << 22  # of all arrays of a file together: bounds the time
MAX_KEPT_ARRAY_LENGTH = 1024
MAX_KEPT_BYTES = 8 << 20
_BUFFER_BYTES = 1 << 16

_STRING, _ARRAY, _BOOL = 8, 9, 7
_SCALARS: dict[int, tuple[str, struct.Struct]] = {
    0: ("uint8", struct.Struct("<B")),
    1: ("int8", struct.Struct("<b")),
    2: ("uint16", struct.Struct("<H")),
    3: ("int16", struct.Struct("<h")),
    4: ("uint32", struct.Struct("<I")),
    5: ("int32", struct.Struct("<i")),
    6: ("float32", struct.Struct("<f")),
    _BOOL: ("bool", struct.Struct("<B")),
    10: ("uint64", struct.Struct("<Q")),
    11: ("int64", struct.Struct("<q")),
    12: ("float64", struct.Struct("<d")),
}

Scalar = str | int | float | bool


@dataclass(frozen=True)
class LongArray:
    """An array that was checked and skipped, such as a vocabulary: what it held and how many elements."""

    type_name: str
    length: int


MetadataValue = Scalar | tuple[Scalar, ...] | LongArray


class HeaderCursor:
    """Reads a GGUF header forward; every read is checked against the end of the file and the size cap of a header."""

    def __init__(self, stream: BinaryIO, path: str, file_bytes: int) -> None:
        self._stream = stream
        self._end = min(file_bytes, MAX_METADATA_BYTES)
        self._cut_short = file_bytes <= MAX_METADATA_BYTES
        self.path = path
        self.file_bytes = file_bytes
        self.position = 0
        self._elements_left = MAX_ARRAY_ELEMENTS

    def fail(self, what: str) -> ModelFileError:
        """The error for this file; callers raise it."""
        return ModelFileError(f"{self.path}: {what}; get the file again from where it came")

    def take(self, count: int, what: str) -> bytes:
        """The next `count` bytes."""
        self._claim(count, what)
        data = self._stream.read(count)
        if len(data) != count:
            raise self.fail(f"the file ends inside {what}")
        return data

    def skip(self, count: int, what: str) -> None:
        """Pass over `count` bytes."""
        self._claim(count, what)
        self._stream.seek(count, 1)

    def skip_strings(self, count: int, what: str) -> None:
        """Pass over `count` length-prefixed strings: a vocabulary has hundreds of thousands, so without a read each."""
        read_length, buffer, at = _SCALARS[10][1].unpack_from, b"", 0
        for _ in range(count):
            if at + 8 > len(buffer):
                self._stream.seek(self.position)
                buffer, at = self._stream.read(_BUFFER_BYTES), 0
                if len(buffer) < 8:
                    raise self.fail(f"the file ends inside {what}")
            length = read_length(buffer, at)[0]
            if length > MAX_ARRAY_STRING_BYTES:
                raise self.fail(f"{what} claims {length} bytes, more than the {MAX_ARRAY_STRING_BYTES} allowed")
            self._claim(8 + length, what)
            at += 8 + length
        self._stream.seek(self.position)

    def number(self, layout: struct.Struct, what: str) -> int:
        """The next integer."""
        value = layout.unpack(self.take(layout.size, what))[0]
        assert isinstance(value, int)
        return value

    def count(self, most: int, what: str) -> int:
        """The next uint64, refused above `most`."""
        value = self.number(_SCALARS[10][1], what)
        if value > most:
            raise self.fail(f"{what} claims {value}, more than the {most} allowed")
        return value

    def array_length(self, what: str) -> int:
        """The next array's length, taken from what is allowed for the whole file."""
        length = self.count(self._elements_left, f"the length of {what}")
        self._elements_left -= length
        return length

    def text(self, most_bytes: int, what: str) -> str:
        """The next length-prefixed UTF-8 string."""
        data = self.take(self.count(most_bytes, f"the length of {what}"), what)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            raise self.fail(f"{what} is not UTF-8") from None

    def _claim(self, count: int, what: str) -> None:
        self.position += count
        if self.position > self._end:
            raise self.fail(
                f"the file ends inside {what}" if self._cut_short else f"its header is over {MAX_METADATA_BYTES} bytes"
            )


def read_metadata(cursor: HeaderCursor, n_keys: int) -> dict[str, MetadataValue]:
    """`n_keys` key-value pairs. Arrays of up to 1,024 elements are kept as tuples, longer ones as `LongArray`."""
    metadata: dict[str, MetadataValue] = {}
    kept_bytes = 0
    for index in range(n_keys):
        key = cursor.text(MAX_KEY_BYTES, f"metadata key {index}")
        if not key or not key.isprintable():
            raise cursor.fail(f"metadata key {index} is empty or not printable")
        if key in metadata:
            raise cursor.fail(f"metadata key {key!r} occurs twice")
        start = cursor.position
        value = _read_value(cursor, key)
        if not isinstance(value, LongArray):
            kept_bytes += cursor.position - start
        if kept_bytes > MAX_KEPT_BYTES:
            raise cursor.fail(f"its metadata values are over {MAX_KEPT_BYTES} bytes")
        metadata[key] = value
    return metadata


def _read_value(cursor: HeaderCursor, key: str) -> MetadataValue:
    kind = cursor.number(_SCALARS[4][1], f"the type of {key!r}")
    if kind == _ARRAY:
        return _read_array(cursor, key)
    return _read_scalar(cursor, kind, key, MAX_STRING_BYTES)


def _read_scalar(cursor: HeaderCursor, kind: int, key: str, most_bytes: int) -> Scalar:
    what = f"the value of {key!r}"
    if kind == _STRING:
        return cursor.text(most_bytes, what)
    if kind not in _SCALARS:
        raise cursor.fail(f"{key!r} has the unknown type {kind}")
    layout = _SCALARS[kind][1]
    value: int | float = layout.unpack(cursor.take(layout.size, what))[0]
    if kind == _BOOL:
        if value not in (0, 1):
            raise cursor.fail(f"{key!r} is the boolean {value}")
        return bool(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise cursor.fail(f"{key!r} is {value}")
    return value


def _read_array(cursor: HeaderCursor, key: str) -> tuple[Scalar, ...] | LongArray:
    kind = cursor.number(_SCALARS[4][1], f"the element type of {key!r}")
    if kind != _STRING and kind not in _SCALARS:
        raise cursor.fail(f"{key!r} is an array of the unknown type {kind}")
    length = cursor.array_length(f"array {key!r}")
    if length <= MAX_KEPT_ARRAY_LENGTH:
        return tuple(_read_scalar(cursor, kind, key, MAX_ARRAY_STRING_BYTES) for _ in range(length))
    if kind == _STRING:
        cursor.skip_strings(length, f"a string of array {key!r}")
        return LongArray("string", length)
    name, layout = _SCALARS[kind]
    cursor.skip(length * layout.size, f"array {key!r}")
    return LongArray(name, length)
