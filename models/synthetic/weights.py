"""Seeded random tensors of a Llama model, by Hugging Face name, produced a few rows at a time.

The values of a tensor depend only on seed, name and shape, so a checkpoint and a GGUF file of one seed are one model.
"""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.errors import ModelFileError
from models.synthetic.shapes import Shape

_CHUNK_ELEMENTS = 512 * 1024


@dataclass(frozen=True)
class TensorSpec:
    """A tensor to be: its Hugging Face name and its shape (rows, columns) or (columns,)."""

    name: str
    shape: tuple[int, ...]

    @property
    def n_elements(self) -> int:
        """Number of values."""
        return int(np.prod(self.shape))

    @property
    def rows_per_chunk(self) -> int:
        """Rows that `float_chunks` yields at once; one-dimensional tensors are one row."""
        return max(1, _CHUNK_ELEMENTS // self.shape[-1])


def checked_widths(shape: Shape, ffn_widths: Sequence[int] | None) -> list[int]:
    """FFN width of each layer; raises ModelFileError where their number is wrong or one is below 1."""
    widths = [shape.ffn_size] * shape.layers if ffn_widths is None else list(ffn_widths)
    if len(widths) != shape.layers or min(widths) < 1:
        raise ModelFileError(
            f"FFN widths {widths} do not fit {shape.layers} layers; give one width of 1 or more for each"
        )
    return widths


def tensor_specs(shape: Shape, ffn_widths: Sequence[int] | None = None) -> list[TensorSpec]:
    """Every tensor of the model, in file order."""
    hidden, q_rows, kv_rows = shape.hidden_size, shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    specs = [TensorSpec("model.embed_tokens.weight", (shape.vocab_size, hidden))]
    for layer, width in enumerate(checked_widths(shape, ffn_widths)):
        prefix = f"model.layers.{layer}."
        specs += [
            TensorSpec(prefix + "input_layernorm.weight", (hidden,)),
            TensorSpec(prefix + "self_attn.q_proj.weight", (q_rows, hidden)),
            TensorSpec(prefix + "self_attn.k_proj.weight", (kv_rows, hidden)),
            TensorSpec(prefix + "self_attn.v_proj.weight", (kv_rows, hidden)),
            TensorSpec(prefix + "self_attn.o_proj.weight", (hidden, q_rows)),
            TensorSpec(prefix + "post_attention_layernorm.weight", (hidden,)),
            TensorSpec(prefix + "mlp.gate_proj.weight", (width, hidden)),
            TensorSpec(prefix + "mlp.up_proj.weight", (width, hidden)),
            TensorSpec(prefix + "mlp.down_proj.weight", (hidden, width)),
        ]
    specs.append(TensorSpec("model.norm.weight", (hidden,)))
    if not shape.tied:
        specs.append(TensorSpec("lm_head.weight", (shape.vocab_size, hidden)))
    return specs


def float_chunks(spec: TensorSpec, seed: int) -> Iterator[NDArray[np.float32]]:
    """The tensor as float32, `rows_per_chunk` rows at a time.

    Matrices are normal with variance 1/columns, so that activations keep their size; norms lie around 1.
    """
    generator = random_generator(spec, seed)
    if len(spec.shape) == 1:
        yield (1.0 + 0.1 * generator.standard_normal(spec.shape, dtype=np.float32)).astype(np.float32)
        return
    rows, columns = spec.shape
    for start in range(0, rows, spec.rows_per_chunk):
        chunk = generator.standard_normal((min(spec.rows_per_chunk, rows - start), columns), dtype=np.float32)
        yield chunk * np.float32(columns**-0.5)


def random_generator(spec: TensorSpec, seed: int) -> np.random.Generator:
    """The random numbers of one tensor."""
    return np.random.default_rng([seed, zlib.crc32(spec.name.encode())])
