"""The recovery code survives being copied by hand, and a slip of the pen is told."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.errors import WrongPassphraseError
from assistant.history.recovery_code import new_recovery_code, read_recovery_code
from tests.assistant.history.conftest import PATIENT

LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
CODES = st.sampled_from([new_recovery_code() for _ in range(50)])
LOOK_ALIKES = {"0": "0Oo", "1": "1IilL", "V": "VvUu"}


@PATIENT
@given(CODES, st.data())
def test_it_reads_as_it_was_written_whichever_way(code: str, data: st.DataObject) -> None:
    letters = [data.draw(st.sampled_from(LOOK_ALIKES.get(each, each + each.lower()))) for each in code if each != "-"]
    gaps = [data.draw(st.sampled_from(["", " ", "-", " - ", "\u2013", "\n", "."])) for _ in letters]
    assert read_recovery_code("".join(map(str.__add__, letters, gaps))) == code


def test_it_has_120_random_bits_and_no_letter_that_looks_like_another() -> None:
    codes = {new_recovery_code() for _ in range(200)}
    assert len(codes) == 200
    assert all(re.fullmatch("(?:[0-9A-HJKMNP-TV-Z]{5}-){4}[0-9A-HJKMNP-TV-Z]{5}", code) for code in codes)
    for place in range(24):  # the letters that are random: each takes most of its 32 values
        assert len({code.replace("-", "")[place] for code in codes}) > 24


def test_most_slips_are_told_before_a_key_is_derived() -> None:
    told = [is_told(new_recovery_code(), place) for _ in range(20) for place in range(0, 29, 7)]
    assert sum(told) > 0.9 * len(told)


def is_told(code: str, place: int) -> bool:
    other = LETTERS[(LETTERS.find(code[place]) + 5) % 32]
    try:
        read_recovery_code(code[:place] + other + code[place + 1 :])
    except WrongPassphraseError:
        return True
    return False


@pytest.mark.parametrize("written", ["", "ABC", "correct horse battery", "A" * 26, "é" * 25, "!" * 25, "\0" * 25])
def test_what_cannot_be_a_code_is_said(written: str) -> None:
    with pytest.raises(WrongPassphraseError, match="25 letters and digits"):
        read_recovery_code(written)
