"""How much memory a model needs, computed before it is loaded.

With u = tokens of a micro-batch, c = context in cells (rounded up to 256), d = the wider of the residual stream and all
query heads, and 4-byte activations, llama.cpp's compute buffer is the largest of three moments of its graph:

* logits: 4u·(vocabulary + 2d)
* FFN: 4u·(3·widest FFN + 4d) + mask
* attention: with flash attention the larger of 6uc (the mask as F32 and F16) and 4u·7d + mask; without it
  4u·(heads·c + 7d) + mask

where the mask is 2uc with flash attention and 4uc without. To it come the logits of each sequence (4·vocabulary) and
the rows that a matrix product quantizes (34/32 bytes an element, u rows of the widest FFN). The cache takes c·Σ_layers
KV heads·(key + value length) elements; layers with a sliding window take less, so it is an upper bound there.

Repacking: on CPUs llama.cpp copies Q4_0 matrices into anonymous memory in another order. The mapped pages that they
came from can be dropped, so they count once in the total; while loading both may be resident (`load_peak_bytes`).

The tokenizer takes 186 bytes a token and 105 a merge (GNU's C++ library: a node of the hash table with two strings and a
number is 96, its bucket 8): measured. For llama.cpp itself, its threads and their stacks 8 MiB are counted, chosen between
what was measured and not explained by all else: 10 MiB with the reference model, 5 MiB with a 1B shape.

An embedding model reads a text in one micro-batch and keeps what it puts out for every token: 4u·(vocabulary + width), and
while it takes the mean of each of s sequences 4u·(2·width + s). Encoders have neither cache nor logits.
"""

from dataclasses import dataclass, replace

from models.catalogue import CatalogueModel
from models.gguf_layout import GgufHeader

KV_BYTES_PER_ELEMENT = {"f32": 4.0, "f16": 2.0, "q8_0": 34 / 32}
_CACHE_CELLS = 256
_TOKEN_BYTES, _MERGE_BYTES = 186, 105
_LIBRARY_BYTES = 8 * 2**20


@dataclass(frozen=True)
class MemoryEstimate:
    """What loading and running takes, in bytes."""

    weights_bytes: int
    repacked_bytes: int
    kv_bytes: int
    compute_bytes: int
    library_bytes: int
    """The tokenizer, and llama.cpp itself."""

    @property
    def running_bytes(self) -> int:
        """Beside the weights: cache, compute buffers, the library."""
        return self.kv_bytes + self.compute_bytes + self.library_bytes

    @property
    def total_bytes(self) -> int:
        """Resident while it runs, weights once."""
        return self.weights_bytes + self.running_bytes

    @property
    def load_peak_bytes(self) -> int:
        """Upper bound while it loads: the file's pages and the repacked copies together."""
        return self.total_bytes + self.repacked_bytes


@dataclass(frozen=True)
class _Dimensions:
    """The numbers of a model that its memory depends on."""

    weights_bytes: int
    repacked_bytes: int
    kv_elements_per_token: int
    width: int
    widest_ffn: int
    heads: int
    vocab: int
    tokens: int
    merges: int

    @property
    def library_bytes(self) -> int:
        return _LIBRARY_BYTES + _TOKEN_BYTES * self.tokens + _MERGE_BYTES * self.merges


