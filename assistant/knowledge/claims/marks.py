"""Citation marks: `[2]`, `[1][2]`, `[1, 2]`, before or behind the full stop."""

import re

MARK = re.compile(r"(?<!\s)\s*\[(\d{1,3}(?:\s?[,;]\s?\d{1,3})*)\]")


def without_marks(sentence: str) -> str:
    """The sentence without its citation marks."""
    return MARK.sub("", sentence).strip()


def cited_numbers(sentence: str) -> tuple[int, ...]:
    """The numbers of the passages that the sentence cites, each once, in order."""
    found = [number for group in MARK.findall(sentence) for number in re.findall(r"\d+", group)]
    return tuple(dict.fromkeys(map(int, found)))


def normalized(sentence: str) -> str:
    """For comparison word by word: no marks, case, white space or final punctuation."""
    return " ".join(without_marks(sentence).casefold().split()).rstrip(".!?: ")
