"""Recipes are checked whole; every fault is named in one line."""

import re
from pathlib import Path

import pytest

from compressor.errors import RecipeError
from compressor.recipe.load import load_recipe, packaged_recipes, parse_recipe
from models.catalogue import catalogue

ROUNDS = "{}\n[reconstruct]\nrounds = 4\n[budget]\nffn_share = 0.5"


@pytest.mark.parametrize("name", packaged_recipes())
def test_packaged_recipes_load(name: str) -> None:
    loaded, recipe = load_recipe(name)
    assert loaded == name
    share = re.search(r"-(20|50|67)(?=-|$)", name)
    if share is not None:
        assert recipe.budget.ffn_share == int(share.group(1)) / 100
    if "-q4" in name:
        assert not recipe.prunes
    assert recipe.heals == name.endswith(("-medquad", "-meadow", "-compare"))
    if recipe.heal is not None and recipe.heals:
        assert name.endswith((recipe.heal.data, "-compare"))


def test_every_recipe_that_the_catalogue_names_is_packaged() -> None:
    """And cuts to widths that the model has."""
    for model in catalogue():
        for name in model.recipes:
            recipe = load_recipe(name)[1]
            assert model.shapes is not None
            assert model.shapes.ffn % recipe.mask.multiple == 0
            assert model.family != "gemma" or recipe.mask.method == "uniform"


@pytest.mark.parametrize("name", ["reference-50", "reference-67"])
def test_the_reference_recipes_need_nothing_outside_the_package(name: str) -> None:
    recipe = load_recipe(name)[1]
    assert set(recipe.calibrate.text) | set(recipe.evaluate.text) == {"starter"}
    assert (recipe.heals, recipe.evaluate.tasks) == (False, ())


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
        ("[heal]\nrank = 0\n[budget]\nffn_share = 0.5", "heal.rank = 0"),
        (
            ROUNDS.format("[saliency]\ncriterion = 'taylor'"),
            "criterion taylor needs the whole model for every score; set rounds",
        ),
        (
            ROUNDS.format("[saliency]\ncriterion = 'random'"),
            "criterion random would draw the same neurons; set rounds = 1",
        ),
        (
            ROUNDS.format("[mask]\nmethod = 'learned'"),
            "rounds = 4 scores anew, and learned masks are no scores; set rounds",
        ),
        (
            ROUNDS.format("[saliency]\ncriterion = 'flap'\nbias = true"),
            "what saliency.bias makes up for; set bias = false",
        ),
        ("[heal]\nrounds = 2\n[budget]\nretention = 0.9", "heal.rounds cuts towards a size known before"),
        ("[heal]\nrounds = 2\n[budget]\nffn_share = 0.0", "budget.ffn_share = 0 prunes nothing; set rounds = 1"),
        ("[heal]\nrounds = 2\n[reconstruct]\nbias = true\n[budget]\nffn_share = 0.5", "which has no bias of down"),
        ("[reconstruct]\n[budget]\nffn_share = 0.0", "prunes nothing that [reconstruct] could repair"),
        ("[budget]\nretention = 1.1", "budget.retention = 1.1"),
        ("[budget]\nboard = 'pi-5-8gb'\nretention = 0.9", "found board and retention"),
        ("[budget]\nboard = 'pi5'", "pi5 is no board; use one of pi-5-4gb"),
        ("[quantize]\ntype = 'q8_0'\n[budget]\nffn_share = 0.5", "quantize.type"),
        ("[budget]\nffn_share = 0.5\nbytes = 10", "found ffn_share and bytes"),
        ("[budget]", "found none"),
        ("", "budget is missing"),
        (
            "[budget]\nffn_share = 0.5\n[calibrate]\ntext = {'a.jsonl' = 1}\n[evaluate]\ntext = ['a.jsonl']",
            "calibrate.text = 'a.jsonl' are one file",
        ),
        (
            "[budget]\nffn_share = 0.5\n[calibrate]\ntext = {'./b/../a.jsonl' = 1}\n[evaluate]\ntext = ['a.jsonl']",
            "evaluate.text = 'a.jsonl' and calibrate.text = './b/../a.jsonl' are one file",
        ),
        (
            "[budget]\nffn_share = 0.5\n[heal]\ndata = 'b.jsonl'\n[evaluate]\ntext = ['starter', './b.jsonl']",
            "evaluate.text = './b.jsonl' and heal.data = 'b.jsonl' are one file",
        ),
        ("[budget", "not TOML"),
    ],
)
def test_what_is_not_built_or_malformed_is_refused(source: str, says: str) -> None:
    with pytest.raises(RecipeError, match=says.replace("[", r"\[")):
        parse_recipe(source, "r")


def test_a_link_to_the_text_learnt_is_the_text_learnt(tmp_path: Path) -> None:
    (tmp_path / "own.jsonl").write_text('{"text": "a"}\n', "utf-8")
    (tmp_path / "other.jsonl").symlink_to("own.jsonl")
    heal = f"[budget]\nffn_share = 0.5\n[heal]\ndata = '{tmp_path / 'own.jsonl'}'\n[evaluate]\ntext = "
    with pytest.raises(RecipeError, match="are one file"):
        parse_recipe(f"{heal}['{tmp_path / 'other.jsonl'}']", "r")
    assert parse_recipe(f"{heal}['{tmp_path / 'third.jsonl'}']", "r").evaluate.text


def test_a_corpus_may_be_learnt_and_measured_for_its_parts_differ() -> None:
    source = "[budget]\nffn_share = 0.5\n[calibrate]\ntext = {medquad = 1}\n[heal]\ndata = 'medquad'\n"
    assert parse_recipe(f"{source}[evaluate]\ntext = ['medquad', 'starter']", "r").heals


def test_a_path_loads_and_names_the_recipe(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text("[budget]\nparameters = 1000\n", "utf-8")
    name, recipe = load_recipe(str(tmp_path / "mine.toml"))
    assert (name, recipe.budget.parameters) == ("mine", 1000)


@pytest.mark.parametrize("name", ["x" * 5000, "../recipes/reference-50", "reference-50.toml"])
def test_a_name_is_never_a_way_into_the_package(name: str) -> None:
    with pytest.raises(RecipeError, match="no recipe"):
        load_recipe(name)


def test_an_unknown_name_lists_the_packaged_ones() -> None:
    with pytest.raises(RecipeError, match=r"reference-50, .*reference-67"):
        load_recipe("reference-99")
