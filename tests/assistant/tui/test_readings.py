"""The status line: figures with units, and plainly where there is none."""

import pytest
from rich.cells import cell_len

from assistant.tui.readings import Readings, clipped, status_text
from benchmarks.scripted_server import USAGE

AFTER = Readings(most_tokens=2048).with_usage("reference", USAGE)


def test_what_is_not_measured_is_said() -> None:
    assert status_text(AFTER, 80) == "reference · 41.2 tok/s · first 0.32 s · ctx 340/2,048 · W not measured"


def test_power_temperature_and_efficiency_where_they_are() -> None:
    usage = {**USAGE, "bedside": {**USAGE["bedside"], "watts": 6.2, "tokens_per_joule": 0.9}}
    measured = Readings(most_tokens=2048).with_usage("m", usage)
    measured = measured.with_device({"power_w": 5.8, "scope": "module"}).with_device(
        {"temperatures_c": {"cpu": 61.5, "gpu": 58}}
    )
    assert status_text(measured, 120).endswith("· 5.8 W (module) · 0.90 tok/s/W · 62 °C")


@pytest.mark.parametrize(
    ("throttling", "told"),
    [
        (
            {"flags": {"now": ["under_voltage", "throttled"], "since_boot": []}},
            "! slowed down: under voltage, throttled · ",
        ),
        (
            {"flags": {"now": [], "since_boot": ["throttled"]}, "supply_too_low": True},
            "! slowed down: supply too low · ",
        ),
        ({"flags": {"now": [], "since_boot": ["throttled"]}, "supply_too_low": False}, ""),
        ({"flags": None, "over_current_events": {"oc1": 3}, "supply_too_low": None}, ""),
    ],
)
def test_throttling_comes_first(throttling: dict[str, object], told: str) -> None:
    assert status_text(AFTER.with_device({"throttling": throttling}), 120) == told + status_text(AFTER, 120)


MEASURED = (
    AFTER.with_usage("qwen2.5-1.5b-instruct-q4_0", {**USAGE, "bedside": {**USAGE["bedside"], "tokens_per_joule": 0.9}})
    .with_device({"power_w": 5.8, "scope": "module"})
    .with_device({"temperatures_c": {"cpu": 61.5}})
)


@pytest.mark.parametrize(
    ("width", "told"),
    [
        (
            120,
            "qwen2.5-1.5b-instruct-q4_0 · 41.2 tok/s · first 0.32 s · ctx 340/2,048 · 5.8 W (module) · 0.90 tok/s/W · 62 °C",
        ),
        (104, "qwen2.5-1.5b-instruct-q4_0 · 41.2 tok/s · first 0.32 s · ctx 340/2,048 · 5.8 W · 0.90 tok/s/W · 62 °C"),
        (78, "qwen2.5-1.5b-instr… · 41.2 tok/s · ctx 17% · 5.8 W · 0.90 tok/s/W · 62 °C"),
        (58, "qwen2.5-1.5b-… · 41.2 tok/s · ctx 17% · 5.8 W · 62 °C"),
        (38, "qwen2.5-1… · 41.2 tok/s · ctx 17%"),
    ],
)
def test_on_a_narrow_screen_figures_are_shorter_and_the_least_important_left_out(width: int, told: str) -> None:
    assert status_text(MEASURED, width) == told


def test_that_the_board_is_slowed_down_is_said_at_any_width() -> None:
    throttling = {"flags": {"now": ["under_voltage", "throttled", "soft_temperature_limit"]}}
    slow = MEASURED.with_device({"throttling": throttling})
    for width in (14, 28, 38, 58):
        assert status_text(slow, width).startswith("! slowed down")
        assert cell_len(status_text(slow, width)) <= width


def test_a_new_answer_has_not_the_figures_of_the_former() -> None:
    asked = MEASURED.asking()
    assert status_text(asked, 120) == "qwen2.5-1.5b-instruct-q4_0 · ctx 340/2,048 · 5.8 W (module) · 62 °C"
    assert "≈ 41 tok/s" in status_text(asked.writing(41.23), 120)
    assert "41.2 tok/s" in status_text(asked.writing(7).with_usage("m", USAGE), 120)


def test_what_is_cut_says_so() -> None:
    assert [clipped("tachycardia", width) for width in (11, 10, 1)] == ["tachycardia", "tachycard…", "…"]
