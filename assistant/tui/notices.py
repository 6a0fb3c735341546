"""Notices that go by themselves, and the clipboard of the terminal; what is shown is never markup."""

from typing import Any, Literal

from textual.app import App

from assistant.plaintext import plain

Severity = Literal["information", "warning", "error"]


def say(app: App[Any], text: str, severity: Severity = "information") -> None:
    """A notice."""
    app.notify(plain(text), severity=severity, markup=False)


def copy(app: App[Any], text: str, what: str) -> None:
    """Give text to the terminal's clipboard, and say that it may refuse."""
    app.copy_to_clipboard(plain(text))
    say(app, f"copied {what}: {len(text):,} characters, through the terminal (OSC 52); some terminals refuse")


def forget_copied(app: App[Any]) -> None:
    """What was copied here is not pasted here again. The terminal's own clipboard is the person's, and stays."""
    app._clipboard = ""  # Textual has no other way than to copy nothing, which would empty that one as well
