"""Adding, changing and removing, on real files: only what changed is touched, and nothing is ever half done."""

import ast
import json
import resource
import signal
import time
from pathlib import Path

import pytest

from assistant.errors import DamagedLibraryError, DocumentError, LibraryError
from assistant.knowledge import adding, words
from assistant.knowledge.adding import Added, SourceFile, add_files, find_files, read_sources, remove_library
from assistant.knowledge.cut import Given
from assistant.knowledge.installed import library_file
from assistant.knowledge.library import Document
from assistant.knowledge.volume import Volume
from models.disk import only_writer
from models.errors import StorageError
from tests.assistant.knowledge.documents import changing, medquad_xml, pdf, zipped

SILENT = Given()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "libraries"


@pytest.fixture
def papers(tmp_path: Path) -> Path:
    (tmp_path / "papers" / "deep").mkdir(parents=True)
    (tmp_path / "papers" / "gout.md").write_text("# Gout\n## Treatment\nRest and colchicine.\n")
    (tmp_path / "papers" / "deep" / "croup.txt").write_text("Croup barks.")
    (tmp_path / "papers" / "README.md").write_text("About this folder.")
    return tmp_path / "papers"


def add(folder: Path, *paths: Path, given: Given = SILENT) -> Added:
    return add_files("own", folder, find_files(paths), given)


def documents(folder: Path) -> dict[str, Document]:
    volume = Volume.open("own", library_file(folder, "own"))
    return {name: volume.document(row) for row, name in volume.rows("SELECT id, name FROM document ORDER BY id")}


def matches(folder: Path, word: str) -> int:
    volume = Volume.open("own", library_file(folder, "own"))
    (passages,) = volume.hit_counts("passage_words", [word])
    assert volume.hit_counts("document_words", [word])[0] <= passages
    return passages


def test_a_folder_is_added_with_all_below_it(folder: Path, papers: Path) -> None:
    added = add(folder, papers)
    assert (added.sources, added.documents, added.passages, added.changed) == (2, 2, 2, 2)
    assert set(documents(folder)) == {"croup", "gout"}
    (passage,) = documents(folder)["gout"].passages
    assert (passage.title, passage.section, passage.text) == ("Gout", "Treatment", "Rest and colchicine.")
    assert passage.source == "gout.md"
    assert passage.id.startswith("own/gout#1@")
    assert matches(folder, "colchicine") == 1


def test_progress_goes_with_the_documents_and_never_past_the_end(folder: Path, tmp_path: Path) -> None:
    source = tmp_path / "set.jsonl"
    source.write_text("\n".join(json.dumps({"text": f"Text {n}."}) for n in range(7)))
    done: list[int] = []
    add_files("own", folder, find_files([source]), SILENT, lambda _, done_bytes: done.append(done_bytes))
    assert len(list(filter(None, done))) == 7
    assert 0.9 * source.stat().st_size < sum(done) <= source.stat().st_size


def test_the_same_bytes_change_nothing(folder: Path, papers: Path) -> None:
    add(folder, papers)
    before = library_file(folder, "own").stat()
    again = add(folder, papers)
    assert (again.sources, again.unchanged) == (0, 2)
    (papers / "copy.md").write_bytes((papers / "gout.md").read_bytes())
    assert add(folder, papers / "copy.md").unchanged == 1
    after = library_file(folder, "own").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_of_a_changed_file_only_its_changed_documents_are_touched(folder: Path, tmp_path: Path) -> None:
    rows = [{"id": f"d{n}", "title": f"T{n}", "text": f"word{n} stays."} for n in range(5)]
    source = tmp_path / "set.jsonl"
    source.write_text("\n".join(map(json.dumps, rows)))
    add(folder, source)
    before = documents(folder)
    rows[1]["text"], rows[4:] = "other words.", [{"id": "new", "title": "N", "text": "added."}]
    source.write_text("\n".join(map(json.dumps, rows)))
    assert add(folder, source).changed == 3  # d1 changed, d4 gone, new came
    after = documents(folder)
    assert set(after) == {"d0", "d1", "d2", "d3", "new"}
    assert {name: after[name] for name in ("d0", "d2", "d3")} == {name: before[name] for name in ("d0", "d2", "d3")}
    assert [matches(folder, word) for word in ("word0", "word1", "word4", "other", "added")] == [1, 0, 0, 1, 1]


