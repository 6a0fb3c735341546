"""Prompt lookup: what followed the last tokens when they stood in the prompt or the answer before.

An answer that quotes its passages repeats them token by token; the continuation of the longest repeated ending is
proposed, and one decode checks all of it. How many of a request's proposals come true is learned as it goes.
"""

from collections.abc import Sequence

LONGEST_MATCH, SHORTEST_MATCH = 4, 2
"""Tokens of a repeated ending."""
MOST_DRAFTED = 8
_PRIOR_HITS, _PRIOR_MISSES = 0.5, 1.0
"""Doubtful: where guesses cost much the first are only looked at. Reckoned with the row costs of an 8B shape on two x86 cores,
3 hits and 1 miss made answers of ten tokens take 1.24 times as long as without guesses; with these none of 40 lost."""
_FADING = 0.9


class PromptLookup:
    """The tokens of one request, prompt and answer, with an index of where each short run of them stood last."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens: list[int] = []
        self._ends: dict[tuple[int, ...], int] = {}
        self._earlier: dict[tuple[int, ...], int] = {}
        self.extend(tokens)

    def extend(self, tokens: Sequence[int]) -> None:
        """Take in what was read or written."""
        for token in tokens:
            self._tokens.append(token)
            end = len(self._tokens)
            for length in range(SHORTEST_MATCH, min(LONGEST_MATCH, end) + 1):
                run = tuple(self._tokens[end - length :])
                if run in self._ends:
                    self._earlier[run] = self._ends[run]
                self._ends[run] = end

    def propose(self, most: int = MOST_DRAFTED) -> list[int]:
        """At most `most` tokens that followed the longest earlier run equal to the last tokens; empty where there is none."""
        end = len(self._tokens)
        for length in range(min(LONGEST_MATCH, end), SHORTEST_MATCH - 1, -1):
            found = self._earlier.get(tuple(self._tokens[end - length :]))
            if found is not None and found < end:
                return self._tokens[found : found + most]
        return []


class Acceptance:
    """The probability that a proposed token comes true where those before it did, learned from the request itself.

    The mean of a Beta distribution; old evidence fades, as an answer moves from quoting to its own words. What was proposed
    but not computed is learned from as well, by what came in its place.
    """

    def __init__(self) -> None:
        self._hits, self._misses = _PRIOR_HITS, _PRIOR_MISSES

    @property
    def rate(self) -> float:
        """Between 0 and 1."""
        return self._hits / (self._hits + self._misses)

    def learn(self, proposed: int, accepted: int) -> None:
        """`accepted` of `proposed` tokens in a row came true; those behind the first miss tell nothing."""
        if proposed:
            self._hits = self._hits * _FADING + accepted
            self._misses = self._misses * _FADING + (accepted < proposed)

    def gains(self, proposed: int) -> list[float]:
        """Tokens that each further proposed one is expected to add."""
        return [self.rate ** (place + 1) for place in range(proposed)]
