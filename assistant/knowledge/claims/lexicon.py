"""Words as the check compares them: spelling and endings folded, phrases and synonyms made one word.

The tables are in `lexicon.toml`. A word is `function` (builds the sentence), `general` (carries little: another may stand
in its place) or `specific` (a paraphrase has to repeat it or a synonym of it).
"""

import re
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal, NamedTuple

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Kind = Literal["function", "general", "specific"]

_WORD = re.compile(r"[^\W\d_]\w*(?:['’][^\W\d_]+)?")
_LONGEST_PHRASE = 4
_GREEK = str.maketrans({"α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "’": "'"})
_SPELLED = {
    "AIDS": "acquired immunodeficiency syndrome",
    "IV": "intravenous",
    "IM": "intramuscular",
    "SC": "subcutaneous",
    "PO": "oral",
}
_CAPITALS = re.compile(
    r"(?<!type )(?<!stage )(?<!grade )(?<!class )(?<!factor )(?<!phase )(?<!group )(?<!nerve )\b(?:AIDS|IV|IM|SC|PO)\b"
)
_LETTERS = re.compile(
    r"\b(?P<of>(?i:hepatitis|vitamin|group|type|class|factor|grade|stage|influenza|streptococcus))(?i:s)?[ -]"
    r"(?P<list>[A-Z]\b(?!\.\w|['’])(?:(?:, | and | or |/|, and |, or )[A-Z]\b(?!['’]))*)"
    r"|\b(?P<small>hepatitis|vitamin|influenza) (?P<letter>[b-h]\b|a(?= (?:virus|vaccin|infection|is|can)|\W*$))"
)
_LETTER = re.compile(r"\b[A-Z]\b")
_BRITISH_OUR = re.compile(r"(?<=\w{3})our(?=s?$|ed$|ing$|al$|less$)")
_BRITISH_ISE = re.compile(r"(?<=\w{3})is(?=e$|es$|ed$|ing$|ation$|ations$)")
# Endings in the order in which they are tried, each with the fewest letters that must stay before it.
_DERIVED = (
    ("ization", 4), ("fulness", 4), ("iveness", 4), ("ically", 4), ("ations", 4), ("ation", 4), ("ition", 5), ("ment", 4),
    ("ness", 4), ("ance", 4), ("ence", 4), ("able", 4), ("ible", 4), ("ious", 4), ("ical", 4), ("ally", 5), ("ion", 4),
    ("ity", 4), ("ous", 5), ("ive", 5), ("ize", 5), ("al", 5), ("ic", 5), ("ly", 4),
)  # fmt: skip
_DERIVED_ENDINGS = tuple(ending for ending, _ in _DERIVED)


class Word(NamedTuple):
    """A word of a sentence: its folded form, what it is compared by, and where it stands in the lower-case text.

    `denies` is for a word that holds a negation: the key of `unsafe` is that of `safe`.
    """

    text: str
    key: str
    kind: Kind
    denies: bool
    start: int
    parts: tuple[str, ...] = ()
    """Of a phrase, the keys of its words one by one."""


@dataclass(frozen=True)
class _Lexicon:
    function: frozenset[str]
    general: frozenset[str]
    same: dict[tuple[str, ...], str]
    begins: frozenset[str]
    opposite: dict[str, frozenset[str]]
    negated: dict[str, str]
    irregular: dict[str, str]


def lowered(text: str) -> str:
    """Lower case; Greek letters spelled out, capitals that would be another word when small, and `hepatitis B` as `hepatitis
    hepatitis_b`: of a letter alone nothing would be known.
    """
    spelled = _CAPITALS.sub(lambda match: _SPELLED[match.group()], _LETTERS.sub(_lettered, text))
    return spelled.lower().translate(_GREEK)


def _lettered(match: re.Match[str]) -> str:
    of, letters = match["of"] or match["small"], match["list"] or match["letter"].upper()
    return f"{of} {_LETTER.sub(lambda letter: f'{of}_{letter.group()}', letters)}"


def read_words(text: str) -> list[Word]:
    """The words of a lowered text in order, phrases of the table as one word each."""
    lexicon = _lexicon()
    raw = [(match.group(), match.start()) for match in _WORD.finditer(text)]
    stems = [_stemmed(word, lexicon) for word, _ in raw]
    words: list[Word] = []
    place = 0
    while place < len(raw):
        key, length = _phrase(stems, place, lexicon)
        word, start = raw[place]
        denied = lexicon.negated.get(stems[place]) if length == 1 else None
        if denied is not None:
            key = denied
        parts = tuple(stems[place : place + length]) if length > 1 else ()
        words.append(Word(word, key, _kind(word, key, lexicon), denied is not None, start, parts))
        place += length
    return words


def opposites(key: str) -> frozenset[str]:
    """The keys that say the opposite of this one."""
    return _lexicon().opposite.get(key, frozenset())


def _stemmed(word: str, lexicon: _Lexicon) -> str:
    if (len(word) < 4 and word not in lexicon.irregular) or word in lexicon.function:
        return word
    return _stem(lexicon.irregular.get(word, word))


def _stem(word: str) -> str:
    """American spelling, no ending: enough that forms of one word meet (`treats`, `treatment`, `treating`)."""
    word = word.split("'", maxsplit=1)[0] if word.endswith("'s") else word
    if len(word) < 4:
        return word
    word = word.replace("ae", "e").replace("oe", "e").replace("sulph", "sulf").replace("yse", "yze")
    if "our" in word:
        word = _BRITISH_OUR.sub("or", word)
    if "is" in word:
        word = _BRITISH_ISE.sub("iz", word)
    word = _without_derivation(_without_inflection(word))
    return word.rstrip("ey") if len(word) > 4 else word.rstrip("e") if len(word) > 3 else word


def _without_inflection(word: str) -> str:
    if word.endswith(("sis", "ses")) and len(word) > 6:
        return word[:-2]
    if word.endswith("ies") and len(word) > 4:
        return word[:-3] + "y"
    if word.endswith(("sses", "xes", "zes", "ches", "shes")):
        return word[:-2]
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    if word.endswith("ied") and len(word) > 4:
        return word[:-3] + "y"
    for ending in ("ing", "ed"):
        base = word[: -len(ending)]
        if word.endswith(ending) and len(base) > 2 and re.search("[aeiouy]", base):
            return base[:-1] if len(base) > 3 and base[-1] == base[-2] and base[-1] not in "lsz" else base
    return word


def _without_derivation(word: str) -> str:
    if not word.endswith(_DERIVED_ENDINGS):
        return word
    for ending, least in _DERIVED:
        if word.endswith(ending) and len(word) - len(ending) >= least:
            base = word[: -len(ending)]
            return base[:-1] if base[-1] == base[-2] and base[-1] not in "lsz" else base
    return word


def _phrase(stems: Sequence[str], place: int, lexicon: _Lexicon) -> tuple[str, int]:
    longest = _LONGEST_PHRASE if stems[place] in lexicon.begins else 0
    for length in range(min(longest, len(stems) - place), 0, -1):
        key = lexicon.same.get(tuple(stems[place : place + length]))
        if key is not None:
            return key, length
    return stems[place], 1


def _kind(word: str, key: str, lexicon: _Lexicon) -> Kind:
    if word in lexicon.function:
        return "function"
    return "general" if key in lexicon.general else "specific"


@cache
def _lexicon() -> _Lexicon:
    tables = tomllib.loads(files("assistant.knowledge.claims").joinpath("lexicon.toml").read_text("utf-8"))
    irregular = dict(_pairs(tables["irregular"]))
    function = frozenset(tables["function"].split())
    plain = _Lexicon(function, frozenset(), {}, frozenset(), {}, {}, irregular)

    def keyed(phrase: str) -> tuple[str, ...]:
        return tuple(_stemmed(word, plain) for word in phrase.split("_"))

    same: dict[tuple[str, ...], str] = {}
    for group in tables["same"]:
        names = [keyed(name) for name in group.split()]
        same.update(dict.fromkeys(names, "_".join(names[0])))
    opposite: dict[str, frozenset[str]] = {}
    for pair in tables["opposite"]:
        one, other = (same.get(keyed(word), "_".join(keyed(word))) for word in pair.split())
        opposite[one] = opposite.get(one, frozenset()) | {other}
        opposite[other] = opposite.get(other, frozenset()) | {one}
    return _Lexicon(
        function,
        frozenset(same.get(keyed(word), *keyed(word)) for word in tables["general"].split()),
        same,
        frozenset(stems[0] for stems in same),
        opposite,
        {_stemmed(word, plain): same.get(keyed(base), *keyed(base)) for word, base in _pairs(tables["negated"])},
        irregular,
    )


def _pairs(table: str) -> Iterable[tuple[str, str]]:
    for entry in table.split():
        left, _, right = entry.partition("=")
        yield left, right
