"""Cases for the check of citations, made from MedQuAD by rule: sentences of answers, quoted, reworded or made wrong.

Passages are windows of six sentences of an answer; each case has its own passage and one on another question, in either
order. Seeds are fixed, and a document's cases are all in one half: thresholds are chosen on `tuning` and told of on
`reported`. Easier than reality: one thing is wrong with a sentence, and wrong and right sentences are equally many.
"""

import gzip
import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from benchmarks.citation_rewordings import (
    REWRITES,
    Rewrite,
    change_number,
    change_timing,
    change_unit,
    drop_condition,
    drop_exception,
    exchange,
    flip,
    merge,
    splice,
    swap_drug,
    swap_word,
)
from models.grounding import Passage
from models.sentences import split_sentences

Half = Literal["tuning", "reported"]
KINDS = (
    "number",
    "exchange",
    "unit",
    "negation",
    "drug",
    "word",
    "exception",
    "condition",
    "timing",
    "splice",
    "passage",
)
_LATER = frozenset({"exception", "condition", "timing", "splice"})  # came later, and left the other cases as they were
_WINDOW = 6
_PROSE = re.compile(r"[A-Z][^?!:\[\]*|]{38,298}\.")
_BRAND = re.compile(r"\b([a-z]{6,}) \(([A-Z][a-z]{3,})(?:®|\)|, [A-Z][a-z]{3,}[,)])")
_NO_DRUGS = frozenset(
    """acetate aminobenzoate bromide carbonate collagenase concentrate crusted diphtheria diseaseriluzole enanthate fumarate
    gastrin gluconate glycol healthywellnesstips heritage hippurate hyclate hydrochloride hydroxide hyperuricosuriaallopurinol
    lotion mesylate peroxide shampoo tartrate tromethamine""".split()
)  # salts, preparations and misprints that the pattern finds as well
_COMMON = 1500
_LEAST_BRANDED = 0.04  # of the times that a drug is named
_REFERENCE = re.compile(r"^(?:It|They|This|These|He|She|The)\b")


@dataclass(frozen=True)
class Case:
    """A sentence with its mark, the passages from number 1, and what is wrong with it: a kind, or nothing.

    `made` says how it was reworded (`quote` where not at all).
    """

    sentence: str
    passages: tuple[Passage, ...]
    gold: int
    wrong: str | None
    made: str


@dataclass(frozen=True)
class _Place:
    passage: Passage
    sentences: tuple[str, ...]


def cases(data: Path, half: Half, of_each: int) -> list[Case]:
    """`of_each` cases of every kind that the text has so many of, half of the wrong ones reworded as well."""
    rng = random.Random(f"{half} 7")
    rows = [json.loads(line) for line in _text(data / "medquad" / "train.jsonl.gz").split("\n") if line]
    places = list(_places([row for row in rows if (hash_of(row["doc"]) % 2 == 0) == (half == "tuning")]))
    rng.shuffle(places)
    maker = _Maker(rng, drug_names(data, rows), common_words(rows), of_each)
    for place, other in zip(places, rng.sample(places, len(places)), strict=True):
        if place.passage.title != other.passage.title:
            maker.add(place, other)
    return [case for name in sorted(maker.found) for case in maker.found[name]]


def _text(path: Path) -> str:
    return gzip.decompress(path.read_bytes()).decode("utf-8")


def hash_of(document: str) -> int:
    """A number for a document that is the same in each run."""
    return sum(ord(letter) * (place + 1) for place, letter in enumerate(document))


