"""Text that is safe to show: everything that a terminal could take for a command is removed.

Model output, passages and notes are untrusted. Dropped are C0 controls except line feed and tab, DEL, C1, and the
bidirectional controls that can make text read differently from what it is.
"""

_KEPT = {ord("\n"), ord("\t")}
_C0_DEL_C1 = (*range(0x20), *range(0x7F, 0xA0))
_BIDI = (0x061C, 0x200E, 0x200F, *range(0x202A, 0x202F), *range(0x2066, 0x206A))
_LINE_SEPARATORS = (0x2028, 0x2029)
_SURROGATES = range(0xD800, 0xE000)

_TABLE: dict[int, str | None] = dict.fromkeys((*_C0_DEL_C1, *_BIDI))
_TABLE.update(dict.fromkeys(_LINE_SEPARATORS, "\n"))
_TABLE.update(dict.fromkeys(_SURROGATES, "\ufffd"))
for _code in _KEPT:
    del _TABLE[_code]


def plain(text: str) -> str:
    """`text` without terminal and bidirectional controls; works piece by piece as well as on the whole."""
    return text.translate(_TABLE)


class Trimmer:
    """Pieces of a text without the white space before its first and after its last word, as early as that can be known."""

    def __init__(self) -> None:
        self._held, self._started = "", False

    def push(self, piece: str) -> str:
        """What can be shown now: white space waits for a word behind it."""
        waiting = self._held + piece
        if not self._started:
            waiting = waiting.lstrip()
        shown = waiting.rstrip()
        self._held = waiting[len(shown) :]
        self._started = self._started or bool(shown)
        return shown


def plain_line(text: str) -> str:
    """`text` as one line: controls removed, runs of white space made one space."""
    return " ".join(plain(text).split())
