"""Sensitivity and specificity on the written cases, each group apart, with everything that was missed."""

import gzip
import json
import os
from pathlib import Path

import pytest

from assistant.safety.rules import rule_book
from assistant.safety.screen import screen
from tests.assistant.safety.cases import Case, read_cases

CASES = read_cases()
FLAGGED = [case for case in CASES if case.expected]
NEAR_MISSES = [case for case in CASES if not case.expected]


def share(cases: list[Case]) -> float:
    return sum(case.is_right for case in cases) / len(cases)


def told(cases: list[Case]) -> str:
    return f"{share(cases):.3f} of {len(cases)}" if cases else "no case"


def test_there_are_enough_cases_and_half_are_near_misses() -> None:
    assert len(CASES) >= 300
    assert abs(len(FLAGGED) - len(NEAR_MISSES)) < len(CASES) / 20
    assert len({case.text for case in CASES}) == len(CASES)


def test_every_rule_has_a_case_and_every_case_a_rule() -> None:
    rules = {rule.id for rule in rule_book().rules}
    expected = {name for case in FLAGGED for name in case.expected}
    assert expected == rules


def test_sensitivity_and_specificity(capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print()
        for group in dict.fromkeys(case.group for case in CASES):
            flagged, near = ([case for case in some if case.group == group] for some in (FLAGGED, NEAR_MISSES))
            print(f"  {group}: sensitivity {told(flagged)}, specificity {told(near)}")
        for case in CASES:
            if not case.is_right:
                print(f"  missed: {sorted(case.expected)} found {sorted(case.found)}: {case.text}")
    assert share(FLAGGED) >= 0.98
    assert share(NEAR_MISSES) >= 0.90


@pytest.mark.shared
@pytest.mark.skipif("BEDSIDE_DATA" not in os.environ, reason="BEDSIDE_DATA is not set")
def test_questions_on_a_subject_are_not_on_a_patient() -> None:
    """MedQuAD's questions speak of nobody; none was flagged at the first run, nor since."""
    path = Path(os.environ["BEDSIDE_DATA"]) / "medquad" / "valid.jsonl.gz"
    with gzip.open(path, "rt", encoding="utf-8") as stream:
        questions = {json.loads(line)["question"] for line in stream}
    flagged = [question for question in questions if screen([question]).findings]
    assert len(flagged) <= len(questions) / 100
