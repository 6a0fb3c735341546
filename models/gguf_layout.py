"""What a checked GGUF header holds: metadata, tensors, and what both say about the model."""

from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path

from models.gguf_metadata import LongArray, MetadataValue
from models.pooling import Pooling, pooling_of


@dataclass(frozen=True)
class TensorInfo:
    """One tensor: `shape` in ggml's order (row length first), `offset` from the start of the file, sizes in bytes."""

    name: str
    shape: tuple[int, ...]
    type_name: str
    offset: int
    n_bytes: int

    @property
    def n_elements(self) -> int:
        """Elements of the tensor."""
        return prod(self.shape)


@dataclass(frozen=True)
class TypeShare:
    """How much of a file is stored in one tensor type."""

    tensors: int
    n_bytes: int


@dataclass(frozen=True)
class GgufHeader:
    """A checked header. Every hyper-parameter that it returns lies in a sane range (`models.gguf_checks`)."""

    path: Path
    version: int
    metadata: dict[str, MetadataValue]
    tensors: tuple[TensorInfo, ...]
    data_offset: int
    file_bytes: int

    def hyper(self, key: str) -> MetadataValue | None:
        """The value of `<architecture>.<key>`, or None."""
        return self.metadata.get(f"{self.architecture}.{key}")

    def integer(self, key: str, default: int = 0) -> int:
        """The whole number `<architecture>.<key>`, or `default` where the file does not give it."""
        value = self.hyper(key)
        return value if isinstance(value, int) else default

    def per_layer(self, key: str) -> tuple[int, ...]:
        """`<architecture>.<key>` of each layer: an array as it is, one number repeated; empty where absent."""
        value = self.hyper(key)
        if isinstance(value, tuple):
            return tuple(item for item in value if isinstance(item, int))
        return (value,) * self.n_layers if isinstance(value, int) else ()

    @property
    def architecture(self) -> str:
        """llama.cpp's name of the graph that runs this file, such as `llama` or `deci`."""
        value = self.metadata.get("general.architecture")
        return value if isinstance(value, str) else ""

    @property
    def name(self) -> str:
        """The model's own name, or the file's where it gives none."""
        value = self.metadata.get("general.name")
        return value if isinstance(value, str) and value else self.path.stem

    @property
    def n_layers(self) -> int:
        """Transformer blocks."""
        return self.integer("block_count")

    @property
    def n_embd(self) -> int:
        """Width of the residual stream."""
        return self.integer("embedding_length")

    @property
    def n_ctx_train(self) -> int:
        """Tokens of context that the model was trained for."""
        return self.integer("context_length")

    @property
    def n_vocab(self) -> int:
        """Tokens in the vocabulary that the file carries (0 where it carries none)."""
        return self._length("tokenizer.ggml.tokens")

    @property
    def n_merges(self) -> int:
        """Pairs that its tokenizer joins (0 where it is not of that kind)."""
        return self._length("tokenizer.ggml.merges")

    def _length(self, key: str) -> int:
        values = self.metadata.get(key)
        if isinstance(values, LongArray):
            return values.length
        return len(values) if isinstance(values, tuple) else 0

    @property
    def has_chat_template(self) -> bool:
        """Whether the file says how to write a conversation."""
        return bool(self.metadata.get("tokenizer.chat_template"))

    @property
    def pooling(self) -> Pooling:
        """How an embedding model makes one vector of a text; "none" for a text model, "rank" for a reranker."""
        return pooling_of(self.integer("pooling_type"))

    @property
    def is_encoder(self) -> bool:
        """Whether llama.cpp reads a text in both directions, without a cache, and predicts no token."""
        return "bert" in self.architecture or self.architecture == "gemma-embedding"

    @property
    def ffn_widths(self) -> tuple[int, ...]:
        """FFN neurons of each layer."""
        return self.per_layer("feed_forward_length")

    @property
    def head_counts(self) -> tuple[int, ...]:
        """Query heads of each layer."""
        return self.per_layer("attention.head_count")

    @property
    def kv_head_counts(self) -> tuple[int, ...]:
        """Key and value heads of each layer; as many as query heads where the file does not say."""
        return self.per_layer("attention.head_count_kv") or self.head_counts

    @property
    def key_length(self) -> int:
        """Elements of one key head: as given, else the width shared out over the heads of the first layer."""
        return self.integer("attention.key_length") or self._shared_head_width()

    @property
    def value_length(self) -> int:
        """Elements of one value head, found as `key_length` is."""
        return self.integer("attention.value_length") or self._shared_head_width()

    def _shared_head_width(self) -> int:
        heads = next((count for count in self.head_counts if count), 0)
        return self.n_embd // heads if heads else 0

    @cached_property
    def quantization_mix(self) -> dict[str, TypeShare]:
        """Tensor types, those with most bytes first."""
        shares: dict[str, TypeShare] = {}
        for tensor in self.tensors:
            old = shares.get(tensor.type_name, TypeShare(0, 0))
            shares[tensor.type_name] = TypeShare(old.tensors + 1, old.n_bytes + tensor.n_bytes)
        return dict(sorted(shares.items(), key=lambda item: -item[1].n_bytes))

    @property
    def tensor_bytes(self) -> int:
        """Bytes of all tensors, without the header and padding."""
        return sum(tensor.n_bytes for tensor in self.tensors)

    @property
    def n_params(self) -> int:
        """Unique parameters: GGUF stores a tied embedding once, and the table of rotary factors is no parameter."""
        return sum(tensor.n_elements for tensor in self.tensors if not tensor.name.startswith("rope_"))
