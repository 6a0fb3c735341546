"""`bedside redflags` as it is called: in a process of its own, without a model."""

import json
from pathlib import Path

from tests.assistant.conftest import Bedside

TEXT = "72M, c/o CP x2h, SOB, diaphoretic, BP 85/50"


def test_json_is_the_object_of_the_api(bedside: Bedside) -> None:
    done = bedside("redflags", TEXT, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    flags = json.loads(done.stdout)
    assert list(flags) == ["screened", "reason", "rules", "findings"]
    assert (flags["screened"], flags["reason"]) == (True, None)
    by_rule = {finding["rule"]: finding for finding in flags["findings"]}
    shock = by_rule["shock"]
    assert list(shock)[:3] == ["rule", "severity", "meaning"]
    assert (shock["severity"], TEXT[shock["start"] : shock["end"]], shock["message"]) == ("emergency", "BP 85/50", 0)
    assert shock["source"].endswith(")")
    assert shock["contacts"] is None


def test_standard_input_and_argument_give_the_same(bedside: Bedside) -> None:
    assert bedside("redflags", "-", "--json", stdin=TEXT).stdout == bedside("redflags", TEXT, "--json").stdout


def test_words_tell_severity_source_and_that_none_excludes_nothing(bedside: Bedside) -> None:
    shown = bedside("redflags", TEXT).stdout
    assert "!! EMERGENCY: Possible acute coronary syndrome" in shown
    assert "“BP 85/50”" in shown
    assert "not a diagnosis" in shown
    assert "\x1b" not in shown
    none = bedside("redflags", "earache")
    assert none.returncode == 0
    assert none.stdout.startswith("Red flags: none found, which excludes nothing")
    assert "not fully screened" in bedside("redflags", "dolor de pecho").stdout


def test_the_operators_numbers_are_shown_and_none_is_invented(bedside: Bedside, tmp_path: Path) -> None:
    assert "no local numbers set" in bedside("redflags", "wants to die").stdout
    path = tmp_path / "numbers.toml"
    path.write_text('[[contact]]\nname = "Crisis team"\nnumber = "0123 456"\nhours = "day and night"\n')
    assert (
        "call Crisis team: 0123 456, day and night"
        in bedside("redflags", "wants to die", "--contacts", str(path)).stdout
    )


def test_what_cannot_be_read_is_one_line(bedside: Bedside, tmp_path: Path) -> None:
    empty = bedside("redflags", " ")
    assert (empty.returncode, empty.stderr.count("\n")) == (2, 1)
    missing = bedside("redflags", "x", "--contacts", str(tmp_path / "none.toml"))
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)
