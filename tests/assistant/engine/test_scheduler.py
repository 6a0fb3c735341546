"""Requests through the scheduler, against the runtime's plain loop over one sequence."""

import json
import os
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from assistant.engine.readers import LONGEST_TURN_S, SCORED_ROWS, in_turn, shared_out
from assistant.engine.request import Event, Failed, Finished, Piece, PromptScores, Queued, Reading, Request, Ticket
from assistant.engine.running import Running
from assistant.engine.scheduler import SHARED_TOKENS, Scheduler
from assistant.engine.slots import Slot
from assistant.errors import EngineClosedError, PromptTooLongError, QueueFullError
from models.errors import RuntimeFailure
from models.runtime.batch import Batch
from models.runtime.context import Context
from models.runtime.errors import ContextFull
from models.runtime.model import Model
from models.runtime.sampler import SamplingOptions
from models.runtime.schema import SchemaCompiler
from tests.assistant.engine.conftest import (
    N_CTX,
    TEXT,
    Asked,
    all_logits,
    alone,
    open_context,
    prompt_of,
    same_up_to_rounding,
    sampled,
    scheduler_on,
)

LONG = " ".join([TEXT] * 5)


@pytest.mark.parametrize("drafting", [False, True])
def test_a_quoting_answer_is_that_of_plain_greedy_decoding(reference: Model, drafting: bool) -> None:
    request = Request(prompt_of(reference, " ".join([TEXT] * 20)), 60, drafting=drafting)
    with open_context(reference, 2) as context, scheduler_on(context) as scheduler:
        asked = Asked(scheduler, request)
        found = asked.end()
    assert same_up_to_rounding(reference, request.prompt, asked.tokens, alone(reference, request))
    counts = (found.prompt_tokens, found.cached_tokens, found.completion_tokens)
    assert counts == (len(request.prompt), 0, len(asked.tokens))
    assert (found.accepted_tokens > 0) == drafting
    assert [type(event) for event in asked.events[:2]] == [Queued, Reading]


def test_drafting_leaves_sampled_answers_as_they_are(scheduler: Scheduler, model: Model) -> None:
    """Each token takes one random number, drafted or not."""
    prompt, accepted = prompt_of(model, LONG)[:200], 0
    for seed in range(4):
        plain, drafted = (Asked(scheduler, sampled(prompt, 80, seed, drafting=each)) for each in (False, True))
        assert plain.end().drafted_tokens == 0
        accepted += drafted.end().accepted_tokens
        assert drafted.tokens == plain.tokens == alone(model, sampled(prompt, 80, seed))
    assert accepted > 0


def test_many_at_once_answer_as_each_alone(scheduler: Scheduler, model: Model) -> None:
    requests = [sampled(prompt_of(model, LONG[seed : seed + 20 + 9 * seed]), 30, seed) for seed in range(8)]
    for request, asked in [(request, Asked(scheduler, request)) for request in requests]:
        asked.end()
        assert asked.tokens == alone(model, request)


def test_a_common_beginning_is_read_once(scheduler: Scheduler, model: Model) -> None:
    prompt = prompt_of(model, LONG)
    first, second = (Asked(scheduler, Request((*prompt, tail), 8)) for tail in (300, 301))
    assert first.end().cached_tokens == 0
    assert second.end().cached_tokens >= len(prompt) - SHARED_TOKENS
    again = Asked(scheduler, Request(prompt, 8))
    assert again.end().cached_tokens == len(prompt) - 1
    assert again.tokens == alone(model, Request(prompt, 8))


def test_what_was_driven_out_comes_back_from_memory(scheduler: Scheduler, model: Model) -> None:
    prompt = prompt_of(model, LONG)[:300]
    Asked(scheduler, Request(prompt, 4)).end()
    for number in range(6):
        Asked(scheduler, Request((400 + number, *prompt[1:]), 4)).end()
    back = Asked(scheduler, Request(prompt, 12))
    assert back.end().cached_tokens == len(prompt) - 1
    assert back.tokens == alone(model, Request(prompt, 12))


def test_more_requests_than_the_cache_holds_wait_and_all_end(scheduler: Scheduler, model: Model) -> None:
    prompt = prompt_of(model, LONG)[:300]
    requests = [sampled((400 + number, *prompt[1:]), 100, number) for number in range(5)]
    assert sum(len(request.prompt) + 100 for request in requests) > N_CTX
    for request, asked in [(request, Asked(scheduler, request)) for request in requests]:
        asked.end()
        assert asked.tokens == alone(model, request)


