"""The commands of the palette: everything that can be done, by name."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any

from textual.app import SystemCommand
from textual.command import DiscoveryHit, Hits
from textual.system_commands import SystemCommandsProvider

from assistant.knowledge.installed import installed_files
from assistant.knowledge.library import STARTER
from assistant.tui.themes import BY_NAME
from assistant.tui.upkeep import (
    attempt,
    back_up_history,
    change_passphrase,
    keep_for_days,
    purge_history,
    set_passphrase,
)
from models.builtin import REFERENCE_ID
from models.store import Store

if TYPE_CHECKING:
    from assistant.tui.app import ChatApp


class InOrder(SystemCommandsProvider):
    """The commands in their own order, not that of the alphabet, until something is typed."""

    async def discover(self) -> Hits:
        """All of them."""
        for command in self.app.get_system_commands(self.screen):
            yield DiscoveryHit(command.title, command.callback, help=command.help)


def commands(app: "ChatApp") -> Iterator[SystemCommand]:
    """All, in the order in which they are shown."""
    chat = app.chat

    def later(work: Callable[..., Any], *arguments: Any) -> Callable[[], None]:
        return partial(app.carry_out, partial(work, *arguments))

    yield SystemCommand("Help", "All keys (F1)", app.action_help)
    yield SystemCommand("New conversation", "Ctrl+N", later(app.action_new))
    told = "List, search, open, rename, tag, export, delete (Ctrl+G)"
    yield SystemCommand("History", told, later(app.action_history))
    yield SystemCommand("Stop", "End the answer at once (Esc)", chat.action_escape)
    yield SystemCommand("Answer again", "Another answer to the question (Ctrl+R)", chat.action_again)
    yield SystemCommand("Edit the question", "Ask anew in its place; the former stays (F3)", chat.action_edit)
    yield SystemCommand("Version before", "Of the turn (Left)", later(chat.action_branch, -1))
    yield SystemCommand("Next version", "Of the turn (Right)", later(chat.action_branch, 1))
    yield SystemCommand("Open a passage", "The next passage of the answer (Ctrl+O)", chat.action_next_source)
    yield SystemCommand("Copy the answer", "Through the terminal, OSC 52 (Ctrl+Y)", chat.action_copy)
    yield SystemCommand("Copy the code", "Of the answer", chat.action_copy_code)
    yield SystemCommand("Details of the answer", "What it was made with, its speed and energy", chat.action_details)
    yield SystemCommand("Text to patient note", "And back (F2)", chat.action_swap_note)
    yield from _private(app)
    for name in ("on", "off", STARTER, *installed_files()):
        told = {"on": "Answer from all libraries", "off": "Ask the model alone; nothing is checked"}.get(
            name, "Answer from it"
        )
        yield SystemCommand(f"Library: {name}", told, partial(_library, app, name))
    for name in (REFERENCE_ID, *(manifest.id for manifest in Store().entries())):
        yield SystemCommand(f"Model: {name}", "On a private server", later(app.session.switch, name))
    for name, theme in BY_NAME.items():
        yield SystemCommand(f"Theme: {name}", "Ctrl+T changes it", partial(setattr, app, "theme", theme))
    yield SystemCommand("Quit", "Ctrl+Q", later(app.action_quit))


def _private(app: "ChatApp") -> Iterator[SystemCommand]:
    leaving = app.session.storage == "incognito"
    told = "Back to conversations as before" if leaving else "A new conversation that never touches the disk"
    name = "Leave incognito" if leaving else "Incognito conversation"
    yield SystemCommand(name, told, partial(app.carry_out, partial(app.privacy.incognito, app)))
    told = (
        "Hide everything (Ctrl+L)"
        if app.privacy.can_lock
        else f"Wipe everything, since {app.privacy.why_no_lock} (Ctrl+L)"
    )
    yield SystemCommand("Lock", told, partial(app.carry_out, app.action_lock))
    if not app.privacy.vault.exists:
        told = "Keep conversations, encrypted; those in memory as well"
        yield SystemCommand("Set a passphrase", told, partial(app.carry_out, partial(attempt, app, set_passphrase)))
    elif not app.privacy.is_open:
        yield SystemCommand(
            "Unlock the history", "With its passphrase", partial(app.carry_out, partial(app.privacy.ask, app))
        )
    else:
        for name, told, work in (
            ("Change the passphrase", "The recovery code stays, backups open as before", change_passphrase),
            ("Back up the history", "Into one encrypted file", back_up_history),
            ("Retention of the history", "How many days conversations are kept", keep_for_days),
            ("Purge the history", "Remove old conversations, or all, for good", purge_history),
        ):
            yield SystemCommand(name, told, partial(app.carry_out, partial(attempt, app, work)))


def _library(app: "ChatApp", name: str) -> None:
    app.session.knowledge = name
    app.chat.grew()
