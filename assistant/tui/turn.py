"""The course of one answer: what the server has said of it so far, as it is shown and as it is kept."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from assistant.client.answering import Told
from assistant.client.wording import fault
from assistant.history.conversation import State
from assistant.knowledge.citations import Check
from assistant.plaintext import Trimmer, plain
from assistant.safety.views import finding_lines
from assistant.tui.flow import Flow
from assistant.tui.markdown import Mark, Run
from assistant.tui.talk import Exchange

_FENCED = re.compile(r"^```[^\n]*\n(.*?)(?:^```|\Z)", re.DOTALL | re.MULTILINE)
_KEPT = ("sources", "red_flags", "evidence", "notice", "versions", "dropped_messages")


class Turn:
    """A question and its answer as it comes."""

    def __init__(self, exchange: Exchange, texts: Sequence[tuple[str, str]], known: Sequence[str] = ()) -> None:
        self.exchange, self.texts = exchange, texts
        self.known = frozenset(known)
        """Ids of the passages that earlier answers of the conversation had."""
        self.told, self.flow = Told(), Flow()
        self.state: State = "writing"
        self.fault = ""
        self.is_note_open = False
        self.is_detailed = False
        """Whether what it was made with is shown."""
        self.version = 0
        """Grows with everything that changes its rows."""
        self._trimmer, self._marked = Trimmer(), 0

    @classmethod
    def restored(cls, exchange: Exchange, texts: Sequence[tuple[str, str]], known: Sequence[str] = ()) -> "Turn":
        """As it was kept. Raises one of `FAULTS` where that is nothing that this program wrote."""
        turn = cls(exchange, texts, known)
        answer = exchange.answer
        if answer is None:
            turn.end("stopped")
            return turn
        if answer.details.get("model"):
            turn.take(_kept_chunk(answer.text, answer.details))
        turn.told.refused = bool(answer.details.get("refused"))
        # Whoever wrote the last word of an answer that is still being written is gone.
        turn.end("stopped" if answer.state == "writing" else answer.state, str(answer.details.get("fault", "")))
        if turn.state == "complete":
            turn.told.answer()
        return turn

    @property
    def text(self) -> str:
        """The answer so far."""
        return self.told.text

    @property
    def is_running(self) -> bool:
        """Whether more may come."""
        return self.state == "writing"

    @property
    def code(self) -> str:
        """The code between fences in the answer, its pieces a blank line apart."""
        return "\n\n".join(found.rstrip("\n") for found in _FENCED.findall(self.text))

    def take(self, chunk: Mapping[str, Any]) -> None:
        """The next chunk. Raises one of `FAULTS` where it is none of a Bedside server."""
        if "red_flags" in (told := chunk.get("bedside", {})):
            list(finding_lines(told["red_flags"], self.texts))
        piece = self.told.take(chunk)
        if piece and (shown := self._trimmer.push(piece)):
            self.told.text += shown
            self.flow.extend(shown)
        new = self.told.checks[self._marked :]
        self._marked += len(new)
        self.flow.mark(mark for mark in map(_mark, new) if mark is not None)
        self.version += 1

    def flag(self, red_flags: Mapping[str, Any]) -> None:
        """What was found in a question that the server then refused. Raises one of `FAULTS` where that is no such object."""
        list(finding_lines(red_flags, self.texts))
        self.told.fields["red_flags"] = dict(red_flags)
        self.version += 1

    def end(self, state: State, why: str = "") -> None:
        """Nothing more comes."""
        self.state, self.fault = state, plain(why)
        self.version += 1

    def touch(self) -> None:
        """Its rows are made anew."""
        self.version += 1

    @property
    def details(self) -> dict[str, Any]:
        """What is kept besides the text, as the API sent it."""
        kept: dict[str, Any] = {name: self.told.fields[name] for name in _KEPT if name in self.told.fields}
        kept |= {"model": self.told.model, "checks": [asdict(check) for check in self.told.checks]}
        kept |= {"usage": self.told.usage, "refused": self.told.refused}
        return kept | ({"fault": self.fault} if self.fault else {})


def _kept_chunk(text: str, details: Mapping[str, Any]) -> dict[str, Any]:
    fields = {name: details[name] for name in (*_KEPT, "checks") if name in details}
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": None}
    return {"model": details["model"], "choices": [choice], "bedside": fields, "usage": details.get("usage")}


def _mark(check: Check) -> Mark | None:
    """What is shown of the check inside the text; nothing of a sentence that its own mark supports."""
    if check.status != "supported":
        return Mark(check.start, check.end, "unsupported", (Run(f" ‹! {fault(check)}›", "warning"),))
    if check.by == "host":
        found = (Run(f"[{number}]", "cite", None, ("source", str(number))) for number in check.cites)
        return Mark(check.start, check.end, "", (Run(" ‹source: ", "dim"), *found, Run("›", "dim")))
    return None
