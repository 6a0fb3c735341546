"""Corpora to sections to examples to packed rows."""

import random
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

from compressor.examples.corpora import CORPORA, Section, is_tuning, quotable, read_sections
from compressor.examples.grounded import ExampleBuilder
from compressor.pretrain.batches import ANSWER, BatchBuilder, encode_sections, render_chat
from compressor.pretrain.copying import copy_window, repeat_window
from compressor.pretrain.tokenizer import SPECIAL_TOKENS, save_tokenizer
from models.errors import TextError
from models.grounding import NO_ANSWER
from tests.compressor.pretrain.conftest import TINY

STREAM = np.arange(6, 4000, dtype=np.uint16)


def test_sections_carry_title_heading_and_question(data: Path) -> None:
    first = read_sections(data, "medquad", "valid")[0]
    assert (first.title, first.heading) == ("Maple fever", "Symptoms")
    assert first.question == "What are the symptoms of Maple fever ?"
    assert first.sentences[0] == "Maple fever begins with shivering at night."
    chapter = read_sections(data, "nursing", "valid")
    assert [(s.title, s.heading) for s in chapter[:2]] == [("Habits 30", "Walking"), ("Habits 30", "Sleeping")]
    trial = read_sections(data, "trials", "valid")[:2]
    assert [s.heading for s in trial] == ["Background", "Results"]
    assert trial[0].title == "Warm socks for cold feet, trial 30"


def test_tuning_is_a_disjoint_tenth_by_document(data: Path) -> None:
    for corpus in CORPORA:
        train = {s.doc for s in read_sections(data, corpus, "train")}
        tuning = {s.doc for s in read_sections(data, corpus, "tuning")}
        assert not train & tuning
    share = sum(is_tuning(str(number)) for number in range(5000)) / 5000
    assert 0.08 < share < 0.12


def test_debris_is_not_quotable() -> None:
    text = (
        "Fever is a raised temperature of the body. 4 digits first is debris too here. A dash - item is here too. "
        "See https://example.org for more about this topic. Is this a question about fever? Too short."
    )
    assert quotable(text) == ("Fever is a raised temperature of the body.",)


def test_missing_and_damaged_corpora_are_named(tmp_path: Path) -> None:
    with pytest.raises(TextError, match="--data"):
        read_sections(tmp_path, "medquad", "train")
    (tmp_path / "medquad").mkdir()
    (tmp_path / "medquad" / "train.jsonl.gz").write_bytes(b"not gzip")
    with pytest.raises(TextError, match="cannot be read after line 0"):
        read_sections(tmp_path, "medquad", "train")


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), corpus=st.sampled_from(CORPORA))
def test_answers_quote_the_gold_passages(sections: dict[str, list[Section]], seed: int, corpus: str) -> None:
    builder = ExampleBuilder(sections[corpus])
    example = builder.draw(random.Random(seed))
    assert example == builder.draw(random.Random(seed))
    assert len({passage.heading for passage in example.passages}) == len(example.passages)
    if not example.gold:
        assert example.answer == NO_ANSWER
        return
    blocks = [example.passages[number - example.first] for number in example.gold]
    marks = [int(mark) for mark in re.findall(r"\[(\d+)\]", example.answer)]
    assert set(marks) == set(example.gold)
    for passage in blocks:
        assert passage.heading in example.answer
    for line in example.answer.split("\n")[1::2]:
        for sentence in re.split(r" \[\d+\] ?", line):
            assert any(sentence in passage.text for passage in blocks)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), length=st.sampled_from((128, 192, 256)))
def test_weighted_tokens_stand_earlier_in_the_window(seed: int, length: int) -> None:
    for window in (copy_window, repeat_window):
        ids, weights = window(np.random.default_rng(seed), STREAM, length)
        assert ids.shape == weights.shape == (length,)
        scored = np.flatnonzero(weights == 1.0)
        assert len(scored) >= 5
        assert set(ids[scored]) <= set(ids[: scored[0]])


def test_template_of_the_tokenizer_is_the_one_trained_on(tokenizer: Tokenizer, tmp_path: Path) -> None:
    save_tokenizer(tokenizer, tmp_path, 256)
    fast = AutoTokenizer.from_pretrained(tmp_path)
    messages = [
        {"role": "system", "content": "Quote."},
        {"role": "user", "content": "A\nB"},
        {"role": "user", "content": "Q?"},
    ]
    text = fast.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == render_chat(messages)
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert ids[0] == 0
    assert ids.count(1) == 3
    assert fast("Maple fever")["input_ids"][0] == 0
    assert [tokenizer.token_to_id(token) for token in SPECIAL_TOKENS] == [0, 1, 2, 3, 4, 5]


@settings(max_examples=100, deadline=None)
@given(text=st.text(max_size=60))
def test_tokenizer_round_trips_any_text(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    assert tokenizer.decode(ids, skip_special_tokens=False) == text


@pytest.fixture(scope="session")
def builder(
    sections: dict[str, list[Section]], tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory
) -> BatchBuilder:
    folder = tmp_path_factory.mktemp("streams")
    streams = {c: encode_sections(tokenizer, found * 10, folder / f"{c}.npy") for c, found in sections.items()}
    return BatchBuilder(TINY, tokenizer, streams, [ExampleBuilder(sections[c], 3) for c in CORPORA])


def test_rows_are_packed_without_attention_across_pieces(builder: BatchBuilder) -> None:
    batch = builder.mixed(3, 512)
    assert batch.ids.shape == (TINY.rows, 512)
    mask = batch.attention_mask()[0, 0]
    pieces = batch.pieces[0]
    rows, columns = torch.nonzero(mask, as_tuple=True)
    assert bool((columns <= rows).all())
    assert bool((pieces[rows] == pieces[columns]).all())
    starts = batch.positions == 0
    assert bool((batch.weights[starts] == 0).all())
    assert batch.tokens == int((batch.pieces >= 0).sum())
    assert bool((batch.weights[batch.kinds == ANSWER] == TINY.answer_weight).any())


def test_a_batch_depends_on_seed_and_step_only(builder: BatchBuilder) -> None:
    for make in (builder.text, builder.copying, lambda step: builder.mixed(step, 512)):
        assert torch.equal(make(7).ids, make(7).ids)
        assert not torch.equal(make(7).ids, make(8).ids)
    other = BatchBuilder(replace(TINY, seed=1), builder.tokenizer, builder.streams, builder.builders)
    assert not torch.equal(other.text(7).ids, builder.text(7).ids)


def test_the_first_token_of_an_answer_weighs_most(builder: BatchBuilder) -> None:
    piece = builder.example(builder.builders[0].draw(random.Random(1)))
    first = int(np.flatnonzero(piece.kinds == ANSWER)[0])
    assert piece.weights[first] == TINY.decision_weight
    assert set(piece.weights[:first].tolist()) == {TINY.prompt_weight}
    assert set(piece.weights[first + 1 :].tolist()) == {TINY.answer_weight}
