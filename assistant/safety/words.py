"""A text as words and marks with their places, in sentences; one pass over it, whatever it holds."""

import re
from typing import NamedTuple

_TOKEN = re.compile(
    r"(?:[chrwy]/o|s/p|h/a|n/v)(?![^\W_])|[^\W_]+(?:'[^\W_]+|(?<=\d)\.(?=\d)[^\W_]+)*|[-.,;:!?()/%°<>=≥≤~+\n]"
)
_SAME_LENGTH = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "´": "'", "–": "-", "—": "-", "−": "-", "‐": "-", "‑": "-"} | {
    chr(0x2080 + digit): str(digit) for digit in range(10)  # SpO₂
})  # fmt: skip
_WRITTEN_OUT = {
    "c/o": "complains", "h/o": "history", "w/o": "without", "s/p": "previous", "r/o": "ruleout", "y/o": "yo",
    "h/a": "headache", "n/v": "vomiting",
}  # fmt: skip
_ENDS = frozenset(".!?;\n")


class Token(NamedTuple):
    """A word in lower case with ae and oe as e, or a mark; code points in the text, end exclusive."""

    word: str
    start: int
    end: int
    sentence: int


def lowered(text: str) -> str:
    """Lower case and plain marks, every character where it was."""
    if text.isascii():
        return text.lower()
    text = text.translate(_SAME_LENGTH)
    lower = text.lower()
    if len(lower) == len(text):
        return lower
    return "".join(small if len(small := character.lower()) == 1 else character for character in text)


def folded(word: str) -> str:
    """A word as phrases and texts are compared: British and American spelling alike."""
    return word.replace("ae", "e").replace("oe", "e")


def tokens_of(lower: str) -> list[Token]:
    """All words and marks of what `lowered` gave."""
    found: list[Token] = []
    sentence, opened = 0, False
    for match in _TOKEN.finditer(lower):
        start, end = match.span()
        word = lower[start:end]
        if word in _ENDS and not (word == "?" and _is_query(lower, start)):
            found.append(Token(word, start, end, sentence))
            sentence, opened = sentence + opened, False
            continue
        opened = True
        if "/" in word:
            word = _WRITTEN_OUT.get(word, word)
        elif "ae" in word or "oe" in word:
            word = folded(word)
        found.append(Token(word, start, end, sentence))
    return found


def _is_query(lower: str, at: int) -> bool:
    """`?PE` asks whether it is one, and ends no sentence."""
    before = lower[at - 1] if at else " "
    after = lower[at + 1] if at + 1 < len(lower) else " "
    return after.isalnum() and not before.isalnum()
