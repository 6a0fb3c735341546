"""What a server says of one answer, chunk by chunk: the one reader of the API's stream."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from assistant.client.answer import Answer
from assistant.client.fields import check_fields, read_check, read_source, read_usage, read_versions, whole
from assistant.knowledge.citations import Check
from assistant.knowledge.library import LibraryPassage
from assistant.plaintext import plain


@dataclass
class Told:
    """What the server says besides text, field by field. Reading raises one of `FAULTS` where it is no Bedside server."""

    text: str = ""
    """Of the answer so far; whoever reads the pieces adds them, trimmed."""
    model: str = ""
    fields: dict[str, Any] = field(default_factory=dict)
    """The latest `red_flags`, `sources`, `evidence`, `notice`, `versions` and `dropped_messages`."""
    checks: list[Check] = field(default_factory=list)
    usage: dict[str, Any] = field(default_factory=dict)
    refused: bool = False
    waiting: int = 0
    """Requests before this one."""
    read: tuple[int, int] | None = None
    """Tokens of the prompt that are read, and all of them."""

    def take(self, chunk: Mapping[str, Any]) -> str | None:
        """One chunk: its piece of the text, None where it holds none; nothing in it that a terminal could take for a command.

        Of a chunk that raises nothing is taken.
        """
        usage = read_usage(chunk.get("usage") or self.usage)
        extras = dict(chunk.get("bedside", {}))
        checks = [read_check(each) for each in extras.pop("checks", [])]
        waiting, read = self._place(extras.pop("queue", None), extras.pop("prompt", None))
        check_fields(extras)
        refused, piece = self.refused, None
        for choice in chunk["choices"]:
            refused |= choice["finish_reason"] == "content_filter"
            if (content := choice["delta"].get("content")) is not None:
                piece = (piece or "") + plain(content)
        self.model, self.usage, self.refused = str(chunk["model"]), usage, refused
        self.waiting, self.read = waiting, read
        self.checks += checks
        self.fields |= extras
        return piece

    def _place(self, queue: Any, prompt: Any) -> tuple[int, tuple[int, int] | None]:
        """What is waited for, and what is read of the prompt."""
        waiting, read = self.waiting, self.read
        if queue is not None:
            waiting = whole(queue["before"])
        if prompt is not None:
            waiting, read = 0, (whole(prompt["done"]), whole(prompt["total"]))
            if not read[1]:
                raise ValueError("a prompt without tokens")
        return waiting, read

    @property
    def sources(self) -> tuple[LibraryPassage, ...]:
        """The passages of the conversation, numbered from 1 in their order; none before the first chunk."""
        return tuple(read_source(each) for each in self.fields.get("sources", ()))

    def answer(self) -> Answer:
        """All of it."""
        notice, evidence = self.fields["notice"], self.fields["evidence"]
        flags, checks = self.fields["red_flags"], tuple(self.checks)
        if "sources" not in self.fields or "bedside" not in self.usage:
            raise ValueError("fields of another kind of server")
        versions, usage = read_versions(self.fields["versions"]), self.usage
        return Answer(
            self.text, self.sources, evidence, checks, flags, usage, self.model, notice, versions, refused=self.refused
        )
