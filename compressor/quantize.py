"""Q4_0 through llama.cpp's own quantizer, then read back: a tensor of an unexpected type is an error."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy.typing as npt

from compressor.errors import QuantizationError
from compressor.sizes import expected_type
from models.gguf_header import read_header
from models.runtime.quantize import quantize


def quantize_file(source: Path, target: Path, imatrix: Mapping[str, npt.NDArray[Any]] | None = None) -> None:
    """Write `target` whole or not at all. Raises RuntimeFailure, StorageError."""
    # Given an importance matrix llama.cpp makes the first layers' ffn_down Q4_1, which has no repacked kernel.
    overrides = {"ffn_down": "q4_0"} if imatrix else None
    quantize(source, target, file_type="q4_0", imatrix=imatrix, tensor_types=overrides)


def check_types(path: Path, *, tied: bool) -> dict[str, int]:
    """How many tensors the file holds of each type. Raises QuantizationError where one is not what Q4_0 should give."""
    found: dict[str, int] = {}
    for tensor in read_header(path).tensors:
        expected = expected_type(tensor.name, tensor.shape[::-1], tied)
        if tensor.type_name != expected:
            raise QuantizationError(
                f"{path.name}: {tensor.name} is {tensor.type_name}, not {expected}; no width but a multiple of 32 works"
            )
        found[expected] = found.get(expected, 0) + 1
    return found
