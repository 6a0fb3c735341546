"""Which words of a sentence are denied, and by what.

A cue (`not`, `without`, `contraindicated`, `avoid`) denies the words of its clause: those behind it, and with a verb
(`should not be given`, `is contraindicated`) those before it as well. Two denials are none. Two sentences contradict each
other where what one denies is affirmed in the other; how they deny it makes no difference.
"""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

from assistant.knowledge.claims.lexicon import Word

_AUXILIARY = frozenset("not never cannot hardly barely scarcely".split())
_NOUN = frozenset("no without none neither nor lack lacks lacked lacking absence absent nothing nobody non".split())
_VERB = frozenset(
    """avoid avoids avoided avoiding avoidance stop stops stopped stopping discontinue discontinued discontinuing withhold
    withholding withheld withdraw withdrawn withdrawing omit omitted omitting refrain
    contraindicated contraindication contraindications contraindicate prohibited forbidden denies denied deny excluding
    """.split()
)
_EXCEPT = frozenset("unless except".split())
_EXCEPT_WITH = {"apart": "from", "other": "than", "exception": "of"}
_EXCLUDED_FIRST = frozenset("after by before for of on when".split())  # `after excluding fracture` makes no exception
_PLACES = re.compile(
    r"(?:of\s)?(?:the\s|a\s|an\s|your\s|their\s)?(?:\w+\s)?(?:hospitals?|body|cells?|home|clinics?|lungs?|womb|uterus|brain|skull"
    r"|chest|heart|vessels?|house|surface|country|states?|united|organs?|nucleus|nose|skin|eyes?|ears?)\b"
)
_ALWAYS_BACK = frozenset("contraindicated absent prohibited forbidden".split())
_BE = frozenset("be been being is are was were".split())
_MODAL = frozenset(
    "should must can could may might will would is are was were do does did has have had cannot need needs".split()
)
_BOUNDARY_WORDS = frozenset(
    """but however although though because since unless except whereas while which who whom whose if when where until so
    then therefore instead rather""".split()
)
_AFTER_COMMA = frozenset("and or it they he she this these those as with the a an in at for by to".split())
_LEADING = frozenset(
    "if when although though because since unless while without with unlike in after before during as".split()
)
_PUNCTUATION = re.compile(r"[;:.()\[\]–—]")
_COMPARISON = re.compile(
    r"(?:be\s)?(?:more|less|fewer|greater|later|longer|older|higher|lower|earlier)\sthan\s(?:about\s|an?\s|the\s)*"
    r"(?:[\d.]|one\b|two\b|three\b|four\b|five\b|six\b|seven\b|eight\b|nine\b|ten\b|once\b|twice\b|half\b)"
)  # `no more than 4` bounds a number and denies nothing
_CUES = _AUXILIARY | _NOUN | _VERB | _EXCEPT | _ALWAYS_BACK
_CUES |= frozenset("outside apart other exception only instead free rather fail fails failed failing ruled".split())
_BOTH_WAYS = frozenset({"auxiliary", "back", "verb"})
_MOST_TARGETS = 6
_NOUN_REACH = 5  # content words behind `no` or `without`
_TOGETHER = 3  # words between cues that deny together (`should not be avoided`)
_DECISIVE = 2  # nearest shared words of a denial that decide


CueKind = Literal["auxiliary", "noun", "verb", "back", "except", "only"]


class Denial(NamedTuple):
    """A cue at an offset and the keys that it denies, nearest first; `far` are those on its other side.

    `exception` is for `unless` and `only if`, and `far` then what the exception is made from.
    """

    start: int
    targets: tuple[str, ...]
    far: tuple[str, ...] = ()
    exception: bool = False


@dataclass(frozen=True)
class Polarity:
    """What a sentence, or part of it, denies and affirms."""

    denials: tuple[Denial, ...]
    denied: frozenset[str]
    affirmed: frozenset[str]


class Cue(NamedTuple):
    """A word that denies: where it stands among the words, and which way it reaches."""

    place: int
    kind: CueKind


def find_cues(text: str, words: Sequence[Word]) -> list[Cue]:
    """The cues of a lowered text."""
    cues: list[Cue] = []
    for place, word in enumerate(words):
        may_deny = word.text in _CUES or word.text.endswith("n't")
        kind = _kind(text, words, place) if may_deny else None
        if kind is not None:
            cues.append(Cue(place, kind))
    return cues


