"""The application: its screens, themes and commands, and the lock behind an idle keyboard."""

import asyncio
import gc
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

from rich.text import Text
from textual import events
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.command import Provider
from textual.screen import Screen
from textual.widgets import Input

from assistant.tui.chat import ChatScreen
from assistant.tui.dialogs import Confirm, Help, Quit, RecoveryCode
from assistant.tui.link import Link
from assistant.tui.locking import LockScreen
from assistant.tui.notices import copy, say
from assistant.tui.palette import InOrder, commands
from assistant.tui.privacy import Privacy
from assistant.tui.session import Session
from assistant.tui.themes import DARK, THEMES

WARN_S = 30.0
"""So long before the screen is wiped it is said."""


class ChatApp(App[None]):
    """`bedside chat`."""

    CSS_PATH = "styles.tcss"
    TITLE = "Bedside"
    ENABLE_COMMAND_PALETTE = True
    VERTICAL_BREAKPOINTS = [(0, "-tiny"), (7, "-low"), (14, "-high"), (30, "-tall")]  # noqa: RUF012  (as Textual declares it)
    COMMANDS: ClassVar[set[type[Provider] | Callable[[], type[Provider]]]] = {InOrder}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f1", "help", "Help", show=False, priority=True),
        Binding("ctrl+n", "new", "New conversation", show=False, priority=True),
        Binding("ctrl+g", "history", "History", show=False, priority=True),
        Binding("ctrl+l", "lock", "Lock", show=False, priority=True),
        Binding("ctrl+t", "theme", "Theme", show=False, priority=True),
        Binding("ctrl+c", "interrupt", "Stop", show=False, priority=True),
    ]

    def __init__(self, link: Link, knowledge: str, privacy: Privacy, theme: str = DARK, lock_s: float = 300.0) -> None:
        super().__init__()
        for each in THEMES:
            self.register_theme(each)
        self.theme = theme
        self.animation_level = "none"  # calm, and little to send over a slow line
        self._lock_s, self._used_at, self._warned = lock_s, time.monotonic(), False
        self.privacy = privacy
        self.unlocked = asyncio.Event()
        """Set for as long as the conversation can be seen."""
        self.unlocked.set()
        self.chat = ChatScreen(lambda view: Session(link, knowledge, view))

    @property
    def session(self) -> Session:
        """The conversation."""
        return self.chat.session

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """The style sheet's own variables, for any theme."""
        return dict(THEMES[0].variables)

    async def on_mount(self) -> None:
        """The conversation, and before it the lock where there is a history to open."""
        asyncio.get_running_loop().set_exception_handler(self._failed_beside)
        if threading.current_thread() is threading.main_thread():  # others get no signals
            for number in (signal.SIGTERM, signal.SIGHUP):  # at once, but the terminal is given back as it was
                end = partial(self.exit, return_code=128 + number)
                asyncio.get_running_loop().add_signal_handler(number, end)
        await self.push_screen(self.chat)
        await self.privacy.arrive(self)
        gc.freeze()  # what is loaded stays: to look through all of it for garbage would hold up a key for 80 ms
        self.set_interval(min(self._lock_s / 5, 1.0), self._look_at_the_clock)

    async def on_event(self, event: events.Event) -> None:
        """Every key, click and paste says that somebody is there."""
        if isinstance(event, events.Key | events.Paste | events.MouseEvent):
            self._used_at, self._warned = time.monotonic(), False
        await super().on_event(event)

    @property
    def is_locked(self) -> bool:
        """Whether only the passphrase helps."""
        return not self.unlocked.is_set()

    async def _look_at_the_clock(self) -> None:
        idle_s = time.monotonic() - self._used_at
        if self.is_locked:
            return
        if idle_s >= self._lock_s:
            await self._hide(f"wiped: nobody was here, and {self.privacy.why_no_lock}")
        elif idle_s >= self._lock_s - min(WARN_S, self._lock_s / 2) and not self._warned:
            self._warned = True
            what = "locks" if self.privacy.can_lock else f"is wiped, since {self.privacy.why_no_lock}"
            say(self, f"in {self._lock_s - idle_s:.0f} s the screen {what}: press any key", "warning")

    async def action_lock(self) -> None:
        """Hide everything behind the passphrase; without one everything would have to be wiped, which is asked first."""
        reason = self.privacy.why_no_lock
        if self.is_locked or isinstance(self.screen, Confirm):
            return
        if not reason:
            await self._hide("")
            return

        async def agreed(answered: bool | None) -> None:
            if answered:
                await self._hide(f"wiped: {reason} to lock with")

        question = f"Wipe the screen and all conversations in memory for good? They cannot be locked: {reason}."
        await self.push_screen(Confirm(question), agreed)

    async def _hide(self, why_wiped: str) -> None:
        """Behind the passphrase, with the history closed; without a passphrase everything is wiped."""
        self._used_at, self._warned = time.monotonic(), False
        self.session.stop()
        self.clear_notifications()
        while self.screen is not self.chat and not isinstance(self.screen, RecoveryCode):
            self.screen.dismiss(None)
        if self.privacy.can_lock:
            self.unlocked.clear()
            await self.push_screen(LockScreen(self, self.privacy), lambda _: self.unlocked.set())
            await self.privacy.shut(self)
        else:
            await self.privacy.wipe(self)
            self.chat.doing(why_wiped)

    def action_help(self) -> None:
        """All keys."""
        if not self.is_locked and not isinstance(self.screen, Help):
            self.push_screen(Help())

    async def action_new(self) -> None:
        """Begin a new conversation."""
        if not self.is_locked:
            await self.session.new()

    async def action_history(self) -> None:
        """List, search, open."""
        from assistant.tui.shelf import HistoryScreen

        if not self.is_locked and not isinstance(self.screen, HistoryScreen):
            await self.push_screen(HistoryScreen(self.session))

    async def action_quit(self) -> None:
        """Leave; where something would be gone with it, ask first."""
        if isinstance(self.screen, Quit):
            if self.screen.again_agrees:
                self.exit()
        elif lost := await self.privacy.lost_by_leaving(self):
            again_agrees = not self.privacy.is_code_pending
            await self.push_screen(
                Quit(lost, again_agrees=again_agrees), lambda agreed: self.exit() if agreed else None
            )
        else:
            self.exit()

    def action_theme(self) -> None:
        """The next theme."""
        names = [each.name for each in THEMES]
        self.theme = names[(names.index(self.theme) + 1) % len(names)]

    def action_interrupt(self) -> None:
        """Ctrl-C copies what is selected, else stops the answer, else says how to quit."""
        focused = self.focused
        selected = getattr(focused, "selected_text", "")
        if selected and not (isinstance(focused, Input) and focused.password):
            copy(self, selected, "the selection")
        elif not self.session.stop():
            say(self, "Ctrl+Q quits")

    def action_command_palette(self) -> None:
        """Nothing behind the lock can be reached by name."""
        if not self.is_locked:
            super().action_command_palette()

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Everything that can be done, by name."""
        return commands(self)

    def carry_out(self, work: Callable[[], Any]) -> None:
        """Carry out a command that takes its time."""
        self.run_worker(work(), exclusive=False)

    def _failed_beside(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What failed in no key's course. When the terminal closes, nobody is there to be told."""
        error = context.get("exception")
        if error is not None and self._running and not self._exit:
            say(self, f"something failed ({_named(error)}); what was saved is kept", "error")

    def _fatal_error(self) -> None:
        """Instead of Textual's report, which prints the values of variables: a patient's text would stay on the screen."""
        self.panic(sys.exc_info()[1])

    def panic(self, *renderables: Any) -> None:
        """Leave with one line: of what fails after it, it would be the cause."""
        if self._exit_renderables:
            return
        error = next((each for each in renderables if isinstance(each, BaseException)), None)
        named = "" if error is None else f" ({_named(error)})"
        super().panic(Text(f"error: the terminal failed{named}; what was saved is kept"))

    async def on_unmount(self) -> None:
        """However the terminal ends, save what there is."""
        for close in (self.session.close, self.privacy.close):
            try:
                await close()
            except Exception as error:
                self._handle_exception(error)


def _named(error: BaseException) -> str:
    """Its kind and its place, without its words: they may be a patient's."""
    place = traceback.extract_tb(error.__traceback__)[-1:]
    return "".join([type(error).__name__, *(f" at {Path(each.filename).name}:{each.lineno}" for each in place)])
