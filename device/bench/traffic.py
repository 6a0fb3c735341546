"""How many bytes the memory has to give for each token that is written."""

from models.gguf_layout import GgufHeader
from models.memory import KV_BYTES_PER_ELEMENT

_EMBEDDING, _OUTPUT = "token_embd.weight", "output.weight"


def weight_bytes_per_token(header: GgufHeader) -> int:
    """Weights that one token needs: all but the other rows of an embedding that is not the output matrix as well.

    Of a mixture of experts, the experts that one token is sent to.
    """
    has_output = any(tensor.name == _OUTPUT for tensor in header.tensors)
    experts, used = header.integer("expert_count", 1) or 1, header.integer("expert_used_count", 1) or 1
    read = 0
    for tensor in header.tensors:
        if tensor.name == _EMBEDDING and has_output:
            read += tensor.n_bytes // tensor.shape[1]
        elif "_exps." in tensor.name:
            read += tensor.n_bytes * used // experts
        else:
            read += tensor.n_bytes
    return read


def cache_bytes(header: GgufHeader, position: int) -> int:
    """Keys and values of the `position` tokens before; for layers with a sliding window an upper bound."""
    elements = sum(header.kv_head_counts) * (header.key_length + header.value_length)
    return int(position * elements * KV_BYTES_PER_ELEMENT["f16"])


def bytes_per_token(header: GgufHeader, prompt_tokens: int, answer_tokens: int) -> int:
    """Weights and cache for the token in the middle of an answer."""
    return weight_bytes_per_token(header) + cache_bytes(header, prompt_tokens + answer_tokens // 2)
