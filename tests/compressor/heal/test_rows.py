"""Which tokens healing learns from, and which documents."""

import gzip
import json
import re
from pathlib import Path

import pytest

from compressor.heal.rows import build_heal_rows
from compressor.text import read_source, split_tuning
from compressor.tokens import ChatTokenizer
from models.errors import TemplateError, TextError
from models.grounding import NO_ANSWER
from tests.compressor.heal.conftest import small

ANSWERS = [f"answer number {index} is that rest and water help" for index in range(30)]


@pytest.fixture
def corpus(tmp_path: Path) -> str:
    path = tmp_path / "corpus.jsonl"
    lines = [{"id": str(i), "question": f"what about {i}?", "answer": answer} for i, answer in enumerate(ANSWERS)]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return str(path)


def test_the_answer_and_its_end_weigh_one_the_question_little(tokenizer: ChatTokenizer, corpus: str) -> None:
    rows = build_heal_rows(small(data=corpus, question_weight=0.25), tokenizer, None)
    for row in rows.train + rows.tuning:
        learned = [token for token, weight in zip(row.ids, row.weights, strict=True) if weight == 1.0]
        assert tokenizer.decode(learned) in ANSWERS
        assert learned[-1] == tokenizer.end_of_turn()
        question = row.weights[: len(row.ids) - len(learned)]
        assert question == [0.0] + [0.25] * (len(question) - 1)


def test_tuning_rows_are_of_other_documents(tokenizer: ChatTokenizer, corpus: str) -> None:
    documents = read_source(corpus, None, "train")
    held = {document.text for document in split_tuning(documents, (document.id for document in documents), corpus)[1]}
    rows = build_heal_rows(small(data=corpus, steps=None), tokenizer, None)

    def answers(part: list[list[int]]) -> set[str]:
        texts = [tokenizer.decode(ids) for ids in part]
        return {answer for answer in ANSWERS if any(text.endswith(answer) for text in texts)}

    assert answers([row.ids for row in rows.tuning]) == held
    assert answers([row.ids for row in rows.train]) == set(ANSWERS) - held
    assert len(rows.train) == len(ANSWERS) - len(held)


def test_epochs_repeat_and_steps_limit(tokenizer: ChatTokenizer, corpus: str) -> None:
    once = build_heal_rows(small(data=corpus, steps=None), tokenizer, None).train
    twice = build_heal_rows(small(data=corpus, steps=None, epochs=2), tokenizer, None).train
    assert sorted(row.ids for row in twice) == sorted(row.ids for row in once + once)
    assert len(build_heal_rows(small(data=corpus, steps=2, epochs=2), tokenizer, None).train) == 16


def test_a_share_is_grounded_and_its_first_answer_token_weighs_most(tokenizer: ChatTokenizer, corpus: str) -> None:
    recipe = small(data=corpus, steps=2, grounded_share=0.5, tokens_per_row=1024, decision_weight=7.0)
    rows = build_heal_rows(recipe, tokenizer, None).train
    grounded = [row for row in rows if 7.0 in row.weights]
    assert (len(rows), len(grounded)) == (16, 8)
    for row in grounded:
        start = row.weights.index(7.0)
        answer = tokenizer.decode(row.ids[start:])
        assert answer == NO_ANSWER or "]" in answer
        assert set(row.weights[1:start]) == {recipe.question_weight}
        assert set(row.weights[start + 1 :]) == {1.0}


def test_medquad_is_asked_about_its_own_sections_and_documents_stay_apart(
    tokenizer: ChatTokenizer, tmp_path: Path
) -> None:
    (tmp_path / "medquad").mkdir()
    with gzip.open(tmp_path / "medquad" / "train.jsonl.gz", "wt", encoding="utf-8") as handle:
        for index in range(80):
            kind = ("treatment", "symptoms")[index % 2]
            row = {"doc": f"d{index // 2}", "focus": f"Ailment{index // 2:02d}", "qtype": kind}
            text = f"The {kind} of this ailment was written down in line {index}."
            handle.write(json.dumps({**row, "question": f"What of {kind} {index}?", "answer": f"{text} {text}"}) + "\n")
    rows = build_heal_rows(
        small(data="medquad", steps=5, grounded_share=0.5, tokens_per_row=1024, decision_weight=7.0, tuning_rows=20),
        tokenizer,
        tmp_path,
    )
    titles = []
    for part, wanted in ((rows.train, 20), (rows.tuning, 8)):
        grounded = [tokenizer.decode(row.ids) for row in part if 7.0 in row.weights]
        assert len(grounded) == wanted
        titles.append({title for text in grounded for title in re.findall(r"Ailment\d\d", text)})
    docs = [f"d{index}" for index in range(40)]
    held = {f"Ailment{int(doc[1:]):02d}" for doc in split_tuning(docs, docs, "medquad")[1]}
    assert titles[1] == held
    assert len(titles[0]) > 10
    assert not titles[0] & held


