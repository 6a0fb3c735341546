"""The built-in model: its F32 GGUF against transformers, its card, its files."""

import hashlib
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoTokenizer, LlamaForCausalLM

from compressor.export_gguf import export_gguf
from models.builtin import reference_folder, reference_gguf
from models.gguf_header import read_header
from models.runtime.model import Model
from models.starter import load_notes
from tests.compressor.test_export_gguf import gguf_model, llama_cpp_logits

FOLDER = reference_folder()


@pytest.fixture(scope="module")
def f32(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("reference") / "f32.gguf"
    export_gguf(gguf_model(FOLDER), path, "f32")
    return path


def test_f32_logits_equal_transformers_on_512_tokens(f32: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    ids = tokenizer("\n\n".join(note.text for note in load_notes()))["input_ids"][:512]
    model = LlamaForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
    with torch.inference_mode():
        expected = model(torch.tensor([ids])).logits[0].numpy()
    assert np.abs(llama_cpp_logits(f32, ids) - expected).max() < 1e-3
    assert np.abs(expected).max() > 5


def test_token_ids_equal_on_1000_lines(f32: Path) -> None:
    sentences = [s for note in load_notes() for part in note.sections for s in re.split(r"(?<=\.) ", part.text)]
    odd = [
        "naïve café ≥ 37,5 °C",
        "μg/kg\r\n\tx",
        "１２３ ½",
        "e\u0301a\u200b",
        "1234567 mg",
        "  two  spaces ",
        "日本語 🩺",
    ]
    lines = [*odd, *sentences, *(f"{s[::-1]} {i}" for i, s in enumerate(sentences))][:1000]
    tokenizer = AutoTokenizer.from_pretrained(FOLDER)
    with Model.load(f32, vocab_only=True) as model:
        for line in lines:
            expected = tokenizer(line, add_special_tokens=False)["input_ids"]
            assert model.tokenize(line, add_bos=False, parse_special=False) == expected
    assert len(lines) == 1000


def test_the_shipped_files_keep_their_limits() -> None:
    shards = list(FOLDER.glob("*.safetensors"))
    assert max(path.stat().st_size for path in FOLDER.iterdir()) < 16 * 2**20
    assert sum(path.stat().st_size for path in shards) < 36_000_000
    for line in (FOLDER / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() == digest
    config = json.loads((FOLDER / "config.json").read_text())
    ffn = 3 * config["num_hidden_layers"] * config["hidden_size"] * config["intermediate_size"]
    parameters = sum(path.stat().st_size for path in shards) / 2
    assert parameters < 16e6
    assert ffn / parameters > 0.65
    assert config["hidden_size"] % 256 == config["intermediate_size"] % 256 == 0


def test_the_compressed_file_is_half_as_wide() -> None:
    header = read_header(reference_gguf())
    assert set(header.ffn_widths) == {512}
    assert header.has_chat_template


def test_the_card_says_what_the_evaluation_found() -> None:
    card = (FOLDER / "README.md").read_text()
    found = json.loads((FOLDER / "evaluation.json").read_text())
    assert f"| first citation right | {found['grounded']['first_citation_right']:.1%} |" in card
    for text in found["texts"]:
        assert f"| {text['corpus']} | {text['tokens']:,} | {text['perplexity']:.2f} |" in card
