"""Whether passages hold what a sentence claims.

The sentence is laid upon one sentence of a passage, or its clauses upon up to three neighbouring ones. Laid so, every drug
and quantity has to stand there, nothing may be denied that is affirmed there, and its content words have to be found: all
but a few general ones, for which a paraphrase may have others. The passage's heading belongs to each of its sentences, and
to one that speaks of `it` the sentence before it as well. What the source makes an exception of, or a condition, may not be
left out, and the head of one sentence with the tail of another is none of its sentences. Words are no meaning: who does what
to whom is not looked at.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import combinations, pairwise
from typing import Literal

from assistant.knowledge.claims.claim import Claim, read_claim
from assistant.knowledge.claims.conditions import Condition
from assistant.knowledge.claims.lexicon import Word, opposites
from assistant.knowledge.claims.marks import normalized
from assistant.knowledge.claims.negation import contradicts, drops_exception
from assistant.knowledge.claims.quantities import Quantity, mismatch
from assistant.knowledge.claims.splice import is_spliced
from models.grounding import Passage, one_line, unmarked
from models.sentences import split_sentences

Reason = Literal["number", "unit", "drug", "negation", "overlap"]

MOST_CHARACTERS = 1500
"""Of a sentence: the rest of a longer one supports nothing, and is not supported."""
GENERAL_WEIGHT = 0.35  # of a general word beside a specific one
MOST_MISSING = 0.25  # share of the weight that may be missing, in general words only
LEAST_OWN = 0.4  # share of the words that the one sentence must hold itself, not its surroundings
_LEAST_OF_BEST = 0.85  # of the words of the sentence that holds most of them
_LEAST_GOVERNED = 0.5  # of a part's words that stand in the clause of a condition
_NEAR = 0.6  # share of the weight from which a sentence counts as the one that was meant
_MOST_PARTS = 3
_MOST_CUTS = 6
_LEAST_WORDS = 3  # content words and quantities of a part
_CANDIDATES = 6
_WINDOW = 3  # parts of one sentence come from sentences at most so far apart
_CACHED_PASSAGES = 256


@dataclass(frozen=True)
class HeldSentence:
    """A sentence of a passage with what stands around it."""

    claim: Claim
    context: frozenset[str]
    substances: frozenset[str]
    quantities: tuple[Quantity, ...]
    place: int


class ReadPassage:
    """A passage, read once."""

    def __init__(self, passage: Passage) -> None:
        sentences = [sentence.text for sentence in split_sentences(unmarked(passage.text))]
        self.claims = [read_claim(sentence[:MOST_CHARACTERS]) for sentence in sentences]
        self.quotes = frozenset(map(normalized, sentences))
        self.heading = read_claim(one_line(passage.heading)[:MOST_CHARACTERS])

    @cached_property
    def keys(self) -> frozenset[str]:
        """All that the passage and its heading speak of."""
        return self.heading.keys.union(*(claim.keys for claim in self.claims))

    @cached_property
    def sentences(self) -> tuple[HeldSentence, ...]:
        """Its sentences, each with what it refers to."""
        return tuple(self._held(place, claim) for place, claim in enumerate(self.claims))

    def _held(self, place: int, claim: Claim) -> HeldSentence:
        around = [self.heading, self.claims[place - 1]] if place and claim.refers else [self.heading]
        return HeldSentence(
            claim,
            frozenset[str]().union(*(each.keys for each in around)),
            claim.substances.union(*(each.substances for each in around)),
            claim.quantities + tuple(quantity for each in around for quantity in each.quantities),
            place,
        )


@lru_cache(_CACHED_PASSAGES)
def read_passage(passage: Passage) -> ReadPassage:
    """Read a passage, or remember having read it: the same ones come with every turn of a conversation."""
    return ReadPassage(passage)


@dataclass(frozen=True)
class _Fit:
    """How a part of a sentence lies upon one of a passage.

    `own` is the weight of its words in the sentence itself, `share` the share of the weight found there or around it.
    """

    said: Claim
    part: tuple[int, int]
    passage: int
    held: HeldSentence
    own: float
    share: float
    holds: bool
    is_whole: bool
    """Every word stands in the sentence itself."""
    turned: bool

    @cached_property
    def reasons(self) -> frozenset[Reason]:
        """Why the sentence does not support the part, beside words that are missing."""
        return _reasons(self.said, self.part, self.held, turned=self.turned)


def find_reasons(said: Claim, passages: Sequence[ReadPassage]) -> tuple[Reason, ...]:
    """Why the passages do not support the claim; empty where they do."""
    reasons = _reasons_against(said, passages)
    sources = () if reasons else [claim.tokens for passage in passages for claim in passage.claims]
    return ("overlap",) if is_spliced(said.tokens, sources) else reasons


def _reasons_against(said: Claim, passages: Sequence[ReadPassage]) -> tuple[Reason, ...]:
    fitting = _Fitting(said, passages)
    best: frozenset[Reason] | None = None
    for parts in _partitions(said):
        fits = fitting.best(parts)
        if fits is None:
            continue
        reasons = frozenset[Reason]().union(*(fit.reasons for fit in fits))
        best = reasons if best is None or len(reasons) < len(best) else best
        if not best:
            return ()
        if len(parts) == 1 and fits[0].is_whole:
            break  # what one sentence holds word for word is not sought in its neighbours
    if best is None:
        best = fitting.guessed() | _absent(said, passages)
    order: tuple[Reason, ...] = ("number", "unit", "drug", "negation")
    return tuple(reason for reason in order if reason in best) or ("overlap",)


def _absent(said: Claim, passages: Sequence[ReadPassage]) -> frozenset[Reason]:
    """What stands nowhere in the passages."""
    claims = [claim for passage in passages for claim in (*passage.claims, passage.heading)]
    reasons: set[Reason] = set()
    wrong = mismatch(said.quantities, [quantity for claim in claims for quantity in claim.quantities])
    if wrong is not None:
        reasons.add(wrong)
    if said.substances.difference(*(claim.substances for claim in claims)):
        reasons.add("drug")
    return frozenset(reasons)


def _partitions(said: Claim) -> Iterator[tuple[tuple[int, int], ...]]:
    """The whole sentence, then it in two and three parts that each have a few content words."""
    yield ((0, said.length),)
    starts = [word.start for word in said.words] + [quantity.start for quantity in said.quantities]
    cuts = said.cuts
    if len(cuts) > _MOST_CUTS:  # the most even ones
        step = len(cuts) / _MOST_CUTS
        cuts = tuple(cuts[int(place * step)] for place in range(_MOST_CUTS))
    for count in range(2, _MOST_PARTS + 1):
        for chosen in combinations(cuts, count - 1):
            edges = (0, *chosen, said.length)
            parts = tuple(pairwise(edges))
            if all(sum(low <= start < high for start in starts) >= _LEAST_WORDS for low, high in parts):
                yield parts


class _Fitting:
    """Lays parts of one claim upon sentences; each pair is looked at once."""

    def __init__(self, said: Claim, passages: Sequence[ReadPassage]) -> None:
        self._said = said
        self._sentences = [(number, held) for number, passage in enumerate(passages) for held in passage.sentences]
        by_words = sorted(self._sentences, key=lambda each: -len(said.keys & each[1].claim.keys))
        self._candidates = by_words[:_CANDIDATES]
        self._fits: dict[tuple[int, int], list[_Fit]] = {}

    def best(self, parts: tuple[tuple[int, int], ...]) -> list[_Fit] | None:
        """The fits of all parts that leave the fewest reasons, in sentences near each other; None where one has none."""
        chosen: list[_Fit] = []
        for part in parts:
            laid = self._of(part)
            # What another sentence says more fully is not taken from its neighbour.
            least = _LEAST_OF_BEST * max((fit.own for fit in laid), default=0.0)
            fits = [
                fit for fit in laid if fit.holds and fit.own >= least and all(_are_near(fit, other) for other in chosen)
            ]
            if not fits:
                return None
            chosen.append(min(fits, key=lambda fit: (len(fit.reasons), -fit.share)))
        return chosen

    def guessed(self) -> frozenset[Reason]:
        """The reasons against the sentence that was meant, where enough of its words say which."""
        fits = self._of((0, self._said.length))
        nearest = max(fits, key=lambda fit: fit.share, default=None)
        return nearest.reasons if nearest is not None and nearest.share >= _NEAR else frozenset()

    def _of(self, part: tuple[int, int]) -> list[_Fit]:
        if part not in self._fits:
            whole = part == (0, self._said.length)
            self._fits[part] = [
                _fit(self._said, part, number, held)
                for number, held in (self._sentences if whole else self._candidates)
            ]
        return self._fits[part]


def _are_near(one: _Fit, other: _Fit) -> bool:
    return one.passage == other.passage and abs(one.held.place - other.held.place) <= _WINDOW


def _fit(said: Claim, part: tuple[int, int], passage: int, held: HeldSentence) -> _Fit:
    start, end = part
    words = [word for word in said.words if start <= word.start < end]
    total = missing = own = outside = 0.0
    turned = lacks_specific = False
    for word in words:
        weight = GENERAL_WEIGHT if word.kind == "general" else 1.0
        total += weight
        if _is_in(word, held.claim.keys):
            own += weight
        elif _is_in(word, held.context):
            outside += weight
        else:
            missing += weight
            lacks_specific = lacks_specific or word.kind == "specific"
            turned = turned or not opposites(word.key).isdisjoint(held.claim.keys)
    for hinge in said.hinges:
        if start <= hinge.start < end and hinge.key not in held.claim.keys:
            turned = turned or not opposites(hinge.key).isdisjoint(held.claim.keys)
    share = (total - missing) / total if total else 0.0
    holds = (
        bool(words)
        and not lacks_specific
        and missing <= MOST_MISSING * total
        and own >= LEAST_OWN * (own + missing + outside)
    )
    return _Fit(said, part, passage, held, own, share, holds, own == total, turned)


def _is_in(word: Word, keys: frozenset[str]) -> bool:
    return word.key in keys or (bool(word.parts) and keys.issuperset(word.parts))


def _is_of_another(quantity: Quantity, said: Claim, held: Claim) -> bool:
    """Whether a quantity stands beside words that the source has beside another one (`35 for men, 40 for women`)."""
    around = said.beside(quantity)
    own = [each for each in held.quantities if quantity.equals(each)]
    if not around or not own:
        return False
    its = frozenset[str]().union(*(held.beside(each) or () for each in own))
    for other in held.quantities:
        if other.unit == own[0].unit and not quantity.equals(other):
            others = (held.beside(other) or frozenset()) - its
            if around.isdisjoint(others):
                continue
            if not its - (held.beside(other) or frozenset()) <= around or _have_changed_places(other, others, said):
                return True
    return False


def _have_changed_places(other: Quantity, others: frozenset[str], said: Claim) -> bool:
    """Whether the other quantity is said as well, and beside nothing of what the source has beside it."""
    beside = [said.beside(each) for each in said.quantities if each.equals(other)]
    return bool(beside) and all(each is not None and each.isdisjoint(others) for each in beside)


def _is_turned_beside_drug(said: Claim, part: tuple[int, int], held: Claim) -> bool:
    """Whether a part says of a drug the opposite of what the source's clause on that drug says."""
    start, end = part
    starts = [drug.start for drug in said.drugs]
    for drug, following in zip(said.drugs, [*starts[1:], end], strict=False):
        beside = next((keys for keys in held.statements if f"drug {drug.name}" in keys), frozenset[str]())
        for word in said.words if start <= drug.start < end else ():
            if (
                drug.start < word.start < following
                and word.key not in beside
                and not opposites(word.key).isdisjoint(beside)
            ):
                return True
    return False


