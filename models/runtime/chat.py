"""The chat template that a model file carries, and prompts that message text cannot break out of.

**Why control tokens are cut, not escaped.** A rendered prompt must be tokenized as one text: byte-pair merges run
across the seam between the template's words and the message, so tokenizing the parts apart gives other ids than the
model was trained on. But as one text, a message that spells `<|end|>` would end its own turn. So before rendering,
every control token spelled in a message gets a mark, a Unicode noncharacter, after its first character; the rendered
text is then tokenized in pieces split at the marks. No piece holds a whole control token that came from a message, the
marks are gone, no character of the message is changed, and a message without such spellings is tokenized exactly as
plain text. Spellings that could complete themselves across a seam (`<|en` before a template's `d|>`) are marked too.
(A vocabulary that puts a space before each text adds one at the cut.)
"""

import contextlib
import datetime
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import jinja2
import jinja2.sandbox
from jinja2.exceptions import SecurityError

from models.errors import TemplateError
from models.runtime.library import llama
from models.runtime.model import Model

Messages = Sequence[Mapping[str, str]]

_MAX_TEMPLATE_CHARACTERS = 256 * 1024
_MAX_RENDERED_CHARACTERS = 16 * 1024 * 1024
_ROLES = frozenset({"system", "user", "assistant", "tool"})
_MARKS = [chr(code) for code in range(0xFDD0, 0xFDF0)]
_MARKER_SHAPE = re.compile(r"[<\[|].+[>\]|]", re.DOTALL)


class _RefusedError(Exception):
    """The template itself called `raise_exception`."""


class _Environment(jinja2.sandbox.ImmutableSandboxedEnvironment):
    """Hugging Face's template dialect without its plainest ways to fill the memory."""

    intercepted_binops = frozenset({"*", "**", "%"})

    def call_binop(self, context: jinja2.runtime.Context, operator: str, left: Any, right: Any) -> Any:
        """Allow `*`, `**` and `%` between numbers only: `"x" * 10**9` and `"%999999999d" % 1` would fill the memory."""
        if not all(isinstance(value, int | float) and abs(value) < 2**31 for value in (left, right)):
            raise SecurityError(f"{operator} on something other than small numbers")
        if operator == "**" and abs(right) > 64:
            raise SecurityError("a power beyond 64")
        return super().call_binop(context, operator, left, right)