def test_a_file_that_becomes_another_one_loses_its_old_text(folder: Path, papers: Path) -> None:
    add(folder, papers)
    (papers / "gout.md").write_bytes((papers / "deep" / "croup.txt").read_bytes())
    add(folder, papers)
    assert matches(folder, "colchicine") == 0


def test_what_the_person_says_of_a_file_can_be_said_later(folder: Path, papers: Path) -> None:
    add(folder, papers)
    assert add(folder, papers, given=Given(date="2021")).sources == 2
    assert {document.passages[0].date for document in documents(folder).values()} == {"2021"}


def test_names_that_are_taken_get_a_number(folder: Path, papers: Path) -> None:
    (papers / "deep" / "gout.txt").write_text("Another gout.")
    add(folder, papers)
    first = documents(folder)
    assert set(first) == {"croup", "gout", "gout-2"}
    (papers / "gout.md").write_text("# Gout\nAllopurinol.\n")
    add(folder, papers)
    again = documents(folder)
    assert again["gout"] == first["gout"]
    assert (again["gout-2"].id, again["gout-2"].passages[0].text) == ("gout-2", "Allopurinol.")


def test_a_source_is_removed_with_all_that_came_of_it(folder: Path, papers: Path) -> None:
    add(folder, papers)
    remove_library(folder, "own", str(papers / "gout.md"))
    assert set(documents(folder)) == {"croup"}
    assert (matches(folder, "colchicine"), matches(folder, "barks")) == (0, 1)
    remove_library(folder, "own", str(papers / "deep" / "croup.txt"))
    assert not library_file(folder, "own").exists()


@pytest.mark.parametrize(
    ("library", "source", "message"),
    [
        ("none", None, "no library named 'none'"),
        ("own", "/x", "own holds no source '/x'; see bedside knowledge list own"),
    ],
)
def test_what_is_not_there_cannot_be_removed(
    folder: Path, papers: Path, library: str, source: str | None, message: str
) -> None:
    add(folder, papers)
    with pytest.raises(LibraryError, match=message):
        remove_library(folder, library, source)


def test_a_file_that_cannot_be_read_does_not_keep_the_others_out(folder: Path, papers: Path) -> None:
    (papers / "scan.pdf").write_bytes(pdf([[]]))
    (papers / "empty.txt").write_text(" \n")
    added = add(folder, papers)
    assert (added.sources, len(added.faults)) == (2, 2)
    assert added.faults[0].startswith(f"{papers / 'empty.txt'} holds no text")
    assert added.faults[1].startswith(f"{papers / 'scan.pdf'} holds no text (a scan?)")


def test_where_nothing_can_be_read_nothing_is_written(folder: Path, papers: Path) -> None:
    (papers / "scan.pdf").write_bytes(pdf([[]]))
    with pytest.raises(DocumentError, match=r"scan\.pdf holds no text"):
        add(folder, papers / "scan.pdf")
    assert not library_file(folder, "own").exists()
    assert [entry.name for entry in folder.iterdir()] == [".lock"]


def test_questions_without_an_answer_are_counted(folder: Path, tmp_path: Path) -> None:
    cold, empty = (
        medquad_xml("1", "Cold", {"causes": "A virus.", "treatment": ""}),
        medquad_xml("2", "Flu", {"causes": ""}),
    )
    (tmp_path / "set.zip").write_bytes(zipped({"set/1.xml": cold, "set/2.xml": empty}))
    added = add(folder, tmp_path / "set.zip")
    assert (added.documents, added.passages, added.left_out) == (1, 1, 2)
    (record,) = read_sources(library_file(folder, "own"))
    assert record.left_out == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interruption_leaves_the_library_as_it_was(
    folder: Path, papers: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException]
) -> None:
    add(folder, papers / "gout.md")
    before = library_file(folder, "own").read_bytes()

    def interrupted(name: str, done_bytes: int) -> None:
        raise error

    with pytest.raises(error):
        add_files("own", folder, find_files([papers]), SILENT, interrupted)
    assert library_file(folder, "own").read_bytes() == before
    assert {entry.name for entry in folder.iterdir()} == {".lock", "own.sqlite3"}
    assert add(folder, papers).sources == 1


def test_what_a_killed_process_left_is_cleared(folder: Path, papers: Path) -> None:
    add(folder, papers / "gout.md")
    (folder / ".own.sqlite3.0badc0de.partial").write_bytes(b"half")
    add(folder, papers)
    assert {entry.name for entry in folder.iterdir()} == {".lock", "own.sqlite3"}


