"""What healing reads: rows of token ids with a loss weight per token, in the order in which they are trained on.

In a conversation a question's tokens weigh little, its answer's 1, and the first token of a grounded answer most: it decides
between quoting and admitting that nothing fits, as in the reference model's own training (compressor/pretrain).
"""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, takewhile
from pathlib import Path

from compressor.examples.corpora import read_sections
from compressor.examples.grounded import conversations
from compressor.grounded import Messages, grounded_examples
from compressor.recipe.tables import Heal
from compressor.text import Document, read_source, split_tuning
from compressor.tokens import ChatTokenizer
from models.errors import TextError
from models.starter import split_notes

SECTIONED = "medquad"
"""The data that has titles, headings and questions, so that grounded examples are made of it."""
SOURCES = {"meadow": "medical_meadow"}
"""Names of `heal.data` that stand for a corpus of another name."""
GROUNDED_DRAWS = 8
"""Examples drawn for each one wanted: those longer than a row are left out, since cut ones have no answer."""


@dataclass(frozen=True)
class HealRow:
    """Token ids, and for each how much its prediction weighs in the loss; 0 for the first."""

    ids: list[int]
    weights: list[float]


@dataclass(frozen=True)
class HealRows:
    """`train` in training order, whole epochs and steps already counted out; `tuning` from other documents."""

    train: list[HealRow]
    tuning: list[HealRow]


def source_name(recipe: Heal) -> str:
    """The name under which compressor.text knows the recipe's data."""
    return SOURCES.get(recipe.data, recipe.data)


def build_heal_rows(recipe: Heal, tokenizer: ChatTokenizer, data: Path | None) -> HealRows:
    """Rows for all steps of the recipe, and tuning rows. Raises TextError, TemplateError."""
    source = source_name(recipe)
    documents = read_source(source, data, "train")
    parts = split_tuning(documents, (document.id for document in documents), source)
    grounded = _grounded_parts(recipe, data)
    most = None if recipe.steps is None else recipe.steps * recipe.batch_rows
    train = _mixed(recipe, tokenizer, parts[0], grounded[0], most=most, epochs=recipe.epochs)
    tuning = _mixed(recipe, tokenizer, parts[1], grounded[1], most=recipe.tuning_rows, epochs=1)
    if len(train) < recipe.batch_rows:
        raise TextError(
            f"text {source} gives {len(train)} rows, less than one step of heal.batch_rows = {recipe.batch_rows}; "
            "lower it or name more text"
        )
    return HealRows(train, tuning)


def _mixed(
    recipe: Heal,
    tokenizer: ChatTokenizer,
    documents: Sequence[Document],
    conversations: Iterator[Messages],
    *,
    most: int | None,
    epochs: int,
) -> list[HealRow]:
    """Rows of the documents, `epochs` times over, and the recipe's share of grounded ones; `most` rows at most."""
    share = recipe.grounded_share
    plain = chain.from_iterable(_plain_rows(recipe, tokenizer, documents) for _ in range(epochs))
    rows = list(islice(plain, None if most is None else most - round(most * share)))
    grounded = round(len(rows) * share / (1 - share))
    rows += _grounded_rows(
        recipe, tokenizer, conversations, grounded if most is None else min(grounded, most - len(rows))
    )
    random.Random(recipe.seed).shuffle(rows)
    return rows


def _plain_rows(recipe: Heal, tokenizer: ChatTokenizer, documents: Sequence[Document]) -> Iterator[HealRow]:
    """Rows of all documents, made as they are asked for: a corpus takes minutes, a short training a few hundred rows."""
    order = list(documents)
    random.Random(recipe.seed).shuffle(order)
    for document in order:
        yield from _document_rows(recipe, tokenizer, document)


def _document_rows(recipe: Heal, tokenizer: ChatTokenizer, document: Document) -> Iterator[HealRow]:
    length = recipe.tokens_per_row
    # By document, so that it has one form in every epoch; a string seeds the same on every Python.
    plain = random.Random(f"{recipe.seed}/{document.id}").random() < recipe.plain_share
    if document.question is None or plain:
        for ids in tokenizer.windows(Document(document.id, document.plain), length):
            yield HealRow(ids, [0.0] + [1.0] * (len(ids) - 1))
        return
    if tokenizer.has_template:
        turns = [{"role": "user", "content": document.question}, {"role": "assistant", "content": document.text}]
        ids, start = tokenizer.messages(turns), _answer_start(tokenizer, turns)
    else:
        question = [] if tokenizer.bos is None else [tokenizer.bos]
        question += tokenizer.text(document.question + "\n")
        end = [] if tokenizer.eos is None else [tokenizer.eos]
        ids, start = [*question, *tokenizer.text(document.text), *end], len(question)
    if start < length:
        yield _weighted(recipe, ids[:length], start, 1.0)


def _grounded_parts(recipe: Heal, data: Path | None) -> tuple[Iterator[Messages], Iterator[Messages]]:
    """Endless conversations to train on and to tune on, from the documents that the other rows of each come from.

    MedQuAD's own sections serve where it heals: the few dozen starter notes are soon known by heart.
    """
    if recipe.data == SECTIONED and recipe.grounded_share and data is not None:
        sections = [*read_sections(data, SECTIONED, "train"), *read_sections(data, SECTIONED, "tuning")]
        train, tuning = split_tuning(sections, (section.doc for section in sections), SECTIONED)
        return conversations(train, recipe.seed), conversations(tuning, recipe.seed)
    notes = split_notes()[0]
    part = split_tuning(notes, (note.id for note in notes), "starter")
    return grounded_examples(part[0], recipe.seed), grounded_examples(part[1], recipe.seed)


def _grounded_rows(
    recipe: Heal, tokenizer: ChatTokenizer, conversations: Iterator[Messages], count: int
) -> list[HealRow]:
    rows: list[HealRow] = []
    for turns in islice(conversations, count * GROUNDED_DRAWS):
        if len(rows) == count:
            break
        ids = tokenizer.messages(turns)
        if len(ids) <= recipe.tokens_per_row:
            rows.append(_weighted(recipe, ids, _answer_start(tokenizer, turns), recipe.decision_weight))
    if count and next(conversations, None) is None:
        raise TextError(f"text {recipe.data} has no section that could be quoted; set heal.grounded_share = 0")
    if len(rows) < count:
        raise TextError(
            f"heal.tokens_per_row = {recipe.tokens_per_row} holds {len(rows)} grounded examples, {count} are wanted; "
            "raise it or lower heal.grounded_share"
        )
    return rows


def _answer_start(tokenizer: ChatTokenizer, turns: Messages) -> int:
    """How many of the conversation's ids stand before the answer's first."""
    pairs = zip(tokenizer.messages(turns), tokenizer.prompt(turns[:-1]), strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _weighted(recipe: Heal, ids: list[int], start: int, first: float) -> HealRow:
    weights = [recipe.question_weight] * start + [1.0] * (len(ids) - start)
    weights[start] = first
    weights[0] = 0.0
    return HealRow(ids, weights)
