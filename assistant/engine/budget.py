"""What a model will take, worked out from its header before anything is loaded, against what is free."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from assistant.errors import MemoryBudgetError
from models.free_memory import free_memory_bytes
from models.gguf_header import read_header
from models.gguf_layout import GgufHeader
from models.memory import MemoryEstimate, estimate_embedding_memory, estimate_memory

_SMALLEST_CONTEXT = 256
_GIB = 2**30


@dataclass(frozen=True)
class MemoryNeed:
    """Bytes by what they are for."""

    estimate: MemoryEstimate
    kept_bytes: int
    """Prompts that made room for others."""

    @property
    def total_bytes(self) -> int:
        """What must be free: all but the pages of the file that were copied, which the system takes back when it needs them."""
        return self.estimate.total_bytes + self.kept_bytes

    @property
    def peak_bytes(self) -> int:
        """What is resident where nothing else wants memory: those pages as well."""
        return self.estimate.load_peak_bytes + self.kept_bytes


def memory_need(
    header: GgufHeader, n_ctx: int, *, n_ubatch: int, n_seq_max: int, kept_bytes: int, precise: bool = False
) -> MemoryNeed:
    """What a context of `n_ctx` tokens in `n_seq_max` sequences takes, beyond the program itself."""
    estimate = estimate_memory(
        header,
        n_ctx,
        kv_type="f32" if precise else "f16",
        n_ubatch=n_ubatch,
        n_seq_max=n_seq_max,
        flash_attention=not precise,
    )
    return MemoryNeed(estimate, kept_bytes)


def check_memory(
    path: Path,
    n_ctx: int,
    *,
    n_ubatch: int,
    n_seq_max: int,
    kept_bytes: int,
    precise: bool = False,
    freed_bytes: int = 0,
    root: Path = Path("/"),
) -> None:
    """Raise MemoryBudgetError, with the numbers and the largest context that fits, where the model does not.

    `freed_bytes` will be free as well by then.
    """
    header = read_header(path)

    def need(tokens: int) -> MemoryNeed:
        return memory_need(
            header, tokens, n_ubatch=n_ubatch, n_seq_max=n_seq_max, kept_bytes=kept_bytes, precise=precise
        )

    _check(path, n_ctx, need, free_memory_bytes(root) + freed_bytes)


def check_embedding_memory(path: Path, n_ctx: int, *, n_seq_max: int, root: Path = Path("/")) -> None:
    """`check_memory` for an embedding model whose longest text has `n_ctx` tokens."""
    header = read_header(path)

    def need(tokens: int) -> MemoryNeed:
        return MemoryNeed(estimate_embedding_memory(header, tokens, n_seq_max=n_seq_max), 0)

    _check(path, n_ctx, need, free_memory_bytes(root))


def _check(path: Path, n_ctx: int, need: Callable[[int], MemoryNeed], free_bytes: int) -> None:
    wanted = need(n_ctx)
    if wanted.total_bytes <= free_bytes:
        return
    sizes = wanted.estimate
    numbers = (
        f"{path.name} with a context of {n_ctx} tokens takes {wanted.total_bytes / _GIB:.2f} GiB"
        f" (weights {sizes.weights_bytes / _GIB:.2f}, cache {sizes.kv_bytes / _GIB:.2f},"
        f" computing {(sizes.compute_bytes + sizes.library_bytes) / _GIB:.2f}, kept prompts {wanted.kept_bytes / _GIB:.2f})"
        f" and {free_bytes / _GIB:.2f} GiB are free"
    )
    fitting = [
        tokens
        for tokens in range(_SMALLEST_CONTEXT, n_ctx, _SMALLEST_CONTEXT)
        if need(tokens).total_bytes <= free_bytes
    ]
    remedy = f"use --context {fitting[-1]} or less" if fitting else "use a smaller model, or end other programs"
    raise MemoryBudgetError(f"{numbers}; {remedy}")
