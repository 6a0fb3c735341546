"""The cases by which the check of citations is measured: what is reworded stays right, what is changed becomes wrong."""

import gzip
import json
import random
from pathlib import Path

import pytest

from benchmarks.citation_cases import KINDS, Case, cases
from benchmarks.citation_rewordings import (
    change_number,
    change_timing,
    change_unit,
    drop_condition,
    drop_exception,
    exchange,
    flip,
    merge,
    negation_form,
    number_form,
    reorder,
    shorten,
    splice,
    swap_drug,
    swap_word,
    synonym,
    voice,
)
from benchmarks.citations import judge, main, table

SENTENCES = (
    "Doctors often treat this condition with tolbutamol (Tolbex) for 10 days.",
    "It does not occur in children under 2 years.",
    "If the symptoms persist, a second dose of 50 mg of fenorine (Fenor) is given.",
    "Mutations in the ABC gene cause the granular form of the disease.",
    "However, the outcome is usually good after 6 weeks of treatment.",
    "There is no cure for the inherited kind of the disorder.",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of forty small documents on invented diseases, in the form of MedQuAD."""
    folder = tmp_path_factory.mktemp("data")
    rows = [
        {
            "doc": f"d{number}",
            "focus": f"Morbus {chr(65 + number % 26)}{number}",
            "qtype": "treatment",
            "answer": " ".join(sentence.replace("ABC", f"ABC{number}") for sentence in SENTENCES),
        }
        for number in range(40)
    ]
    for name, content in (("medquad", rows), ("nursing", [{"text": "Nothing of note."}])):
        (folder / name).mkdir()
        text = "\n".join(map(json.dumps, content))
        (folder / name / "train.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    return folder


def test_rewordings_say_the_same() -> None:
    rng = random.Random(1)
    assert reorder(rng, SENTENCES[2]) == "A second dose of 50 mg of fenorine (Fenor) is given if the symptoms persist."
    assert voice(rng, "Mutations in the ABC gene cause the granular form.") == (
        "The granular form can be caused by mutations in the ABC gene."
    )
    assert negation_form(rng, "It does not occur in men.") == "It doesn't occur in men."
    assert number_form(rng, "It lasts between 5 and 7 nights.") == "It lasts 5 to 7 nights."
    assert shorten(random.Random(2), "However, the outcome is good.") in {"The outcome is good.", None}
    assert synonym(rng, "Tumors bleed.") == "Neoplasms bleed."
    assert merge(rng, "It itches.", "It hurts.") in {
        f"It itches{join}it hurts." for join in (", and ", "; ", ", while ")
    }


def test_changes_say_something_else() -> None:
    rng = random.Random(1)
    assert flip(rng, "It does not spread.") == "It does spread."
    assert flip(rng, "It can spread.") in {"It cannot spread.", "It can not spread."}
    assert change_unit(rng, "Wait 10 days.") in {f"Wait 10 {unit}." for unit in ("weeks", "hours", "months")}
    assert change_number(rng, "Wait 10 days.", []) not in {None, "Wait 10 days."}
    assert swap_drug(rng, "Give fenorine.", ["fenorine", "tolbutamol"]) == "Give tolbutamol."
    assert change_number(rng, "Wait.", []) is None
    assert exchange(rng, "Give 5 mg at the start and 8 mg later.") == "Give 8 mg at the start and 5 mg later."
    assert swap_word(rng, "Feed the kitten.", "An amphibian leaps.", {"leaps"}) == "Feed the amphibian."


def test_what_a_sentence_depends_on_is_dropped_or_turned() -> None:
    rng = random.Random(1)
    found = {drop_exception(rng, "Any drug helps, except for aspirin.") for _ in range(9)}
    assert found == {"Any drug helps.", "Any drug helps including aspirin."}
    assert drop_condition(rng, "If it bleeds for long, press hard upon the wound.") == "Press hard upon the wound."
    assert drop_condition(rng, "Press hard upon the wound if it bleeds.") == "Press hard upon the wound."
    assert change_timing(rng, "Wash before meals.") == "Wash after meals."
    assert change_timing(rng, "Wash within 3 hours.") == "Wash after 3 hours."
    assert splice(rng, "a b c d e f g h", ["i j k l m n o p"]) == "a b c d m n o p"
    for change in (drop_exception, drop_condition, change_timing):
        assert change(rng, "Wait.") is None
    assert splice(rng, "Wait.", ["Go."]) is None


def test_cases_are_of_every_kind_in_both_halves_and_the_same_each_time(data: Path) -> None:
    halves: list[list[Case]] = [cases(data, "tuning", 5), cases(data, "reported", 5)]
    for half in halves:
        # So small a corpus has no rare words, no sentence of two numbers and mostly the same sentences.
        assert {case.wrong for case in half} >= {*KINDS, None} - {
            "word",
            "exchange",
            "passage",
            "exception",
            "condition",
            "timing",
        }
    titles = [{case.passages[case.gold - 1].title for case in half} for half in halves]
    assert titles[0].isdisjoint(titles[1])
    assert cases(data, "tuning", 5) == halves[0]


def test_the_table_is_printed_and_says_whether_the_goals_are_reached(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines, reached = table(judge(cases(data, "reported", 5)))
    assert lines[0].split() == ["made", "wrong", "cases", "found", "named", "precision"]
    assert main(["--data", str(data), "--cases", "5", "--misses", "1"]) == (0 if reached else 1)
    printed = capsys.readouterr().out
    assert "\n".join(lines) in printed
    assert "us per sentence" in printed
