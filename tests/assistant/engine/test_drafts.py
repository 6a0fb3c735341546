"""Prompt lookup, and what is learned of it."""

from hypothesis import given
from hypothesis import strategies as st

from assistant.engine.drafts import MOST_DRAFTED, SHORTEST_MATCH, Acceptance, PromptLookup

TOKENS = st.lists(st.integers(0, 4), max_size=60)


@given(TOKENS, TOKENS)
def test_a_proposal_followed_the_same_tokens_before(prompt: list[int], answer: list[int]) -> None:
    lookup = PromptLookup(prompt)
    lookup.extend(answer)
    tokens = [*prompt, *answer]
    proposed = lookup.propose()
    assert len(proposed) <= MOST_DRAFTED
    ending = tokens[-SHORTEST_MATCH:]
    earlier = [
        start for start in range(len(tokens) - SHORTEST_MATCH) if tokens[start : start + SHORTEST_MATCH] == ending
    ]
    assert bool(proposed) == bool(earlier)
    assert not proposed or any(tokens[start + SHORTEST_MATCH :][: len(proposed)] == proposed for start in earlier)


def test_the_longest_match_wins_over_the_latest() -> None:
    lookup = PromptLookup([1, 2, 3, 4, 50, 9, 3, 4, 60, 8])
    lookup.extend([1, 2, 3, 4])
    assert lookup.propose(1) == [50]


def test_acceptance_follows_what_comes_true() -> None:
    acceptance = Acceptance()
    for _ in range(30):
        acceptance.learn(4, 4)
    assert acceptance.rate > 0.95
    gains = acceptance.gains(3)
    assert gains == sorted(gains, reverse=True)
    for _ in range(30):
        acceptance.learn(4, 0)
    assert acceptance.rate < 0.2
    before = acceptance.rate
    acceptance.learn(0, 0)
    assert acceptance.rate == before
