"""What a server says of one answer, chunk by chunk: the one reader of the API's stream."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, get_args

from assistant.client.answer import Answer, Versions
from assistant.knowledge.citations import Check
from assistant.knowledge.evidence import Evidence
from assistant.knowledge.library import LibraryPassage
from assistant.plaintext import plain
from assistant.safety.views import status

FAULTS = (LookupError, TypeError, ValueError, AttributeError, ZeroDivisionError)
"""What reading raises where the fields are those of another kind of server."""


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
        """One chunk: its piece of the text, None where it holds none; nothing in it that a terminal could take for a command."""
        self.model = str(chunk["model"])
        self.usage = dict(chunk.get("usage") or self.usage)
        extras = dict(chunk.get("bedside", {}))
        self.checks += [_check(each) for each in extras.pop("checks", [])]
        if (queue := extras.pop("queue", None)) is not None:
            self.waiting = int(queue["before"])
        if (progress := extras.pop("prompt", None)) is not None:
            self.waiting, self.read = 0, (int(progress["done"]), int(progress["total"]))
        self.fields |= extras
        piece = None
        for choice in chunk["choices"]:
            self.refused |= choice["finish_reason"] == "content_filter"
            if (content := choice["delta"].get("content")) is not None:
                piece = (piece or "") + plain(content)
        return piece

    @property
    def sources(self) -> tuple[LibraryPassage, ...]:
        """The passages of the conversation, numbered from 1 in their order; none before the first chunk."""
        return tuple(_source(each) for each in self.fields.get("sources", ()))

    def answer(self) -> Answer:
        """All of it."""
        notice, evidence = self.fields["notice"], self.fields["evidence"]
        flags, checks = self.fields["red_flags"], tuple(self.checks)
        is_whole = "sources" in self.fields and "bedside" in self.usage
        if not is_whole or evidence not in get_args(Evidence) or not isinstance(notice, str | None):
            raise ValueError("fields of another kind of server")
        status(flags)  # raises where a field of theirs is missing
        versions, usage = _versions(self.fields["versions"]), self.usage
        return Answer(
            self.text, self.sources, evidence, checks, flags, usage, self.model, notice, versions, refused=self.refused
        )


def _versions(content: Mapping[str, Any]) -> Versions:
    libraries, left_out = (
        {str(name): str(told) for name, told in content[which].items()} for which in ("libraries", "left_out")
    )
    return Versions(str(content["bedside"]), str(content["model_sha256"]), libraries, left_out)


def _check(content: Mapping[str, Any]) -> Check:
    return Check(**{**content, "cites": tuple(content["cites"]), "reasons": tuple(content["reasons"])})


def _source(content: Mapping[str, Any]) -> LibraryPassage:
    return LibraryPassage(**{each.name: str(content[each.name]) for each in fields(LibraryPassage)})
