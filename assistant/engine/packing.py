"""Fit the passages into what the context holds beside question, note and answer, and what is read soon: best first."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from models.sentences import split_sentences

P = TypeVar("P", bound=Any)


def fit_passages(
    passages: Sequence[P], count_tokens: Callable[[Sequence[P]], int], most_tokens: int, soon_tokens: int
) -> list[P]:
    """The passages that fit, in their order. `count_tokens` gives the whole prompt's length with some of them.

    The best one may fill the prompt up to `most_tokens`, and is cut to its first sentences rather than left out; the others
    come along where the prompt stays within `soon_tokens` as well, and one that does not fit is left out for a shorter one
    behind it. Empty only where not even the best one's first sentence fits. Passages are dataclasses with a `text`.
    """
    packed: list[P] = []
    for passage in passages:
        candidate = passage if packed else _cut(passage, count_tokens, most_tokens)
        limit = min(most_tokens, soon_tokens) if packed else most_tokens
        if candidate is not None and count_tokens([*packed, candidate]) <= limit:
            packed.append(candidate)
    return packed


def _cut(passage: P, count_tokens: Callable[[Sequence[P]], int], most_tokens: int) -> P | None:
    """The passage with as many of its first sentences as fit, None where none does."""
    if count_tokens([passage]) <= most_tokens:
        return passage
    for sentence in reversed(split_sentences(passage.text)[:-1]):
        shorter = replace(passage, text=passage.text[: sentence.end])
        if count_tokens([shorter]) <= most_tokens:
            return shorter
    return None