def _is_exchanged(said: Claim, part: tuple[int, int], held: Claim) -> bool:
    """Whether what a part sets against each other stands on the other sides in the source."""
    start, end = part
    if said.pivot is None or held.pivot is None or not start <= said.pivot < end:
        return False
    left, right = said.keys_within(start, said.pivot), said.keys_within(said.pivot, end)
    held_left, held_right = held.keys_within(0, held.pivot), held.keys_within(held.pivot, held.length)
    return bool((left - right) & (held_right - held_left)) and bool((right - left) & (held_left - held_right))


def _is_put_elsewhere(said: Claim, part: tuple[int, int], held: Claim) -> frozenset[Reason]:
    """Whether a part puts before what the source puts after, or calls third what is the first there."""
    reasons: set[Reason] = set()
    run = _clause(frozenset(word.key for word in said.words if part[0] <= word.start < part[1]), held)
    for anchor in said.anchors_within(*part):
        among = held.anchors_within(*run) or held.anchors if anchor.family == "time" else held.anchors
        if any(anchor.turns(other) for other in among) and not any(
            anchor.relation == other.relation and anchor.is_on(other) for other in among
        ):
            reasons.add("negation" if anchor.family == "time" else "number")
    return frozenset(reasons)


def _drops_condition(said: Claim, part: tuple[int, int], held: HeldSentence) -> bool:
    """Whether a part says without a condition what its source says under one."""
    spoken = said.keys_within(*part)
    kept = [condition for condition in held.claim.conditions if _keeps(said, condition, held)]
    for condition in held.claim.conditions:
        # `60 in adults and 110 in infants`: what is said of infants says nothing of adults.
        if condition in kept or any(other.start >= condition.end or other.end <= condition.start for other in kept):
            continue
        governed = spoken & held.claim.keys_within(condition.start, condition.end)
        if governed and len(governed) >= _LEAST_GOVERNED * len(spoken):
            return True
    return False