def test_an_answer_ends_where_the_context_does(scheduler: Scheduler, model: Model) -> None:
    prompt = (prompt_of(model, LONG) * 4)[:N_CTX]
    asked = Asked(scheduler, Request(prompt[: N_CTX - 60], N_CTX))
    assert asked.end().reason == "context"
    assert N_CTX - 20 < N_CTX - 60 + len(asked.tokens) < N_CTX
    with pytest.raises(PromptTooLongError, match=r"the prompt has 1024 tokens .* shorten it"):
        Asked(scheduler, Request(prompt, 1))


def test_cancelling_one_leaves_the_other_alone(scheduler: Scheduler, model: Model) -> None:
    prompt = prompt_of(model, LONG)
    kept, dropped = Asked(scheduler, sampled(prompt, 60)), Asked(scheduler, Request(prompt[:40], 500))
    dropped.until(lambda event: isinstance(event, Piece))
    scheduler.cancel(dropped.ticket)
    assert dropped.end().reason == "cancelled"
    assert len(dropped.tokens) < 500
    kept.end()
    assert kept.tokens == alone(model, sampled(prompt, 60))


def test_a_prompt_that_is_being_read_is_cancelled(reference: Model) -> None:
    prompt = (prompt_of(reference, LONG) * 8)[: N_CTX - 100]
    with open_context(reference, 3, n_batch=N_CTX) as context, scheduler_on(context) as scheduler:
        for number in range(5):
            asked = Asked(scheduler, Request((300 + number, *prompt), 8))
            asked.until(lambda event: isinstance(event, Reading))
            scheduler.cancel(asked.ticket)
            assert asked.end().reason == "cancelled"
            assert not asked.tokens
        asked = Asked(scheduler, Request(prompt, 8))
        asked.end()
    assert same_up_to_rounding(reference, prompt, asked.tokens, alone(reference, asked.ticket.request))


def test_a_waiting_request_is_cancelled_and_the_others_move_up(scheduler: Scheduler, model: Model) -> None:
    prompt = prompt_of(model, LONG)[:40]
    asked = [Asked(scheduler, Request((400 + number, *prompt), 200)) for number in range(6)]
    scheduler.cancel(asked[4].ticket)
    assert asked[4].end().completion_tokens == 0
    asked[5].until(lambda event: isinstance(event, Queued) and event.position == 0)
    assert {each.end().reason for each in (*asked[:4], asked[5])} <= {"length", "stop"}


def test_what_is_scored_takes_its_own_cells_and_nobody_elses(scheduler: Scheduler, model: Model) -> None:
    prompt = prompt_of(model, LONG)[:280]
    beside = Asked(scheduler, Request(prompt, 400))
    beside.until(lambda event: isinstance(event, Piece))
    scored = Asked(scheduler, Request(prompt, 320, scores_prompt=True))  # fits only if it shared the other's prompt
    assert beside.end().completion_tokens == 400
    assert scored.end().completion_tokens == 320


def test_the_shortest_prompt_is_read_first_but_none_waits_for_ever() -> None:
    long, short = (Running.start(Ticket(Request((1,) * length, 1), print), Slot(0)) for length in (900, 200))
    assert in_turn([long, short]) == [short, long]
    long.read_at -= LONGEST_TURN_S + 1
    assert in_turn([long, short]) == [long, short]
    long.read_at = time.monotonic()
    short.read_at -= LONGEST_TURN_S + 1
    assert in_turn([long, short]) == [short, long]
    long.read_at -= LONGEST_TURN_S + 1
    assert in_turn([long, short]) == [long, short]


def test_prompts_beside_answers_are_read_one_after_the_other() -> None:
    lengths = (30, 10, 20)
    readers = [Running.start(Ticket(Request((1,) * length, 1), print), Slot(0)) for length in lengths]
    taken = [[(running.waiting, len(tokens)) for running, tokens in shared_out(readers, rows)] for rows in (5, 25, 99)]
    of = {len(running.waiting): running.waiting for running in readers}
    assert taken[0] == [(of[10], 5)]
    assert taken[1] == [(of[10], 10), (of[20], 15)]
    assert taken[2] == [(of[10], 10), (of[20], 20), (of[30], 30)]
    scored = Running.start(Ticket(Request((1,) * 300, 1, scores_prompt=True), print), Slot(0))
    assert [len(tokens) for _, tokens in shared_out([scored], 200)] == [SCORED_ROWS]


def test_cancelling_others_does_not_undo_what_is_read(reference: Model) -> None:
    prompt = (prompt_of(reference, LONG) * 8)[: N_CTX - 100]
    with open_context(reference, 5) as context, scheduler_on(context) as scheduler:
        reading = Asked(scheduler, Request(prompt, 2))
        while not any(isinstance(event, Piece) for event in reading.events):
            scheduler.cancel(Asked(scheduler, Request((5, 6, 7), 1)).ticket)
            reading.until(lambda event: isinstance(event, Reading | Piece))
        assert scheduler.stats().aborted_steps == 0


