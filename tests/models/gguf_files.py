"""Small GGUF files for tests, written by the `gguf` package: random weights, a vocabulary of plain numbers."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from gguf import GGMLQuantizationType, GGUFWriter, quants


@contextmanager
def files_up_to(size_bytes: int) -> Iterator[None]:
    """A disk on which no file can grow beyond `size_bytes`: the write fails in the middle, as on a full one."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)


def write_llama(
    path: Path,
    *,
    architecture: str = "llama",
    hidden: int = 64,
    widths: tuple[int, ...] = (128, 128),
    heads: int = 4,
    kv_heads: int = 2,
    vocab: int = 256,
    quantization: GGMLQuantizationType = GGMLQuantizationType.F32,
    extra: dict[str, int] | None = None,
) -> Path:
    """A Llama-shaped file, its matrices in `quantization`, output tied; `extra` adds uint32 keys (last word wins)."""
    writer = GGUFWriter(path, architecture)
    writer.add_name("Tiny")
    numbers = {
        "block_count": len(widths),
        "context_length": 512,
        "embedding_length": hidden,
        "attention.head_count": heads,
        "attention.head_count_kv": kv_heads,
        "attention.key_length": hidden // heads,
        "attention.value_length": hidden // heads,
        "rope.dimension_count": hidden // heads,
        "vocab_size": vocab,
    }
    for key, value in {**numbers, **(extra or {})}.items():
        writer.add_uint32(f"{architecture}.{key}", value)
    writer.add_feed_forward_length(list(widths) if len(set(widths)) > 1 else widths[0])
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_tokenizer_model("none")
    writer.add_array("tokenizer.ggml.tokens", [f"<{number}>" for number in range(vocab)])
    for name, shape in tensor_shapes(hidden, widths, heads, kv_heads, vocab).items():
        _add_tensor(writer, name, shape, quantization)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def tensor_shapes(
    hidden: int, widths: tuple[int, ...], heads: int, kv_heads: int, vocab: int
) -> dict[str, tuple[int, ...]]:
    """Shapes in numpy's order (rows first)."""
    key = hidden // heads * kv_heads
    shapes: dict[str, tuple[int, ...]] = {"token_embd.weight": (vocab, hidden), "output_norm.weight": (hidden,)}
    for layer, ffn in enumerate(widths):
        block = f"blk.{layer}."
        shapes |= {
            block + "attn_norm.weight": (hidden,),
            block + "attn_q.weight": (hidden, hidden),
            block + "attn_k.weight": (key, hidden),
            block + "attn_v.weight": (key, hidden),
            block + "attn_output.weight": (hidden, hidden),
            block + "ffn_norm.weight": (hidden,),
            block + "ffn_gate.weight": (ffn, hidden),
            block + "ffn_up.weight": (ffn, hidden),
            block + "ffn_down.weight": (hidden, ffn),
        }
    return shapes


def _add_tensor(writer: GGUFWriter, name: str, shape: tuple[int, ...], quantization: GGMLQuantizationType) -> None:
    rng = np.random.default_rng(len(name))
    if len(shape) == 1:
        writer.add_tensor(name, np.ones(shape, dtype=np.float32))
        return
    weights = rng.standard_normal(shape, dtype=np.float32) * 0.02
    kind = GGMLQuantizationType.F32 if quantization == GGMLQuantizationType.F32 else quantization
    writer.add_tensor(name, quants.quantize(weights, kind), raw_dtype=kind)
