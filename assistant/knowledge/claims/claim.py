"""A sentence read for comparison: content words with their polarity, quantities, drugs, and where it can be cut."""

import re
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

from assistant.knowledge.claims.conditions import Condition, read_conditions
from assistant.knowledge.claims.drugs import Drug, read_drugs
from assistant.knowledge.claims.lexicon import Word, lowered, opposites, read_words
from assistant.knowledge.claims.marks import without_marks
from assistant.knowledge.claims.negation import Denial, Polarity, deny, find_cues
from assistant.knowledge.claims.order import Anchor, read_anchors
from assistant.knowledge.claims.quantities import Quantity, read_pairs, read_quantities
from assistant.knowledge.claims.splice import tokens_of

_CUT = re.compile(r"[;:,()–—]|\s(?=(?:and|but|or|which|who|because|so|while|whereas|although|if|when|unless|then)\s)")
_TURN = re.compile(r";|\s(?=(?:but|while|whereas|although)\s)")
_PIVOT = re.compile(r"\b(?:than|(?:preferred|superior|inferior|prior) to|instead of|followed by)\b")
_PRONOUN = re.compile(r"\b(?:it|its|they|them|their|he|she|his|her|this|these|those|such|both|one|another)\b")
_MOST_CLAUSES = 8
_HINGE_REACH = 16  # characters around a quantity in which `more` or `less` is its bound


@dataclass(frozen=True)
class Claim:
    """What one sentence says. Offsets are places in its lower-case text.

    `hinges` are small words that turn a meaning round (`before`, `more`); `refers` is for one that speaks of `it` or `these`.
    """

    words: tuple[Word, ...]
    denied: tuple[bool, ...]
    """For each of `words`."""
    denials: tuple[Denial, ...]
    hinges: tuple[Word, ...]
    quantities: tuple[Quantity, ...]
    drugs: tuple[Drug, ...]
    conditions: tuple[Condition, ...]
    anchors: tuple[Anchor, ...]
    pairs: frozenset[tuple[float, float]]
    """Numbers written as `140/90`."""
    cuts: tuple[int, ...]
    turns: tuple[int, ...]
    """Those of the cuts where another statement begins."""
    pivot: int | None
    """Of a comparison or a sequence (`A rather than B`, `A followed by B`): what stands on its two sides cannot be exchanged."""
    length: int
    refers: bool
    tokens: tuple[str, ...]
    """Its words and commas in their order."""

    @cached_property
    def keys(self) -> frozenset[str]:
        """What its content words and hinges are compared by."""
        words = (*self.words, *self.hinges)
        return frozenset(word.key for word in words) | frozenset(part for word in words for part in word.parts)

    @cached_property
    def substances(self) -> frozenset[str]:
        """The drugs that it names."""
        return frozenset(drug.name for drug in self.drugs)

    @cached_property
    def polarity(self) -> Polarity:
        """What the whole sentence denies and affirms."""
        return self.part_polarity(0, self.length)

    @cached_property
    def clauses(self) -> tuple[tuple[tuple[int, int], frozenset[str]], ...]:
        """The parts between its cuts, and every run of neighbouring ones, with their keys; shortest first."""
        edges = (0, *self.cuts[:_MOST_CLAUSES], self.length)
        runs = [(low, high) for place, low in enumerate(edges) for high in edges[place + 1 :]]
        return tuple((run, self.keys_within(*run)) for run in sorted(runs, key=lambda run: run[1] - run[0]))

    @cached_property
    def statements(self) -> tuple[frozenset[str], ...]:
        """The keys of the parts between its `turns`."""
        return tuple(self.keys_within(*run) for run in pairwise((0, *self.turns, self.length)))

    def beside(self, quantity: Quantity) -> frozenset[str] | None:
        """What stands between the cuts around a quantity; None where another one of its kind stands there too."""
        start = max((cut for cut in self.cuts if cut <= quantity.start), default=0)
        end = min((cut for cut in self.cuts if cut >= quantity.end), default=self.length)
        around = [each for each in self.quantities if start <= each.start < end and each != quantity]
        if quantity.names or any(each.unit == quantity.unit and not each.names for each in around):
            return None
        ranks = (anchor.relation for anchor in self.anchors_within(start, end) if anchor.family == "rank")
        return self.keys_within(start, end).union(
            ranks, (f"{each.low:g} {each.names}" for each in around if each.names)
        )

    def anchors_within(self, start: int, end: int) -> list[Anchor]:
        """The anchors between two offsets."""
        return [anchor for anchor in self.anchors if start <= anchor.start < end]

    def keys_within(self, start: int, end: int) -> frozenset[str]:
        """The keys between two offsets."""
        return frozenset(word.key for word in (*self.words, *self.hinges) if start <= word.start < end)

    def part_polarity(self, start: int, end: int) -> Polarity:
        """What the part between two offsets denies and affirms."""
        within = [
            (word.key, denied)
            for word, denied in zip(self.words, self.denied, strict=True)
            if start <= word.start < end
        ]
        return Polarity(
            tuple(denial for denial in self.denials if start <= denial.start < end),
            frozenset(key for key, denied in within if denied),
            frozenset(key for key, denied in within if not denied),
        )


def read_claim(text: str) -> Claim:
    """Read one sentence."""
    bare = lowered(without_marks(text))
    quantities, drugs = read_quantities(bare), read_drugs(bare)
    words = _with_drugs(read_words(bare), drugs)
    cues = find_cues(bare, words)
    denials, denied = deny(bare, words, cues)
    said_by_cues = {cue.place for cue in cues}
    spans = [(each.start, each.end) for each in quantities]
    content = [
        place
        for place, word in enumerate(words)
        if word.kind != "function"
        and place not in said_by_cues
        and len(word.text) > 1
        and not any(start <= word.start < end for start, end in spans)
    ]
    telling = tuple(words[place] for place in content)
    return Claim(
        words=telling,
        denied=tuple(denied[place] for place in content),
        denials=tuple(denials),
        hinges=tuple(word for word in words if _is_hinge(word, spans)),
        quantities=tuple(quantities),
        drugs=tuple(drugs),
        conditions=read_conditions(bare, telling, quantities),
        anchors=read_anchors(bare, words),
        pairs=read_pairs(bare),
        cuts=tuple(match.start() for match in _CUT.finditer(bare)),
        turns=tuple(match.start() for match in _TURN.finditer(bare)),
        pivot=_pivot(bare, quantities),
        length=len(bare) + 1,
        refers=bool(_PRONOUN.search(bare)),
        tokens=tokens_of(bare),
    )


def _with_drugs(words: list[Word], drugs: list[Drug]) -> list[Word]:
    """The words with each drug as one word, compared by its international name."""
    if not drugs:
        return words
    kept = [word for word in words if not any(drug.start <= word.start < drug.end for drug in drugs)]
    named = [Word(drug.name, f"drug {drug.name}", "specific", False, drug.start) for drug in drugs]
    return sorted([*kept, *named], key=lambda word: word.start)


def _pivot(bare: str, quantities: list[Quantity]) -> int | None:
    """The one place where a sentence sets two things against each other; `more than 5` sets none."""
    found = [match.start() for match in _PIVOT.finditer(bare)]
    found = [place for place in found if not any(each.start <= place < each.end for each in quantities)]
    return found[0] if len(found) == 1 else None


def _is_hinge(word: Word, spans: list[tuple[int, int]]) -> bool:
    if word.kind != "function" or not opposites(word.key):
        return False
    return not any(start - _HINGE_REACH <= word.start < end + _HINGE_REACH for start, end in spans)