def _keeps(said: Claim, condition: Condition, held: HeldSentence) -> bool:
    if any(each.equals(other) for each in condition.quantities for other in said.quantities):
        return True
    around = condition.keys & held.context
    return not condition.keys.isdisjoint(said.keys) or (bool(around) and len(around) > len(condition.keys) / 2)


def _clause(words: frozenset[str], held: Claim) -> tuple[int, int]:
    """The shortest run of the source's clauses that holds all that it shares with a part: what is said elsewhere in it
    (`A has no fever, while fever in B ...`) says nothing of the part.
    """
    whole = (0, held.length)
    shared = words & held.keys_within(*whole)
    return next((run for run, keys in held.clauses if keys >= shared), whole)


def _reasons(said: Claim, part: tuple[int, int], held: HeldSentence, *, turned: bool) -> frozenset[Reason]:
    start, end = part
    reasons: set[Reason] = set()
    quantities = [quantity for quantity in said.quantities if start <= quantity.start < end]
    wrong = mismatch(quantities, held.quantities)
    if wrong is not None:
        reasons.add(wrong)
    elif any(_is_of_another(quantity, said, held.claim) for quantity in quantities):
        reasons.add("number")
    if any((high, low) in held.claim.pairs for low, high in said.pairs - held.claim.pairs):
        reasons.add("number")
    if any(start <= drug.start < end and drug.name not in held.substances for drug in said.drugs):
        reasons.add("drug")
    polarity, whole = said.part_polarity(start, end), held.claim.polarity
    within = held.claim.part_polarity(*_clause(said.keys_within(start, end), held.claim))
    # What a part denies may stand outside the clause that holds its words.
    denies = contradicts(polarity, within) and (not polarity.denials or contradicts(polarity, whole))
    turned = turned or _is_turned_beside_drug(said, part, held.claim) or _is_exchanged(said, part, held.claim)
    if turned or denies or drops_exception(polarity, whole):
        reasons.add("negation")
    if _drops_condition(said, part, held):
        reasons.add("overlap")
    return frozenset(reasons) | _is_put_elsewhere(said, part, held.claim)
