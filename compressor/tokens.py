"""Token rows from documents: chat template as in use, BOS kept, a fixed seed."""

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

from compressor.errors import CheckpointError, FamilyError
from compressor.grounded import Messages, grounded_examples
from compressor.recipe.tables import Calibrate
from compressor.storage import load_tensors, save_tensors
from compressor.text import Document, read_source, split_tuning
from models.errors import TemplateError, TextError
from models.runtime.chat import ChatTemplate
from models.starter import split_notes

SHORTEST_ROW_TOKENS = 16
TUNING_PART = 6
"""One tuning row for so many calibration rows."""
GROUNDED_DRAWS = 2
"""Examples drawn for each one wanted, so that those too long for a row can be left out."""
PLAIN_TEMPLATE = (
    "{%- for message in messages -%}"
    "{{ {'system': 'Instructions', 'user': 'User', 'assistant': 'Answer'}[message.role] + ':\n'"
    " + message.content + eos_token + '\n' }}"
    "{%- endfor -%}{%- if add_generation_prompt -%}{{ 'Answer:\n' }}{%- endif -%}"
)
"""Chat for base models, which have no tokens for it: headings, and EOS after each turn, which no message can spell."""


@dataclass(frozen=True)
class TokenRows:
    """Rows of token ids, each starting with BOS where the model has one."""

    calibrate: list[list[int]]
    tuning: list[list[int]]


class ChatTokenizer:
    """The checkpoint's own tokenizer and chat template, or `PLAIN_TEMPLATE` for one without.

    Raises CheckpointError where it cannot be loaded, TemplateError where the plain template has no place.
    """

    def __init__(self, folder: Path, *, plain_chat: bool = False) -> None:
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            reason = str(error).splitlines()[0]
            raise CheckpointError(
                f"the tokenizer in {folder} cannot be loaded ({reason}); copy its files there"
            ) from error
        self.bos: int | None = self._tokenizer.bos_token_id
        self.eos: int | None = self._tokenizer.eos_token_id
        if plain_chat:
            self._take_plain_template(folder)
        self.has_template = self._tokenizer.chat_template is not None

    @property
    def chat_template(self) -> str | None:
        """The template's Jinja source."""
        template = self._tokenizer.chat_template
        return template if isinstance(template, str) or template is None else str(template["default"])

    def definition(self) -> dict[str, Any]:
        """tokenizer.json of the tokenizer as it runs: transformers may have rebuilt what the folder holds."""
        backend = getattr(self._tokenizer, "backend_tokenizer", None)
        if backend is None:
            kind = type(self._tokenizer).__name__
            raise FamilyError(f"{kind} has no tokenizer.json form, and only such can be exported; choose another model")
        content: dict[str, Any] = json.loads(backend.to_str())
        return content

    @property
    def adds_bos(self) -> bool:
        """Whether the tokenizer puts BOS before plain text by itself."""
        ids = self._tokenizer("a").input_ids
        return bool(ids) and self.bos is not None and ids[0] == self.bos

    def text(self, text: str) -> list[int]:
        """Ids of plain text without any special token."""
        return list(self._tokenizer(text, add_special_tokens=False, verbose=False).input_ids)

    def messages(self, messages: Messages) -> list[int]:
        """Ids of a whole conversation, BOS first where the model has one. Raises TemplateError without a fitting template."""
        if not self.has_template:
            raise TemplateError(
                "the model has no chat template: set export.chat_template = 'plain' or the grounded shares to 0"
            )
        return self._rendered(messages, add_generation_prompt=False)

    def prompt(self, messages: Messages) -> list[int]:
        """Ids of a conversation up to the assistant's first token. Raises TemplateError without a template."""
        if not self.has_template:
            raise TemplateError(
                "the model has no chat template: set export.chat_template = 'plain' or use its chat version"
            )
        return self._rendered(messages, add_generation_prompt=True)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids, special tokens left out."""
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    def windows(self, document: Document, length: int) -> list[list[int]]:
        """Rows of at most `length` ids: a question with the start of its answer, or plain text cut into windows."""
        if document.question is not None and self.has_template:
            turns = [{"role": "user", "content": document.question}, {"role": "assistant", "content": document.text}]
            return [self.messages(turns)[:length]]
        ids, step = self.text(document.plain), length - len(self._start())
        rows = [self._start() + ids[at : at + step] for at in range(0, len(ids), step)]
        return [row for row in rows if len(row) >= SHORTEST_ROW_TOKENS] or rows[:1]

    def end_of_turn(self) -> int | None:
        """The last special id of a rendered assistant message: what ends an answer."""
        if not self.has_template:
            return None
        turns = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "a"}]
        special = frozenset(self._tokenizer.all_special_ids) | frozenset(self._tokenizer.added_tokens_decoder)
        last = next((token for token in reversed(self.messages(turns)) if token in special), None)
        return last if last != self.bos else None

    @cached_property
    def _template(self) -> ChatTemplate:
        """The device's own way to render: turns that a template refuses are joined here as they are there."""
        tokenizer = self._tokenizer
        return ChatTemplate(self.chat_template or "", bos=tokenizer.bos_token or "", eos=tokenizer.eos_token or "")

    def _rendered(self, messages: Messages, *, add_generation_prompt: bool) -> list[int]:
        rendered = self._template.render(messages, add_generation_prompt)
        ids = list(self._tokenizer(rendered, add_special_tokens=False, verbose=False).input_ids)
        return ids if ids[:1] == self._start() else [*self._start(), *ids]

    def _take_plain_template(self, folder: Path) -> None:
        if self._tokenizer.chat_template is not None:
            raise TemplateError(
                f"{folder} has a chat template of its own; leave export.chat_template out of the recipe"
            )
        if self.eos is None:
            raise TemplateError(f"{folder} has no EOS token to end a turn with; leave export.chat_template out")
        self._tokenizer.chat_template = PLAIN_TEMPLATE

    def _start(self) -> list[int]:
        return [] if self.bos is None else [self.bos]