def test_with_one_sequence_what_was_read_is_kept_in_memory(model: Model) -> None:
    prompt = prompt_of(model, LONG)[:300]
    with open_context(model, 2) as context, scheduler_on(context) as scheduler:
        for tokens in (prompt, (400, *prompt), (401, *prompt)):
            Asked(scheduler, Request(tokens, 2)).end()
        assert Asked(scheduler, Request(prompt, 2)).end().cached_tokens == len(prompt) - 1


def test_a_deadline_ends_an_answer(scheduler: Scheduler, model: Model) -> None:
    asked = Asked(scheduler, Request(prompt_of(model, TEXT), 900, deadline_s=0.02))
    assert asked.end().reason == "deadline"


def test_a_full_queue_refuses(scheduler: Scheduler, model: Model) -> None:
    asked: list[Asked] = []

    def ask_30() -> None:
        asked.extend(Asked(scheduler, Request((400 + number, *prompt_of(model, LONG)), 400)) for number in range(30))

    with pytest.raises(QueueFullError, match=r"8 requests wait already; try again in a moment"):
        ask_30()
    assert len(asked) >= 8
    for each in asked:
        scheduler.cancel(each.ticket)
    assert {each.end().reason for each in asked} == {"cancelled"}


def test_closing_fails_what_runs_and_what_waits(scheduler: Scheduler, model: Model) -> None:
    prompt = prompt_of(model, LONG)
    asked = [Asked(scheduler, Request((400 + number, *prompt), 400)) for number in range(7)]
    started = time.monotonic()
    scheduler.close()
    assert time.monotonic() - started < 5
    for each in asked:
        end = each.until(lambda event: isinstance(event, Failed | Finished))
        assert isinstance(end, Failed)
        assert isinstance(end.error, EngineClosedError)
    with pytest.raises(EngineClosedError):
        Asked(scheduler, Request(prompt, 1))
    assert "bedside-engine" not in {thread.name for thread in threading.enumerate()}


