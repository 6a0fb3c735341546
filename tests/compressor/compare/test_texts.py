"""Held-out documents: their choice, their order, and which of them share 13 words with training text."""

import json
from pathlib import Path

from compressor.compare.texts import read_held_out, share_a_passage, word_grams
from compressor.rows import make_batches
from compressor.text import read_source
from compressor.tokens import ChatTokenizer

THIRTEEN = "one two three four five six seven eight nine ten eleven twelve thirteen"


def test_thirteen_words_in_a_row_count_as_a_shared_passage() -> None:
    train = [f"Intro, {THIRTEEN.upper()}! And more."]
    documents = [f"Before {THIRTEEN} after", THIRTEEN.rsplit(" ", 1)[0] + " other words", "short"]
    assert share_a_passage(documents, train) == [True, False, False]
    assert len(word_grams(THIRTEEN)) == 1
    assert word_grams("a b c", 2) == {("a", "b"), ("b", "c")}


def test_documents_are_chosen_by_their_text_and_ordered_as_batches_order_them(
    tiny_folder: Path, tmp_path: Path
) -> None:
    tokenizer = ChatTokenizer(tiny_folder)
    texts = [f"Document {number} " + "word " * (7 * number % 11 + 3) for number in range(9)]
    for name, order in (("one", texts), ("two", texts[::-1])):
        lines = [json.dumps({"id": str(index), "text": text}) for index, text in enumerate(order)]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines), "utf-8")
    one, two = (read_held_out(str(tmp_path / f"{name}.jsonl"), None, tokenizer, 5, 16) for name in ("one", "two"))
    assert one.rows == two.rows
    assert len(one.rows) == 5
    assert all(row[0] == tokenizer.bos and len(row) <= 16 for row in one.rows)
    flat = [
        ids[valid].tolist()
        for batch in make_batches(one.rows, 2)
        for ids, valid in zip(batch.ids, batch.valid, strict=True)
    ]
    assert flat == one.rows


def test_the_packaged_notes_have_a_train_part_to_compare_with(tiny_folder: Path) -> None:
    held = read_held_out("starter", None, ChatTokenizer(tiny_folder), 3, 64)
    train = [document.text for document in read_source("starter", None, "train")]
    valid = read_source("starter", None, "valid")
    assert len(held.overlaps) == min(3, len(valid))
    assert share_a_passage([train[0]], train) == [True]