class ChatTemplate:
    """A compiled chat template with the control tokens of its vocabulary."""

    def __init__(self, source: str, *, bos: str, eos: str, control_tokens: Sequence[str] = ()) -> None:
        if len(source) > _MAX_TEMPLATE_CHARACTERS:
            raise TemplateError(
                f"the chat template has {len(source)} characters, at most {_MAX_TEMPLATE_CHARACTERS} are read"
            )
        environment = _Environment(trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"])
        environment.globals["raise_exception"] = _refuse
        try:
            self._template = environment.from_string(source)
        except (jinja2.TemplateError, RecursionError) as error:
            raise TemplateError(
                f"the chat template cannot be read: {_one_line(error)}; export the file again"
            ) from error
        self._tokens = {"bos_token": bos, "eos_token": eos}
        self._controls = controls = {token for token in control_tokens if len(token) > 1}
        self._beginnings = {token[:length] for token in controls for length in range(1, len(token))}
        self._endings = {token[-length:] for token in controls for length in range(1, len(token))}
        self._longest = max(map(len, controls), default=1) - 1
        spellings = "|".join(re.escape(token) for token in sorted(controls))
        # A lookahead, so that overlapping spellings are all found.
        self._spelled = re.compile(f"(?={spellings})" if spellings else r"(?!)")
        self._marks = [mark for mark in _MARKS if mark not in source]

    @classmethod
    def from_model(cls, model: Model) -> "ChatTemplate":
        """The template that the file carries; raises TemplateError where it has none."""
        library = llama()
        source = library.llama_model_chat_template(model.pointer, None)
        if not source:
            raise TemplateError(
                f"{model.path} has no chat template; export it again with tokenizer.chat_template,"
                " or use an instruct model"
            )
        return cls(
            source.decode("utf-8", "replace"),
            bos=_token_text(model, model.bos),
            eos=_token_text(model, model.eos),
            control_tokens=_control_tokens(model),
        )

    def render(self, messages: Messages, add_generation_prompt: bool = True) -> str:
        """The prompt as text. Raises TemplateError for a role or an order of roles that the template cannot show.

        Where the template refuses the messages as they stand (two user turns in a row, a system turn), neighbours of
        one role are joined by a blank line, and then the system text is put before the first user text.
        """
        checked = _checked(messages)
        arrangements = (checked, _joined_neighbours(checked), _system_in_user(checked))
        for arranged in arrangements[:-1]:
            with contextlib.suppress(_RefusedError):
                return self._render(arranged, add_generation_prompt)
        try:
            return self._render(arrangements[-1], add_generation_prompt)
        except _RefusedError as error:
            raise TemplateError(
                f"the chat template refuses these messages: {_one_line(error)}; alternate user and assistant turns"
            ) from error

    def prompt_ids(self, model: Model, messages: Messages) -> list[int]:
        """Token ids of the prompt up to the assistant's first token; message text never becomes a control token."""
        mark = self._unused_mark(messages)
        marked = [{**message, "content": self._mark(message["content"], mark)} for message in _checked(messages)]
        ids: list[int] = []
        for piece in self.render(marked).split(mark):
            ids += model.tokenize(piece, add_bos=False, parse_special=True)
        if model.add_bos and model.bos is not None and ids[:1] != [model.bos]:
            ids.insert(0, model.bos)
        return ids

    def spelled_controls(self, text: str) -> int:
        """How many control tokens a text spells."""
        return sum(map(text.count, self._controls))

    def _render(self, messages: list[dict[str, str]], add_generation_prompt: bool) -> str:
        variables: dict[str, Any] = {
            "messages": messages,
            "add_generation_prompt": add_generation_prompt,
            **self._tokens,
        }
        try:
            try:
                return self._collect(variables)
            except jinja2.UndefinedError as error:
                if "strftime_now" not in str(error):
                    raise
            # Only for templates that cannot do without: a date in the prompt defeats the prefix cache at midnight.
            return self._collect({**variables, "strftime_now": _strftime_now})
        except (_RefusedError, TemplateError):
            raise
        except Exception as error:  # the template is somebody's program: it may raise anything
            raise TemplateError(f"the chat template fails: {_one_line(error)}; export the file again") from error

    def _collect(self, variables: Mapping[str, Any]) -> str:
        pieces: list[str] = []
        length = 0
        for piece in self._template.generate(variables):
            length += len(piece)
            if length > _MAX_RENDERED_CHARACTERS:
                raise TemplateError(f"the prompt passes {_MAX_RENDERED_CHARACTERS} characters; send less text")
            pieces.append(piece)
        return "".join(pieces)

    def _unused_mark(self, messages: Messages) -> str:
        for mark in self._marks:
            if not any(mark in message.get("content", "") for message in messages):
                return mark
        raise TemplateError("the messages use every Unicode noncharacter; remove U+FDD0 to U+FDEF from them")

    def _mark(self, content: str, mark: str) -> str:
        cuts = {match.start() + 1 for match in self._spelled.finditer(content)}
        # Templates often trim, so what meets the seam is the first and the last character that is not a space.
        start, end = len(content) - len(content.lstrip()), len(content.rstrip())
        for length in range(1, min(self._longest, end - start) + 1):
            if content[start : start + length] in self._endings:
                cuts.add(start + length - 1)
            if content[end - length : end] in self._beginnings:
                cuts.add(end - length + 1)
        edges = [0, *sorted(cuts), len(content)]
        return mark.join(content[left:right] for left, right in pairwise(edges))


def _refuse(message: object = "") -> None:
    raise _RefusedError(message)


def _strftime_now(pattern: str) -> str:
    return datetime.datetime.now().astimezone().strftime(pattern)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


def _token_text(model: Model, token: int | None) -> str:
    return "" if token is None else model.token_bytes(token, special=True).decode("utf-8", "replace")


def _control_tokens(model: Model) -> list[str]:
    """Spellings that the tokenizer turns into a control token, and user-defined ones that look like a marker."""
    library = llama()
    vocab, attribute_of = model.vocab, library.llama_vocab_get_attr
    always = library.LLAMA_TOKEN_ATTR_CONTROL | library.LLAMA_TOKEN_ATTR_UNKNOWN
    spellings = []
    for token in range(model.n_vocab):
        attribute = attribute_of(vocab, token)
        if attribute & always:
            spellings.append(_token_text(model, token))
        elif attribute & library.LLAMA_TOKEN_ATTR_USER_DEFINED:
            text = _token_text(model, token)
            if _MARKER_SHAPE.fullmatch(text):
                spellings.append(text)
    return spellings


def _checked(messages: Messages) -> list[dict[str, str]]:
    for message in messages:
        if message.get("role") not in _ROLES:
            raise TemplateError(f"role {message.get('role')!r} is unknown; use one of {', '.join(sorted(_ROLES))}")
        if not isinstance(message.get("content"), str):
            raise TemplateError(f"a {message['role']} message has no text; give it a string as content")
    return [dict(message) for message in messages]


def _joined_neighbours(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    joined: list[dict[str, str]] = []
    for message in messages:
        if joined and joined[-1]["role"] == message["role"]:
            joined[-1]["content"] += "\n\n" + message["content"]
        else:
            joined.append(dict(message))
    return joined


def _system_in_user(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    system = [message["content"] for message in messages if message["role"] == "system"]
    others = _joined_neighbours([message for message in messages if message["role"] != "system"])
    if system and others and others[0]["role"] == "user":
        others[0]["content"] = "\n\n".join([*system, others[0]["content"]])
    return others
