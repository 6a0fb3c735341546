"""MedQuAD fetched over real HTTP from a local server, whole, broken and too large."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from assistant.errors import DocumentError
from assistant.knowledge import medquad
from assistant.knowledge.adding import Added, SourceFile, add_files
from assistant.knowledge.cut import Given
from assistant.knowledge.installed import library_file
from assistant.knowledge.medquad import fetched_archive
from assistant.knowledge.volume import Volume
from models.errors import DownloadError
from tests.assistant.knowledge.archive_server import Archive, serve_archive
from tests.assistant.knowledge.documents import medquad_xml, zipped

SET = {
    "MedQuAD-0/readme.txt": b"About the set.",
    "MedQuAD-0/1_NHS_QA/0000001.xml": medquad_xml("0000001", "Cold", {"causes": "A virus.", "treatment": "Rest."}),
    "MedQuAD-0/2_NHS_QA/0000001.xml": medquad_xml("0000001", "Flu", {"causes": "Another virus."}),
    "MedQuAD-0/3_ADAM_QA/0000001.xml": medquad_xml("0000009", "Gout", {"causes": "", "treatment": ""}),
}


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")


@pytest.fixture
def archive() -> Iterator[Archive]:
    with serve_archive(zipped(SET)) as state:
        yield state


def add(archive: Archive, folder: Path) -> Added:
    with fetched_archive(folder, archive.url) as path:
        return add_files("medquad", folder, [SourceFile(path, "medquad")], Given())


def test_the_set_becomes_a_library(archive: Archive, tmp_path: Path) -> None:
    added = add(archive, tmp_path)
    assert (added.documents, added.passages, added.left_out, added.faults) == (2, 3, 2, [])
    volume = Volume.open("medquad", library_file(tmp_path, "medquad"))
    found = [volume.document(row) for (row,) in volume.rows("SELECT id FROM document ORDER BY id")]
    assert [document.id for document in found] == ["nhs-0000001", "nhs-0000001-2"]
    first = found[0].passages[1]
    assert (first.title, first.section, first.text) == ("Cold", "Treatment", "Rest.")
    assert (first.source, first.licence, first.position) == ("http://example.org/0000001", "CC BY 4.0", "question 2")
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [".lock", "medquad.sqlite3"]


def test_a_second_fetch_takes_in_what_is_new(archive: Archive, tmp_path: Path) -> None:
    add(archive, tmp_path)
    assert add(archive, tmp_path).unchanged == 1
    more = medquad_xml("0000002", "Croup", {"causes": "A virus, too."})
    archive.data = zipped({**SET, "MedQuAD-0/1_NHS_QA/0000002.xml": more})
    assert add(archive, tmp_path).changed == 1


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ({"status": 404}, "answered HTTP 404; check the network, or"),
        ({"cut_after": 300}, r"no connection to .*; check"),
    ],
)
def test_a_broken_transfer_leaves_nothing(
    archive: Archive, tmp_path: Path, fault: dict[str, int], message: str
) -> None:
    for name, value in fault.items():
        setattr(archive, name, value)
    with pytest.raises(DownloadError, match=message) as caught:
        add(archive, tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_an_archive_that_is_not_whole_is_refused(archive: Archive, tmp_path: Path) -> None:
    archive.data = archive.data[:-40]
    with pytest.raises(DocumentError, match="is no archive that can be read"):
        add(archive, tmp_path)
    assert [entry.name for entry in tmp_path.iterdir()] == [".lock"]


def test_a_transfer_without_end_is_stopped(archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(medquad, "MAX_ARCHIVE_BYTES", 100)
    with pytest.raises(DownloadError, match="sent over 0 MiB"):
        add(archive, tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x.zip", "no-url", "ftp://127.0.0.1/x.zip"])
def test_no_connection_is_one_line(tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="no connection to"), fetched_archive(tmp_path, url):
        pass
