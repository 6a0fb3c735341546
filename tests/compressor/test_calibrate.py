"""Calibration's bad input, memory and text: layers named, numbers given, shares kept."""

import os
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from compressor import calibrate as module
from compressor.calibrate import calibrate
from compressor.criteria.score import score_layers
from compressor.criteria.taylor import taylor_bytes
from compressor.errors import CheckpointError, MemoryShortError
from compressor.recipe.tables import Calibrate
from compressor.rows import make_batches
from compressor.tokens import ChatTokenizer, rows_by_source, share_out
from compressor.walk import StreamCheckpoint
from models.errors import TextError
from tests.compressor.criteria.measured import scoring_inputs
from tests.compressor.test_layers import rows, run_calibration, view
from tests.compressor.tiny import make_model


def test_activations_that_overflow_name_their_layer(tmp_path: Path) -> None:
    make_model(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    for name in ("gate", "up"):
        weights[f"model.layers.1.mlp.{name}_proj.weight"] *= 1e25
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="layer 1 gives activations that are NaN or infinite"):
        run_calibration(tmp_path, StreamCheckpoint(tmp_path / "state"))


def test_positions_counted_in_pieces_give_the_same_sums(
    tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run_calibration(tiny_folder, StreamCheckpoint(tmp_path / "s"))
    monkeypatch.setattr(module, "POSITIONS_AT_ONCE", 7)
    pieces = run_calibration(tiny_folder, StreamCheckpoint(tmp_path / "s"))
    for ours, theirs in zip(pieces.layers, whole.layers, strict=True):
        for name, sums in vars(ours).items():
            torch.testing.assert_close(sums, vars(theirs)[name], rtol=1e-5, atol=1e-6)


def test_progress_counts_every_layer_of_a_continued_walk(tiny_folder: Path, tmp_path: Path) -> None:
    steps: list[int] = []
    state = StreamCheckpoint(tmp_path / "state", every_s=0.0)
    for _ in range(2):
        with torch.inference_mode():
            calibrate(view(tiny_folder), make_batches(rows()), state, lambda: steps.append(1))
    assert len(steps) == 4


def test_taylor_is_refused_with_numbers_where_memory_is_short(tiny_folder: Path, tmp_path: Path) -> None:
    inputs = scoring_inputs(tiny_folder, tmp_path / "state")
    large = replace(inputs.model, shape=replace(inputs.model.shape, vocab=1 << 40))
    assert taylor_bytes(large, 10) > 1 << 45
    with pytest.raises(MemoryShortError, match=r"criterion taylor .* needs \d+\.\d GiB .* choose another criterion"):
        score_layers("taylor", replace(inputs, model=large))


def jsonl(path: Path, documents: int) -> str:
    path.write_text(
        "".join(f'{{"id": "{index}", "text": "{"rest and fluids " * 20}"}}\n' for index in range(documents))
    )
    return str(path)


def test_a_text_that_is_too_short_is_named_with_numbers(tiny_folder: Path, tmp_path: Path) -> None:
    tokenizer = ChatTokenizer(tiny_folder)
    short, long = jsonl(tmp_path / "short.jsonl", 10), jsonl(tmp_path / "long.jsonl", 200)
    recipe = Calibrate(text={short: 1.0, long: 1.0}, samples=96, tokens_per_sample=512, grounded_share=0.5)
    with pytest.raises(TextError, match=r"short\.jsonl gives 9 rows .* share of calibrate\.samples is 24; lower"):
        rows_by_source(recipe, tokenizer, None)
    alone = recipe.model_copy(update={"text": {short: 1.0}, "samples": 36})
    assert len(rows_by_source(alone, tokenizer, None)[short].calibrate) == 9
    with pytest.raises(TextError, match=r"gives 9 rows .* is 19;"):
        rows_by_source(alone.model_copy(update={"samples": 38}), tokenizer, None)


def test_shares_add_up_and_none_is_lost() -> None:
    assert share_out(10, {"b": 1.0, "a": 1.0, "c": 1.0}) == {"a": 4, "b": 3, "c": 3}
    assert share_out(64, {"medquad": 0.5, "nursing": 0.25, "anatomy": 0.25}) == {
        "anatomy": 16, "medquad": 32, "nursing": 16
    }  # fmt: skip
    assert share_out(0, {"a": 1.0}) == {}
    with pytest.raises(TextError, match="share of text b in 8 rows is none"):
        share_out(8, {"a": 100.0, "b": 1.0})


@pytest.mark.shared
@pytest.mark.skipif("BEDSIDE_DATA" not in os.environ, reason="BEDSIDE_DATA is not set")
def test_medical_and_general_text_keep_their_shares(tiny_folder: Path) -> None:
    """Meadow's instruction and input become the user's turn, its output the assistant's; BOS once and first."""
    tokenizer = ChatTokenizer(tiny_folder)
    text = {"medical_meadow": 2.0, "medquad": 1.0, "nursing": 0.5, "anatomy": 0.5}
    recipe = Calibrate(text=text, samples=64, tokens_per_sample=128, grounded_share=0.25)
    parts = rows_by_source(recipe, tokenizer, Path(os.environ["BEDSIDE_DATA"]))
    counts = {source: len(part.calibrate) for source, part in parts.items()}
    assert counts == {"grounded": 16, "anatomy": 6, "medical_meadow": 24, "medquad": 12, "nursing": 6}
    assert all(row[0] == 0 and row.count(0) == 1 for part in parts.values() for row in part.calibrate)
    assert all(row[1] == 4 for row in parts["medical_meadow"].calibrate)
    assert all(row[1] not in range(6) for row in parts["nursing"].calibrate)
