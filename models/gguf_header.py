"""The header of a GGUF file, read and checked without loading it: metadata, tensors, architecture, quantization mix.

The file is treated as hostile. llama.cpp aborts on absurd hyper-parameters and the `gguf` package's reader can be made
to exhaust memory by 51 bytes; this reader bounds every count and length, checks that every tensor lies inside the file,
and raises nothing but `ModelFileError`.
"""

import struct
from collections.abc import Sequence
from math import prod
from pathlib import Path
from typing import BinaryIO

from models.errors import ModelFileError
from models.gguf_checks import check_hyperparameters
from models.gguf_layout import GgufHeader, TensorInfo
from models.gguf_metadata import MAX_KEYS, HeaderCursor, MetadataValue, read_metadata
from models.gguf_types import TENSOR_TYPES

__all__ = ["GgufHeader", "TensorInfo", "read_header"]

MAX_TENSORS = 65_536
MAX_NAME_BYTES = 63
MAX_ALIGNMENT = 1 << 16
_U32 = struct.Struct("<I")
_U64 = struct.Struct("<Q")


def read_header(path: str | Path) -> GgufHeader:
    """Read and check the header of a GGUF file.

    Raises:
        ModelFileError: the file is missing, truncated, not GGUF, or not something llama.cpp should be given.
    """
    path = Path(path)
    try:
        with path.open("rb") as stream:
            header = _parse(stream, path)
    except IsADirectoryError:
        raise ModelFileError(f"{path} is a folder: name a GGUF file in it") from None
    except OSError as error:
        raise ModelFileError(f"cannot read {path}: {error.strerror or error}") from None
    check_hyperparameters(header)
    return header


def _parse(stream: BinaryIO, path: Path) -> GgufHeader:
    cursor = HeaderCursor(stream, str(path), stream.seek(0, 2))
    stream.seek(0)
    version = _read_version(cursor)
    n_tensors = cursor.count(MAX_TENSORS, "the number of tensors")
    n_keys = cursor.count(MAX_KEYS, "the number of metadata keys")
    metadata = read_metadata(cursor, n_keys)
    alignment = _alignment(cursor, metadata)
    relative = [_read_tensor(cursor, index, alignment) for index in range(n_tensors)]
    data_offset = -(-cursor.position // alignment) * alignment
    tensors = _place(cursor, relative, data_offset, alignment)
    return GgufHeader(path, version, metadata, tensors, data_offset, cursor.file_bytes)


def _read_version(cursor: HeaderCursor) -> int:
    if cursor.file_bytes < 24 or cursor.take(4, "the magic number") != b"GGUF":
        raise ModelFileError(f"{cursor.path} is not a GGUF file; `bedside compress` makes one from a checkpoint")
    version = cursor.number(_U32, "the version")
    if version in (0x02000000, 0x03000000):
        raise cursor.fail("it is a big-endian GGUF file, which cannot run here")
    if version not in (2, 3):
        raise cursor.fail(f"it has GGUF version {version}, and only 2 and 3 are supported")
    return version


def _alignment(cursor: HeaderCursor, metadata: dict[str, MetadataValue]) -> int:
    value = metadata.get("general.alignment", 32)
    if not isinstance(value, int) or not 8 <= value <= MAX_ALIGNMENT or value & (value - 1):
        raise cursor.fail(f"general.alignment is {value!r}, not a power of two from 8 to {MAX_ALIGNMENT}")
    return value


def _read_tensor(cursor: HeaderCursor, index: int, alignment: int) -> TensorInfo:
    """One tensor description, with its offset still relative to the data."""
    name = cursor.text(MAX_NAME_BYTES, f"the name of tensor {index}")
    n_dims = cursor.number(_U32, f"the dimensions of {name!r}")
    if not name or not 1 <= n_dims <= 4:
        raise cursor.fail(f"tensor {index} {name!r} has {n_dims} dimensions, not 1 to 4")
    shape = tuple(cursor.number(_U64, f"the shape of {name!r}") for _ in range(n_dims))
    kind = TENSOR_TYPES.get(type_id := cursor.number(_U32, f"the type of {name!r}"))
    offset = cursor.number(_U64, f"the offset of {name!r}")
    if kind is None:
        raise cursor.fail(f"tensor {name!r} has the unknown type {type_id}")
    # Python's integers do not overflow: a product beyond the file is refused below, whatever its size.
    if min(shape) < 1 or shape[0] % kind.block_elements:
        raise cursor.fail(f"tensor {name!r} of type {kind.name} cannot have the shape {shape}")
    if offset % alignment:
        raise cursor.fail(f"tensor {name!r} is not aligned to {alignment} bytes")
    return TensorInfo(name, shape, kind.name, offset, kind.n_bytes(prod(shape)))


def _place(
    cursor: HeaderCursor, relative: Sequence[TensorInfo], data_offset: int, alignment: int
) -> tuple[TensorInfo, ...]:
    """Absolute offsets; names unique, tensors one after the other as llama.cpp demands, all inside the file."""
    if len({tensor.name for tensor in relative}) != len(relative):
        raise cursor.fail("two tensors have the same name")
    expected, tensors = 0, []
    for tensor in relative:
        if tensor.offset != expected:
            raise cursor.fail(f"tensor {tensor.name!r} is at offset {tensor.offset}, expected at {expected}")
        end = data_offset + tensor.offset + tensor.n_bytes
        if end > cursor.file_bytes:
            raise cursor.fail(f"it is truncated: {cursor.file_bytes} bytes, and {tensor.name!r} ends at {end}")
        tensors.append(TensorInfo(tensor.name, tensor.shape, tensor.type_name, end - tensor.n_bytes, tensor.n_bytes))
        expected += -(-tensor.n_bytes // alignment) * alignment
    return tuple(tensors)
