"""The course of one question: passages, model, prompt, text as it comes, checks."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from assistant.ask.answer import Answer, judge_evidence
from assistant.ask.model_choice import ChosenModel
from assistant.engine.engine import Engine
from assistant.engine.neighbours import NeighbourMeter
from assistant.engine.packing import fit_passages
from assistant.engine.usage import Usage
from assistant.errors import PromptTooLongError
from assistant.knowledge.citations import check_answer
from assistant.knowledge.index import Index
from assistant.knowledge.library import LibraryPassage
from assistant.knowledge.search import search
from assistant.plaintext import plain
from models.grounding import NO_ANSWER, SYSTEM_PLAIN, grounded_messages

MAX_PASSAGES = 4


@dataclass(frozen=True)
class Question:
    """What is asked, of which model and library. `index` is None where the answer shall do without passages."""

    text: str
    model: ChosenModel
    index: Index | None
    note: str | None = None


@dataclass(frozen=True)
class Phase:
    """What happens now, in a few words, for a progress display."""

    text: str


@dataclass(frozen=True)
class Piece:
    """The next piece of the answer's text; joined they are the answer."""

    text: str


class Asking:
    """Answers one question. `abort` may be called from another thread, at any time."""

    def __init__(self, question: Question) -> None:
        self._question = question
        self._engine: Engine | None = None
        self._aborted = False
        self._neighbours = NeighbourMeter()

    def abort(self) -> None:
        """End the work soon: at once while text is read or written, after loading where the model is being loaded."""
        self._aborted = True
        if self._engine is not None:
            self._engine.abort()

    def events(self) -> Iterator[Phase | Piece | Answer]:
        """Phases and pieces as they come; the answer last. Raises BedsideError."""
        question = self._question
        found: tuple[LibraryPassage, ...] = ()
        if question.index is not None:
            hits = search(question.index, question.text, MAX_PASSAGES, question.note)
            found = tuple(hit.passage for hit in hits)
            if not found:
                # A model asked about passages that do not exist would make them up: the host answers.
                yield Piece(NO_ANSWER)
                yield self._answer(NO_ANSWER, (), Usage())
                return
        yield Phase("loading the model")
        with Engine.open(question.model.path, self._neighbours) as engine:
            self._engine = engine
            if self._aborted:
                return
            yield from self._generate(engine, found)

    def _generate(self, engine: Engine, found: Sequence[LibraryPassage]) -> Iterator[Phase | Piece | Answer]:
        packed = self._pack(engine, found)
        messages = self._messages(packed)
        yield Phase(f"reading {engine.count_tokens(messages)} tokens")
        pieces = []
        for piece in trimmed(plain(piece) for piece in engine.stream(messages)):
            pieces.append(piece)
            yield Piece(piece)
        yield self._answer("".join(pieces), packed, engine.usage)

    def _pack(self, engine: Engine, found: Sequence[LibraryPassage]) -> tuple[LibraryPassage, ...]:
        packed = fit_passages(found, lambda some: engine.count_tokens(self._messages(some)), engine.max_prompt_tokens)
        if found and not packed:
            raise PromptTooLongError(
                f"question and note leave no room for a passage in {engine.max_prompt_tokens} tokens of prompt;"
                " shorten them or use --knowledge off"
            )
        return tuple(packed)

    def _messages(self, passages: Sequence[LibraryPassage]) -> list[dict[str, str]]:
        question = self._question
        if question.index is not None:
            return grounded_messages(question.text, [passage.grounding for passage in passages], note=question.note)
        messages = [{"role": "system", "content": SYSTEM_PLAIN}]
        if question.note:
            messages.append({"role": "user", "content": f"Patient note:\n{question.note}"})
        return [*messages, {"role": "user", "content": question.text}]

    def _answer(self, text: str, sources: tuple[LibraryPassage, ...], usage: Usage) -> Answer:
        question = self._question
        grounded = question.index is not None
        checks = check_answer(text, [source.grounding for source in sources]) if grounded else ()
        evidence = judge_evidence(text, sources, checks) if grounded else "off"
        return Answer(text, sources, evidence, checks, usage, question.model.name, question.model.notice)


def trimmed(pieces: Iterable[str]) -> Iterator[str]:
    """The pieces without white space before the first and after the last word, as early as that can be known."""
    held, started = "", False
    for piece in pieces:
        text = held + piece if started else piece.lstrip()
        body = text.rstrip()
        held = text[len(body) :] if started or body else ""
        if body:
            started = True
            yield body