@pytest.mark.parametrize(
    ("row", "share", "told"),
    [
        ({"qtype": "treatment"}, 0.5, r"train\.jsonl\.gz line 1 is no row of medquad \(KeyError: 'focus'\)"),
        ({"focus": "x"}, 0.5, r"line 1 is no row of medquad \(KeyError: 'qtype'\)"),
        ({"focus": "Croup", "qtype": "treatment"}, 0.5, "medquad has no section that could be quoted"),
        ({}, 0.0, None),
    ],
)
def test_rows_without_what_a_section_needs_are_named(
    tokenizer: ChatTokenizer, tmp_path: Path, row: dict[str, str], share: float, told: str | None
) -> None:
    (tmp_path / "medquad").mkdir()
    with gzip.open(tmp_path / "medquad" / "train.jsonl.gz", "wt", encoding="utf-8") as handle:
        for index in range(40):
            line = {"doc": str(index), **row, "question": f"what of {index}?", "answer": f"- item {index}"}
            handle.write(json.dumps(line) + "\n")
    recipe = small(data="medquad", steps=2, grounded_share=share)
    if told is None:
        assert build_heal_rows(recipe, tokenizer, tmp_path).train
    else:
        with pytest.raises(TextError, match=told):
            build_heal_rows(recipe, tokenizer, tmp_path)


def test_a_share_is_plain_text_as_perplexity_is_measured_on(tokenizer: ChatTokenizer, corpus: str) -> None:
    rows = build_heal_rows(small(data=corpus, steps=None, plain_share=0.5), tokenizer, None).train
    plain = [row for row in rows if set(row.weights[1:]) == {1.0}]
    assert 0.25 * len(rows) < len(plain) < 0.75 * len(rows)
    texts = {f"what about {index}?\n{answer}" for index, answer in enumerate(ANSWERS)}
    assert all(tokenizer.decode(row.ids[1:]) in texts and row.ids[0] == tokenizer.bos for row in plain)
    assert rows == build_heal_rows(small(data=corpus, steps=None, plain_share=0.5), tokenizer, None).train


def test_plain_text_weighs_one_throughout(tokenizer: ChatTokenizer) -> None:
    for row in build_heal_rows(small(), tokenizer, None).train:
        assert row.weights == [0.0] + [1.0] * (len(row.ids) - 1)


def test_a_model_without_template_learns_question_and_answer_as_lines(
    tiny_folder: Path, tmp_path: Path, corpus: str
) -> None:
    for path in tiny_folder.glob("*token*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "config.json").write_bytes((tiny_folder / "config.json").read_bytes())
    bare = ChatTokenizer(tmp_path)
    assert not bare.has_template
    row = build_heal_rows(small(data=corpus), bare, None).train[0]
    learned = [token for token, weight in zip(row.ids, row.weights, strict=True) if weight == 1.0]
    assert bare.decode(learned) in ANSWERS
    assert (row.ids[0], row.ids[-1]) == (bare.bos, bare.eos)
    with pytest.raises(TemplateError, match="no chat template"):
        build_heal_rows(small(data=corpus, grounded_share=0.5), bare, None)


def test_text_too_short_for_a_step_is_refused(tokenizer: ChatTokenizer, corpus: str) -> None:
    with pytest.raises(TextError, match=r"gives 27 rows, less than one step of heal\.batch_rows = 64"):
        build_heal_rows(small(data=corpus, batch_rows=64), tokenizer, None)


def test_rows_too_short_for_passages_are_refused(tokenizer: ChatTokenizer, corpus: str) -> None:
    with pytest.raises(TextError, match=r"heal\.tokens_per_row = 64 holds 0 grounded examples, 8 are wanted"):
        build_heal_rows(small(data=corpus, steps=2, grounded_share=0.5), tokenizer, None)
