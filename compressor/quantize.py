"""Quantized files by llama.cpp's own quantizer, then read back: a tensor of an unexpected type is an error."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt

from compressor.errors import QuantizationError
from compressor.sizes import K_QUANT_VALUES, asked_type, expected_type
from models.gguf_header import read_header
from models.runtime.quantize import quantize

QuantizedType = Literal["q4_0", "q4_k_m", "q8_0"]
# What llama.cpp mixes under each name where every row holds a multiple of 256 values; anything else is a fallback.
_MIXTURES: dict[str, frozenset[str]] = {
    "q4_k_m": frozenset({"Q4_K", "Q6_K"}),
    "q8_0": frozenset({"Q8_0"}),
}


def quantize_file(
    source: Path,
    target: Path,
    imatrix: Mapping[str, npt.NDArray[Any]] | None = None,
    *,
    file_type: QuantizedType = "q4_0",
    keep_f16: str | None = None,
) -> None:
    """Write `target` whole or not at all; tensors that match the pattern `keep_f16` stay F16.

    Raises RuntimeFailure, StorageError.
    """
    overrides = {} if keep_f16 is None else {keep_f16: "f16"}
    if imatrix and file_type == "q4_0":
        # Given an importance matrix llama.cpp makes the first layers' ffn_down Q4_1, which has no repacked kernel.
        overrides.setdefault("ffn_down", "q4_0")
    quantize(source, target, file_type=file_type, imatrix=imatrix, tensor_types=overrides or None)


def check_types(path: Path, *, tied: bool, file_type: QuantizedType = "q4_0") -> dict[str, int]:
    """How many tensors the file holds of each type. Raises QuantizationError for a type that `file_type` should not give."""
    found: dict[str, int] = {}
    for tensor in read_header(path).tensors:
        shape = tensor.shape[::-1]
        if file_type == "q4_0" or len(shape) == 1:
            allowed = frozenset({expected_type(tensor.name, shape, tied)})
        else:
            allowed = _MIXTURES[file_type]
        if tensor.type_name not in allowed:
            wanted = " or ".join(sorted(allowed))
            multiple = 256 if file_type == "q4_k_m" else 32
            raise QuantizationError(
                f"{path.name}: {tensor.name} is {tensor.type_name}, not {wanted}; "
                f"no width but a multiple of {multiple} works"
            )
        found[tensor.type_name] = found.get(tensor.type_name, 0) + 1
    return found


def fallbacks(path: Path, *, tied: bool) -> list[str]:
    """One line for each tensor of a Q4_0 file, its types checked, that has another type than the mixture means for it."""
    found = []
    for tensor in read_header(path).tensors:
        asked = asked_type(tensor.name, len(tensor.shape), tied)
        if tensor.type_name != asked:
            found.append(
                f"{tensor.name} is {tensor.type_name}, not {asked}: "
                f"its rows of {tensor.shape[0]} are no multiple of {K_QUANT_VALUES}"
            )
    return found
