"""What a benchmark question is, and what a model says to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Mode = Literal["likelihood", "generate"]
Template = Literal["lm-eval", "context"]
Metric = Literal["acc", "acc_norm"]
Question = tuple[str, Sequence[str]]
"""Prompt and choices, as a scorer needs them."""


@dataclass(frozen=True)
class Item:
    """One question with its possible answers."""

    id: str
    prompt: str
    """What the model reads; the answer follows after one space."""
    choices: tuple[str, ...]
    """The answers that are compared, without that space."""
    gold: int
    """Index of the right choice."""
    question: str
    """What a person would read as the question, for tags and listings."""


@dataclass(frozen=True)
class Task:
    """A set of items and how they are counted."""

    name: str
    labels: tuple[str, ...]
    """Names of the classes, by index of the choice."""
    metric: Metric
    """What decides: `acc` the largest log-likelihood, `acc_norm` the largest per character of the choice (lm-eval)."""
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Completion:
    """What a model wrote, and whether it ended by itself (or at the stop text)."""

    text: str
    ended: bool


class Scorer(Protocol):
    """A model that weighs given answers."""

    def loglikelihoods(self, questions: Sequence[Question]) -> list[list[float]]:
        """ln p of ` choice` after each question's prompt, for each of its choices, in nats."""


class Writer(Protocol):
    """A model that writes."""

    def complete(self, prompt: str, max_tokens: int, stop: str | None = None) -> Completion:
        """Greedy continuation of plain text, cut before `stop`."""

    def answer(self, messages: Sequence[dict[str, str]], max_tokens: int) -> Completion | None:
        """Greedy answer to a conversation in the model's own chat template; None where it does not fit the context."""


class LanguageModel(Scorer, Writer, Protocol):
    """Both, as the files and checkpoints do."""
