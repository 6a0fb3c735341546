"""The tables of names: as many as they should be, and each one reachable."""

from importlib.resources import files

from assistant.knowledge.abbreviations import expansions
from assistant.knowledge.medicines import drug_names
from assistant.knowledge.words import words


def lines() -> list[str]:
    text = files("assistant.knowledge").joinpath("names.txt").read_text("utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]


def test_there_are_many_and_each_line_is_in_order() -> None:
    short = [name for line in lines() for name in line.split(" = ")[0].split() if name != "-"]
    assert len(set(short)) >= 150
    assert len(short) == len(set(short))
    assert all(line.count(" = ") == 1 and line == " ".join(line.split()) for line in lines())


def test_every_name_is_found_in_a_text() -> None:
    for line in lines():
        for meaning in line.split(" = ")[1].split(" | "):
            for name in meaning.split(", "):
                (found,) = expansions(f"what about {name}")
                assert found.end - found.start == len(words(name)), name


def test_the_look_alikes_among_medicines_are_known() -> None:
    pairs = (
        "hydroxyzine hydralazine prednisone prednisolone clonidine clonazepam quinine quinidine vinblastine vincristine"
    )
    assert set(pairs.split()) <= drug_names()
    assert len(drug_names()) >= 1000
