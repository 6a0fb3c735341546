"""Conventions of perplexity and bits per byte on a model whose probabilities are known, and on files without BOS."""

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from transformers import LlamaForCausalLM

from compressor.export_gguf import export_gguf
from compressor.perplexity import score_documents, score_text
from compressor.tasks.checkpoint import CheckpointModel
from models.errors import TextError
from tests.compressor.test_export_gguf import gguf_model
from tests.compressor.tiny import make_model

TEXT = "Fever is a sign of infection, and cough is another; both need a look at the patient."


class EvenBytes:
    """A token for each byte, all equally likely: 8 bits per byte whatever the text."""

    def __init__(self, start: list[int]) -> None:
        self.start = start

    def tokenize(self, text: str) -> list[int]:
        return list(text.encode())

    def token_size(self, token: int) -> int:
        return len(bytes([token]))

    def token_nats(self, ids: Sequence[int], first: int) -> list[float]:
        return [math.log(256)] * (len(ids) - first)


@pytest.mark.parametrize("start", [[], [0]])
@pytest.mark.parametrize("window", [16, 64, 4096])
def test_even_bytes_cost_eight_bits_with_and_without_bos(start: list[int], window: int) -> None:
    documents = [TEXT, "é", "longer " * 40, "a"]
    found = score_documents(EvenBytes(start), documents, window)
    assert found.bits_per_byte == pytest.approx(8)
    assert found.hf_stride == pytest.approx(256)
    assert found.scored_tokens == sum(len(text.encode()) - (not start) for text in documents)


class Recorder(EvenBytes):
    """What it was asked to score."""

    def __init__(self, start: list[int]) -> None:
        super().__init__(start)
        self.asked: list[tuple[list[int], int]] = []

    def token_nats(self, ids: Sequence[int], first: int) -> list[float]:
        self.asked.append((list(ids), first))
        return super().token_nats(ids, first)


@pytest.mark.parametrize("length", [1, 15, 16, 17, 40, 64])
def test_every_window_starts_with_bos_and_every_token_is_scored_once(length: int) -> None:
    model, text = Recorder([0]), "".join(chr(33 + place) for place in range(length))
    score_documents(model, [text], 16)
    scored: list[int] = []
    for number, (ids, first) in enumerate(model.asked):
        if len(scored) == length:
            break  # what follows is the other convention
        assert ids[0] == 0
        assert len(ids) <= 16
        assert first == (8 if number else 1)
        scored += ids[first:]
    assert bytes(scored).decode() == text


def test_nothing_to_score_is_one_line() -> None:
    with pytest.raises(TextError, match="no token that follows another"):
        score_documents(EvenBytes([]), ["a", ""], 64)


@pytest.mark.usefixtures("one_core")
def test_without_bos_the_first_token_is_not_counted(tmp_path: Path) -> None:
    """File and checkpoint against transformers."""
    model = make_model(tmp_path / "model", bos_token_id=None)
    text = (tmp_path / "model" / "tokenizer_config.json").read_text("utf-8")
    (tmp_path / "model" / "tokenizer_config.json").write_text(text.replace('"bos_token": "<|begin|>",', ""), "utf-8")
    checkpoint = CheckpointModel(tmp_path / "model")
    assert checkpoint.start == []
    ids = checkpoint.tokenize(TEXT)
    with torch.inference_mode():
        loss = float(model(torch.tensor([ids]), labels=torch.tensor([ids])).loss)
    skipped = checkpoint.token_size(ids[0])
    assert 0 < skipped < len(TEXT)
    bits = loss * (len(ids) - 1) / math.log(2) / (len(TEXT.encode()) - skipped)
    assert score_documents(checkpoint, [TEXT], 512).bits_per_byte == pytest.approx(bits, rel=1e-4)
    export_gguf(gguf_model(tmp_path / "model"), tmp_path / "f32.gguf", "f32")
    found = score_text(tmp_path / "f32.gguf", [TEXT], 512, kv_type="f32", flash_attention=False, threads=1)
    assert found.bits_per_byte == pytest.approx(bits, rel=1e-4)
    assert isinstance(model, LlamaForCausalLM)
