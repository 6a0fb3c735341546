"""From tokens to the text that may be shown: whole code points, nothing of a stop string, nothing that may become one."""

from collections.abc import Sequence

from models.runtime.generate import Utf8Stream


class TextOutput:
    """The text of one answer as it becomes certain."""

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self._stops = [stop for stop in stops if stop]
        self._utf8 = Utf8Stream()
        self._held = ""
        self.stopped = False
        """Whether a stop string has come; what follows it is dropped."""

    def push(self, data: bytes) -> str:
        """The text that the bytes of a token make certain."""
        return "" if self.stopped else self._release(self._utf8.push(data))

    def finish(self) -> str:
        """What was held back, once it is known that no more comes."""
        if self.stopped:
            return ""
        text = self._release(self._utf8.finish())
        text, self._held = text + self._held, ""
        return text

    def _release(self, text: str) -> str:
        self._held += text
        places = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if places:
            self.stopped = True
            shown, self._held = self._held[: min(places)], ""
            return shown
        keep = max((self._overlap(stop) for stop in self._stops), default=0)
        shown, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
        return shown

    def _overlap(self, stop: str) -> int:
        """Length of the longest end of what is held that `stop` begins with."""
        longest = min(len(stop) - 1, len(self._held))
        return next((length for length in range(longest, 0, -1) if self._held.endswith(stop[:length])), 0)
