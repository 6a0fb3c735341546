from pathlib import Path

import pytest

from models.boards import Board, boards, find_board
from models.catalogue import FAMILIES, CatalogueModel, catalogue, find_in_catalogue
from models.errors import ModelFileError, ModelNotFoundError
from models.memory import estimate_memory
from models.store import Store
from models.tables import read_rows

ROW = """
[[model]]
id = "m"
name = "M"
licence = "apache-2.0"
family = "llama"
parameters = 1
context_tokens = 2
recipes = ["a"]
shapes = { hidden = 1, ffn = 1, layers = 1, heads = 1, kv_heads = 1, head_dim = 1, vocab = 1, tied = true }
"""


@pytest.mark.parametrize("model", catalogue(), ids=lambda model: model.id)
def test_published_parameters_are_those_of_the_shapes(model: CatalogueModel) -> None:
    assert model.count_parameters() == model.parameters


def test_the_models_of_the_papers_are_there_with_their_recipes() -> None:
    recipes = {model.id: model.recipes for model in catalogue()}
    assert recipes["gemma-7b"] == ("gemma-7b-50",)
    assert recipes["llama-3-8b"] == ("llama-3-8b-67",)
    assert recipes["reference"] == ("reference-50", "reference-67")
    assert recipes["medgemma-4b"] == ()


@pytest.mark.parametrize("model", catalogue(), ids=lambda model: model.id)
def test_every_id_can_be_stored_and_every_repository_fetched(model: CatalogueModel, tmp_path: Path) -> None:
    assert Store(tmp_path).folder(model.id).name == model.id
    assert model.family in FAMILIES
    assert bool(model.repository) != (model.id == "reference")


def test_the_size_of_llama_3_at_q4_0_is_the_published_files() -> None:
    model = find_in_catalogue("llama-3-8b")
    assert model is not None
    # The published Q4_0 file of this shape has 4,661,211,808 bytes, about 8 MB of them its vocabulary.
    assert 4_661_211_808 - 10_000_000 < model.q4_0_bytes() < 4_661_211_808


def test_pruned_models_of_the_papers_fit_the_boards_they_ran_on() -> None:
    jetson, llama = find_board("jetson-orin-nano-8gb"), find_in_catalogue("llama-3-8b")
    assert llama is not None
    assert estimate_memory(llama, 4096).total_bytes < jetson.memory_bytes


def test_each_board_figure_has_a_source() -> None:
    assert [board.memory_gib for board in boards()] == [4, 8, 16, 8, 8]
    assert all(board.memory_source and board.bandwidth_source for board in boards())
    assert find_board("pi-5-8gb").bandwidth_gb_s == pytest.approx(4267e6 * 4 / 1e9, abs=0.05)
    with pytest.raises(ModelNotFoundError, match="use one of pi-5-4gb"):
        find_board("pi-4")


def test_rows_are_read_with_their_types(tmp_path: Path) -> None:
    path = tmp_path / "c.toml"
    path.write_text(ROW)
    (model,) = read_rows(path, "model", CatalogueModel)
    assert (model.recipes, model.shapes.tied, model.repository) == (("a",), True, "")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('id = "m"', 'id = "m"\ncolour = "red"', "model 1: unknown key 'colour'"),
        ("hidden = 1", "hidden = 1, wings = 2", "model 1, 'shapes': unknown key 'wings'"),
        ("hidden = 1, ", "", "'hidden' is missing"),
        ("parameters = 1", 'parameters = "1"', "'parameters' is '1', not int"),
        ("parameters = 1", "parameters = true", "'parameters' is True, not int"),
        ('recipes = ["a"]', "recipes = [1]", "'recipes' is not a list of strings"),
        ("tied = true }", "tied = 1 }", "'tied' is 1, not bool"),
        ("[[model]]", "[[modle]]", r"no \[\[model\]\]"),
        ('id = "m"', "id = ", "cannot read"),
        ("[[model]]", "version = 2\n[[model]]", "unknown key 'version'"),
        (ROW, ROW + ROW, "id 'm' occurs twice"),
    ],
)
def test_faulty_rows_are_refused(tmp_path: Path, before: str, after: str, message: str) -> None:
    assert before in ROW
    path = tmp_path / "c.toml"
    path.write_text(ROW.replace(before, after))
    with pytest.raises(ModelFileError, match=message):
        read_rows(path, "model", CatalogueModel)


def test_all_faults_are_reported_together(tmp_path: Path) -> None:
    path = tmp_path / "b.toml"
    path.write_text('[[board]]\nid = 1\nspeed = 2\n[[board]]\nid = "b"\n')
    with pytest.raises(ModelFileError, match=r"unknown key 'speed'.*'id' is 1, not str.*board 2: 'name' is missing"):
        read_rows(path, "board", Board)
