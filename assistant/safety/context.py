"""What is said of each word: that it is not there, another person's, over, long known, or only spoken of as a subject.

After NegEx and ConText (Chapman 2001, Harkema 2009): cues of cues.toml, each with a reach that ends at a turn ("but", "now"),
at a comma, or with the sentence. Each sentence is walked through once.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence

from assistant.safety.phrases import Found
from assistant.safety.words import Token

_OPENING_WORDS = 4
"""How far into a sentence its question word may stand: "please", "can you"."""
_SHORT_PART = 3
"""Words of a part that speaks of the one before it: "chest pain, now resolved"."""
_BEHIND_REACH = 8
_INFORMANT_REACH = 4
_PART_MARKS = frozenset(",()")
_LIST_WORDS = frozenset({"and", "or", "nor", ":"})
_PREPOSITIONS = frozenset("by to with from for at".split())
_TOLD = frozenset("told tells asked informed texted phoned messaged by to with from".split())
_PRESENT = frozenset("has is having isn't can't cannot cant couldn't won't not collapsed collapsing just woke".split())
"""Behind a relative: what is told of him is now, if somebody of his tells it."""
_LONG_AGO = frozenset("had died dies passed suffered".split())
_NEAR = frozenset("my our this".split())
_BYSTANDERS = ("colleague", "friend", "neighbour", "flatmate", "roommate", "housemate")
_ACUTE = frozenset("can't cannot cant couldn't won't collapsed collapsing".split())
_ACUTE_REACH = 5
_OWN = frozenset("mum mom dad nan gran granny grandad hubby".split())
"""Who says so without "my" speaks of a relative of his own."""
_DONE_TO = frozenset({"him", "me"})
Cues = dict[str, dict[int, int]]
"""For each kind the places where a cue begins, with the place of its last word."""


class State:
    """What speaks against a finding: bits, plain numbers for speed."""

    NEGATED = 1
    OTHER = 2
    PAST = 4
    OVER = 8
    CHRONIC = 16
    POSSIBLE = 32


ALL_STATES = (State.NEGATED, State.OTHER, State.PAST, State.OVER, State.CHRONIC, State.POSSIBLE)
_FORWARD = (
    "negation", "brief-negation", "past", "past-list", "relative", "family-history", "possible-only", "topic-before", "feared",
)  # fmt: skip
_BACKWARD = ("past-around", "over", "chronic", "negated-behind")


def states_of(
    tokens: Sequence[Token], cues: Iterable[Found], consumed: set[int], patient_places: set[int]
) -> list[int]:
    """The state of every token. `consumed` words belong to findings ("not breathing") and negate nothing; a sentence with one of
    `patient_places` (an age, a value) is on somebody.
    """
    states = [0] * len(tokens)
    by_sentence: dict[int, list[Found]] = defaultdict(list)
    for cue in cues:
        by_sentence[tokens[cue.first].sentence].append(cue)
    numbers = [token.sentence for token in tokens]
    named = {numbers[place] for place in patient_places}
    for number, its in by_sentence.items():
        start, end = bisect_left(numbers, number), bisect_right(numbers, number)
        _Sentence(tokens, start, end, its, consumed).judge(states, on_somebody=number in named)
    return states


class _Sentence:
    """One sentence and its cues."""

    def __init__(
        self, tokens: Sequence[Token], start: int, end: int, cues: Iterable[Found], consumed: set[int]
    ) -> None:
        self._tokens, self._start, self._end, self._consumed = tokens, start, end, consumed
        self._cues: Cues = defaultdict(dict)
        for cue in cues:
            kind = self._cues[cue.name]
            kind[cue.first] = max(kind.get(cue.first, cue.last), cue.last)
        self._drop("not-a-negation", ("negation", "brief-negation", "negated-behind"))
        self._drop("not-past", ("past", "past-list", "past-around", "over", "chronic"))
        self._drop("not-only-possible", ("possible-only", "topic-before"))
        self._sorted = {kind: sorted(places) for kind, places in self._cues.items()}
        self._parts = self._split()

    def _drop(self, counter: str, kinds: Sequence[str]) -> None:
        """A longer saying takes the word away from the cue: "no improvement", "2 day history"."""
        if not self._cues.get(counter):
            return
        covered = {place for first, last in self._cues[counter].items() for place in range(first, last + 1)}
        for kind in kinds:
            for place in [place for place, last in self._cues[kind].items() if covered & {place, last}]:
                del self._cues[kind][place]

    def _split(self) -> list[tuple[int, int]]:
        """The parts between commas, brackets and turns, as first place and the one behind the last."""
        parts, first = [], self._start
        for place in range(self._start, self._end):
            if self._tokens[place].word in _PART_MARKS or place in self._cues["break"]:
                parts.append((first, place))
                first = place if place in self._cues["break"] else place + 1
        return [*parts, (first, self._end)]

    def judge(self, states: list[int], *, on_somebody: bool) -> None:
        """Set the states of the sentence's tokens."""
        on_somebody = on_somebody or bool(self._cues["patient"])
        if self._opens_a_topic() and not on_somebody:
            self._mark(states, self._start, self._end, State.POSSIBLE)
            return
        if any(self._cues.get(kind) for kind in _FORWARD):
            self._forward(states, on_somebody=on_somebody)
        if any(self._cues.get(kind) for kind in _BACKWARD):
            self._backward(states)
        self._behind(states, on_somebody=on_somebody)

    def _opens_a_topic(self) -> bool:
        """Whether the sentence begins as a question or an order does, but for a courtesy."""
        asked = self._tokens[self._end - 1].word == "?"
        for place in range(self._start, min(self._start + _OPENING_WORDS, self._end)):
            if place in self._cues["topic-opening"] or (asked and place in self._cues["topic-asked"]):
                return True
            word = self._tokens[place].word
            if word.isalnum() and place not in self._cues["courtesy"]:
                return False
        return False

    def _mark(self, states: list[int], first: int, end: int, state: int) -> None:
        for place in range(max(first, self._start), min(end, self._end)):
            states[place] |= state

    def _forward(self, states: list[int], *, on_somebody: bool) -> None:
        """What follows a cue: each state holds until its end, a turn or a new statement. One walk from event to event."""
        ends = dict.fromkeys(ALL_STATES, self._start)
        part_begins = [first for first, _ in self._parts]
        beginnings, restarts = set(part_begins), self._restarts()
        events = sorted({place for kind in (*_FORWARD, "turn", "break") for place in self._cues[kind]} | restarts)
        for place, following in zip(events, [*events[1:], self._end], strict=True):
            if place in self._cues["turn"] or place in restarts:
                ends |= dict.fromkeys((State.NEGATED, State.PAST, State.CHRONIC), place)
                if place in self._cues["turn"] or place in beginnings or place in self._cues["subject"]:
                    ends[State.OTHER] = place
            if place in self._cues["break"]:
                ends[State.POSSIBLE] = place
            part_end = self._parts[bisect_right(part_begins, place) - 1][1]
            for state, end in self._opened(place, max(part_end, place + 1), on_somebody=on_somebody):
                ends[state] = max(ends[state], end)
            for state, end in ends.items():
                if place < end:
                    self._mark(states, place, min(end, following), state)

    def _opened(self, place: int, part_end: int, *, on_somebody: bool) -> Iterable[tuple[int, int]]:
        """The states that begin here, and where they end at the latest."""
        if place in self._cues["brief-negation"]:
            yield State.NEGATED, part_end
        elif place in self._cues["negation"] and place not in self._consumed:
            alone = self._cues["negation"][place] + 1 >= part_end and part_end - place < _SHORT_PART
            yield State.NEGATED, place + 1 if alone and part_end > self._start + 1 else self._end
        if place in self._cues["past-list"]:
            yield State.PAST, self._end
        if place in self._cues["past"]:
            yield State.PAST, part_end
        if place in self._cues["feared"] and self._cues["test-normal"]:
            yield State.POSSIBLE, part_end
        if place in self._cues["family-history"] or (
            place in self._cues["relative"] and place not in self._consumed and self._is_another(place)
        ):
            yield State.OTHER, self._end
        if place in self._cues["possible-only"] or (place in self._cues["topic-before"] and not on_somebody):
            yield State.POSSIBLE, self._end

    def _is_another(self, place: int) -> bool:
        """Whether a relative is who the rest is about, and not one who tells it, owns something, or is the patient."""
        before = self._tokens[place - 1].word if place > self._start else ""
        told = self._tokens[place - 2].word if place > self._start + 1 else ""
        behind = range(place + 1, min(place + 1 + _INFORMANT_REACH, self._end))
        if self._tokens[place].word.endswith("'s") or before in _PREPOSITIONS or told in _TOLD:
            return False
        return not self._is_patient_now(place, before) and not any(at in self._cues["informant"] for at in behind)

    def _is_patient_now(self, place: int, before: str) -> bool:
        """Whether a relative or bystander is ill now, "my dad can't move his arm", or did something to the patient."""
        behind = [token.word for token in self._tokens[place + 1 : min(place + 1 + _ACUTE_REACH, self._end)]]
        if not _LONG_AGO.isdisjoint(behind):
            return False
        word, of_the_patient = self._tokens[place].word, before in ("his", "her", "their")
        is_near = (
            before in _NEAR or (word.startswith(_BYSTANDERS) and not of_the_patient) or (not before and word in _OWN)
        )
        return not ((_PRESENT if is_near else _ACUTE) | _DONE_TO).isdisjoint(behind)

    def _restarts(self) -> set[int]:
        """Where a part says something new of the patient: it begins so, or tells since when."""
        found = set()
        for first, end in self._parts:
            told = bool(self._within("onset", first, end))
            begun = first in self._cues["restart"]
            if first > self._start and (begun or (told and first not in self._cues["negation"])):
                found.add(first)
        for place in range(self._start + 1, self._end):
            if self._tokens[place - 1].word in _LIST_WORDS and place in self._cues["restart"]:
                found.add(place)
        return found

    def _backward(self, states: list[int]) -> None:
        """What stands before a cue in its part, or in the part before where it stands alone."""
        for number, (first, end) in enumerate(self._parts):
            around = {
                State.PAST: [] if self._within("recent", first, end) else self._within("past-around", first, end),
                State.OVER: self._within("over", first, end),
                State.CHRONIC: self._within("chronic", first, end),
            }
            for state, places in around.items():
                if places:
                    whole = number and end - first <= _SHORT_PART
                    self._mark(states, self._parts[number - 1][0] if whole else first, end, state)
            for place in self._within("negated-behind", first, end):
                if self._closes(place, end):
                    self._mark(states, max(first, place - _BEHIND_REACH), place, State.NEGATED)

    def _closes(self, place: int, end: int) -> bool:
        """A bare "no" or "normal" speaks of what stands before it only where nothing follows."""
        return place in self._cues["ends-denied"] or self._cues["negated-behind"][place] + 1 >= end

    def _behind(self, states: list[int], *, on_somebody: bool) -> None:
        """Names of subjects, places and things: the word before "clinic" or "leaflet" is none of a patient."""
        for kind in ("name-behind", "topic-behind"):
            if kind == "name-behind" or not on_somebody:
                for place in self._cues[kind]:
                    self._mark(
                        states, place - 2 if kind == "name-behind" else place - _SHORT_PART, place, State.POSSIBLE
                    )

    def _within(self, kind: str, first: int, end: int) -> list[int]:
        places = self._sorted.get(kind, [])
        return places[bisect_left(places, first) : bisect_left(places, end)]