def estimate_memory(
    model: GgufHeader | CatalogueModel,
    n_ctx: int,
    *,
    kv_type: str = "f16",
    n_ubatch: int = 512,
    n_seq_max: int = 1,
    flash_attention: bool = True,
) -> MemoryEstimate:
    """Memory of a GGUF file, or of a catalogue model at Q4_0, with a context of `n_ctx` tokens in all sequences.

    `kv_type` is one of `KV_BYTES_PER_ELEMENT`; `n_ubatch` and `n_seq_max` are the context's parameters of those names.
    """
    sizes = _of_header(model) if isinstance(model, GgufHeader) else _of_catalogue(model)
    cells = -(-n_ctx // _CACHE_CELLS) * _CACHE_CELLS
    rows = min(n_ubatch, n_ctx)
    return MemoryEstimate(
        weights_bytes=sizes.weights_bytes,
        repacked_bytes=sizes.repacked_bytes,
        kv_bytes=int(cells * sizes.kv_elements_per_token * KV_BYTES_PER_ELEMENT[kv_type]),
        compute_bytes=_compute_bytes(sizes, cells, rows, flash_attention)
        + 4 * sizes.vocab * n_seq_max
        + rows * sizes.widest_ffn * 34 // 32,
        library_bytes=sizes.library_bytes,
    )


def estimate_embedding_memory(model: GgufHeader, n_ctx: int, *, n_seq_max: int) -> MemoryEstimate:
    """Memory of an embedding model that reads up to `n_ctx` tokens of up to `n_seq_max` texts at once."""
    sizes = _of_header(model)
    if model.is_encoder:
        sizes = replace(sizes, vocab=0, kv_elements_per_token=0)
    cells = -(-n_ctx // _CACHE_CELLS) * _CACHE_CELLS
    return MemoryEstimate(
        weights_bytes=sizes.weights_bytes,
        repacked_bytes=sizes.repacked_bytes,
        kv_bytes=int(cells * sizes.kv_elements_per_token * KV_BYTES_PER_ELEMENT["f16"]),
        compute_bytes=_compute_bytes(sizes, cells, n_ctx, True)
        + 4 * n_ctx * (sizes.vocab + model.n_embd)
        + 4 * n_ctx * (2 * model.n_embd + n_seq_max)
        + n_ctx * sizes.widest_ffn * 34 // 32,
        library_bytes=sizes.library_bytes,
    )


def _compute_bytes(sizes: _Dimensions, cells: int, rows: int, flash_attention: bool) -> int:
    mask = (2 if flash_attention else 4) * rows * cells
    logits = 4 * rows * (sizes.vocab + 2 * sizes.width)
    ffn = 4 * rows * (3 * sizes.widest_ffn + 4 * sizes.width) + mask
    if flash_attention:
        attention = max(6 * rows * cells, 4 * rows * 7 * sizes.width + mask)
    else:
        attention = 4 * rows * (sizes.heads * cells + 7 * sizes.width) + mask
    return max(logits, ffn, attention)


def _of_header(header: GgufHeader) -> _Dimensions:
    heads = max(header.head_counts, default=0)
    embedding = next((tensor for tensor in header.tensors if tensor.name == "token_embd.weight"), None)
    repacked = sum(tensor.n_bytes for tensor in header.tensors if tensor.type_name == "Q4_0" and len(tensor.shape) == 2)
    if embedding is not None and any(tensor.name == "output.weight" for tensor in header.tensors):
        # The embedding is looked up by row, which needs the plain order; it is repacked only as the output matrix.
        repacked -= embedding.n_bytes if embedding.type_name == "Q4_0" else 0
    return _Dimensions(
        weights_bytes=header.tensor_bytes,
        repacked_bytes=repacked,
        kv_elements_per_token=sum(header.kv_head_counts) * (header.key_length + header.value_length),
        width=max(header.n_embd, heads * header.key_length),
        widest_ffn=max(header.ffn_widths, default=0),
        heads=heads,
        vocab=embedding.shape[1] if embedding is not None else 0,
        tokens=header.n_vocab,
        merges=header.n_merges,
    )


def _of_catalogue(model: CatalogueModel) -> _Dimensions:
    shapes = model.shapes
    return _Dimensions(
        weights_bytes=model.q4_0_bytes(),
        repacked_bytes=model.q4_0_matrix_bytes(),
        kv_elements_per_token=shapes.kv_elements_per_token,
        width=max(shapes.hidden, shapes.heads * shapes.head_dim),
        widest_ffn=shapes.ffn,
        heads=shapes.heads,
        vocab=shapes.vocab,
        tokens=shapes.vocab,
        merges=0,  # the catalogue does not say
    )
