"""One stream and several at once: through HTTP against llama-server, and the engine's loop against llama-bench."""

import queue
import random
import statistics
from collections.abc import Iterator
from pathlib import Path

from assistant.engine.loaded import EngineSettings, LoadedModel
from assistant.engine.request import Event, Failed, Finished, Request, Ticket
from benchmarks.serve.client import Streamed, complete, together
from benchmarks.serve.files import Prompts
from benchmarks.serve.findings import Finding
from benchmarks.serve.pairs import alternate
from benchmarks.serve.servers import SPAN, bedside, llama_bench, llama_server
from models.runtime.sampler import SamplingOptions

PROMPT, ANSWER = 512, 64
ARRIVING = 1500
_SHORT = 16


def one_stream(name: str, path: Path, pairs: int) -> Iterator[Finding]:
    """Decode and prompt speed of a single request."""
    prompts = Prompts(path)
    with bedside(path) as ours, llama_server(path) as peer:

        def measure(url: str, *, is_ours: bool) -> tuple[float, float]:
            body = prompts.body(PROMPT, ANSWER)
            answer = complete(url, prompts.ours(body) if is_ours else body)
            return answer.decode_tokens_per_s, PROMPT / answer.first_s

        for url, is_ours in ((ours.url, True), (peer.url, False)):
            measure(url, is_ours=is_ours)
        found = alternate(lambda: measure(ours.url, is_ours=True), lambda: measure(peer.url, is_ours=False), pairs)
    decode_goal, prompt_goal = (0.6, None) if name == "reference" else (1.0, 0.97)
    for place, (what, goal) in enumerate((("decode", decode_goal), ("prompt", prompt_goal))):
        mine, theirs = found.medians(place)
        yield Finding(
            f"{name}: {what}, one stream, HTTP (llama-server)",
            f"{mine:.1f} tok/s",
            f"{theirs:.1f} tok/s",
            found.ratio(place),
            goal,
        )


def engine_loop(name: str, path: Path, pairs: int) -> Iterator[Finding]:
    """The same without HTTP, against llama-bench."""
    rng = random.Random(0)
    with LoadedModel.open(path, EngineSettings(context_tokens=SPAN)) as loaded:
        biases = tuple((token, -100.0) for token in range(loaded.model.n_vocab) if loaded.model.is_end(token))

        def ask(prompt_tokens: int, answer_tokens: int) -> Finished:
            prompt = tuple(rng.choices(range(10, loaded.model.n_vocab), k=prompt_tokens))
            request = Request(prompt, answer_tokens, SamplingOptions(logit_bias=biases), drafting=False)
            return _ask(loaded, request)

        def ours() -> tuple[float, float]:
            read, written = ask(PROMPT, 1), ask(1, ANSWER + 1)
            assert read.first_token_s is not None
            assert written.decode_s is not None
            return ANSWER / written.decode_s, PROMPT / read.first_token_s

        ours()

        def peer() -> tuple[float, float]:
            prompt_speed, decode_speed = llama_bench(path, PROMPT, ANSWER)
            return decode_speed, prompt_speed

        found = alternate(ours, peer, pairs)
    goals = (None, None) if name == "reference" else (0.98, 0.97)
    for place, (what, goal) in enumerate(zip(("decode", "prompt"), goals, strict=True)):
        mine, theirs = found.medians(place)
        yield Finding(
            f"{name}: {what}, the engine's loop (llama-bench)",
            f"{mine:.1f} tok/s",
            f"{theirs:.1f} tok/s",
            found.ratio(place),
            goal,
        )


def _ask(loaded: LoadedModel, request: Request) -> Finished:
    events: queue.Queue[Event] = queue.Queue()
    loaded.scheduler.submit(Ticket(request, events.put))
    while True:
        event = events.get(timeout=600)
        assert not isinstance(event, Failed), event
        if isinstance(event, Finished):
            return event


def four_streams(name: str, path: Path, pairs: int) -> Iterator[Finding]:
    """Tokens of four answers over the time until the last is whole, prompts included."""
    prompts = Prompts(path)
    with bedside(path) as ours, llama_server(path) as peer:

        def measure(url: str, *, is_ours: bool) -> tuple[float]:
            bodies = [prompts.body(_SHORT, ANSWER) for _ in range(4)]
            answers = together(url, [prompts.ours(body) for body in bodies] if is_ours else bodies)
            span_s = max(each.ended_at for each in answers) - min(each.sent_at for each in answers)
            return (sum(each.completion_tokens for each in answers) / span_s,)

        for url, is_ours in ((ours.url, True), (peer.url, False)):
            measure(url, is_ours=is_ours)
        found = alternate(lambda: measure(ours.url, is_ours=True), lambda: measure(peer.url, is_ours=False), pairs)
    mine, theirs = found.medians(0)
    yield Finding(
        f"{name}: four streams together (llama-server -np 4)",
        f"{mine:.1f} tok/s",
        f"{theirs:.1f} tok/s",
        found.ratio(0),
        1.1,
    )


def arriving_prompt(name: str, path: Path) -> Iterator[Finding]:
    """Three answers are being written when a long prompt arrives: the gaps in them, and how fast it is read."""
    prompts = Prompts(path)
    results: list[tuple[float, float, float]] = []
    with bedside(path) as ours, llama_server(path) as peer:
        for url, is_ours in ((ours.url, True), (peer.url, False)):

            def body(tokens: int, answer: int, is_ours: bool = is_ours) -> dict[str, object]:
                plain = prompts.body(tokens, answer)
                return prompts.ours(plain) if is_ours else plain

            alone_s = complete(url, body(ARRIVING, 1)).first_s
            step_s = statistics.median(complete(url, body(_SHORT, _SHORT)).gaps_s)
            # The answers must outlast the prompt, read at half its speed or at once.
            length = int(min(2.5 * alone_s / step_s, SPAN / 4 - _SHORT))
            *writers, reader = together(
                url, [*(body(_SHORT, length) for _ in range(3)), body(ARRIVING, 1)], [0, 0, 0, 0.25 * alone_s]
            )
            if min(each.ended_at for each in writers) < reader.arrived_at[0]:
                raise SystemExit("an answer ended before the prompt was read: its gaps tell nothing; lengthen it")
            results.append((_p99_gap_s(writers, reader), alone_s / reader.first_s, max(_gaps_s(writers, reader))))
    (mine_s, share, longest_s), (theirs_s, peer_share, peer_longest_s) = results
    what = f"{name}: three streams while {ARRIVING} tokens arrive"
    yield Finding(f"{what}: p99 gap, goal 0.35 s", f"{mine_s:.2f} s", f"{theirs_s:.2f} s", 0.35 / mine_s, 1.0)
    yield Finding(f"{what}: longest gap", f"{longest_s:.2f} s", f"{peer_longest_s:.2f} s")
    yield Finding(f"{what}: that prompt's speed, share of alone", f"{share:.2f}", f"{peer_share:.2f}", share, 0.5)


def _gaps_s(writers: list[Streamed], reader: Streamed) -> list[float]:
    """Gaps that lie wholly or partly in the time in which the prompt was read."""
    return [
        later - earlier
        for each in writers
        for earlier, later in zip(each.arrived_at, each.arrived_at[1:], strict=False)
        if later > reader.sent_at and earlier < reader.arrived_at[0]
    ]


def _p99_gap_s(writers: list[Streamed], reader: Streamed) -> float:
    gaps_s = sorted(_gaps_s(writers, reader))
    return gaps_s[min(int(0.99 * len(gaps_s)), len(gaps_s) - 1)]
