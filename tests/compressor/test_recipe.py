"""Recipes are checked whole; every fault is named in one line."""

from pathlib import Path

import pytest

from compressor.errors import RecipeError
from compressor.recipe.load import load_recipe, packaged_recipes, parse_recipe


@pytest.mark.parametrize("name", packaged_recipes())
def test_packaged_recipes_load(name: str) -> None:
    loaded, recipe = load_recipe(name)
    assert loaded == name
    assert recipe.budget.ffn_share == {"reference-50": 0.5, "reference-67": 0.67}[name]


def test_all_faults_are_reported_together_in_one_line() -> None:
    source = "[budget]\nffn_share = 2.0\nextra = 1\n[mask]\nmultiple = 33\n[unknown]\na = 1\n"
    with pytest.raises(RecipeError) as caught:
        parse_recipe(source, "r.toml")
    message = str(caught.value)
    assert "\n" not in message
    for part in ("r.toml", "budget.ffn_share = 2.0", "budget.extra", "mask.multiple = 33", "unknown"):
        assert part in message


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("[heal]\nrank = 16\n[budget]\nffn_share = 0.5", "[heal] is not built yet"),
        ("[budget]\nretention = 1.1", "budget.retention = 1.1"),
        ("[budget]\nboard = 'pi-5-8gb'\nretention = 0.9", "found board and retention"),
        ("[budget]\nboard = 'pi5'", "pi5 is no board; use one of pi-5-4gb"),
        ("[quantize]\ntype = 'q8_0'\n[budget]\nffn_share = 0.5", "quantize.type"),
        ("[budget]\nffn_share = 0.5\nbytes = 10", "found ffn_share and bytes"),
        ("[budget]", "found none"),
        ("", "budget is missing"),
        (
            "[budget]\nffn_share = 0.5\n[calibrate]\ntext = {'a.jsonl' = 1}\n[evaluate]\ntext = ['a.jsonl']",
            "both name a.jsonl",
        ),
        ("[budget", "not TOML"),
    ],
)
def test_what_is_not_built_or_malformed_is_refused(source: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says.replace("[", r"\[")):
        parse_recipe(source, "r")


def test_a_path_loads_and_names_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[budget]\nparameters = 1000\n", "utf-8")
    name, recipe = load_recipe(str(tmp_path / "mine.toml"))
    assert (name, recipe.budget.parameters) == ("mine", 1000)


def test_an_unknown_name_lists_the_packaged_ones() -> None:
    with pytest.raises(RecipeError, match="reference-50, reference-67"):
        load_recipe("reference-99")
