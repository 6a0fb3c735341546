"""Quantizing a GGUF file with llama.cpp's own quantizer, all or nothing."""

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.disk import replacing
from models.errors import RuntimeFailure, StorageError
from models.runtime.library import LOG, default_threads, keeping_interrupts, llama, raise_interrupt
from models.runtime.model import check_is_gguf

# Numbers of llama.cpp's `enum llama_ftype` and `enum ggml_type`; a number it does not expect ends the process.
FILE_TYPES = {"f32": 0, "f16": 1, "bf16": 32, "q4_0": 2, "q4_1": 3, "q8_0": 7, "q4_k_m": 15, "q5_k_m": 17, "q6_k": 18}
TENSOR_TYPES = {"f32": 0, "f16": 1, "bf16": 30, "q4_0": 2, "q4_1": 3, "q8_0": 8, "q4_k": 12, "q5_k": 13, "q6_k": 14}


def quantize(
    source: str | Path,
    target: str | Path,
    file_type: str = "q4_0",
    *,
    threads: int | None = None,
    imatrix: Mapping[str, NDArray[np.floating[Any]]] | None = None,
    tensor_types: Mapping[str, str] | None = None,
) -> Path:
    """Write `source` (F32, F16 or BF16) as `target` of `file_type` (one of FILE_TYPES); returns `target`.

    `imatrix` maps GGUF tensor names to the importance of each input column, (columns,) values. `tensor_types` maps
    regular expressions over tensor names to TENSOR_TYPES, e.g. {"ffn_down": "q4_0"}. Raises ModelFileError where
    `source` is no GGUF file, RuntimeFailure where llama.cpp refuses, StorageError where the disk does; `target` is then
    as it was.
    """
    source, target = Path(source), Path(target)
    check_is_gguf(source)
    library = llama()
    params = library.llama_model_quantize_default_params()
    params.ftype = _number(FILE_TYPES, file_type)
    params.nthread = threads or default_threads()
    importance = _importance_array(library, imatrix or {})
    overrides = _override_array(library, tensor_types or {})
    if imatrix:
        params.imatrix = ctypes.cast(importance, ctypes.POINTER(library.llama_model_imatrix_data))
    if tensor_types:
        params.tt_overrides = ctypes.cast(overrides, ctypes.POINTER(library.llama_model_tensor_override))
    with replacing(target) as temporary:
        mark = LOG.mark()
        with keeping_interrupts():
            status = library.llama_model_quantize(os.fsencode(source), os.fsencode(temporary), ctypes.byref(params))
        raise_interrupt()
        if status:
            raise _failure(source, target, LOG.complaints(mark))
    return target


def _failure(source: Path, target: Path, reason: str) -> RuntimeFailure | StorageError:
    # The C++ stream's message is all that llama.cpp reports of a write that failed.
    if "basic_ios" in reason:
        return StorageError(f"cannot write {target}: the disk is full or the file too large; free some space")
    return RuntimeFailure(
        f"llama.cpp cannot quantize {source}: {reason or 'no reason given'}; give it an F32, F16 or BF16 export"
    )


def _number(types: Mapping[str, int], name: str) -> int:
    if name.lower() not in types:
        raise RuntimeFailure(f"type {name!r} is unknown; use one of {', '.join(types)}")
    return types[name.lower()]


def _importance_array(library: Any, imatrix: Mapping[str, NDArray[np.floating[Any]]]) -> Any:
    """C array closed by a NULL name."""
    array = (library.llama_model_imatrix_data * (len(imatrix) + 1))()
    for entry, (name, values) in zip(array, imatrix.items(), strict=False):
        data = np.array(values, dtype=np.float32).ravel()
        entry.name, entry.size = name.encode(), data.size
        entry.data = np.ctypeslib.as_ctypes(data)
    return array


def _override_array(library: Any, tensor_types: Mapping[str, str]) -> Any:
    """C array closed by a NULL pattern."""
    array = (library.llama_model_tensor_override * (len(tensor_types) + 1))()
    for entry, (pattern, type_name) in zip(array, tensor_types.items(), strict=False):
        entry.pattern, entry.type = pattern.encode(), _number(TENSOR_TYPES, type_name)
    return array
