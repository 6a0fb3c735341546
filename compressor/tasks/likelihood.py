"""Prompt and choice as tokens, the way lm-evaluation-harness cuts them: what is scored, and what choices share."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import takewhile

DELIMITER = " "
"""lm-eval's `target_delimiter`."""


@dataclass(frozen=True)
class Continuation:
    """Token ids of prompt and choice; those from index `first` on are scored, each given all before it."""

    ids: tuple[int, ...]
    first: int


def continuations(
    tokenize: Callable[[str], list[int]], start: Sequence[int], prompt: str, choices: Sequence[str], longest: int
) -> list[Continuation]:
    """`start`, prompt and each choice; where they pass `longest` + 1 tokens the left end is cut, as lm-eval does.

    Tokenized as one text and cut after as many tokens as the prompt alone has (lm-eval's `_encode_pair`); white space that
    ends the prompt goes to the choice.
    """
    stripped = prompt.rstrip()
    prompt_tokens = len(start) + len(tokenize(stripped))
    found = []
    for choice in choices:
        ids = [*start, *tokenize(prompt + DELIMITER + choice)]
        cut = max(0, len(ids) - longest - 1)
        found.append(Continuation(tuple(ids[cut:]), max(1, prompt_tokens - cut)))
    return found


def shared_tokens(sequences: Sequence[Continuation]) -> int:
    """How many leading tokens all have in common, the last token of the shortest left out: nothing follows it."""
    columns = zip(*(sequence.ids for sequence in sequences), strict=False)
    common = sum(1 for _ in takewhile(lambda column: len(set(column)) == 1, columns))
    return min(common, min(len(sequence.ids) for sequence in sequences) - 1)