def test_a_model_file_that_is_written_to_ends_all_answers(tiny_model: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.gguf"
    path.write_bytes(tiny_model.read_bytes())
    os.utime(path, ns=(0, 0))
    with Model.load(path) as model, open_context(model, 5) as context, scheduler_on(context) as scheduler:
        endless = SamplingOptions(logit_bias=((model.eos or 0, -100.0),))
        asked = [Asked(scheduler, Request((400 + number,), 900, endless)) for number in range(2)]
        asked[0].until(lambda event: isinstance(event, Piece))
        os.utime(path)
        for each in asked:
            end = each.until(lambda event: isinstance(event, Failed))
            assert isinstance(end, Failed)
            assert "m.gguf was written to while it was in use" in str(end.error)
        with pytest.raises(EngineClosedError, match="was written to"):
            Asked(scheduler, Request((400,), 1))


def test_a_decode_without_room_fails_only_the_request_that_lacks_it(
    context: Context, scheduler: Scheduler, model: Model
) -> None:
    prompt = prompt_of(model, LONG)
    with Batch(128) as batch:  # cells that the scheduler does not know of
        for start in range(0, 768, 128):
            batch.clear()
            for position in range(start, start + 128):
                batch.add(7, position, [context.n_seq_max - 1], False)
            context.decode(batch)
    large, small = Asked(scheduler, Request(prompt, 4)), Asked(scheduler, sampled((400, *prompt[1:50]), 20))
    failed = large.until(lambda event: isinstance(event, Failed))
    assert isinstance(failed, Failed)
    assert isinstance(failed.error, ContextFull)
    small.end()
    assert small.tokens == alone(model, small.ticket.request)


def test_a_fault_of_our_own_leaves_nobody_waiting_and_tells_no_text(scheduler: Scheduler, model: Model) -> None:
    def broken(event: Event) -> None:
        if isinstance(event, Piece):
            raise KeyError(TEXT)

    waiting = Asked(scheduler, Request(prompt_of(model, LONG), 500))
    scheduler.submit(Ticket(Request(prompt_of(model, TEXT), 5), broken))
    end = waiting.until(lambda event: isinstance(event, Failed))
    assert isinstance(end, Failed)
    assert str(end.error) == "the engine has failed (KeyError); restart it"


def test_a_token_of_another_model_is_refused(scheduler: Scheduler, model: Model) -> None:
    with pytest.raises(RuntimeFailure, match="token id 1024 is outside the vocabulary of 1024"):
        Asked(scheduler, Request((1, model.n_vocab), 4))


def test_a_stop_string_ends_and_is_not_shown(scheduler: Scheduler, model: Model) -> None:
    whole = Asked(scheduler, Request(prompt_of(model, LONG), 60))
    whole.end()
    stop = whole.text[20:26]
    asked = Asked(scheduler, Request(prompt_of(model, LONG), 60, stop=(stop,)))
    assert asked.end().reason == "stop"
    assert asked.text == whole.text[: whole.text.index(stop)]


def test_schemas_are_kept_to_beside_answers_without(reference: Model) -> None:
    schema = {"type": "array", "items": {"enum": ["dexamethasone", "epinephrine"]}, "minItems": 4, "maxItems": 4}
    compiler, prompt = SchemaCompiler(reference), prompt_of(reference, LONG)
    options = SamplingOptions(temperature=1.5, top_k=0, seed=3)
    with open_context(reference, 5) as context, scheduler_on(context) as scheduler:
        plain = Asked(scheduler, Request(prompt, 40))
        kept = [Asked(scheduler, Request(prompt, 80, options, schema=compiler.compile(schema))) for _ in range(2)]
        for each in kept:
            assert each.end().reason == "stop"
            found = json.loads(each.text)
            assert len(found) == 4
            assert set(found) <= {"dexamethasone", "epinephrine"}
        assert plain.end().completion_tokens == 40


def test_a_logit_bias_of_an_unknown_token_is_refused(scheduler: Scheduler, model: Model) -> None:
    with pytest.raises(RuntimeFailure, match="token id 5000 is outside the vocabulary"):
        Asked(scheduler, Request((1,), 4, SamplingOptions(logit_bias=((5000, 1.0),))))


def test_logprobs_are_those_of_the_logits(scheduler: Scheduler, model: Model) -> None:
    asked = Asked(scheduler, Request(prompt_of(model, TEXT), 12, logprobs=3))
    asked.end()
    told = [each for event in asked.events if isinstance(event, Piece) for each in event.logprobs]
    assert [each.token for each in told] == asked.tokens
    for each in told:
        assert each.top[0] == (each.token, each.logprob)  # greedy
        assert [value for _, value in each.top] == sorted((value for _, value in each.top), reverse=True)
        assert len(each.top) == 3


def test_a_prompt_is_scored_token_by_token(scheduler: Scheduler, model: Model) -> None:
    prompt = prompt_of(model, LONG)[:150]
    Asked(scheduler, Request(prompt, 4)).end()  # nothing of it may be reused
    asked = Asked(scheduler, Request(prompt, 0, logprobs=2, scores_prompt=True))
    assert (asked.end().reason, asked.tokens) == ("length", [])
    (scores,) = (event for event in asked.events if isinstance(event, PromptScores))
    assert [each.token for each in scores.logprobs] == list(prompt[1:])
    logits = all_logits(model, prompt)[:-1].astype(np.float64)
    wanted = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    found = [each.logprob for each in scores.logprobs]
    assert np.abs(np.array(found) - wanted[np.arange(len(found)), prompt[1:]]).max() < 1e-4
    assert [each.top[0][0] for each in scores.logprobs] == wanted.argmax(1).tolist()
    beside = Asked(scheduler, Request(prompt, 6, scores_prompt=True))
    beside.end()
    assert beside.tokens == alone(model, Request(prompt, 6))


def test_a_circle_is_ended_where_that_is_asked_for(scheduler: Scheduler, model: Model) -> None:
    circling = SamplingOptions(repeat_penalty=0.01)  # rewards what was just said
    prompt = prompt_of(model, TEXT)
    assert Asked(scheduler, Request(prompt, 120, circling, ends_repetition=True)).end().reason == "repetition"
    assert Asked(scheduler, Request(prompt, 120, circling)).end().reason == "length"


def test_idle_sequences_leave_the_cache_for_memory_and_come_back(model: Model, context: Context) -> None:
    """Their cells would be looked at in every step of the others."""
    first, second = prompt_of(model, LONG)[:400], tuple(reversed(prompt_of(model, LONG)[:400]))
    with scheduler_on(context) as scheduler:
        answer = ask_for(scheduler, first)
        ask_for(scheduler, second)
        assert sum(context.seq_pos_max(seq) >= 0 for seq in range(context.n_seq_max)) == 1
        asked = Asked(scheduler, Request((*first, *answer, 9), 4, drafting=False))
        assert asked.end().cached_tokens >= len(first)
    with scheduler_on(context) as scheduler:
        assert ask_for(scheduler, (*first, *answer, 9), 4) == asked.tokens


def ask_for(scheduler: Scheduler, prompt: tuple[int, ...], count: int = 6) -> list[int]:
    asked = Asked(scheduler, Request(prompt, count, drafting=False))
    asked.end()
    return asked.tokens
