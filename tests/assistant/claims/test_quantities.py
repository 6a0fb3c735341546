"""Quantities: what is one and the same however it is written, and what is not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.knowledge.claims.lexicon import lowered
from assistant.knowledge.claims.quantities import Quantity, mismatch, read_quantities


def read(text: str) -> list[Quantity]:
    return read_quantities(lowered(text))


@pytest.mark.parametrize(
    ("said", "held"),
    [
        ("0.5 mg", "500 micrograms"),
        (".50 mg", "0.5 milligrams"),
        ("half a milligram", "500 mcg"),
        ("1,000 mg", "1 g"),
        ("5mg", "5 mg"),
        ("two weeks", "14 days"),
        ("24 hours", "1 day"),
        ("2 years", "24 months"),
        ("five percent", "5%"),
        ("5 to 10 mg", "5–10 mg"),
        ("between 5 and 10 mg", "5 mg-10 mg"),
        ("at least 65 years", "65 years or older"),
        ("aged 65 years and over", "≥65 years"),
        ("over 65 years", "more than 65 years"),
        ("no more than 4 g", "up to 4 g"),
        ("under 2 kg", "<2 kg"),
        ("10 mg/kg/day", "10 mg per kg per day"),
        ("10 mg/kg daily", "10 mg/kg/day"),
        ("10 mg once daily", "10 mg by mouth once a day"),
        ("70 mg/dL", "0.7 g/L"),
        ("twice a day", "two times daily"),
        ("twice daily", "b.i.d."),
        ("every 8 hours", "8-hourly"),
        ("every 12 hours", "q12h"),
        ("daily", "every day"),
        ("6 and 12 months", "6 months and 1 year"),
        ("38.0 °C", "38 degrees Celsius"),
        ("140/90 mmHg", "140/90 mm Hg"),
        ("1 in 10,000", "one in 10000"),
        ("2 million", "2,000,000"),
        ("in 15 minutes", "over 15 minutes"),
        ("within 4 hours", "up to 4 hours"),
        ("within 4 hours", "in the first 4 hours"),
        ("in 3 months", "3 months"),
        ("a 5-year-old", "5 years old"),
    ],
)
def test_one_quantity_written_in_two_ways(said: str, held: str) -> None:
    assert read(said)
    assert mismatch(read(said), read(held)) is None
    assert mismatch(read(held), read(said)) is None


def test_a_number_that_names_takes_no_unit_from_the_next() -> None:
    assert [each.unit for each in read("on day 1, 10 mg")] == [(), ("mass",)]
    assert [each.unit for each in read("1, 10 mg")] == [("mass",), ("mass",)]


def test_once_a_day_says_more_than_a_day() -> None:
    assert mismatch(read("10 mg daily"), read("10 mg once daily")) is None
    assert mismatch(read("10 mg once daily"), read("10 mg/day")) == "number"


def test_every_twelve_hours_is_twice_a_day_but_not_the_other_way_round() -> None:
    assert mismatch(read("twice daily"), read("every 12 hours")) is None
    assert mismatch(read("every 12 hours"), read("twice daily")) == "number"
    assert mismatch(read("three times a day"), read("every 12 hours")) == "number"
    assert mismatch(read("once a day"), read("every 7 hours")) == "number"


@pytest.mark.parametrize(
    ("said", "held", "wrong"),
    [
        ("0.5 mg", "5 mg", "number"),
        ("0.5 mg", "0.5 g", "unit"),
        ("5 hours", "5 minutes", "unit"),
        ("5 mg", "5 mg/kg", "unit"),
        ("10 mg daily", "10 mg", "unit"),
        ("10 mg", "5 to 10 mg", "number"),
        ("5 to 15 mg", "5 to 10 mg", "number"),
        ("5 percent to 6 degrees", "5 percent to 6 percent", "number"),
        ("over 65 years", "under 65 years", "number"),
        ("over 65 years", "at least 65 years", "number"),
        ("65 years", "over 65 years", "number"),
        ("4 hours", "within 4 hours", "number"),
        ("over 4 hours", "within 4 hours", "number"),
        ("twice a day", "three times a day", "number"),
        ("twice a day", "twice a week", "unit"),
        ("daily", "weekly", "unit"),
        ("2 in 2", "1 in 2", "number"),
        ("type 2", "type 1", "number"),
        ("four groups", "three groups", "number"),
    ],
)
def test_other_quantities_are_told_apart(said: str, held: str, wrong: str) -> None:
    assert mismatch(read(said), read(held)) == wrong


@pytest.mark.parametrize(
    "text", ["COVID-19", "vitamin B12 and HbA1c", "no one knows", "one of them", "CYP2D6", "the 2nd"]
)
def test_a_number_in_a_name_is_none(text: str) -> None:
    assert read(text) == []


@given(st.floats(0.001, 9999).map(lambda value: round(value, 3)), st.sampled_from(["mg", "g", "kg", "mcg"]))
def test_metric_prefixes_convert_exactly(value: float, unit: str) -> None:
    grams = {"kg": 1e3, "g": 1.0, "mg": 1e-3, "mcg": 1e-6}
    (quantity,) = read(f"give {value:.3f} {unit} now")
    for other, size in grams.items():
        same = Quantity(value * grams[unit] / size, value * grams[unit] / size, "", ("mass",), size, 0, 1)
        assert quantity.equals(same), other


@given(st.text(max_size=80))
def test_any_text_is_read(text: str) -> None:
    found = read(text)
    assert mismatch(found, found) is None
    assert all(0 <= each.start < each.end <= len(lowered(text)) for each in found)
