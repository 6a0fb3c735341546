"""The status line: figures with units, and plainly where there is none."""

import pytest

from assistant.tui.readings import Readings, status_text
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


def test_on_a_narrow_screen_whole_figures_are_left_out() -> None:
    assert status_text(AFTER, 40) == "reference · 41.2 tok/s · first 0.32 s"
