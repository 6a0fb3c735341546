"""Files into a library: found, told apart by what they hold, read, cut, and written as one new file of the library.

The library's file is copied, changed and put back in its place in one step, so that an interruption leaves it as it was
and readers see the old one or the new one, never a half.
"""

import hashlib
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, field
from pathlib import Path, PurePath

from assistant.errors import DocumentError, LibraryError
from assistant.knowledge.cut import Given, cut_documents
from assistant.knowledge.database import create_tables, damage, open_for_reading, open_for_writing
from assistant.knowledge.importers.choosing import IMPORT_VERSION, MAX_FILE_BYTES, can_read, read_document
from assistant.knowledge.installed import library_file
from assistant.knowledge.library import Document
from assistant.knowledge.writing import SourceRecord, Writer
from models.disk import (
    Progress,
    free_space,
    hash_file,
    no_progress,
    only_writer,
    replacing,
    require_space,
    storage_errors,
)
from models.store import now_utc

MAX_FILES = 50_000
WAIT_S = 10.0
"""How long another process that changes libraries is waited for."""
Waiting = Callable[[], None]
"""Called once where another process is waited for."""


def _no_word() -> None:
    """A `Waiting` that says nothing."""


@dataclass(frozen=True)
class SourceFile:
    """A file to add, and the name that the library lists it under."""

    path: Path
    name: str

    @property
    def label(self) -> str:
        """The name without its folder."""
        return PurePath(self.name).name


@dataclass(frozen=True)
class ReadFile:
    """A file's documents, and the faults of its parts that could not be read."""

    record: SourceRecord
    documents: tuple[Document, ...]
    faults: list[str]


@dataclass
class Added:
    """What came of adding: counts, and a line for each file that could not be read."""

    sources: int = 0
    unchanged: int = 0
    documents: int = 0
    passages: int = 0
    changed: int = 0
    left_out: int = 0
    faults: list[str] = field(default_factory=list)

    def take(self, writer: Writer, file: ReadFile, on_progress: Progress) -> None:
        """Write a file's documents, and count them."""
        label, share_bytes = PurePath(file.record.name).name, file.record.size_bytes // max(len(file.documents), 1)
        self.changed += writer.replace_source(file.record, file.documents, lambda: on_progress(label, share_bytes))
        self.sources += 1
        self.documents += len(file.documents)
        self.passages += sum(len(document.passages) for document in file.documents)
        self.left_out += file.record.left_out
        self.faults += file.faults


def find_files(paths: Sequence[Path]) -> list[SourceFile]:
    """The files themselves, and of folders every document in them, in the order of their names.

    Raises:
        DocumentError: a path that is not there, a folder without documents, or too many.
    """
    found: dict[Path, None] = {}
    for path in paths:
        with storage_errors(path):
            if path.is_dir():
                inside = [each for each in sorted(path.rglob("*")) if can_read(each) and each.is_file()]
                if not inside:
                    raise DocumentError(f"{path} holds no document that can be read; see bedside knowledge add --help")
                found |= dict.fromkeys(each.resolve() for each in inside)
            elif path.is_file():
                found[path.resolve()] = None
            else:
                raise DocumentError(f"there is no file {path}; check the path")
    if len(found) > MAX_FILES:
        raise DocumentError(f"{len(found)} files are over {MAX_FILES}; add them folder by folder")
    return [SourceFile(path, str(path)) for path in found]


def add_files(
    library: str,
    folder: Path,
    files: Sequence[SourceFile],
    given: Given,
    on_progress: Progress = no_progress,
    *,
    on_wait: Waiting = _no_word,
) -> Added:
    """Make the library hold these files as they are now; one that it holds already, by content, is passed over.

    Raises:
        DocumentError: none of them can be read; nothing was changed.
        LibraryError, StorageError: the library cannot be changed; nothing was.
    """
    added = Added()
    with _alone(folder, library, on_wait) as path:
        fresh = _fresh_files(path, files, _recipe(given), added, on_progress)
        if not fresh:
            return added
        with changed(path) as writer:
            for file in fresh:
                try:
                    added.take(writer, _read_file(library, file, given, on_progress), on_progress)
                except DocumentError as error:
                    added.faults.append(str(error))
            if not added.sources:
                raise DocumentError(added.faults[0])
    return added


