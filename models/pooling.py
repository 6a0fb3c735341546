"""How an embedding model makes one vector of a text's hidden states, by llama.cpp's numbers in `<architecture>.pooling_type`."""

from typing import Literal, get_args

Pooling = Literal["none", "mean", "cls", "last", "rank"]
"""`cls`: the first token's; `rank`: no vector but a score, of a reranker."""

_IN_ORDER: tuple[Pooling, ...] = get_args(Pooling)


def pooling_of(number: int) -> Pooling:
    """The pooling of a number; any that llama.cpp does not know is none."""
    return _IN_ORDER[number] if 0 <= number < len(_IN_ORDER) else "none"


def pooling_number(pooling: Pooling) -> int:
    """The number of a pooling."""
    return _IN_ORDER.index(pooling)
