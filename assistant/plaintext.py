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


def plain_line(text: str) -> str:
    """`text` as one line: controls removed, runs of white space made one space."""
    return " ".join(plain(text).split())