def remove_library(folder: Path, library: str, source: str | None = None, on_wait: Waiting = _no_word) -> None:
    """Take a library away, or one source of it; with its last source a library goes too.

    Raises:
        LibraryError: there is no such library or source.
        StorageError: the disk refuses.
    """
    missing = LibraryError(f"no library named {library!r} in {folder}; see bedside knowledge list")
    if not folder.is_dir():
        raise missing
    with _alone(folder, library, on_wait) as path:
        if not path.is_file():
            raise missing
        if source is not None:
            names = [record.name for record in read_sources(path)]
            if source not in names:
                raise LibraryError(f"{library} holds no source {source!r}; see bedside knowledge list {library}")
            if names != [source]:
                with changed(path) as writer:
                    writer.remove_source(source)
                return
        with storage_errors(path):
            path.unlink()


def rebuild_library(path: Path, on_wait: Waiting = _no_word) -> None:
    """Make the indexes of a library anew from its text. Raises DamagedLibraryError where the text is damaged."""
    with _alone(path.parent, path.stem, on_wait), changed(path, rebuild=True):
        pass


@contextmanager
def _alone(folder: Path, library: str, on_wait: Waiting) -> Iterator[Path]:
    """The file of a library, for this process alone to change, without what a killed one left of its work on it."""
    path = library_file(folder, library)
    with only_writer(folder, WAIT_S, on_wait):
        with storage_errors(path):
            for stale in folder.glob(f".{path.name}.*.partial*"):  # SQLite's journal of it, too
                stale.unlink()
        yield path


def read_sources(path: Path) -> list[SourceRecord]:
    """The sources of a library, by name; none where there is no file. Raises DamagedLibraryError."""
    if not path.is_file():
        return []
    columns = "name, sha256, recipe, size_bytes, added, left_out"
    with closing(open_for_reading(path)) as connection, damage(path):
        return [SourceRecord(*row) for row in connection.execute(f"SELECT {columns} FROM source ORDER BY name")]


@contextmanager
def changed(path: Path, *, rebuild: bool = False) -> Iterator[Writer]:
    """A writer to a copy of the library, which takes its place when the block ends well. Be `_alone` around it.

    Raises:
        StorageError, LibraryError: nothing was changed.
    """
    with storage_errors(path):
        exists = path.exists()
        require_space(path.parent, path.stat().st_size if exists else 0, free_space)
    with replacing(path) as temporary:
        if exists:
            shutil.copyfile(path, temporary)
        else:
            _make(temporary)
        with closing(open_for_writing(temporary)) as connection, damage(path):
            writer = Writer(connection, rebuild=rebuild)
            yield writer
            writer.finish()


def _make(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection, damage(path):
        create_tables(connection)


def _recipe(given: Given) -> str:
    """What decides, besides a file's bytes, which passages become of it."""
    return hashlib.sha256(repr((IMPORT_VERSION, astuple(given))).encode()).hexdigest()[:16]


def _fresh_files(
    path: Path, files: Sequence[SourceFile], recipe: str, added: Added, on_progress: Progress
) -> list[SourceFile]:
    """The files that the library does not hold as they are now. What it holds under another name is not added again."""
    named = {record.name: (record.sha256, record.recipe) for record in read_sources(path)}
    held = set(named.values())
    fresh = []
    for file in files:
        content = (hash_file(file.path), recipe)
        if named.get(file.name, content) == content and content in held:
            added.unchanged += 1
            on_progress(file.label, _size_bytes(file.path))
        else:
            held.add(content)
            fresh.append(file)
    return fresh


def _read_file(library: str, file: SourceFile, given: Given, on_progress: Progress) -> ReadFile:
    """What a file holds, ready to be written. Raises DocumentError."""
    on_progress(file.label, 0)
    data = _read(file.path)
    manuscripts = read_document(str(file.path), data, lambda member: on_progress(f"{file.label}: {member}", 0))
    documents = tuple(cut_documents(library, file.label, manuscripts, given))
    left_out = sum(manuscript.left_out for manuscript in manuscripts)
    if not documents and not left_out:
        raise DocumentError(f"{file.path} holds no text; write something into it or leave it out")
    digest = hashlib.sha256(data).hexdigest()
    record = SourceRecord(file.name, digest, _recipe(given), len(data), now_utc(), left_out)
    return ReadFile(record, documents, [manuscript.fault for manuscript in manuscripts if manuscript.fault])


def _read(path: Path) -> bytes:
    with storage_errors(path):
        if path.stat().st_size > MAX_FILE_BYTES:
            raise DocumentError(f"{path} is larger than {MAX_FILE_BYTES >> 20} MiB; split it")
        return path.read_bytes()


def _size_bytes(path: Path) -> int:
    with storage_errors(path):
        return path.stat().st_size
