"""Quantized files for comparison: types read back, and what each tensor costs."""

import csv
import math
from pathlib import Path
from typing import Any

import pytest

from compressor.errors import QuantizationError, RecipeError
from compressor.job import open_job
from compressor.pipeline import run_job
from compressor.quantize import check_types, quantize_file
from compressor.recipe.load import load_recipe, parse_recipe
from models.gguf_header import read_header
from tests.compressor.runs import Silent
from tests.compressor.tiny import make_model

pytestmark = pytest.mark.usefixtures("one_core")

RECIPE = """
[calibrate]
samples = 8
tokens_per_sample = 64
[mask]
multiple = 256
[budget]
ffn_share = 0.5
[export]
dense = true
[quantize]
compare = ["dense", "no-imatrix", "q4_k_m", "q8_0", "tensors"]
[evaluate]
documents = 2
context_tokens = 64
"""
SIZES: dict[str, Any] = {
    "hidden_size": 256, "intermediate_size": 512, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 4, "head_dim": 64, "initializer_range": 0.05,
}  # fmt: skip


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    work = tmp_path_factory.mktemp("compared")
    make_model(work / "wide", **SIZES)
    (work / "all.toml").write_text(RECIPE, "utf-8")
    recipe = load_recipe(str(work / "all.toml"))
    job = open_job("wide", work / "wide", recipe, out=work / "run", data=None, reporter=Silent())
    return work / "run" / "gguf", run_job(job)


def test_every_file_is_made_and_measured(compared: tuple[Path, dict[str, Any]]) -> None:
    folder, manifest = compared
    assert sorted(path.name for path in folder.iterdir()) == [
        "dense-4bit.gguf", "dense-f16.gguf", "wide-all-f16.gguf", "wide-all-no-imatrix.gguf",
        "wide-all-q4_0.gguf", "wide-all-q4_k_m.gguf", "wide-all-q8_0.gguf",
    ]  # fmt: skip
    rows = manifest["stages"]["09-evaluate"]["facts"]["rows"]
    assert [row["label"] for row in rows] == [
        "dense F16", "dense Q4_0", "pruned F16", "pruned Q4_0", "Q4_0, no matrix", "pruned Q4_K_M", "pruned Q8_0",
    ]  # fmt: skip
    size = {row["label"]: row["bytes"] for row in rows}
    assert size["pruned Q4_0"] == size["Q4_0, no matrix"] < size["pruned Q4_K_M"] < size["pruned Q8_0"]
    assert size["pruned Q8_0"] < size["pruned F16"]


def test_the_matrix_changes_values_but_no_type(compared: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = compared
    with_matrix, without = folder / "wide-all-q4_0.gguf", folder / "wide-all-no-imatrix.gguf"
    assert check_types(with_matrix, tied=True) == check_types(without, tied=True)
    assert with_matrix.read_bytes() != without.read_bytes()


def test_mixtures_hold_no_fallback(compared: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = compared
    mixed = {tensor.type_name for tensor in read_header(folder / "wide-all-q4_k_m.gguf").tensors}
    assert mixed == {"F32", "Q4_K", "Q6_K"}
    assert {tensor.type_name for tensor in read_header(folder / "wide-all-q8_0.gguf").tensors} == {"F32", "Q8_0"}


def test_a_fallback_is_an_error(tmp_path: Path, compared: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = compared
    quantize_file(folder / "wide-all-f16.gguf", tmp_path / "kept.gguf", keep_f16="ffn_up", file_type="q4_k_m")
    with pytest.raises(QuantizationError, match=r"blk\.0\.ffn_up\.weight is F16, not Q4_K or Q6_K; .* 256 works"):
        check_types(tmp_path / "kept.gguf", tied=True, file_type="q4_k_m")


def test_what_tensors_cost_adds_up(compared: tuple[Path, dict[str, Any]]) -> None:
    folder, manifest = compared
    rise = manifest["stages"]["08-quantize"]["facts"]["rise_nats"]
    kinds = [name for name in rise if name != "all" and not name.startswith("blk.")]
    assert len(kinds) == 8
    assert sum(name.startswith("blk.") for name in rise) == 2
    # Losses of single kinds are nearly additive where all are small.
    assert sum(rise[kind] for kind in kinds) == pytest.approx(rise["all"], abs=max(0.01, abs(rise["all"])))
    assert not (folder.parent / "stages" / "08-quantize" / "scratch.gguf").exists()


def test_the_report_says_what_quantization_costs(compared: tuple[Path, dict[str, Any]]) -> None:
    """The CSV against the perplexities and losses in the manifest."""
    folder, manifest = compared
    report = folder.parent / "report"
    perplexity = {
        row["label"]: row["texts"]["starter"]["hf_stride"] for row in manifest["stages"]["09-evaluate"]["facts"]["rows"]
    }
    with (report / "quantization.csv").open() as handle:
        lines = {line["file"]: line for line in csv.DictReader(handle)}
    assert list(lines) == ["dense Q4_0", "pruned Q4_0", "Q4_0, no matrix", "pruned Q4_K_M", "pruned Q8_0"]
    for label, line in lines.items():
        ratio = perplexity[label] / perplexity["dense F16" if label == "dense Q4_0" else "pruned F16"]
        assert float(line["perplexity_ratio"]) == pytest.approx(ratio, rel=1e-6)
        assert float(line["rise_nats_per_token"]) == pytest.approx(math.log(ratio), abs=1e-7)
    rise = manifest["stages"]["08-quantize"]["facts"]["rise_nats"]
    with (report / "tensors.csv").open() as handle:
        won = {line["kept_at_f16"]: float(line["nats_per_token_won_back"]) for line in csv.DictReader(handle)}
    assert won == {name: pytest.approx(nats, abs=1e-8) for name, nats in rise.items() if name != "all"}
    page = (report / "index.html").read_text("utf-8")
    for title in ("Quantization, starter", "Verdicts on Q4_0, starter", "What Q4_0 costs by tensor, tuning text"):
        assert f"<h2>{title}</h2>" in page


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ('[mask]\nmultiple = 32\n[quantize]\ncompare = ["q4_k_m"]', r"needs widths of 256; set mask\.multiple = 256"),
        ('[quantize]\ncompare = ["dense"]', r"needs its F16 file; set export\.dense = true"),
        ('[quantize]\nimatrix = false\ncompare = ["no-imatrix"]', "imatrix is false; remove one"),
    ],
)
def test_impossible_comparisons_are_refused(table: str, fault: str) -> None:
    with pytest.raises(RecipeError, match=fault):
        parse_recipe(f"[budget]\nffn_share = 0.5\n{table}", "r")
