"""Pastes that hold escape characters: some terminals, tmux 3.3 among them, hand them over as they are.

Textual 8.2 would leave the paste at the first of them, and take what follows for keys.
"""

from collections.abc import Iterable

from textual._xterm_parser import BRACKETED_PASTE_END, BRACKETED_PASTE_START, XTermParser
from textual.message import Message

_ESC = "\x1b"
_MARK = len(BRACKETED_PASTE_START)


class PasteParser(XTermParser):
    """Reads what a terminal sends; of what stands in a paste it leaves the escape characters out."""

    def __init__(self, debug: bool = False) -> None:
        super().__init__(debug)
        self._is_pasting = False
        self._before = ""
        """Outside of a paste the last of what came, which may have begun one; in it what may have begun its end."""

    def feed(self, data: str) -> Iterable[Message]:
        """The next piece; an empty one is the end."""
        cleaned = self._cleaned(data)
        return super().feed(cleaned) if cleaned or not data else ()

    def _cleaned(self, data: str) -> str:
        found: list[str] = []
        while data:
            if self._is_pasting:
                text, end, data = (self._before + data).partition(BRACKETED_PASTE_END)
                kept = 0 if end else _begun(text, BRACKETED_PASTE_END)
                self._before = text[len(text) - kept :]
                found += [text[: len(text) - kept].replace(_ESC, ""), end]
                self._is_pasting = not end
            else:
                place = (self._before + data).find(BRACKETED_PASTE_START)
                self._is_pasting = place >= 0
                taken = place + _MARK - len(self._before) if self._is_pasting else len(data)
                self._before = "" if self._is_pasting else (self._before + data)[1 - _MARK :]
                found.append(data[:taken])
                data = data[taken:]
        return "".join(found)


def _begun(text: str, mark: str) -> int:
    """How many characters at the end of the text begin the mark."""
    return next((count for count in range(len(mark) - 1, 0, -1) if text.endswith(mark[:count])), 0)
