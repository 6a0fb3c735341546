"""How well the check of citations tells right sentences from wrong ones, and what it costs.

Usage: `python -m benchmarks.citations [--data DIR] [--half tuning|reported] [--cases N] [--misses N]`; `--data` (else
BEDSIDE_DATA) holds `medquad` and `nursing`. It exits with 1 where precision is below 0.9 or recall below 0.8 for wrong
numbers, negations or drugs. A wrong sentence is found where it is not called supported by the passage that it cites, and
named where the reason is the right one; precision is of the reasons, over all cases but those for which no one reason is the
right one (swapped words and passages, dropped exceptions and conditions, timing, splices).
"""

import argparse
import os
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from assistant.knowledge.citations import AnswerChecks, Check, check_answer
from assistant.knowledge.claims.support import read_passage
from benchmarks.citation_cases import KINDS, Case, Half, cases

LEAST_PRECISION, LEAST_RECALL = 0.9, 0.8
_NUMBER = {"number", "unit"}
REASONS = {"number": _NUMBER, "exchange": _NUMBER, "unit": _NUMBER, "negation": {"negation"}, "drug": {"drug"}}
UNNAMED = ("word", "exception", "condition", "timing", "splice", "passage")
REQUIRED = ("number", "negation", "drug")
_TIMED_PASSAGES = 200  # fewer than the check remembers
Judged = tuple[Case, Check]


def judge(made: Iterable[Case]) -> list[Judged]:
    """Each case with the check of its sentence: the worst one, where it reads as several."""
    judged = []
    for case in made:
        checks = check_answer(case.sentence, case.passages)
        judged.append((case, max(checks, key=lambda check: check.status != "supported")))
    return judged


def is_found(case: Case, check: Check) -> bool:
    """Whether a wrong sentence is told from a right one; a quote with the wrong mark is when it gets the right one."""
    return check.status != "supported" or (case.wrong == "passage" and check.cites == (case.gold,))


def share(flags: Sequence[bool]) -> float:
    """The share that is true; 0 of none."""
    return sum(flags) / len(flags) if flags else 0.0


def table(judged: Sequence[Judged]) -> tuple[list[str], bool]:
    """The lines to print, and whether the goals are reached."""
    lines = [f"{'made wrong':<12}{'cases':>6}{'found':>8}{'named':>8}{'precision':>11}"]
    reached = True
    for kind in KINDS:
        of_kind = [(case, check) for case, check in judged if case.wrong == kind]
        found = share([is_found(case, check) for case, check in of_kind])
        if kind not in REASONS:
            lines.append(f"{kind:<12}{len(of_kind):>6}{found:>8.3f}")
            continue
        reasons = REASONS[kind]
        family = {each for each in KINDS if REASONS.get(each) == reasons}
        named = share([bool(reasons & set(check.reasons)) for _, check in of_kind])
        flagged = [case for case, check in judged if reasons & set(check.reasons) and case.wrong not in UNNAMED]
        precision = share([case.wrong in family for case in flagged])
        lines.append(f"{kind:<12}{len(of_kind):>6}{found:>8.3f}{named:>8.3f}{precision:>11.3f}")
        if kind in REQUIRED:
            reached = reached and precision >= LEAST_PRECISION and named >= LEAST_RECALL
    lines += ["", f"{'right':<24}{'cases':>6}{'supported':>11}"]
    right = [(case, check) for case, check in judged if case.wrong is None]
    for made in dict.fromkeys(case.made for case, _ in right):
        supported = [check.status == "supported" for case, check in right if case.made == made]
        lines.append(f"{made:<24}{len(supported):>6}{share(supported):>11.3f}")
    reworded = [check.status == "supported" for case, check in right if case.made != "quote"]
    lines.append(f"{'all reworded':<24}{len(reworded):>6}{share(reworded):>11.3f}")
    return lines, reached


def misses(judged: Sequence[Judged], most: int) -> list[str]:
    """The first few of each kind that were judged wrongly."""
    lines = []
    for kind in (*KINDS, None):
        wrong = [
            (case, check)
            for case, check in judged
            if case.wrong == kind and (check.status != "supported" if kind is None else not is_found(case, check))
        ]
        for case, check in wrong[:: max(1, len(wrong) // most)][:most] if most else []:
            lines.append(f"{kind or 'right, but'} ({case.made}) {'/'.join(check.reasons)}: {case.sentence}")
    return lines


def cost(judged: Sequence[Judged]) -> list[str]:
    """Microseconds per passage, per sentence, and per token of a stream of four characters each."""
    made = [case for case, _ in judged][::7]
    passages = list(dict.fromkeys(passage for case in made for passage in case.passages))[:_TIMED_PASSAGES]
    made = [case for case in made if set(case.passages) <= set(passages)]
    read_passage.cache_clear()
    began = time.perf_counter()
    for passage in passages:
        read_passage(passage)
    passage_us = 1e6 * (time.perf_counter() - began) / len(passages)
    sentences: list[float] = []
    tokens: list[float] = []
    for case in made:
        checks, place = AnswerChecks(case.passages), 0
        text = case.sentence + " And then."
        while place < len(text):
            place += 4
            began = time.perf_counter()
            new = checks.new(text[:place])
            (sentences if new else tokens).append(1e6 * (time.perf_counter() - began))
    return [
        "",
        (
            f"{passage_us:.0f} us to read a passage, once; {statistics.median(sentences):.0f} us per sentence"
            f" (p95 {statistics.quantiles(sentences, n=20)[-1]:.0f}); {statistics.median(tokens):.1f} us per token between"
        ),
    ]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and give the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("BEDSIDE_DATA"))
    parser.add_argument("--half", choices=("tuning", "reported"), default="reported")
    parser.add_argument("--cases", type=int, default=400)
    parser.add_argument("--misses", type=int, default=3)
    given = parser.parse_args(arguments)
    if given.data is None:
        parser.error("say with --data or BEDSIDE_DATA where the corpora are")
    half: Half = given.half
    judged = judge(cases(Path(given.data), half, given.cases))
    lines, reached = table(judged)
    print("\n".join([f"half: {half}", *lines, *cost(judged), "", *misses(judged, given.misses)]))
    return 0 if reached else 1


if __name__ == "__main__":
    raise SystemExit(main())
