"""Prompt lookup on grounded answers: those of the reference model, replayed token by token on a larger shape.

Random weights would repeat one token and accept every guess, so the larger model is made to write what the reference
model wrote: only the cost of a step is its own.
"""

import queue
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assistant.engine.loaded import EngineSettings, LoadedModel
from assistant.engine.request import Event, Failed, Finished, Piece, Request, Ticket
from assistant.knowledge.installed import Shelf
from assistant.knowledge.library import STARTER, starter_documents
from assistant.knowledge.search import search
from benchmarks.serve.findings import Finding
from benchmarks.serve.servers import SPAN
from models.grounding import grounded_messages
from models.resolve import resolve_gguf
from models.runtime.schema import SchemaMatcher

_PASSAGES, _ANSWER = 2, 96
Replay = tuple[tuple[int, ...], tuple[int, ...]]
"""Prompt and answer in tokens."""


class Forced(SchemaMatcher):
    """Allows one token after the other of an answer that is known."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens, self._place = tokens, 0

    def mask(self, logits: NDArray[np.float32]) -> None:
        """Leave the next token only."""
        logits[:] = -np.inf
        logits[self._tokens[self._place]] = 0

    def accept(self, token: int) -> None:
        """Go on to the next."""
        assert token == self._tokens[self._place]
        self._place += 1


def drafting(name: str, path: Path, questions: int) -> Iterator[Finding]:
    """Decode speed with drafting over without, answer by answer."""
    replays = list(_reference_answers(questions))
    ratios, accepted, drafted = [], 0, 0
    with LoadedModel.open(path, EngineSettings(context_tokens=SPAN)) as loaded:
        for place, (prompt, answer) in enumerate(replays):
            request = Request(prompt, len(answer))
            _answer(loaded, replace(request, schema=Forced(answer), max_tokens=1))  # reads the prompt
            speeds = {}
            for drafts in (place % 2 == 0, place % 2 == 1):
                end, _ = _answer(loaded, replace(request, schema=Forced(answer), drafting=drafts))
                assert end.decode_s is not None
                speeds[drafts] = (end.completion_tokens - 1) / end.decode_s
                accepted, drafted = accepted + end.accepted_tokens, drafted + end.drafted_tokens
            ratios.append(speeds[True] / speeds[False])
    what = f"{name}: drafting over plain, {len(ratios)} grounded answers"
    share = accepted / drafted if drafted else 0.0
    yield Finding(f"{what}, median", f"{share:.0%} of guesses right", "", statistics.median(ratios))
    yield Finding(f"{what}, lowest", "", "", min(ratios), 0.97)


def _reference_answers(questions: int) -> Iterator[Replay]:
    documents = starter_documents()
    index = Shelf().index([STARTER])
    with LoadedModel.open(resolve_gguf("reference"), EngineSettings()) as loaded:
        for document in documents[:: max(len(documents) // questions, 1)][:questions]:
            question = f"What should be done in {document.title}?"
            hits = search(index, question, _PASSAGES)
            messages = grounded_messages(question, [hit.passage.grounding for hit in hits])
            prompt = tuple(loaded.template.prompt_ids(loaded.model, messages))
            _, answer = _answer(loaded, Request(prompt, _ANSWER, drafting=False))
            yield prompt, answer


def _answer(loaded: LoadedModel, request: Request) -> tuple[Finished, tuple[int, ...]]:
    events: queue.Queue[Event] = queue.Queue()
    loaded.scheduler.submit(Ticket(request, events.put))
    tokens: list[int] = []
    while True:
        event = events.get(timeout=600)
        assert not isinstance(event, Failed), event
        if isinstance(event, Piece):
            tokens += event.tokens
        if isinstance(event, Finished):
            return event, tuple(tokens)
