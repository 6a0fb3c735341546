"""A history made small: real files and real encryption, with a key that is quick to unwrap."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from assistant.history.conversation import Conversation, Message, new_id, now
from assistant.history.json_form import Found
from assistant.history.store import History
from assistant.history.vault import Vault
from assistant.history.wrapping import Work

QUICK = Work(n=2)
# For properties: what a busy machine takes for one example says nothing about it.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
PASSPHRASE = "correct horse battery"
TEXTS = st.text(max_size=40)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


@dataclass(frozen=True)
class Home:
    """A folder with a history in it, and what opens it."""

    vault: Vault
    key: bytes
    code: str

    @property
    def folder(self) -> Path:
        return self.vault.folder

    def open(self) -> History:
        return History.open(self.folder, self.key)


@pytest.fixture
def home(tmp_path: Path) -> Home:
    vault = Vault(tmp_path / "history", QUICK)
    home = Home(vault, *vault.create(PASSPHRASE))
    home.open().close()
    return home


@pytest.fixture
def history(home: Home) -> Iterator[History]:
    with closing(home.open()) as history:
        yield history


def question(text: str, parent: Message | None = None) -> Message:
    return Message(new_id(), parent.id if parent else None, "user", text, now(), "complete", {})


def answer(text: str, parent: Message, **details: object) -> Message:
    return Message(new_id(), parent.id, "assistant", text, now(), "complete", dict(details))


@pytest.fixture
def talked(history: History) -> Callable[..., Conversation]:
    """Adds a conversation of these texts, questions and answers in turn."""
    return lambda *texts: talk(history, *texts)


def talk(history: History, *texts: str) -> Conversation:
    begun = history.start(texts[0][:40])
    last: Message | None = None
    for place, text in enumerate(texts):
        last = answer(text, last) if place % 2 and last else question(text, last)
        history.add(begun.id, last)
    return history.conversation(begun.id)


def whole(history: History) -> list[Found]:
    """All that a history holds, the first changed first."""
    return [(each, history.messages(each.id)) for each in history.conversations(-1)[::-1]]