def drug_names(data: Path, rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Names that the corpora themselves show to be drugs: written `generic (Brand)` in MedQuAD or the nursing textbook.

    A brand is never written small, and its drug seldom without it.
    """
    nursing = _text(data / "nursing" / "train.jsonl.gz")
    text = "\n".join([nursing, *(row["answer"] for row in rows)])
    words = Counter(re.findall(r"\b[a-z]{4,}\b", text))
    branded = Counter(name for name, brand in _BRAND.findall(text) if brand.lower() not in words)
    return sorted(
        name for name, count in branded.items() if count >= _LEAST_BRANDED * words[name] and name not in _NO_DRUGS
    )


def common_words(rows: Sequence[Mapping[str, str]]) -> Set[str]:
    """The words of which everything in the corpus is made: the 1,500 most frequent ones."""
    counts = Counter(word for row in rows for word in re.findall(r"\b[a-z]+\b", row["answer"]))
    return {word for word, _ in counts.most_common(_COMMON)}


def _places(rows: Sequence[Mapping[str, str]]) -> Iterator[_Place]:
    for row in rows:
        sentences = [sentence.text for sentence in split_sentences(row["answer"])]
        prose = list(dict.fromkeys(each for each in sentences if _PROSE.fullmatch(each) and " - " not in each))
        for start in range(0, len(prose) - _WINDOW // 2 + 1, _WINDOW):
            chosen = tuple(prose[start : start + _WINDOW])
            yield _Place(Passage(row["focus"], row["qtype"].capitalize(), " ".join(chosen)), chosen)


class _Maker:
    """Makes cases of places until there are enough of each name."""

    def __init__(self, rng: random.Random, drugs: Sequence[str], common: Set[str], of_each: int) -> None:
        self.found: dict[str, list[Case]] = {}
        self._later = random.Random(of_each)
        self._rng, self._common, self._of_each = rng, common, of_each
        self._drugs = drugs

    def add(self, place: _Place, other: _Place) -> None:
        """All cases of one place that are still wanted; `other` gives the second passage."""
        rng, sentence = self._rng, self._rng.choice(place.sentences)
        pair = (place.passage, other.passage) if rng.random() < 0.5 else (other.passage, place.passage)
        build = partial(_case, passages=pair, gold=pair.index(place.passage) + 1)
        twice = _reworded(rng, sentence)
        for made, text in (
            ("quote", sentence),
            ("twice", twice),
            *((n, each(rng, sentence)) for n, each in REWRITES.items()),
        ):
            if text is not None and (made == "quote" or text != sentence):
                self._keep(f"right {made}", build(text, None, made))
        at = rng.randrange(len(place.sentences) - 1)
        together = " ".join(place.sentences[at : at + 2])
        if _REFERENCE.match(place.sentences[at + 1]) and together in place.passage.text:
            self._keep("right merged", build(merge(rng, *place.sentences[at : at + 2]), None, "merged"))
        for kind, change in self._changes(place, other).items():
            if self._wants(f"{kind} quote") or self._wants(f"{kind} reworded"):
                self._add_wrong(place, kind, change, build, self._later if kind in _LATER else rng)
        for made, text in (("quote", sentence), ("reworded", twice)):
            if text is not None and sentence not in other.passage.text:
                self._keep(f"passage {made}", build(text, "passage", made))

    def _add_wrong(
        self, place: _Place, kind: str, change: Rewrite, build: Callable[..., Case], rng: random.Random
    ) -> None:
        target = rng.choice([each for each in place.sentences if change(rng, each) is not None] or [""])
        for made, text in (("quote", target), ("reworded", _reworded(rng, target) if target else None)):
            if text and (wrong := change(rng, text)) is not None and wrong != text and wrong not in place.passage.text:
                self._keep(f"{kind} {made}", build(wrong, kind, made))

    def _wants(self, name: str) -> bool:
        return len(self.found.get(name, ())) < self._of_each

    def _keep(self, name: str, case: Case) -> None:
        if self._wants(name):
            self.found.setdefault(name, []).append(case)

    def _changes(self, place: _Place, other: _Place) -> dict[str, Rewrite]:
        numbers = re.findall(r"(?<![\w.,-])\d+(?:\.\d+)?(?![\w,]|\.\d)", place.passage.text)
        return {
            "number": lambda rng, text: change_number(rng, text, numbers),
            "exchange": exchange,
            "unit": change_unit,
            "negation": flip,
            "drug": lambda rng, text: swap_drug(rng, text, self._drugs),
            "word": lambda rng, text: swap_word(rng, text, other.passage.text, self._common),
            "exception": drop_exception,
            "condition": drop_condition,
            "timing": change_timing,
            "splice": lambda rng, text: splice(rng, text, place.sentences),
        }


def _case(sentence: str, wrong: str | None, made: str, *, passages: tuple[Passage, ...], gold: int) -> Case:
    cited = 3 - gold if wrong == "passage" else gold
    return Case(f"{sentence} [{cited}]", passages, gold, wrong, made)


def _reworded(rng: random.Random, sentence: str) -> str | None:
    """Two rewordings one after the other, where they apply."""
    text = sentence
    for rewrite in rng.sample(list(REWRITES.values()), len(REWRITES)):
        changed = rewrite(rng, text)
        text = changed if changed is not None else text
        if changed is not None and rng.random() < 0.5:
            break
    return text if text != sentence else None