def test_two_at_once_is_refused_after_a_while(folder: Path, papers: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adding, "WAIT_S", 0.05)
    waits: list[float] = []
    with only_writer(folder), pytest.raises(StorageError, match="another process is writing"):
        add_files("own", folder, find_files([papers]), SILENT, on_wait=lambda: waits.append(time.monotonic()))
    assert len(waits) == 1
    assert time.monotonic() - waits[0] >= 0.05


@pytest.mark.parametrize("removed", [True, False])
def test_what_a_killed_process_left_is_cleared_even_where_nothing_else_changes(
    folder: Path, papers: Path, removed: bool
) -> None:
    add(folder, papers)
    for name in ("own.sqlite3.0badc0de.partial", "own.sqlite3.0badc0de.partial-journal", "owned.sqlite3.1.partial"):
        (folder / f".{name}").write_bytes(b"half")
    if removed:
        remove_library(folder, "own")
    else:
        assert add(folder, papers).unchanged == 2
    kept = {".lock", ".owned.sqlite3.1.partial"}
    assert {entry.name for entry in folder.iterdir()} == kept | (set() if removed else {"own.sqlite3"})


def test_limits_are_said(folder: Path, papers: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(adding, "MAX_FILE_BYTES", 8)
    with pytest.raises(DocumentError, match="is larger than 0 MiB; split it"):
        add(folder, papers)
    monkeypatch.setattr(adding, "MAX_FILES", 1)
    with pytest.raises(DocumentError, match="2 files are over 1; add them folder by folder"):
        add(folder, papers)
    with pytest.raises(DocumentError, match="there is no file"):
        add(folder, tmp_path / "none.md")
    (tmp_path / "void").mkdir()
    with pytest.raises(DocumentError, match="holds no document that can be read"):
        add(folder, tmp_path / "void")


def test_a_full_disk_is_one_line_and_leaves_the_library_as_it_was(folder: Path, papers: Path) -> None:
    add(folder, papers / "gout.md")
    path = library_file(folder, "own")
    before = path.read_bytes()
    (papers / "large.txt").write_text("\n\n".join(f"Paragraph {n} says something else." for n in range(5000)))
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 8192, limits[1]))
        with pytest.raises(StorageError, match="disk"):
            add(folder, papers)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == before
    assert {entry.name for entry in folder.iterdir()} == {".lock", "own.sqlite3"}


def test_how_words_are_folded_is_told_by_one_module() -> None:
    """`folding` is a digest of words.py alone: were fold() spread over others, a change of theirs would go unseen."""
    module = ast.parse(Path(words.__file__).read_text("utf-8"))
    imported = [node.module or "" for node in ast.walk(module) if isinstance(node, ast.ImportFrom)]
    assert not [name for name in imported if name.startswith(("assistant", "models"))]


def test_words_folded_in_another_way_are_folded_anew_before_a_change(folder: Path, papers: Path) -> None:
    add(folder, papers)
    path = library_file(folder, "own")
    with changing(path) as connection:
        connection.execute("UPDATE setting SET value = 'another version' WHERE name = 'folding'")
        connection.execute("DROP TABLE passage_words")  # what was folded then cannot be taken out word by word
        connection.execute("CREATE VIRTUAL TABLE passage_words USING fts5(heading, text, content = '')")
    (papers / "gout.md").write_text("# Gout\nAllopurinol.\n")
    add(folder, papers)
    assert [matches(folder, word) for word in ("colchicine", "allopurinol", "barks")] == [0, 1, 1]


def test_a_damaged_text_is_not_indexed_anew(folder: Path, papers: Path) -> None:
    add(folder, papers)
    with changing(library_file(folder, "own")) as connection:
        connection.execute("UPDATE passage SET text = 'Rest and poison.' WHERE text LIKE '%colchicine%'")
    with pytest.raises(DamagedLibraryError, match="the text of 'gout' is damaged"):
        adding.rebuild_library(library_file(folder, "own"))


def test_a_source_may_have_a_name_of_its_own(folder: Path, papers: Path) -> None:
    add_files("own", folder, [SourceFile(papers / "gout.md", "medquad")], SILENT)
    assert [record.name for record in read_sources(library_file(folder, "own"))] == ["medquad"]
    assert documents(folder)["medquad"].passages[0].source == "medquad"
