"""Rows start with BOS, hold the grounded format and depend on the seed only."""

from itertools import islice
from pathlib import Path

import pytest

from compressor.grounded import grounded_examples
from compressor.recipe.tables import Calibrate
from compressor.text import Document
from compressor.tokens import ChatTokenizer, build_rows, load_rows, save_rows
from models.errors import TemplateError
from models.grounding import NO_ANSWER
from models.sentences import split_sentences
from models.starter import load_notes, split_notes
from tests.compressor.tiny import make_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tiny_folder: Path) -> ChatTokenizer:
    return ChatTokenizer(tiny_folder)


def test_rows_start_with_bos_keep_their_length_and_repeat(tokenizer: ChatTokenizer, tmp_path: Path) -> None:
    recipe = Calibrate(samples=24, tokens_per_sample=128)
    rows = build_rows(recipe, tokenizer, None)
    assert len(rows.calibrate) == 24
    assert rows.tuning
    for row in [*rows.calibrate, *rows.tuning]:
        assert row[0] == tokenizer.bos
        assert row.count(0) == 1
        assert 16 <= len(row) <= 128
    assert build_rows(recipe, tokenizer, None) == rows
    assert build_rows(recipe.model_copy(update={"seed": 1}), tokenizer, None) != rows
    save_rows(tmp_path / "rows.safetensors", rows)
    assert load_rows(tmp_path / "rows.safetensors") == rows


def test_grounded_examples_quote_the_gold_passage() -> None:
    notes = split_notes()[0]
    texts = {f"{note.title}: {s.heading}": s.text for note in notes for s in note.sections}
    refused = 0
    for messages in islice(grounded_examples(notes, 3), 64):
        passages, question, answer = (message["content"] for message in messages[1:])
        assert question
        if answer == NO_ANSWER:
            refused += 1
            continue
        heading, quoted = answer.split("\n", 1)
        number = quoted.rsplit("[", 1)[1].rstrip("]")
        assert f"[{number}] {heading}\n" in passages
        first = quoted.split(f" [{number}]")[0]
        assert first == split_sentences(texts[heading])[0].text
    assert refused == 8


def test_an_unanswerable_question_has_no_gold_passage() -> None:
    for messages in islice(grounded_examples(load_notes(), 0), 32):
        if messages[-1]["content"] == NO_ANSWER:
            headings = [line.split("] ", 1)[1].lower() for line in messages[1]["content"].split("\n")[::2]]
            question = messages[2]["content"].lower()
            assert not any(all(part in question for part in heading.split(": ", 1)) for heading in headings)


def test_questions_go_through_the_template(tokenizer: ChatTokenizer) -> None:
    row = tokenizer.windows(Document("1", "Rest and fluids.", "What helps?"), 64)[0]
    assert row[:2] == [0, 4]
    assert row[-1] == 1
    assert tokenizer.end_of_turn() == 1


def test_without_a_template_grounded_text_is_refused(tmp_path: Path) -> None:
    plain = make_tokenizer()
    plain.chat_template = None
    plain.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}', "utf-8")
    tokenizer = ChatTokenizer(tmp_path)
    with pytest.raises(TemplateError, match="grounded_share = 0"):
        build_rows(Calibrate(samples=8), tokenizer, None)
    rows = build_rows(Calibrate(samples=8, grounded_share=0.0), tokenizer, None)
    assert len(rows.calibrate) == 8