def build_rows(recipe: Calibrate, tokenizer: ChatTokenizer, data: Path | None) -> TokenRows:
    """Calibration and tuning rows from disjoint documents. Raises TextError, TemplateError."""
    return merge_rows(rows_by_source(recipe, tokenizer, data))


def rows_by_source(recipe: Calibrate, tokenizer: ChatTokenizer, data: Path | None) -> dict[str, TokenRows]:
    """The rows of `build_rows` under the name of their text, those in the run-time format under `grounded`.

    Several texts give exactly their shares of the calibration rows; one alone may fall short by half. Of tuning rows each
    gives what it has, at most one for TUNING_PART. Raises TextError naming the text that is too short, with the numbers;
    TemplateError.
    """
    asked = asked_rows(recipe)
    grounded = asked.pop("grounded", 0)
    parts = {"grounded": TokenRows(*_grounded_rows(recipe, tokenizer, grounded))} if grounded else {}
    for source, wanted in asked.items():
        documents = read_source(source, data, "train")
        calibrating, tuning = split_tuning(documents, (document.id for document in documents), source)
        rows = _plain_rows(tokenizer, calibrating, wanted, recipe)
        if len(rows) < (wanted if len(recipe.text) > 1 else wanted / 2):
            raise TextError(
                f"text {source} gives {len(rows)} rows of {SHORTEST_ROW_TOKENS} to {recipe.tokens_per_sample} tokens and its "
                f"share of calibrate.samples is {wanted}; lower calibrate.samples or its share, or give more text"
            )
        parts[source] = TokenRows(rows, _plain_rows(tokenizer, tuning, -(-wanted // TUNING_PART), recipe))
    if not any(part.tuning for part in parts.values()):
        raise TextError("the documents kept for tuning give no row; name more text in calibrate.text")
    return parts


def asked_rows(recipe: Calibrate) -> dict[str, int]:
    """Calibration rows that the recipe asks of each text, those in the run-time format under `grounded`. Raises TextError."""
    grounded = round(recipe.samples * recipe.grounded_share)
    asked = {"grounded": grounded} if grounded else {}
    return {**asked, **share_out(recipe.samples - grounded, recipe.text)}


def merge_rows(parts: Mapping[str, TokenRows]) -> TokenRows:
    """All rows, text after text."""
    return TokenRows(
        [row for part in parts.values() for row in part.calibrate],
        [row for part in parts.values() for row in part.tuning],
    )


def share_out(rows: int, shares: Mapping[str, float]) -> dict[str, int]:
    """Rows per text by largest remainder, in order of name: they add up to `rows`. Raises TextError where one gets none."""
    if not rows:
        return {}
    exact = {source: rows * share / sum(shares.values()) for source, share in sorted(shares.items())}
    counts = {source: int(count) for source, count in exact.items()}
    by_remainder = sorted(exact, key=lambda source: counts[source] - exact[source])
    for source in by_remainder[: rows - sum(counts.values())]:
        counts[source] += 1
    for source, count in counts.items():
        if not count:
            raise TextError(f"the share of text {source} in {rows} rows is none; raise it or calibrate.samples")
    return counts


def _grounded_rows(recipe: Calibrate, tokenizer: ChatTokenizer, count: int) -> tuple[list[list[int]], list[list[int]]]:
    if not count:
        return [], []
    notes = split_notes()[0]
    parts = split_tuning(notes, (note.id for note in notes), "starter")
    wanted = (count, -(-count // TUNING_PART))
    rows = []
    for part, number in zip(parts, wanted, strict=True):
        examples = islice(grounded_examples(part, recipe.seed), number * GROUNDED_DRAWS)
        rows.append(
            _whole_first([tokenizer.messages(example) for example in examples], number, recipe.tokens_per_sample)
        )
    return rows[0], rows[1]


def _whole_first(rows: Sequence[list[int]], count: int, length: int) -> list[list[int]]:
    """Rows that hold their answer, because they fit; cut ones only where there are too few of those."""
    whole = [row for row in rows if len(row) <= length]
    cut = [row[:length] for row in rows if len(row) > length]
    return (whole + cut)[:count]


def _plain_rows(
    tokenizer: ChatTokenizer, documents: Sequence[Document], count: int, recipe: Calibrate
) -> list[list[int]]:
    """At most `count` rows of at least SHORTEST_ROW_TOKENS tokens; documents that have fewer give all they have."""
    order = list(documents)
    random.Random(recipe.seed).shuffle(order)
    rows: list[list[int]] = []
    for document in order:
        if len(rows) >= count:
            break
        windows = tokenizer.windows(document, recipe.tokens_per_sample)
        rows += [row for row in windows if len(row) >= SHORTEST_ROW_TOKENS]
    return rows[:count]


def save_rows(path: Path, rows: TokenRows) -> None:
    """Keep the rows for later stages. Raises StorageError."""
    tensors = {}
    for name, part in vars(rows).items():
        tensors[f"{name}.ids"] = torch.tensor([token for row in part for token in row], dtype=torch.int32)
        tensors[f"{name}.lengths"] = torch.tensor([len(row) for row in part], dtype=torch.int32)
    save_tensors(path, tensors)


def load_rows(path: Path) -> TokenRows:
    """What `save_rows` kept."""
    tensors, _ = load_tensors(path)

    def part(name: str) -> list[list[int]]:
        lengths = tensors[f"{name}.lengths"].tolist()
        return [row.tolist() for row in torch.split(tensors[f"{name}.ids"], lengths)]

    return TokenRows(part("calibrate"), part("tuning"))
