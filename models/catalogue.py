"""The published models that Bedside knows, their shapes, and what each is compressed to (catalogue.toml)."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from models.gguf_types import TYPE_BY_NAME
from models.tables import read_rows


@dataclass(frozen=True)
class FamilyTraits:
    """What a family's layers hold beside the matrices that all share (q, k, v, o, gate, up, down)."""

    norms: int
    qkv_bias: bool
    qk_norm: bool
    one_width: bool = False
    """Whether llama.cpp loads files with one FFN width in all layers only: what pruning has to keep to."""


FAMILIES: dict[str, FamilyTraits] = {
    "llama": FamilyTraits(norms=2, qkv_bias=False, qk_norm=False),
    "mistral": FamilyTraits(norms=2, qkv_bias=False, qk_norm=False),
    "gemma": FamilyTraits(norms=2, qkv_bias=False, qk_norm=False, one_width=True),
    "gemma3": FamilyTraits(norms=4, qkv_bias=False, qk_norm=True, one_width=True),
    "qwen2": FamilyTraits(norms=2, qkv_bias=True, qk_norm=False),
    "qwen3": FamilyTraits(norms=2, qkv_bias=False, qk_norm=True),
}


@dataclass(frozen=True)
class LayerShapes:
    """Widths and counts of a decoder; `tied` where the output matrix is the embedding."""

    hidden: int
    ffn: int
    layers: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab: int
    tied: bool

    def matrices(self) -> list[tuple[int, int]]:
        """(rows, row length) of the seven matrices of one layer."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        attention = [(queries, self.hidden), (keys, self.hidden), (keys, self.hidden), (self.hidden, queries)]
        return [*attention, (self.ffn, self.hidden), (self.ffn, self.hidden), (self.hidden, self.ffn)]

    def vectors(self, traits: FamilyTraits) -> int:
        """Elements of one layer's norms and biases."""
        bias = (self.heads + 2 * self.kv_heads) * self.head_dim if traits.qkv_bias else 0
        return traits.norms * self.hidden + bias + (2 * self.head_dim if traits.qk_norm else 0)

    @property
    def kv_elements_per_token(self) -> int:
        """Cached key and value elements of one token, all layers."""
        return self.layers * self.kv_heads * self.head_dim * 2


@dataclass(frozen=True)
class CatalogueModel:
    """One model of the catalogue. `repository` is its Hugging Face Hub id, empty for the built-in model."""

    id: str
    name: str
    licence: str
    family: str
    parameters: int
    context_tokens: int
    recipes: tuple[str, ...]
    shapes: LayerShapes
    repository: str = ""
    gated: bool = False
    revision: str = ""
    note: str = ""

    @property
    def traits(self) -> FamilyTraits:
        """What this family's layers hold beside the shared matrices."""
        return FAMILIES[self.family]

    @property
    def ffn_parameters(self) -> int:
        """Parameters of all FFN layers: what pruning can take from."""
        return self.shapes.layers * 3 * self.shapes.ffn * self.shapes.hidden

    def count_parameters(self) -> int:
        """Unique parameters computed from the shapes, a tied embedding counted once."""
        shapes = self.shapes
        layer = sum(rows * length for rows, length in shapes.matrices()) + shapes.vectors(self.traits)
        return shapes.layers * layer + shapes.hidden + shapes.vocab * shapes.hidden * (1 if shapes.tied else 2)

    def q4_0_bytes(self) -> int:
        """Tensor bytes of the model at Q4_0 as llama.cpp's quantizer writes it.

        Matrices Q4_0; the output matrix, or the embedding where it doubles as one, Q6_K (Q8_0 where rows are no
        multiple of 256); norms and biases F32.
        """
        shapes = self.shapes
        total = self.q4_0_matrix_bytes() + 4 * (shapes.layers * shapes.vectors(self.traits) + shapes.hidden)
        embedding_bytes = 0 if shapes.tied else TYPE_BY_NAME["Q4_0"].n_bytes(shapes.vocab * shapes.hidden)
        return total + self.q4_0_output_bytes() + embedding_bytes

    def q4_0_output_bytes(self) -> int:
        """Bytes of the output matrix, or of the embedding that doubles as one, in a file at Q4_0."""
        shapes = self.shapes
        output = TYPE_BY_NAME["Q6_K" if shapes.hidden % TYPE_BY_NAME["Q6_K"].block_elements == 0 else "Q8_0"]
        return output.n_bytes(shapes.vocab * shapes.hidden)

    def q4_0_matrix_bytes(self) -> int:
        """Bytes of the layers' matrices at Q4_0: the part that llama.cpp repacks on CPUs."""
        elements = sum(rows * length for rows, length in self.shapes.matrices())
        return self.shapes.layers * TYPE_BY_NAME["Q4_0"].n_bytes(elements)


@cache
def catalogue() -> tuple[CatalogueModel, ...]:
    """All models, in the order of the file."""
    return read_rows(Path(__file__).with_name("catalogue.toml"), "model", CatalogueModel)


def find_in_catalogue(model_id: str) -> CatalogueModel | None:
    """The model of that id, or None."""
    return next((model for model in catalogue() if model.id == model_id), None)
