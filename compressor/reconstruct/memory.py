"""How much memory a reconstruction takes at its peak, in bytes: an estimate to refuse by."""

from collections.abc import Sequence

from compressor.layers import ModelView
from compressor.reconstruct.rounds import OBS, Rounds
from compressor.rows import Batch, count_tokens

REMEDY = "prune more, lower calibrate.samples or calibrate.tokens_per_sample, or take a machine with more memory"


def reconstruction_bytes(
    dense: ModelView, pruned: ModelView, fitting: Sequence[Batch], tuning: Sequence[Batch], rounds: Rounds | None
) -> int:
    """Both residual streams, one layer of each model, and the widest layer's second moment with the copy that is solved.

    With `rounds` the neurons are chosen on the way, by the second moment of a whole layer.
    """
    shape = dense.shape
    widths = [pruned.source.shape(pruned.family.layer_names(layer).gate)[0] for layer in range(shape.layers)]
    widest = max(widths)
    attention = 2 * (shape.heads + shape.kv_heads) * shape.head_dim
    weights = 4 * shape.hidden * (2 * attention + 3 * (shape.ffn + widest))
    rows = 4 * count_tokens([*fitting, *tuning]) * shape.hidden + 4 * count_tokens(tuning) * (shape.hidden + widest)
    streams = 2 * stream_bytes(shape.hidden, [*fitting, *tuning])
    solved = solving_bytes(widest if rounds is None else shape.ffn, shape.hidden)
    if rounds is not None and rounds.criterion not in OBS:
        first = shape.ffn - (shape.ffn - widest) // rounds.count
        solved = 8 * shape.ffn * (shape.ffn + shape.hidden) + solving_bytes(first, shape.hidden)
    return weights + rows + streams + solved + inner_bytes(shape.ffn, [*fitting, *tuning])


def solving_bytes(neurons: int, hidden: int) -> int:
    """Float64: H and its working copy; the weight, C, what is lacking and the solution."""
    return 8 * (2 * neurons**2 + 4 * hidden * neurons)


def stream_bytes(hidden: int, batches: Sequence[Batch]) -> int:
    """Hidden states of all batches, float32, padding included."""
    return 4 * hidden * sum(batch.ids.numel() for batch in batches)


def inner_bytes(ffn: int, batches: Sequence[Batch]) -> int:
    """Gate, up and h of the largest batch, float32."""
    return 12 * ffn * max(batch.ids.numel() for batch in batches)
