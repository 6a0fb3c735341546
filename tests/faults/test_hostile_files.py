"""Documents, recipes and tables of any content: our own errors only, in time that grows no faster than the file."""

import json
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assistant.errors import ContactsError, DocumentError
from assistant.knowledge.citations import AnswerChecks
from assistant.knowledge.cut import MAX_PASSAGE_CHARACTERS, Given, cut_documents
from assistant.knowledge.importers.choosing import read_document
from assistant.safety.contacts import read_contacts
from compressor.errors import RecipeError
from compressor.recipe.load import parse_recipe
from models.catalogue import catalogue
from models.errors import ModelFileError
from models.grounding import Passage
from models.tables import read_rows

MARKS = "#*_`~[]()<>!|-+=:;.,\"'\\\n\r\t 0aA1é\ud7ff\u2028\U0001f600&{}/?"
TEXTS = st.one_of(st.text(MARKS, max_size=300), st.text(max_size=100))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.just("\ud800"),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["text", "title", "sections", "heading", "id", "date", "keywords", "source", "x"]), inner
        )
    ),
    max_leaves=12,
)
LINES = st.lists(st.one_of(JSON.map(json.dumps), TEXTS), max_size=6).map("\n".join)
QUICK = settings(max_examples=60, deadline=2000)
FILE = settings(QUICK, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_all(name: str, data: bytes) -> None:
    try:
        documents = list(cut_documents("own", name, read_document(name, data), Given()))
    except DocumentError as error:
        check_line(error)
        return
    for document in documents:
        for passage in document.passages:
            passage.text.encode()
            assert 0 < len(passage.text) <= 2 * MAX_PASSAGE_CHARACTERS


def check_line(error: Exception) -> None:
    assert "\n" not in str(error)
    assert len(str(error)) < 2000


@QUICK
@given(st.sampled_from(["a.md", "a.txt", "a.jsonl", "a.xml", "a.zip"]), st.binary(max_size=300))
def test_bytes_as_documents(name: str, data: bytes) -> None:
    read_all(name, data)


@QUICK
@given(TEXTS, TEXTS)
def test_text_as_markdown(fields: str, text: str) -> None:
    for front in ("", f"---\n{fields}\n---\n", f"+++\n{fields}\n+++\n"):
        read_all("a.md", (front + text).encode())
    read_all("a.txt", text.encode())


@QUICK
@given(LINES)
def test_lines_of_json_of_any_shape(lines: str) -> None:
    read_all("a.jsonl", lines.encode("utf-8", "replace"))


@pytest.mark.parametrize("value", ["[" * 100_000, "1" * 5000, "{a=" * 5000, '"' + "\\u0000" * 10, "1979-99-99", "nan"])
def test_toml_without_end(tmp_path: Path, value: str) -> None:
    with pytest.raises(RecipeError) as recipe:
        parse_recipe(f"[budget]\na = {value}", "r")
    path = tmp_path / "numbers.toml"
    path.write_text(f"[[contact]]\nname = {value}\nnumber = '116 123'")
    with pytest.raises(ContactsError) as contacts:
        read_contacts(path)
    for error in (recipe.value, contacts.value):
        check_line(error)
    read_all("a.md", f"+++\ntitle = {value}\n+++\ntext".encode())


@FILE
@given(st.one_of(TEXTS, TEXTS.map("[[contact]]\nname = {!r}".format)), st.binary(max_size=30))
def test_tables_of_any_text(tmp_path: Path, text: str, tail: bytes) -> None:
    path = tmp_path / "table.toml"
    path.write_bytes(text.encode() + tail)
    model = type(catalogue()[0])
    with suppress(ContactsError):
        read_contacts(path)
    with suppress(ModelFileError):
        read_rows(path, "contact", model)
    with suppress(RecipeError):
        parse_recipe(text, "r")


SIZE = 30_000
LONG: dict[str, Callable[[int], str]] = {
    "a heading with a hole": lambda n: f"# a{' ' * n}b",
    "a table's line that is none": lambda n: f"a|b\n{' ' * n}-x",
    "comments that do not end": lambda n: "<!--" * n,
    "images that do not end": lambda n: "![" * n,
    "links that do not end": lambda n: "[a](" * n,
    "links in links": lambda n: "[" * n,
    "emphasis that does not end": lambda n: "*a " * n,
    "underlines that do not end": lambda n: "_a " * n,
    "code that does not end": lambda n: "`" * (n // 100) + "a" * n,
    "code of many lengths": lambda n: "".join("`" * (each % 300 + 1) + "a" for each in range(n // 50)),
    "text struck out without end": lambda n: "<s>" * n + "~~a " * n,
    "elements that do not end": lambda n: "<a " * n,
    "one word": lambda n: "a" * n,
    "sentences": lambda n: "a. " * n,
    "lines": lambda n: "abc\n" * n,
    "marks": lambda n: "[1" * n + "[1]" * n,
    "brackets": lambda n: "(" * n + ")" * n,
}


@pytest.mark.parametrize("shape", LONG)
def test_time_grows_no_faster_than_the_file(shape: str) -> None:
    text = LONG[shape](SIZE)
    started = time.process_time()
    for name, data in (("a.md", text), ("a.txt", text), ("a.jsonl", json.dumps({"text": text, "title": text}))):
        read_all(name, data.encode())
    assert time.process_time() - started < 5  # by the square of the size it was ten times that


PASSAGES = (Passage("Croup", "Treatment", "Give dexamethasone 0.15 mg/kg once. Do not sedate."), Passage("", "", "?"))
ANSWERS = st.lists(
    st.one_of(
        st.sampled_from([
            "[1]", "[2]", "[1, 2]", "[0]", "[99999999999999999999]", "[", "[1", "]", "[[1]]", "[-1]", "[\u0661]", "\n",
            ". ", "? ", "0.15 mg/kg", "not ", "Croup: Treatment", "1" * 5000, "mg", "\ud800", "e\u0301", "²",
        ]),
        TEXTS,
    ),
    max_size=12,
).map("".join)  # fmt: skip


@QUICK
@given(ANSWERS, st.integers(0, 400))
def test_answers_of_any_text_are_checked(answer: str, cut: int) -> None:
    checks = AnswerChecks(PASSAGES)
    found = checks.new(answer[:cut]) + checks.new(answer, ended=True)
    assert all(0 <= each.start < each.end <= len(answer) for each in found)
    assert [each.start for each in found] == sorted(each.start for each in found)


@pytest.mark.parametrize("shape", LONG)
def test_a_long_answer_is_checked_at_once(shape: str) -> None:
    """A context of 4,096 tokens holds about so much."""
    started = time.process_time()
    AnswerChecks(PASSAGES).new(LONG[shape](16_000)[:16_000], ended=True)
    assert time.process_time() - started < 5
