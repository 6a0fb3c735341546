"""Where tokens begin in the text that is returned, in code points of it."""

from collections.abc import Callable, Iterable, Sequence

from assistant.engine.request import Piece, TokenLogprob
from models.runtime.generate import Utf8Stream

Placed = tuple[TokenLogprob, int]


class Offsets:
    """A text that grows by tokens; one that begins inside a character has the place of that character."""

    def __init__(self) -> None:
        self._utf8 = Utf8Stream()
        self._complete = 0

    @property
    def length(self) -> int:
        """Code points so far, one that is not complete among them."""
        return self._complete + self._utf8.begun

    def place(self, data: bytes) -> int:
        """Where the token with these bytes begins."""
        goes_on = 0x80 <= data[0] < 0xC0 if data else True
        place = self._complete if goes_on else self.length
        self._complete += len(self._utf8.push(data))
        return place


def prompt_offsets(tokens: Iterable[bytes], text: str) -> list[int]:
    """Those of a prompt's tokens in `text`, which may lack what the tokenizer put before it."""
    offsets = Offsets()
    places = [offsets.place(data) for data in tokens]
    before = max(0, offsets.length - len(text))
    return [min(max(0, place - before), len(text)) for place in places]


class AnswerOffsets:
    """Those of an answer's tokens, each told once its text is certain: a stop string may yet cut it off."""

    def __init__(self, bytes_of: Callable[[int], bytes], start: int) -> None:
        """`bytes_of` gives what a token adds to the text; `start` is where the answer begins."""
        self._bytes_of, self._start = bytes_of, start
        self._offsets = Offsets()
        self._shown = 0
        self._waiting: list[Placed] = []

    def take(self, piece: Piece) -> list[Placed]:
        """The tokens that are certain now, in order."""
        self._shown += len(piece.text)
        self._waiting += [(each, self._offsets.place(self._bytes_of(each.token))) for each in piece.logprobs]
        certain = [placed for placed in self._waiting if placed[1] < self._shown]
        del self._waiting[: len(certain)]
        return self._told(certain)

    def finish(self) -> list[Placed]:
        """The others, at the end of the text at most."""
        return self._told([(each, min(place, self._shown)) for each, place in self._waiting])

    def _told(self, placed: Sequence[Placed]) -> list[Placed]:
        return [(each, self._start + place) for each, place in placed]
