"""The conversation that is open: its messages in memory, and each change given to the history behind them."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from assistant.errors import HistoryError
from assistant.history.conversation import Conversation, Message, Role, State, branch, new_id, now
from assistant.history.store import History
from assistant.plaintext import plain_line
from assistant.tui.keeper import Keeper
from assistant.tui.talk import Exchange, Knowledge, exchanges

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
        self._saved: set[str] = set()
        """Ids of the messages that the history has, or is being given."""
        self._saving = asyncio.Lock()

    @property
    def messages(self) -> list[Message]:
        """Of all branches."""
        return list(self._messages.values())

    @property
    def exchanges(self) -> list[Exchange]:
        """The branch that is shown."""
        return exchanges(branch(self.messages, self.tip))

    def close(self) -> None:
        """Go on with no conversation."""
        self.conversation = None
        self._hold((), None)

    def _hold(self, messages: Sequence[Message], tip: str | None) -> None:
        """These and no others, all of which the history has."""
        self._messages, self._following = {}, {}
        self._take(messages)
        self.tip, self._saved = tip, set(self._messages)

    async def open(self, conversation: Conversation) -> None:
        """Go on with one of the history. Raises HistoryError."""
        messages = await self.keeper.call(lambda history: history.messages(conversation.id))
        self.conversation = conversation
        self._hold(messages, conversation.tip)

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
            self._following.setdefault(message.parent, []).append(message.id)

    async def save(self, exchange: Exchange) -> None:
        """Give the history the messages of an exchange that it does not have, as they are now. Raises HistoryError."""
        async with self._saving:
            if self.conversation is None:
                title = plain_line(exchange.question.text)[:_MOST_TITLE] or "(no words)"
                self.conversation = await self.keeper.call(lambda history: history.start(title))
            for message in (exchange.note, exchange.question, exchange.answer):
                if message is not None and message.id not in self._saved:
                    self._saved.add(message.id)
                    now_is = self._messages.get(message.id, message)
                    try:
                        await self.keeper.call(
                            partial(History.add, conversation_id=self.conversation.id, message=now_is)
                        )
                    except HistoryError:
                        self._saved.discard(message.id)  # so that its progress is not refused once more each second
                        raise

    async def write(self, answer: Message, text: str, state: State, details: dict[str, Any]) -> Message:
        """The answer as it is now; in memory at once, whatever the history says. Raises HistoryError."""
        changed = replace(answer, text=text, state=state, details=details)
        if changed.id in self._messages:
            self._messages[changed.id] = changed
        if changed.id in self._saved:
            await self.keeper.call(partial(History.change, message=changed))
        return changed

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
        if conversation is not None:
            await self.keeper.call(lambda history: history.show_branch(conversation.id, tip))


def _message(parent: str | None, role: Role, text: str, state: State, details: dict[str, Any]) -> Message:
    return Message(new_id(), parent, role, text, now(), state, details)
