"""Identifiers go, medical quantities stay."""

import time
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.history.redaction import identifiers, moved, redact
from tests.assistant.history.conftest import PATIENT

REPLACED = [
    ("Mrs Eleanor Rigby, 54", "Mrs [name], 54"),
    ("Dr. van der Berg and Prof O'Brien-Smith agree", "Dr. [name] and Prof [name] agree"),
    ("mr smith's wound", "mr [name]'s wound"),
    ("Patient: John Smith; name: Ann Lee", "Patient: [name]; name: [name]"),
    ("her name is Ann Lee.", "her name is [name]."),
    ("DOB 12/03/1956", "DOB [date]"),
    ("born in 1956, seen 2024-05-31", "born in [date], seen [date]"),
    ("on 3rd of March 2024, May 5, 2024 and 24.12.23", "on [date], [date] and [date]"),
    ("since Sept 2023 (5 Jan)", "since [date] ([date])"),
    ("NHS 943 476 5919", "NHS [number]"),
    ("MRN: 00123456, hospital number H1234567", "MRN: [number], hospital number [number]"),
    ("SSN 123-45-6789; 4716253849", "SSN [number]; [number]"),
    ("NI AB 12 34 56 C", "NI [number]"),
    ("ring 07700 900123 or +44 20 7946 0958", "ring [phone] or [phone]"),
    ("(555) 123-4567, tel. 555 1234", "[phone], tel. [phone]"),
    ("e.rigby+x@example.org, see https://example.org/x?y=1.", "[e-mail], see [link]."),
    ("www.example.org/a", "[link]"),
    ("12 Penny Lane, Liverpool L18 1DE", "[address], Liverpool [postcode]"),
    ("Springfield, IL 62704-1234", "Springfield, IL [postcode]"),
    ("P.O. Box 1234", "[address]"),
]
KEPT = """
BP 120/80 mmHg, pulse 110 bpm, 37.5 °C, SpO2 94%, RR 22 breaths/min
500 mg twice daily for 5 days, then 2-3-4 mg; 10-12-14 mg; 1/2 tablet; 2.5-5 mL
0.9% saline 1000 mL over 8 hours; 20 mg/5 mL; 100 200 3000 mg; adrenaline 1:10000
WBC 12.5 x10^9/L, platelets 250000/µL, 150,000; 1000000 IU; 1,000,000 units; CK 12000
HbA1c 48 mmol/mol, eGFR 45 mL/min/1.73 m2, INR 2.0-3.0, pH 7.35-7.45, K 5.9 mmol/L, TSH 0.4-4.0 mIU/L
in 2019, for 6-8 weeks, 45 years old, a 3-month-old, grade 3/5, GCS 15, T4 5NG, VITAMIN B12 5MG, C5-C6, L4/5
MR angiography, MR imaging, MS patients, Miss doses? A patient named in the note; the patient was 45
you may 5 mg; May 10 mg be given? may 20 mL; march 3 km; 12 of 100 patients; number needed to treat 25
NCT01234567, PMID: 12345678, NICE NG158, CURB-65 2, CHA2DS2-VASc 4, FEV1/FVC 0.7, 5-FU, 131I, 99mTc, H5N1
record 100000 units; account for 12345 people; ID 5 days; policy: 12-24 hours; case 2 of 3
""".strip().splitlines()
UNITS = (
    "mg µg mcg g kg ng mL L dL mmol/L mol mEq/L IU units mmHg bpm % °C cells/µL /µL x10^9/L years days hours".split()
)


@pytest.mark.parametrize(("text", "expected"), REPLACED, ids=[text for text, _ in REPLACED])
def test_identifiers_are_replaced_by_what_they_are(text: str, expected: str) -> None:
    assert redact(text) == expected
    assert redact(f"({text})\n{text}") == f"({expected})\n{expected}"
    assert redact(expected) == expected


@pytest.mark.parametrize("text", KEPT)
def test_what_looks_like_one_stays(text: str) -> None:
    assert redact(text) == text


NUMBERS = st.one_of(
    st.integers(0, 10**9).map(str),
    st.integers(0, 10**9).map(lambda number: f"{number:,}"),
    st.decimals(0, 10**6, places=2).map(str),
    st.tuples(st.integers(1, 300), st.integers(1, 300)).map(lambda pair: f"{pair[0]}/{pair[1]}"),
    st.tuples(st.integers(1, 300), st.integers(1, 300)).map(lambda pair: f"{pair[0]}-{pair[1]}"),
    st.tuples(st.integers(1, 31), st.integers(1, 12), st.integers(1, 99)).map(lambda three: "-".join(map(str, three))),
)


@PATIENT
@given(st.lists(st.tuples(NUMBERS, st.sampled_from(["", " "]), st.sampled_from(UNITS)), min_size=1, max_size=4))
def test_a_number_with_a_unit_always_stays(quantities: list[tuple[str, str, str]]) -> None:
    text = "give " + ", then ".join(number + gap + unit for number, gap, unit in quantities) + " as needed"
    assert redact(text) == text


@PATIENT
@given(st.text(alphabet="Mrs. DJohn0123456789-/@:,()\n a@b.cé", max_size=80))
def test_it_is_the_same_every_time_and_pieces_never_overlap(text: str) -> None:
    spans = identifiers(text)
    assert redact(text) == redact(text)
    assert all(one.end <= other.start for one, other in pairwise(spans))
    assert all(0 <= span.start < span.end <= len(text) for span in spans)


def test_places_move_with_the_text() -> None:
    text = "Mrs Rigby fell. DOB 12/03/1956 is known. Ice helps."
    place = moved(identifiers(text))
    redacted = redact(text)
    for sentence, now in (("Mrs Rigby fell.", "Mrs [name] fell."), ("Ice helps.", "Ice helps.")):
        start = text.index(sentence)
        assert redacted[place(start) : place(start + len(sentence))] == now
    assert redacted[: place(text.index("Rigby") + 2)] == "Mrs [name]"


@pytest.mark.parametrize(
    "piece", ["a", "1", "1 ", "1-", "Aa ", "a.", "a@", "Mr A ", "www.", "a+", "05 ", "+1 ", "12 Aa Bb "]
)
def test_no_text_takes_long(piece: str) -> None:
    started = time.process_time()
    identifiers(piece * (60_000 // len(piece)))
    assert time.process_time() - started < 5
