"""A library's file may come from anywhere: nothing but our own errors come of it, and the others are searched all the same."""

import sqlite3
import time
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from assistant.errors import DamagedLibraryError, LibraryError
from assistant.knowledge.adding import add_files, find_files
from assistant.knowledge.checking import find_faults
from assistant.knowledge.cut import Given
from assistant.knowledge.installed import Shelf, library_file, user_folder
from assistant.knowledge.search import search
from models.errors import BedsideError
from tests.assistant.knowledge.documents import changing

PAGES = {
    "gout.md": "# Gout\n## Treatment\nPodagra: colchicine and rest help.\n## Causes\nPodagra comes of urate.\n",
    "croup.md": "---\nkeywords: stridor, cough\n---\n# Croup\nDexamethasone for the podagra of the airway.\n",
}
QUESTION = "How is podagra treated?"
COLUMNS = {
    "document": [
        "key", "name", "title", "keywords", "date", "licence", "follows", "origin", "digest", "first_passage", "passages"
    ],
    "passage": ["section", "text", "position"],
    "source": ["name", "sha256", "recipe", "size_bytes", "added", "left_out"],
    "setting": ["value"],
}  # fmt: skip
VALUES = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.binary(max_size=20),
    st.sampled_from(["", "[", "{}", "[1]", '["a", 1]', "[" * 2000, '["\\ud800"]', "a\0b", "\x1b[2J", "9" * 400]),
)
PLACES = st.sampled_from([(table, column) for table, columns in COLUMNS.items() for column in columns])


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    papers = tmp_path_factory.mktemp("papers")
    for name, text in PAGES.items():
        (papers / name).write_text(text)
    add_files("own", papers / "libraries", find_files([papers]), Given())
    return library_file(papers / "libraries", "own")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole: Path) -> Path:
    """The library of this test, in the user's folder."""
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEDSIDE_LIBRARIES", str(tmp_path / "none"))
    user_folder().mkdir(parents=True)
    path = library_file(user_folder(), "own")
    path.write_bytes(whole.read_bytes())
    return path


def asked(shelf: Shelf, question: str) -> object:
    return search(shelf.index(["own"]), question, 4)


def check_line(error: BedsideError) -> None:
    assert "\n" not in str(error)


def survive(path: Path) -> None:
    """Searched by name it may be refused; beside others it is read or left out; what is added is taken or refused."""
    shelf = Shelf()
    assert shelf.reading(None, lambda: search(shelf.index(None), "How is croup treated?", 4))
    for question in (QUESTION, "podogra", "stridor"):
        try:
            shelf.reading(["own"], partial(asked, shelf, question))
        except LibraryError as error:
            check_line(error)
    (path.parent / "new.txt").write_text("Podagra: cold helps.")
    for work in (
        find_faults,
        lambda path: add_files("own", path.parent, find_files([path.parent / "new.txt"]), Given()),
    ):
        try:
            work(path)
        except BedsideError as error:
            check_line(error)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(PLACES, VALUES), min_size=1, max_size=3))
def test_rows_of_any_value(own: Path, whole: Path, changes: list[tuple[tuple[str, str], object]]) -> None:
    own.write_bytes(whole.read_bytes())
    with changing(own) as connection:
        for (table, column), value in changes:
            connection.execute(f"UPDATE OR REPLACE {table} SET {column} = ?", (value,))
    survive(own)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.integers(100, 2**17), st.binary(min_size=1, max_size=6)), min_size=1, max_size=5))
def test_bytes_of_any_value(own: Path, whole: Path, changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(whole.read_bytes())
    for place, new in changes:
        at = place % (len(data) - len(new))
        data[at : at + len(new)] = new
    own.write_bytes(data)
    survive(own)


ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
HARM = {
    "a view that never ends": (
        "ALTER TABLE document RENAME TO d",
        f"CREATE VIEW document AS SELECT d.*, ({ENDLESS}) AS more FROM d",
    ),
    "a trigger": (f"CREATE TRIGGER t AFTER INSERT ON document BEGIN UPDATE document SET title = ({ENDLESS}); END",),
    "a trigger of another table": ("CREATE TRIGGER passage_words AFTER INSERT ON source BEGIN DELETE FROM document; END",),
    "a computed column": ("ALTER TABLE passage ADD COLUMN x AS (zeroblob(1000000000))",),
    "another table": ("CREATE TABLE \"a\nb\x1b[2J\" (x)",),
    "a view in an index's place": (
        "DROP TABLE document_words",
        f"CREATE VIEW document_words AS SELECT ({ENDLESS}) AS rowid",
    ),
}  # fmt: skip


@pytest.mark.parametrize("harm", HARM)
def test_what_is_not_made_here_is_not_run(own: Path, harm: str) -> None:
    with changing(own) as connection:
        for statement in HARM[harm]:
            connection.execute(statement)
    started = time.monotonic()
    with pytest.raises(DamagedLibraryError, match="is none of its tables") as refused:
        Shelf().index(["own"])
    assert "\n" not in str(refused.value)
    assert "\x1b" not in str(refused.value)
    survive(own)
    assert time.monotonic() - started < 10


def test_an_index_that_names_what_is_not_there(own: Path) -> None:
    with changing(own) as connection:
        connection.execute("BEGIN")
        for table, column in (("document_words", "title"), ("passage_words", "text")):
            rows = [(row,) for row in range(50, 200)]
            connection.executemany(f"INSERT INTO {table}(rowid, {column}) VALUES (?, 'podagra')", rows)
        connection.execute("COMMIT")
    with pytest.raises(DamagedLibraryError, match="its index holds a document that is not there"):
        Shelf().index(["own"]).document(150)
    survive(own)


def test_passages_beyond_the_last(own: Path) -> None:
    with changing(own) as connection:
        connection.execute("UPDATE document SET passages = 999")
    survive(own)


def test_a_page_that_sqlite_cannot_read_is_one_line(own: Path) -> None:
    own.write_bytes(own.read_bytes()[:4096] + b"\xff" * 4096)
    with pytest.raises(DamagedLibraryError, match="is damaged or no library of Bedside"):
        Shelf().index(["own"])
    with pytest.raises(sqlite3.DatabaseError), changing(own) as connection:
        connection.execute("SELECT count(*) FROM passage").fetchall()
