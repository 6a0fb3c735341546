"""Which libraries are there, and that a change of their files is seen; and files that are none of ours."""

from pathlib import Path

import pytest

from assistant.errors import DamagedLibraryError, LibraryError
from assistant.knowledge.adding import add_files, find_files, rebuild_library, remove_library
from assistant.knowledge.checking import find_faults
from assistant.knowledge.cut import Given
from assistant.knowledge.index import Index
from assistant.knowledge.installed import (
    Shelf,
    installed_files,
    library_file,
    system_folder,
    user_folder,
)
from assistant.knowledge.library import check_library_name
from tests.assistant.knowledge.documents import changing


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BEDSIDE_LIBRARIES", str(tmp_path / "service"))


def put(folder: Path, name: str, text: str) -> Path:
    file = folder.parent / f"{name}.txt"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    add_files(name, folder, find_files([file]), Given())
    return library_file(folder, name)


def found(shelf: Shelf, *names: str) -> list[str]:
    return texts(shelf.index(names or None))


def texts(index: Index) -> list[str]:
    """Texts on the one word that the starter library does not have."""
    return [index.document(number).passages[0].text for number in index.holders("podagra") or ()]


def test_libraries_of_user_and_service_stand_beside_the_starter() -> None:
    assert list(installed_files()) == []
    put(system_folder(), "service", "Podagra: rest helps.")
    put(user_folder(), "own", "Podagra: cold helps.")
    assert list(Shelf().index(None).versions) == ["starter", "own", "service"]
    assert set(found(Shelf())) == {"Podagra: rest helps.", "Podagra: cold helps."}
    assert found(Shelf(), "own") == ["Podagra: cold helps."]


def test_ones_own_hides_one_of_the_service() -> None:
    put(system_folder(), "same", "Podagra: rest helps.")
    put(user_folder(), "same", "Podagra: cold helps.")
    assert list(Shelf().index(None).versions) == ["starter", "same"]
    assert found(Shelf()) == ["Podagra: cold helps."]


def test_what_is_added_changed_and_removed_is_seen_at_once() -> None:
    shelf = Shelf()
    assert found(shelf) == []
    put(user_folder(), "own", "Podagra: cold helps.")
    assert found(shelf) == ["Podagra: cold helps."]
    put(user_folder(), "own", "Podagra: warmth helps.")
    assert found(shelf) == ["Podagra: warmth helps."]
    kept = shelf.index(["own"])
    remove_library(user_folder(), "own")
    assert found(shelf) == []
    assert texts(kept) == ["Podagra: warmth helps."]  # whoever still reads it may


def test_nothing_is_opened_twice() -> None:
    put(user_folder(), "own", "Podagra: cold helps.")
    shelf = Shelf()
    shelf.index(["own"])
    held = shelf._open["own"][2]
    shelf.index(["starter", "own", "own"])
    assert shelf._open["own"][2] is held


@pytest.mark.parametrize("name", ["", "A", "a b", "../a", "on", "off", "starter", "x" * 41, "-a", "a.b"])
def test_names_that_cannot_be(name: str) -> None:
    with pytest.raises(LibraryError):
        check_library_name(name)


def test_other_files_in_the_folder_are_passed_over() -> None:
    user_folder().mkdir(parents=True)
    for name in ("notes.txt", "On.sqlite3", "on.sqlite3", ".own.sqlite3.12345678.partial", "starter.sqlite3"):
        (user_folder() / name).write_bytes(b"")
    assert installed_files() == {}


def test_a_file_that_is_no_library_is_one_line() -> None:
    path = put(user_folder(), "own", "Podagra: cold helps.")
    whole = path.read_bytes()
    for data, message in [
        (b"", r"is no library of Bedside; move it away"),
        (b"some text that is long enough to be something" * 40, r"is damaged or no library of Bedside"),
        (whole[: len(whole) // 2], r"is damaged or no library of Bedside"),
    ]:
        path.write_bytes(data)
        with pytest.raises(DamagedLibraryError, match=message) as caught:
            found(Shelf(), "own")
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_library_of_a_newer_version_is_not_guessed_at() -> None:
    path = put(user_folder(), "own", "Podagra: cold helps.")
    with changing(path) as connection:
        connection.execute("PRAGMA user_version = 2")
    with pytest.raises(DamagedLibraryError, match=r"has format 2 and this Bedside reads 1; update Bedside, or"):
        found(Shelf(), "own")


def test_another_programs_database_is_left_alone() -> None:
    user_folder().mkdir(parents=True)
    with changing(user_folder() / "own.sqlite3") as connection:
        connection.execute("CREATE TABLE t(a)")
    with pytest.raises(DamagedLibraryError, match="is no library of Bedside; move it away"):
        put(user_folder(), "own", "Podagra: cold helps.")


def test_a_library_needs_no_right_to_write() -> None:
    path = put(user_folder(), "own", "Podagra: cold helps.")
    path.chmod(0o444)
    before = path.read_bytes()
    assert found(Shelf()) == ["Podagra: cold helps."]
    assert (path.read_bytes(), sorted(entry.name for entry in path.parent.iterdir())) == (before, [".lock", path.name])


def test_faults_are_found_and_indexes_mended() -> None:
    path = put(user_folder(), "own", "Podagra: cold helps.")
    assert find_faults(path) == []
    with changing(path) as connection:
        connection.execute("INSERT INTO passage_words(passage_words) VALUES ('delete-all')")
    assert find_faults(path) == ["the indexes are damaged; mend them with --repair"]
    rebuild_library(path)
    assert find_faults(path) == []
    with changing(path) as connection:
        connection.execute("UPDATE setting SET value = 'x'")
    assert find_faults(path) == ["indexed by another version of Bedside; mend it with --repair"]
    with changing(path) as connection:
        connection.execute("UPDATE passage SET text = 'Podagra: heat helps.'")
    assert find_faults(path)[0].startswith("1 documents are damaged (own)")


def test_what_turns_out_damaged_as_it_is_read_is_left_out_until_its_file_changes() -> None:
    path = put(user_folder(), "own", "Podagra: cold helps.")
    put(user_folder(), "other", "Podagra: rest helps.")
    with changing(path) as connection:
        connection.execute("DROP TABLE document_words")
    shelf = Shelf()
    for _ in range(2):
        assert shelf.reading(None, lambda: found(shelf)) == ["Podagra: rest helps."]
        assert list(shelf.index(None).left_out) == ["own"]
    with pytest.raises(DamagedLibraryError, match=str(path)):
        shelf.reading(["own"], lambda: found(shelf, "own"))
    path.unlink()
    put(user_folder(), "own", "Podagra: heat helps.")
    assert sorted(shelf.reading(None, lambda: found(shelf))) == ["Podagra: heat helps.", "Podagra: rest helps."]
    assert shelf.index(None).left_out == {}
