"""Fit the passages into what the context leaves beside question, note and answer: best first, whole where possible."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from models.sentences import split_sentences

P = TypeVar("P", bound=Any)


def fit_passages(passages: Sequence[P], count_tokens: Callable[[Sequence[P]], int], budget_tokens: int) -> list[P]:
    """The passages that fit, in their order. `count_tokens` gives the whole prompt's length with some of them.

    A passage that does not fit is left out for a shorter one behind it; the best one is cut to its first sentences
    rather than left out. Empty only where not even its first sentence fits. Passages are dataclasses with a `text`.
    """
    packed: list[P] = []
    for passage in passages:
        candidate = passage if packed else _cut(passage, count_tokens, budget_tokens)
        if candidate is not None and count_tokens([*packed, candidate]) <= budget_tokens:
            packed.append(candidate)
    return packed


def _cut(passage: P, count_tokens: Callable[[Sequence[P]], int], budget_tokens: int) -> P | None:
    """The passage with as many of its first sentences as fit, None where none does."""
    if count_tokens([passage]) <= budget_tokens:
        return passage
    for sentence in reversed(split_sentences(passage.text)[:-1]):
        shorter = replace(passage, text=passage.text[: sentence.end])
        if count_tokens([shorter]) <= budget_tokens:
            return shorter
    return None
