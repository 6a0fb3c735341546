"""Whether the right answers are found: ours against plain FTS5, on half of the subjects that no rule was tuned on.

Usage: `python -m benchmarks.retrieval [--data DIR] [--tuned]`, DIR (or BEDSIDE_DATA) being the folder of the public sets;
`--tuned` shows the other half. Recall at 5: questions with an answering passage (same subject and kind of answer) among the
first five; MRR at 10: the mean of one over the place of the first, 0 beyond the tenth. Times are of the processor, as on a
core of its own. It exits with 1 where ours is not better than plain search for the questions that name their subject, or
one in twenty of these takes 30 ms or more.
"""

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from random import Random

from rich.console import Console
from rich.table import Table

from assistant.knowledge.index import Index
from assistant.knowledge.library import LibraryPassage
from assistant.knowledge.search import search
from assistant.knowledge.volume import Volume
from benchmarks.retrieval.medquad import Answer, documents, load
from benchmarks.retrieval.plain import PlainSearch
from benchmarks.retrieval.queries import (
    Query,
    abbreviations,
    build,
    described,
    is_tuned,
    mistyped,
    reworded,
)
from benchmarks.retrieval.wordings import ELSEWHERE

LIMIT_S = 0.030
NAMED = (
    "held-out subjects and kinds, reworded",
    "more of the library's, reworded",
    "with a fault of typing",
    "by abbreviation",
)
_DEEP = 10
_MORE_KEYS = 1000
_MOST_QUESTIONS = 600
Search = Callable[[str, int], Sequence[LibraryPassage]]


@dataclass(frozen=True)
class Found:
    """What one search made of some questions."""

    recall_at_5: float
    mrr_at_10: float
    answered: float
    """Share of questions for which it found anything."""
    seconds: tuple[float, ...]
    """Of each search, in order of size."""

    def within_s(self, share: float) -> float:
        """The time that this share of the searches stays within."""
        return self.seconds[min(len(self.seconds) - 1, int(share * len(self.seconds)))]


def measure(find: Search, queries: Sequence[Query]) -> Found:
    """Ask all of them."""
    places: list[int | None] = []
    seconds: list[float] = []
    answered = 0
    for query in queries:
        started = time.process_time()
        hits = find(query.text, _DEEP)
        seconds.append(time.process_time() - started)
        answered += bool(hits)
        right = ((hit.title.casefold(), hit.section.casefold()) == query.key for hit in hits)
        places.append(next((place for place, is_right in enumerate(right, start=1) if is_right), None))
    count = len(queries)
    return Found(
        sum(place is not None and place <= 5 for place in places) / count,
        sum(1 / place for place in places if place is not None) / count,
        answered / count,
        tuple(sorted(seconds)),
    )


def sets_of_questions(
    train: Sequence[Answer], valid: Sequence[Answer], *, tuned: bool
) -> Iterator[tuple[str, list[Query]]]:
    """Each set by its name."""
    known = dict.fromkeys(answer.key for answer in train)
    shared = [key for key in dict.fromkeys(answer.key for answer in valid) if key in known]
    more = Random(7).sample(sorted(known), _MORE_KEYS)
    names = {answer.key[0]: answer.focus for answer in (*train, *valid)}
    short = abbreviations((*train, *valid))

    def called(focus: str) -> str:
        return reworded(names[focus])

    yield NAMED[0], list(build(shared, called, tuned=tuned))
    yield NAMED[1], list(build(more, called, tuned=tuned))
    yield NAMED[2], list(build((*shared, *more), lambda focus: mistyped(called(focus)), tuned=tuned))
    abbreviated = [key for key in sorted(known) if key[0] in short]
    yield NAMED[3], list(build(abbreviated, short.get, tuned=tuned))
    subjects = {key[0] for key in known}
    yield (
        "described, not named",
        [
            Query(text, answer.key)
            for answer in valid
            if answer.kind == "information" and answer.key in known and is_tuned(answer.focus) == tuned
            if (text := described(answer)) is not None
        ],
    )
    yield "about nothing medical", [Query(text, ("", "")) for text in ELSEWHERE[0 if tuned else 1 :: 2]]
    absent = [key for key in dict.fromkeys(answer.key for answer in valid) if key[0] not in subjects]
    yield "on subjects that the library lacks", list(build(absent, called, tuned=tuned))


def show(results: Sequence[tuple[str, int, Found, Found]]) -> Table:
    """The table of results: plain, then ours."""
    table = Table("questions", "n", "recall@5", "", "MRR@10", "", "something found", "", "p50, p95 ms", "")
    for name, count, plain, ours in results:
        cells = []
        for figure in ("recall_at_5", "mrr_at_10", "answered"):
            cells += [f"{getattr(one, figure):.3f}" for one in (plain, ours)]
        cells += [f"{1e3 * one.within_s(0.5):.1f}, {1e3 * one.within_s(0.95):.1f}" for one in (plain, ours)]
        table.add_row(name, str(count), *cells)
    return table


def main() -> int:
    """Index, ask, print."""
    parser = argparse.ArgumentParser(description="our search against plain FTS5 on MedQuAD")
    parser.add_argument("--data", type=Path, default=os.environ.get("BEDSIDE_DATA", "../shared/data"))
    parser.add_argument("--tuned", action="store_true", help="the half that the rules were tuned on")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:1])
    train, valid = load(arguments.data, "train"), load(arguments.data, "valid")
    library = documents(train)
    started = time.perf_counter()
    index = Index([Volume.of_documents("medquad", library)])
    console = Console(width=160)
    console.print(
        f"{sum(len(document.passages) for document in library)} passages of {len(library)} documents,"
        f" indexed in {time.perf_counter() - started:.1f} s; plain FTS5 left, ours right; one core"
    )

    def find(question: str, limit: int) -> list[LibraryPassage]:
        return [hit.passage for hit in search(index, question, limit)]

    find("misspeled", _DEEP)  # the words to correct with are gathered once
    with closing(PlainSearch(library)) as plain:
        results = [
            (name, len(queries), measure(plain.search, queries), measure(find, queries))
            for name, every in sets_of_questions(train, valid, tuned=arguments.tuned)
            for queries in [Random(7).sample(every, min(len(every), _MOST_QUESTIONS))]
        ]
    console.print(show(results))
    named = [(plain, ours) for name, _, plain, ours in results if name in NAMED]
    better = all(b.recall_at_5 > a.recall_at_5 and b.mrr_at_10 > a.mrr_at_10 for a, b in named)
    return 0 if better and all(ours.within_s(0.95) < LIMIT_S for _, ours in named) else 1


if __name__ == "__main__":
    raise SystemExit(main())
