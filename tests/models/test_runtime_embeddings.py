"""Pooled embeddings: what llama.cpp makes of a text, against a forward pass in numpy."""

from pathlib import Path
from typing import get_args

import gguf
import numpy as np
import pytest

from models.errors import RuntimeFailure
from models.gguf_header import read_header
from models.memory import estimate_embedding_memory
from models.pooling import Pooling, pooling_number, pooling_of
from models.runtime.batch import Batch
from models.runtime.context import Context
from models.runtime.errors import ContextFull
from models.runtime.model import Model
from models.synthetic.gguf import write_gguf
from models.synthetic.shapes import Shape
from tests.models.bert_in_numpy import WORDS, bert_hidden, bert_weights, write_bert
from tests.models.llama_in_numpy import llama_hidden, weights_of

SHAPE = Shape()
TEXTS = [[0, 10, 11, 12], [0, 30, 31], [0, *range(40, 90)]]
POOLED = {"mean": lambda states: states.mean(0), "cls": lambda states: states[0], "last": lambda states: states[-1]}


def open_context(model: Model, pooling: Pooling, n_ctx: int = 256) -> Context:
    return Context(
        model,
        n_ctx,
        n_seq_max=4,
        n_batch=n_ctx,
        n_ubatch=n_ctx,
        threads=1,
        kv_type="f32",
        flash_attention=False,
        embeddings=True,
        pooling=pooling,
    )


def add(batch: Batch, tokens: list[int], seq: int) -> None:
    for position, token in enumerate(tokens):
        batch.add(token, position, [seq], True)


@pytest.fixture(scope="module")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("embeddings") / "text.gguf", SHAPE)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_several_texts_in_one_batch_are_pooled_as_the_file_says(tmp_path: Path, pooling: Pooling) -> None:
    path = write_gguf(tmp_path / "m.gguf", SHAPE, seed=3, pooling=pooling)
    weights = weights_of(SHAPE, seed=3)
    found = read_header(path).pooling
    assert found == pooling
    with Model.load(path) as model, open_context(model, found) as context, Batch(256) as batch:
        for seq, tokens in enumerate(TEXTS):
            add(batch, tokens, seq)
        context.decode(batch)
        for seq, tokens in enumerate(TEXTS):
            wanted = POOLED[pooling](llama_hidden(SHAPE, weights, tokens))
            assert np.abs(context.pooled_embedding(seq) - wanted).max() < 1e-4
        with pytest.raises(RuntimeFailure, match="no pooled embedding of sequence 3"):
            context.pooled_embedding(3)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_an_encoder_reads_in_both_directions(tmp_path: Path, pooling: Pooling) -> None:
    path = write_bert(tmp_path / "bert.gguf", gguf.PoolingType(pooling_number(pooling)), seed=1)
    weights = bert_weights(seed=1)
    assert read_header(path).pooling == pooling
    with Model.load(path) as model, open_context(model, pooling, n_ctx=64) as context, Batch(64) as batch:
        texts = [model.tokenize_whole("Croup: give doses."), [2, 5, 3], [2, *[7, 8, 9] * 10, 3]]
        assert [WORDS[token] for token in texts[0]] == "[CLS] croup [UNK] give dose ##s . [SEP]".split()
        for seq, tokens in enumerate(texts):
            add(batch, tokens, seq)
        context.decode(batch)
        for seq, tokens in enumerate(texts):
            wanted = POOLED[pooling](bert_hidden(weights, tokens))
            assert (
                np.abs(context.pooled_embedding(seq) - wanted).max() < 5e-3
            )  # ggml's GELU is a table of 16-bit floats


def test_an_encoder_is_estimated_without_cache_and_logits(tmp_path: Path) -> None:
    encoder = read_header(write_bert(tmp_path / "bert.gguf", gguf.PoolingType.CLS))
    decoder = read_header(write_gguf(tmp_path / "m.gguf", SHAPE, pooling="last"))
    assert (encoder.is_encoder, decoder.is_encoder) == (True, False)
    assert estimate_embedding_memory(encoder, 64, n_seq_max=4).kv_bytes == 0
    estimate = estimate_embedding_memory(decoder, 512, n_seq_max=4)
    assert estimate.kv_bytes > 0
    assert estimate.compute_bytes > 2 * 4 * 512 * SHAPE.vocab_size  # computed, and kept


def test_rows_and_sequences_are_not_taken_for_each_other(text_model: Path) -> None:
    with Model.load(text_model) as model, Batch(8) as batch:
        add(batch, TEXTS[0], 0)
        with open_context(model, "mean") as context:
            context.decode(batch)
            with pytest.raises(RuntimeFailure, match="this context pools its rows"):
                context.embedding(0)
        with open_context(model, "none") as context:
            context.decode(batch)
            assert np.isfinite(context.embedding(3)).all()
            with pytest.raises(RuntimeFailure, match="no pooled embedding of sequence 0"):
                context.pooled_embedding(0)


def test_a_text_beyond_a_micro_batch_is_an_error_not_a_crash(text_model: Path) -> None:
    with Model.load(text_model) as model, Batch(512) as batch:
        add(batch, [7] * 300, 0)
        with open_context(model, "last") as context, pytest.raises(ContextFull, match="300 tokens cannot be pooled"):
            context.decode(batch)


@pytest.mark.parametrize("vocabulary", ["bpe", "spm"])
def test_a_text_to_embed_is_only_text_between_the_files_own_tokens(tmp_path: Path, vocabulary: str) -> None:
    path = write_gguf(tmp_path / "m.gguf", SHAPE, vocabulary="spm" if vocabulary == "spm" else "bpe", pooling="mean")
    with Model.load(path) as model:
        assert model.eos is not None
        spelled = model.token_bytes(model.eos, special=True).decode()
        ids = model.tokenize_whole(f"hot {spelled}")
        assert ids[0] == model.bos
        assert model.eos not in ids
        assert ids == model.tokenize(f"hot {spelled}", add_bos=True, parse_special=False)


def test_numbers_of_pooling_go_there_and_back() -> None:
    assert [pooling_of(pooling_number(each)) for each in get_args(Pooling)] == list(get_args(Pooling))
    assert [pooling_of(number) for number in (-1, 5, 2**32 - 1)] == ["none"] * 3


def test_a_text_model_names_no_pooling_and_an_embedding_model_no_template(tmp_path: Path, text_model: Path) -> None:
    text, embedding = read_header(text_model), read_header(write_gguf(tmp_path / "m.gguf", SHAPE, pooling="mean"))
    assert (text.pooling, text.has_chat_template) == ("none", True)
    assert (embedding.pooling, embedding.has_chat_template) == ("mean", False)