def _kind(text: str, words: Sequence[Word], place: int) -> CueKind | None:  # noqa: C901, PLR0911
    word = words[place].text
    rest = text[words[place].start + len(word) :].lstrip()
    if word in _AUXILIARY or word.endswith("n't"):
        idle = rest.startswith(("only", "just")) or _COMPARISON.match(rest) or _is_alternative(words, place, rest)
        return None if idle else "auxiliary"
    if word == "nor" and any(other.text == "neither" for other in words[:place]):
        return None
    if word == "no" and (_COMPARISON.match(rest) or rest.startswith(("doubt", "matter"))):
        return None
    if word in _ALWAYS_BACK:
        return "back"
    if word in _NOUN:
        return "noun"
    if _makes_exception(words, place, rest):
        return "except"
    if word in _VERB:
        passive = word.endswith(("ed", "held", "en")) and any(
            each.text in _BE for each in words[max(0, place - 3) : place]
        )
        return "back" if passive else "verb"
    if word == "only" and rest.startswith(("if ", "when ")):
        return "only"
    if (word, rest[:3]) in {("instead", "of "), ("free", "of ")} or (word, rest[:4]) in {
        ("rather", "than"),
        ("free", "from"),
    }:
        return "noun"
    if word in {"fails", "failed", "fail", "failing"} and rest.startswith("to "):
        return "auxiliary"
    return "back" if word == "ruled" and rest.startswith("out") else None


def _makes_exception(words: Sequence[Word], place: int, rest: str) -> bool:
    word = words[place].text
    if word == "excluding":
        return not place or words[place - 1].text not in _EXCLUDED_FIRST
    if word == "outside":
        return bool(rest) and not _PUNCTUATION.match(rest) and not _PLACES.match(rest)
    return word in _EXCEPT or (word in _EXCEPT_WITH and rest.startswith(f"{_EXCEPT_WITH[word]} "))


def _is_alternative(words: Sequence[Word], place: int, rest: str) -> bool:
    """`whether or not`, or `or not` at the end."""
    before = [word.text for word in words[max(0, place - 2) : place]]
    return "whether" in before or (before[-1:] == ["or"] and not rest.strip(" .,;:?!"))


def deny(text: str, words: Sequence[Word], cues: Sequence[Cue]) -> tuple[list[Denial], list[bool]]:
    """The denials of a sentence, and for each word whether it is denied. `words` are all of the text, cues included."""
    reaches = _Reaches(text, words, cues)
    sides = [(cue, *reaches.of(cue)) for cue in cues]
    near_counts, far_counts = [int(word.denies) for word in words], [0] * len(words)
    for cue, near, far in sides:
        undone = near[:1] if near and words[near[0]].denies else []  # `not uncommon` denies nothing else
        for place in undone or (near if cue.kind != "only" else ()):
            near_counts[place] += 1
        for place in far if cue.kind in _BOTH_WAYS and not undone else ():
            far_counts[place] += 1
    denials = [Denial(word.start, (word.key,)) for word in words if word.denies]
    for cue, near, far in sides:
        if not (near and words[near[0]].denies):
            # What a nearer cue denies is not for this one to answer for.
            others = [place for place in far if cue.kind not in _BOTH_WAYS or not near_counts[place]]
            targets, rest = (tuple(words[place].key for place in side[:_MOST_TARGETS]) for side in (near, others))
            denials.append(Denial(words[cue.place].start, targets, rest, cue.kind in {"except", "only"}))
    # What only the far side of a cue reaches is denied as well, but undoes no denial.
    return denials, [near % 2 == 1 or (not near and far > 0) for near, far in zip(near_counts, far_counts, strict=True)]


class _Reaches:
    """Which words the cues of a sentence reach, as places among its words."""

    def __init__(self, text: str, words: Sequence[Word], cues: Sequence[Cue]) -> None:
        self._words, self._edges = words, _edges(text, words, cues)
        self._cues = {cue.place for cue in cues}

    def of(self, cue: Cue) -> tuple[list[int], list[int]]:
        """What a cue denies, and what stands on its other side; nearest first."""
        behind = self._content(_reach(self._edges, cue.place + (cue.kind == "only"), 1))
        before = self._content(_reach(self._edges, cue.place, -1))
        if cue.kind == "noun":
            stop = _noun_end(self._words, cue.place, self._cues)
            behind = [place for place in behind if place < stop][:_NOUN_REACH]
        # What another cue further up denies is its own (`A is avoided in B, and C avoided in D`).
        up = max((other for other in self._cues if other < cue.place - _TOGETHER), default=-1)
        before = [place for place in before if place > up]
        near, far = (before, behind) if cue.kind == "back" else (behind, before)
        # The second choice is for `this is not because ...`.
        near = near or far or self._content(range(cue.place + 1, len(self._words)))[:_NOUN_REACH]
        if cue.kind in {"except", "only"}:
            return near, self._content(range(cue.place - 1, -1, -1))[:1]
        return near, [] if near is far or cue.kind == "noun" else far

    def _content(self, reach: Sequence[int]) -> list[int]:
        return [place for place in reach if place not in self._cues and self._words[place].kind != "function"]


