"""What sensors' programs print may be anything: a reading that a machine can have, or an error of the device's own."""

import sys
from contextlib import suppress
from math import isfinite

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from device.child import LineChild
from device.errors import ReadingError, SourceUnavailableError
from device.reading import Reading
from device.sources import pmic_text, tegrastats
from device.throttling import parse_throttled
from tests.device.sources.test_pmic import TEXT

LINE = "11-22-2026 10:00:00 RAM 1/7620MB CPU [1%@729] VDD_IN 4556mW/4560mW VDD_CPU_GPU_CV 483mW/480mW VDD_SOC 1451mW/1450mW"
PIECES = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        ["9" * 5000, "9" * 400, "1e9", "inf", "nan", "-1", "0", "٣", "VDD_IN 0mW/1mW", "=", "V", "A", "\n"]
    ),
)


@st.composite
def damaged(draw: st.DrawFn, text: str) -> str:
    """A text with some of it replaced."""
    for _ in range(draw(st.integers(0, 4))):
        at, length = draw(st.integers(0, len(text))), draw(st.integers(0, 30))
        text = text[:at] + draw(PIECES) + text[at + length :]
    return text


def check(reading: Reading) -> None:
    assert reading.power_w is not None
    assert isfinite(reading.power_w)
    assert all(isfinite(each) for each in reading.rails_w.values())


@settings(max_examples=150, deadline=2000)
@given(damaged(LINE))
def test_lines_of_tegrastats(line: str) -> None:
    with suppress(ReadingError, SourceUnavailableError):
        check(tegrastats.to_reading(tegrastats.parse_line(line)))


@settings(max_examples=150, deadline=2000)
@given(damaged(TEXT))
def test_texts_of_the_power_chip(text: str) -> None:
    with suppress(ReadingError, SourceUnavailableError):
        check(pmic_text.to_reading(text))


@pytest.mark.parametrize("watts", ["9" * 400, "9" * 5000])
def test_figures_that_no_number_holds_are_no_rails(watts: str) -> None:
    with pytest.raises(ReadingError, match="without power rails"):
        tegrastats.to_reading(tegrastats.parse_line(f"VDD_IN {watts}mW/1mW"))
    with pytest.raises(ReadingError, match="a line that is no channel"):
        pmic_text.to_reading(f"A_A current(0)={watts}.0A\nA_V volt(1)=0.0V")


@settings(max_examples=100, deadline=2000)
@given(st.one_of(st.text(max_size=40), st.text("0123456789abcdefx=", max_size=20).map("throttled=0x{}".format)))
def test_throttling_of_any_text(text: str) -> None:
    parse_throttled(text)


ENDLESS = "import sys\nwhile True: sys.stdout.write('x' * 65536)"


def test_a_program_that_prints_one_endless_line_takes_no_memory() -> None:
    before = psutil.Process().memory_info().rss
    child = LineChild([sys.executable, "-c", ENDLESS], "endless")
    try:
        with pytest.raises(ReadingError, match="has printed nothing for 1 s"):
            child.line(1)
        assert psutil.Process().memory_info().rss - before < 64 * 2**20
    finally:
        child.close()


def test_the_end_of_a_line_that_is_too_long_is_no_line() -> None:
    printed = "print('x' * 3_000_000 + 'VDD_IN 1mW/1mW', 'whole', sep='\\n', flush=True)"
    child = LineChild([sys.executable, "-c", f"{printed}; input()"], "long")
    try:
        assert child.line(10) == "whole"
    finally:
        child.close()
