"""The shapes of Llama-family models: a tiny one for tests, the published ones for speed and memory."""

from dataclasses import dataclass

from models.errors import ModelFileError


@dataclass(frozen=True)
class Shape:
    """A Llama architecture: RMSNorm, SwiGLU, grouped-query attention. Raises ModelFileError where it cannot exist."""

    vocab_size: int = 512
    hidden_size: int = 64
    layers: int = 2
    ffn_size: int = 128
    heads: int = 4
    kv_heads: int = 2
    head_dim: int = 16
    context: int = 512
    tied: bool = True
    rope_theta: float = 10000.0
    rms_eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.heads % self.kv_heads or self.head_dim % 2:
            raise ModelFileError(
                f"{self.heads} heads cannot share {self.kv_heads} KV heads of size {self.head_dim};"
                " use a divisor and an even size"
            )
        if min(self.vocab_size, self.hidden_size, self.layers, self.ffn_size, self.context) < 1:
            raise ModelFileError(f"{self} has an empty dimension; every size must be 1 or more")


TINY = Shape()
LLAMA_32_1B = Shape(128256, 2048, 16, 8192, 32, 8, 64, 131072, tied=True, rope_theta=500000.0)
LLAMA_32_3B = Shape(128256, 3072, 28, 8192, 24, 8, 128, 131072, tied=True, rope_theta=500000.0)
LLAMA_3_8B = Shape(128256, 4096, 32, 14336, 32, 8, 128, 8192, tied=False, rope_theta=500000.0)
SHAPES = {"llama-3.2-1b": LLAMA_32_1B, "llama-3.2-3b": LLAMA_32_3B, "llama-3-8b": LLAMA_3_8B}
"""The published ones by name."""
