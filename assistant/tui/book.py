"""The conversation that is open: its messages in memory, and each change given to the history behind them."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from assistant.errors import HistoryError, RemovedError
from assistant.history.conversation import Conversation, Message, Role, State, branch, new_id, now
from assistant.history.store import History
from assistant.plaintext import plain_line
from assistant.tui.keeper import Keeper
from assistant.tui.talk import Exchange, Knowledge, exchanges
from models.errors import BedsideError

_MOST_TITLE = 60


class Book:
    """One conversation at a time."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.conversation: Conversation | None = None
        self._messages: dict[str, Message] = {}
        """By id, in the order in which they were written."""
        self._following: dict[str | None, list[str]] = {}
        """Ids of the messages after each; looked up for every turn, of which a conversation may have thousands."""
        self.tip: str | None = None
        self._had: set[str] = set()
        """Ids of the messages that the history has, as they are or as they were."""
        self._waiting: dict[str, None] = {}
        """Ids of the messages that it does not have as they are, each behind what it follows."""
        self._saving = asyncio.Lock()
        self.growing: frozenset[str] = frozenset()
        """Ids of the answers that another terminal was writing when the conversation was opened."""
        self._is_refused = False
        self.is_removed = False
        """Whether the history had it, until it was removed elsewhere."""

    @property
    def is_saved(self) -> bool:
        """Whether the history took all that it was given."""
        return not (self._is_refused or self.is_removed)

    @property
    def messages(self) -> list[Message]:
        """Of all branches."""
        return list(self._messages.values())

    @property
    def exchanges(self) -> list[Exchange]:
        """The branch that is shown."""
        return exchanges(branch(self.messages, self.tip))

    def _hold(self, messages: Sequence[Message], tip: str | None) -> None:
        """These and no others, all of which the history has."""
        self._messages, self._following = {}, {}
        self._take(messages)
        self.tip, self._had, self._waiting = tip, set(self._messages), {}
        self._is_refused = self.is_removed = False

    async def open(self, conversation: Conversation) -> None:
        """Go on with one of the history. Raises HistoryError."""
        name = conversation.id
        messages, growing = await self.keeper.call(lambda history: (history.messages(name), history.growing(name)))
        self.conversation = conversation
        self._hold(messages, conversation.tip)
        self.growing = growing

    def ask(self, text: str, note: str | None, knowledge: Knowledge, instead_of: Exchange | None = None) -> Exchange:
        """A new question behind the branch that is shown, or in the place of another, with a message for its answer."""
        kept = None if instead_of is None else instead_of.note
        parent = self.tip if instead_of is None else instead_of.first.parent
        told: list[Message] = []
        if note and (kept is None or kept.text != note):
            told.append(kept := _message(parent, "user", note, "complete", {"kind": "note"}))
        kept = kept if note else None
        told.append(_message(kept.id if kept else parent, "user", text, "complete", {"knowledge": knowledge}))
        told.append(_message(told[-1].id, "assistant", "", "writing", {}))
        self._take(told)
        self.tip = told[-1].id
        return Exchange(told[-2], kept, told[-1])

    def ask_again(self, exchange: Exchange) -> Exchange:
        """Another answer to the same question."""
        answer = _message(exchange.question.id, "assistant", "", "writing", {})
        self._take([answer])
        self.tip = answer.id
        return replace(exchange, answer=answer)

    def _take(self, told: Sequence[Message]) -> None:
        for message in told:
            self._messages[message.id] = message
            self._waiting[message.id] = None
            self._following.setdefault(message.parent, []).append(message.id)

    async def save(self) -> None:
        """Give the history what it does not have as it is now, the oldest first: what it refused before, too.

        Where the conversation was removed elsewhere, that holds: whoever purged it meant to. It goes on in memory only, and
        nothing of it is given to the history again.

        Raises:
            HistoryError: the history refuses it, or the conversation was removed; that is said once.
        """
        async with self._saving:
            if self.is_removed:
                return
            try:
                await self._give()
            except RemovedError:
                self.is_removed = True
                raise HistoryError(
                    "this conversation was deleted elsewhere: it is in memory only now, not saved; Ctrl+N begins a new one"
                ) from None
            except BedsideError:
                self._is_refused = True
                raise
            self._is_refused = False

    async def _give(self) -> None:
        if self.conversation is None:
            asked = next(each for each in self.messages if each.details.get("kind") != "note")
            title = plain_line(asked.text)[:_MOST_TITLE] or "(no words)"
            self.conversation = await self.keeper.call(lambda history: history.start(title))
        while self._waiting:
            message = self._messages[next(iter(self._waiting))]
            give = partial(History.add, conversation_id=self.conversation.id)
            await self.keeper.call(partial(History.change if message.id in self._had else give, message=message))
            self._had.add(message.id)
            if self._messages.get(message.id) is message:  # else it has grown meanwhile
                self._waiting.pop(message.id, None)

    async def write(self, answer: Message, text: str, state: State, details: dict[str, Any]) -> Message:
        """The answer as it is now; in memory at once, whatever the history says. Raises HistoryError.

        While the history refuses or is busy, progress waits for the end: it would be refused once more each second.
        """
        changed = replace(answer, text=text, state=state, details=details)
        if changed.id in self._messages:
            self._messages[changed.id] = changed
            self._waiting[changed.id] = None
            if state != "writing" or not (self._is_refused or self._saving.locked()):
                await self.save()
        return changed

    def moved(self, keeper: Keeper) -> None:
        """Go on in another history, which has all messages where it has the conversation."""
        self.keeper = keeper
        if self.conversation is not None:
            self._had, self._waiting, self._is_refused = set(self._messages), {}, False

    def alternatives(self, exchange: Exchange) -> list[str]:
        """The last messages of all versions of an exchange, the oldest first."""
        found: list[str] = []
        for first in self._after(exchange.first.parent):
            questions = self._after(first.id) if first.details.get("kind") == "note" else [first]
            for question in questions:
                answers = [answer.id for answer in self._after(question.id) if answer.role == "assistant"]
                found += answers or [question.id]
        return found

    def _after(self, parent: str | None) -> list[Message]:
        return [self._messages[each] for each in self._following.get(parent, ())]

    async def show(self, start: str) -> None:
        """Show the branch through a message, to the end that was written last. Raises HistoryError."""
        self.tip = start
        while following := self._following.get(self.tip):
            self.tip = following[-1]
        conversation, tip = self.conversation, self.tip
        await self.save()
        if conversation is not None and not self.is_removed:
            await self.keeper.call(lambda history: history.show_branch(conversation.id, tip))


def _message(parent: str | None, role: Role, text: str, state: State, details: dict[str, Any]) -> Message:
    return Message(new_id(), parent, role, text, now(), state, details)
