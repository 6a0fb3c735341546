"""Which tensors cost what in a quantized file: each kind, then each layer of the costliest kind, kept at F16 in turn."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy.typing as npt

from compressor.perplexity import rows_loss
from compressor.quantize import quantize_file
from compressor.walk import Advance

KINDS = ("token_embd", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")


def steps(layers: int) -> int:
    """How often `attribute_rise` advances."""
    return 2 + len(KINDS) + layers


def attribute_rise(
    source: Path,
    imatrix: Mapping[str, npt.NDArray[Any]] | None,
    rows: Sequence[Sequence[int]],
    *,
    layers: int,
    scratch: Path,
    advance: Advance = lambda: None,
) -> dict[str, float]:
    """Nats per token that Q4_0 costs on `rows`: `all` of it, and what keeping a tensor at F16 would win back.

    `rows` are token ids of tuning text; `scratch` is a file that is written and removed. Raises RuntimeFailure.
    """
    plain = rows_loss(source, rows)
    advance()
    found: dict[str, float] = {}

    def loss(pattern: str | None) -> float:
        try:
            quantize_file(source, scratch, imatrix, keep_f16=pattern)
            return rows_loss(scratch, rows)
        finally:
            scratch.unlink(missing_ok=True)
            advance()

    quantized = loss(None)
    found["all"] = quantized - plain
    for kind in KINDS:
        found[kind] = quantized - loss(kind)
    worst = max(KINDS, key=lambda kind: found[kind])
    for layer in range(layers):
        name = f"blk.{layer}.{worst}"
        found[name] = quantized - loss(rf"blk\.{layer}\.{worst}")
    return found
