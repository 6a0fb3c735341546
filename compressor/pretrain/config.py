"""Every choice of a pretraining run, in one frozen object that travels with the checkpoint and the model card."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class PretrainConfig:
    """Architecture, budget and optimiser of the reference model. Token counts exclude padding."""

    vocab_size: int = 4096
    hidden_size: int = 256
    intermediate_size: int = 1024
    layers: int = 8
    heads: int = 4
    kv_heads: int = 2
    context: int = 2048

    text_tokens: int = 1_800_000
    """Tokens of plain text that come first."""
    copy_tokens: int = 6_000_000
    """Most tokens of the copy curriculum that follows; it ends as soon as the model copies."""
    total_tokens: int = 24_000_000
    """All tokens, curriculum included."""
    rows: int = 16
    row_tokens: int = 512
    long_row_tokens: int = 1024
    """Row length of the last part of the run, so that prompts longer than `row_tokens` have been seen."""
    long_share: float = 0.1

    matrix_lr: float = 3e-3
    embedding_lr: float = 3e-3
    weight_decay: float = 0.1
    warmup_tokens: int = 200_000
    decay_share: float = 0.4
    """Share of the run, at its end, over which the learning rate falls linearly to 2% of its peak."""
    gradient_clip: float = 1.0
    answer_weight: float = 4.0
    decision_weight: float = 40.0
    """Weight of an answer's first token, which decides between quoting and admitting that nothing fits."""
    prompt_weight: float = 0.25
    dtype: str = "measured"
    """`bfloat16` (autocast), `float32`, or `measured`: whichever trains faster on this machine."""
    seed: int = 2026
    compiled: bool = True
    """Whether torch.compile is used where a compiler is at hand (a fifth faster on two cores, a minute to start)."""

    def to_json(self) -> dict[str, int | float | bool | str]:
        """All fields by name."""
        return asdict(self)
