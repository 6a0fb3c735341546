"""Rows start with BOS, hold the grounded format and depend on the seed only."""

import json
from itertools import islice
from pathlib import Path

import pytest
import torch
from jinja2 import TemplateError as RefusedError
from transformers import AutoTokenizer

from compressor.grounded import grounded_examples
from compressor.job import open_job
from compressor.recipe.load import load_recipe
from compressor.recipe.tables import Calibrate
from compressor.report.tables import stage_notes
from compressor.stages.calibrate import run_calibrate
from compressor.stages.contract import CALIBRATE
from compressor.text import Document
from compressor.tokens import ChatTokenizer, build_rows, load_rows, save_rows
from models.errors import TemplateError, TextError
from models.grounding import NO_ANSWER
from models.sentences import split_sentences
from models.starter import load_notes, split_notes
from tests.compressor.runs import RECIPE, Silent
from tests.compressor.tiny import make_tokenizer

STRICT = """{%- for message in messages -%}
{%- if message.role == 'system' -%}{{ raise_exception('no system turn') }}{%- endif -%}
{%- if (message.role == 'user') != (loop.index0 % 2 == 0) -%}{{ raise_exception('turns must alternate') }}{%- endif -%}
{%- endfor -%}"""
"""What Gemma's and Mistral's templates refuse."""


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


def test_conversations_are_rendered_as_transformers_renders_them(tiny_folder: Path, tokenizer: ChatTokenizer) -> None:
    theirs = AutoTokenizer.from_pretrained(tiny_folder)
    for messages in islice(grounded_examples(load_notes(), 0), 20):
        expected = theirs.apply_chat_template(messages, tokenize=True, return_dict=False)
        assert tokenizer.messages(messages) == list(expected)
        prompt = theirs.apply_chat_template(messages[:-1], add_generation_prompt=True, return_dict=False)
        assert tokenizer.prompt(messages[:-1]) == list(prompt)


def test_turns_that_a_template_refuses_are_joined_as_on_the_device(tmp_path: Path) -> None:
    strict = make_tokenizer()
    strict.chat_template = STRICT + strict.chat_template
    strict.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}', "utf-8")
    messages = next(grounded_examples(load_notes(), 0))
    with pytest.raises(RefusedError, match="no system turn"):
        AutoTokenizer.from_pretrained(tmp_path).apply_chat_template(messages)
    plain, joined = ChatTokenizer(tmp_path), "\n\n".join(message["content"] for message in messages[:-1])
    assert plain.messages(messages) == plain.messages([{"role": "user", "content": joined}, messages[-1]])
    with pytest.raises(TemplateError, match="alternate user and assistant turns"):
        plain.messages([messages[-1]])


def test_without_a_template_grounded_text_is_refused(tmp_path: Path) -> None:
    plain = make_tokenizer()
    plain.chat_template = None
    plain.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}', "utf-8")
    tokenizer = ChatTokenizer(tmp_path)
    with pytest.raises(TemplateError, match="grounded shares to 0"):
        build_rows(Calibrate(samples=8), tokenizer, None)
    rows = build_rows(Calibrate(samples=8, grounded_share=0.0), tokenizer, None)
    assert len(rows.calibrate) == 8


def notes_file(path: Path, count: int) -> Path:
    """So many documents of 40 words, each one row."""
    lines = [json.dumps({"id": str(n), "text": f"Note {n}: " + "fever and cough " * 13}) for n in range(count)]
    path.write_text("\n".join(lines), "utf-8")
    return path


def test_a_text_that_is_somewhat_short_is_used_and_said(tiny_folder: Path, tmp_path: Path) -> None:
    """Nine of ten documents calibrate, of 16 rows asked for; under half of them is an error."""
    short = notes_file(tmp_path / "short.jsonl", 10)
    table = (
        f'[calibrate]\nsamples = {{}}\ntokens_per_sample = 128\ngrounded_share = 0.0\ntext = {{{{"{short}" = 1.0}}}}\n'
    )
    recipe = RECIPE.replace("[calibrate]\nsamples = 8\ntokens_per_sample = 64\n", table)
    (tmp_path / "short.toml").write_text(recipe.format(16, method="uniform", budget="ffn_share = 0.5"), "utf-8")
    loaded, silent = load_recipe(str(tmp_path / "short.toml")), Silent()
    job = open_job("tiny", tiny_folder, loaded, out=tmp_path / "run", data=None, reporter=silent)
    with torch.inference_mode():
        facts = run_calibrate(job, tmp_path / "run" / "stages" / CALIBRATE).facts
    note = f"text {short} gives 9 of the 16 rows asked for"
    assert facts["notes"] == [note]
    assert f"{note}; calibration goes on with those" in silent.lines
    assert stage_notes({CALIBRATE: facts})[-1] == f"* {CALIBRATE}: {note}"
    with pytest.raises(TextError, match=r"gives 9 rows .* share of calibrate.samples is 19"):
        build_rows(loaded[1].calibrate.model_copy(update={"samples": 19}), job.tokenizer, None)
