"""A tiny model trained for real: resumed, evaluated, packaged, loaded back."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from compressor.pretrain.config import PretrainConfig
from compressor.pretrain.optimiser import learning_rate_factor
from compressor.pretrain.package import install, write_sums
from compressor.pretrain.run import train, train_and_package
from tests.compressor.pretrain.conftest import TINY


@pytest.fixture(scope="module")
def package(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_and_package(TINY, data, tmp_path_factory.mktemp("run"), questions=4)


def test_the_package_is_whole_and_loads(package: Path) -> None:
    names = {path.name for path in package.iterdir()}
    assert {"config.json", "tokenizer.json", "chat_template.jinja", "README.md", "evaluation.json"} <= names
    for line in (package / "SHA256SUMS").read_text().splitlines():
        digest, name = line.split("  ")
        assert hashlib.sha256((package / name).read_bytes()).hexdigest() == digest
    model = AutoModelForCausalLM.from_pretrained(package)
    assert model.dtype == torch.bfloat16
    ids = AutoTokenizer.from_pretrained(package)("Maple fever", return_tensors="pt")["input_ids"]
    assert bool(torch.isfinite(model(ids).logits).all())


def test_the_card_states_what_was_measured(package: Path) -> None:
    report = json.loads((package / "evaluation.json").read_text())
    card = (package / "README.md").read_text()
    for text in report["texts"]:
        perplexity = np.exp(text["nats"] / text["tokens"])
        assert f"| {text['corpus']} | {text['tokens']:,} | {perplexity:.2f} |" in card
        assert text["perplexity"] == round(perplexity, 3)
    assert "Not for clinical use" in card
    assert "Settings changed" not in card
    assert "on a CPU" in card or "on a CUDA" in card


def test_a_finished_run_is_not_trained_again(package: Path, data: Path) -> None:
    log = (package.parent / "log.jsonl").read_text()
    train(TINY, data, package.parent)
    assert (package.parent / "log.jsonl").read_text() == log


def test_an_interrupted_run_ends_like_an_undisturbed_one(data: Path, tmp_path: Path) -> None:
    config = replace(TINY, decay_share=1e-9, long_share=0.0)
    straight = train(config, data, tmp_path / "straight")
    train(replace(config, total_tokens=4_000), data, tmp_path / "parts")
    continued = train(config, data, tmp_path / "parts")
    for one, other in zip(continued.parameters(), straight.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_settings_changed_on_the_way_stand_in_the_card(data: Path, tmp_path: Path) -> None:
    train(replace(TINY, total_tokens=2_000), data, tmp_path)
    card = (train_and_package(TINY, data, tmp_path, questions=1) / "README.md").read_text()
    assert "`total_tokens` 2000 → 8000" in card


def test_learning_rate_rises_holds_and_falls() -> None:
    config = PretrainConfig(total_tokens=1_000_000, warmup_tokens=100_000, decay_share=0.5)
    factors = [learning_rate_factor(tokens, config) for tokens in (0, 50_000, 300_000, 750_000, 999_999)]
    assert factors[0] < 0.001
    assert factors[1:4] == pytest.approx([0.5, 1.0, 0.5], abs=1e-4)
    assert factors[4] == pytest.approx(0.02)


def test_install_replaces_every_file_but_the_module(tmp_path: Path) -> None:
    package, target = tmp_path / "package", tmp_path / "target"
    package.mkdir()
    target.mkdir()
    (package / "config.json").write_text("{}")
    compressed = tmp_path / "reference-x-q4_0.gguf"
    compressed.write_bytes(b"GGUF")
    for name in ("stale.safetensors", "__init__.py"):
        (target / name).write_text("old")
    install(package, compressed, target)
    assert {path.name for path in target.iterdir()} == {"__init__.py", "config.json", compressed.name, "SHA256SUMS"}
    before = (target / "SHA256SUMS").read_text()
    write_sums(target)
    assert (target / "SHA256SUMS").read_text() == before
