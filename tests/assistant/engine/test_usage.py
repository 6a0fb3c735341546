"""What several answers of one request cost together, against times that were written down by hand."""

from dataclasses import replace
from types import SimpleNamespace

import pytest

from assistant.engine import running as running_module
from assistant.engine.request import Finished, Request, Ticket
from assistant.engine.running import Running
from assistant.engine.slots import Slot
from assistant.engine.usage import Usage

ALONE = Finished(
    "length",
    prompt_tokens=100,
    cached_tokens=20,
    completion_tokens=11,
    queued_s=1.0,
    first_token_s=2.0,
    decode_s=5.0,
    drafted_tokens=4,
    accepted_tokens=3,
    started_at=1000.0,
    prompt_s=2.0,
)


def of(*ended: Finished, answers_per_prompt: int = 1) -> Usage:
    return Usage.of(ended, answers_per_prompt=answers_per_prompt, load_s=None, spent=None)


def test_one_answer_is_told_as_it_was() -> None:
    found = of(ALONE)
    assert (found.prompt_tokens, found.cached_tokens, found.completion_tokens) == (100, 20, 11)
    assert (found.prompt_tokens_per_s, found.decode_tokens_per_s) == (80 / 2, 10 / 5)
    assert (found.first_token_s, found.queued_s, found.finish_reason) == (2.0, 1.0, "length")


def test_counts_are_sums_and_time_that_two_prompts_share_is_counted_once() -> None:
    """Read from 1000 to 1002 and from 1001 to 1005; written from 1002 to 1007 and from 1005 to 1013."""
    other = replace(
        ALONE, prompt_tokens=300, cached_tokens=0, completion_tokens=17, queued_s=2.0, first_token_s=4.0, decode_s=8.0
    )
    found = of(replace(other, started_at=1001.0, prompt_s=4.0), ALONE)
    assert (found.prompt_tokens, found.cached_tokens, found.completion_tokens) == (400, 20, 28)
    assert found.prompt_tokens_per_s == pytest.approx((300 + 80) / 5)
    assert found.decode_tokens_per_s == pytest.approx((16 + 10) / 11)
    assert (found.first_token_s, found.queued_s) == (2.0, 1.0)
    assert (found.drafted_tokens, found.accepted_tokens) == (8, 6)


def test_time_between_two_prompts_is_not_time_of_reading() -> None:
    found = of(ALONE, replace(ALONE, started_at=2000.0))
    assert (found.prompt_s, found.decode_s) == (4.0, 10.0)


def test_a_prompt_of_several_answers_counts_once() -> None:
    again = replace(ALONE, cached_tokens=99, prompt_s=0.5, started_at=1001.5, reason="stop")
    found = of(ALONE, again, answers_per_prompt=2)
    assert (found.prompt_tokens, found.cached_tokens, found.completion_tokens) == (100, 20, 22)
    assert (found.read_tokens, found.prompt_s) == (81, 2.0)
    assert found.finish_reason is None


def test_a_prompt_that_is_only_scored_has_a_speed_and_no_first_token() -> None:
    found = of(replace(ALONE, cached_tokens=0, completion_tokens=0, first_token_s=None, decode_s=None))
    assert (found.prompt_tokens_per_s, found.first_token_s, found.decode_tokens_per_s) == (50.0, None, None)


def test_what_never_began_has_no_times() -> None:
    found = of(replace(ALONE, started_at=None, prompt_s=None, first_token_s=None, decode_s=None))
    assert (found.prompt_tokens_per_s, found.first_token_s, found.decode_tokens_per_s) == (None, None, None)


def test_an_answer_that_ends_where_it_begins_takes_no_token_from_the_others() -> None:
    empty = replace(ALONE, completion_tokens=0, decode_s=0.0, reason="stop")
    assert of(empty).decode_tokens_per_s is None
    assert of(ALONE, empty).decode_tokens_per_s == 10 / 5


def test_time_of_writing_ends_with_the_last_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The step that only gave the end token belongs to no token that is counted."""
    times_s = iter((1000.0, 1002.0, 1009.0))
    running = Running.start(Ticket(Request((1,), 9), print), Slot(0))
    monkeypatch.setattr(running_module, "time", SimpleNamespace(monotonic=lambda: next(times_s)))
    for tokens in ([5], [6], []):
        running._learn(tokens, ())
    assert running.finish("stop").decode_s == 2.0


def test_an_answer_of_the_end_token_only_took_no_time_to_write() -> None:
    running = Running.start(Ticket(Request((1,), 9), print), Slot(0))
    running._learn([], ())
    assert running.finish("stop").decode_s == 0.0