def _noun_end(words: Sequence[Word], start: int, cues: Set[int]) -> int:
    """Where the words that `no` or `without` denies end at the latest: at the next cue, or a verb after a content word."""
    begun = False
    for place in range(start + 1, len(words)):
        if place in cues or (begun and words[place].text in _MODAL):
            return place
        begun = begun or words[place].kind != "function"
    return len(words)


def _edges(text: str, words: Sequence[Word], cues: Sequence[Cue]) -> list[bool]:
    """For each word whether a clause begins with it."""
    denying = {cue.place for cue in cues if cue.kind == "auxiliary"}
    edging = {cue.place for cue in cues if words[cue.place].text == "nor"}
    edges = [True] * bool(words)
    leading = bool(words) and words[0].text in _LEADING
    for place, (left, right) in enumerate(pairwise(words), start=1):
        between = text[left.start + len(left.text) : right.start]
        following = [word.text for word in words[place + 1 : place + 4]]
        joins = right.text in {"and", "or"}
        ends_leading = leading and "," in between
        leading = leading and not ends_leading
        edges.append(
            ends_leading
            or bool(_PUNCTUATION.search(between))
            or right.text in _BOUNDARY_WORDS
            or place in edging
            or ("," in between and right.text in _AFTER_COMMA and not (joins and _MODAL.isdisjoint(following)))
            or (joins and (place + 1 in denying or not _MODAL.isdisjoint(following[:2]) or _is_adverb(following)))
        )
    return edges


def _is_adverb(following: Sequence[str]) -> bool:
    return bool(following) and following[0].endswith("ly")


def _reach(edges: Sequence[bool], place: int, step: int) -> list[int]:
    """Places of the clause behind (step 1) or before (step -1) one, nearest first."""
    reach = []
    at = place
    while 0 <= at + step < len(edges) and not edges[at + 1 if step > 0 else at]:
        at += step
        reach.append(at)
    return reach


def contradicts(said: Polarity, held: Polarity) -> bool:
    """Whether a sentence denies what its source affirms, or affirms what it denies."""
    for denial in said.denials:
        # A denial within a denial affirms: its words are not denied, and it needs no counterpart.
        alone = said.denied.isdisjoint(denial.targets) and not said.affirmed.isdisjoint(denial.targets)
        found = alone or denial.exception or not held.denied.isdisjoint(denial.targets + denial.far)
        if not (found or any(_share_targets(denial, other) for other in held.denials)) or _is_refuted(
            denial, said, held
        ):
            return True
    return any(_is_refuted(denial, held, said) for denial in held.denials)


def drops_exception(said: Polarity, held: Polarity) -> bool:
    """Whether a sentence leaves out what its source makes an exception of (`unless`, `only if`)."""
    spoken = said.denied | said.affirmed
    for denial in held.denials:
        targets = (held.denied | held.affirmed).intersection(denial.targets)
        targets = targets - held.affirmed or targets  # what stands elsewhere as well tells nothing of the exception
        is_excepted = not denial.far or not spoken.isdisjoint(denial.far)
        if denial.exception and targets and is_excepted and targets.isdisjoint(spoken):
            return True
    return False


def _share_targets(one: Denial, other: Denial) -> bool:
    return not one.targets or not set(one.targets).isdisjoint(other.targets)


def _is_refuted(denial: Denial, own: Polarity, other: Polarity) -> bool:
    """Whether the nearest words of a denial that both sentences hold once are all affirmed in the other one."""
    shared = [
        key
        for key in denial.targets
        if key in own.denied and key not in own.affirmed and (key in other.denied) != (key in other.affirmed)
    ][:_DECISIVE]
    far = () if denial.exception else denial.far
    return bool(shared) and not any(key in other.denied for key in (*shared, *far))
