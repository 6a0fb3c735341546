"""What a token asks of a board: bytes and multiply-adds, from a model's shape alone.

A matrix of r rows of length c is r·c multiply-adds for a token, and r + c activations: what is quantized before it and
written after it. The output matrix is counted by its bytes, and of the embedding a token reads one row only.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from models.catalogue import CatalogueModel
from models.gguf_layout import GgufHeader, TensorInfo
from models.gguf_types import TYPE_BY_NAME

_MATRIX = "Q4_0"


@dataclass(frozen=True)
class Workload:
    """Sums over all layers; `matrix_bytes` and what follows it leave out the output matrix."""

    layers: int
    matrix_bytes: int
    """Q4_0 weights that every token reads."""
    multiply_adds: int
    activations: int
    last_ffn_multiply_adds: int
    """Of the last layer's FFN, which llama.cpp computes only for rows whose logits are asked for."""
    last_ffn_activations: int
    heads: int
    head_dim: int
    output_bytes: int
    """The output matrix, or the embedding that doubles as one."""

    @property
    def read_bytes(self) -> int:
        """Weights that a token of an answer reads."""
        return self.matrix_bytes + self.output_bytes


def workload_of_catalogue(model: CatalogueModel, kept_neurons: int | None = None) -> Workload:
    """A catalogue model at Q4_0: dense, or with `kept_neurons` FFN neurons in all layers together, shared out evenly."""
    shapes = model.shapes
    attention = shapes.matrices()[:4]
    neurons = shapes.layers * shapes.ffn if kept_neurons is None else kept_neurons
    multiply_adds = shapes.layers * sum(rows * length for rows, length in attention) + 3 * shapes.hidden * neurons
    ffn_activations = 3 * (shapes.hidden * shapes.layers + neurons)
    return Workload(
        layers=shapes.layers,
        matrix_bytes=TYPE_BY_NAME[_MATRIX].n_bytes(multiply_adds),
        multiply_adds=multiply_adds,
        activations=shapes.layers * sum(rows + length for rows, length in attention) + ffn_activations,
        last_ffn_multiply_adds=3 * shapes.hidden * neurons // shapes.layers,
        last_ffn_activations=ffn_activations // shapes.layers,
        heads=shapes.layers * shapes.heads,
        head_dim=shapes.head_dim,
        output_bytes=model.q4_0_output_bytes(),
    )


def workload_of_header(header: GgufHeader) -> Workload | None:
    """A text model's file; None where its layers are not plain Q4_0 matrices, since nothing else is measured here."""
    blocks = [tensor for tensor in header.tensors if tensor.name.startswith("blk.")]
    matrices = [tensor for tensor in blocks if len(tensor.shape) > 1]
    named = {tensor.name: tensor for tensor in header.tensors}
    output = named.get("output.weight") or named.get("token_embd.weight")
    plain = all(tensor.type_name == _MATRIX and len(tensor.shape) == 2 for tensor in matrices)
    if not matrices or not plain or output is None or header.is_encoder or header.pooling != "none":
        return None
    last = [tensor for tensor in matrices if tensor.name.startswith(f"blk.{header.n_layers - 1}.ffn_")]
    return Workload(
        layers=header.n_layers,
        matrix_bytes=sum(tensor.n_bytes for tensor in matrices),
        multiply_adds=_multiply_adds(matrices),
        activations=_activations(matrices),
        last_ffn_multiply_adds=_multiply_adds(last),
        last_ffn_activations=_activations(last),
        heads=sum(header.head_counts),
        head_dim=header.key_length,
        output_bytes=output.n_bytes,
    )


def _multiply_adds(matrices: Sequence[TensorInfo]) -> int:
    return sum(tensor.n_elements for tensor in matrices)


def _activations(matrices: Sequence[TensorInfo]) -> int:
    return sum(sum(tensor.shape) for tensor in matrices)
