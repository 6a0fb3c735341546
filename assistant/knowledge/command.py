"""`bedside knowledge`: add, list, remove, search, verify. Heavy imports happen inside the commands."""

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from assistant.errors import DamagedLibraryError, DocumentError, LibraryError
from assistant.plaintext import plain

if TYPE_CHECKING:
    from assistant.knowledge.adding import Added, SourceFile
    from assistant.knowledge.cut import Given

app = typer.Typer(
    help="Add documents to libraries that answers may quote; list, search and check them.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

_OWN = "own"
_LONGEST_QUERY = 4096
_AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]
_System = Annotated[bool, typer.Option("--system", help="The service's libraries instead of your own.")]


@app.command()
def add(  # noqa: PLR0917  (Typer makes an option of each)
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH...|medquad",
            help="Files or folders: Markdown, text, PDF, JSON lines, MedQuAD's XML, ZIP archives of them. "
            "`medquad` fetches the public question-and-answer set (CC BY 4.0).",
            show_default=False,
        ),
    ],
    library: Annotated[
        str, typer.Option(metavar="NAME", help="Into this library.  [default: own; medquad for it]", show_default=False)
    ] = "",
    title: Annotated[str, typer.Option(help="The title of documents that have none.")] = "",
    date: Annotated[str, typer.Option(help="The date of documents that have none: 2024, 2024-05 or 2024-05-31.")] = "",
    licence: Annotated[str, typer.Option(help="The licence of documents that name none.")] = "",
    mirror: Annotated[
        str, typer.Option("--from", metavar="URL", help="Fetch medquad's ZIP archive from there instead.")
    ] = "",
    system: _System = False,
) -> None:
    """Add documents, or take in what has changed in them; what is there already stays as it is.

    Libraries are not encrypted: nothing about a patient belongs into one.
    """
    from assistant.knowledge.cut import Given, clean, is_date
    from assistant.knowledge.library import check_library_name
    from models.disk import ended_by_sigterm_too

    fetched = paths == ["medquad"]
    if date and not is_date(date):
        raise typer.BadParameter("write it as 2024, 2024-05 or 2024-05-31", param_hint="--date")
    if mirror and not fetched:
        raise typer.BadParameter("only medquad is fetched", param_hint="--from")
    name = check_library_name(library or ("medquad" if fetched else _OWN))
    given = Given(clean(title), date, clean(licence))
    with ended_by_sigterm_too():
        added = _add_medquad(name, given, mirror, system) if fetched else _add_paths(name, given, paths, system)
    _tell(name, added)


def _add_medquad(library: str, given: "Given", mirror: str, system: bool) -> "Added":
    from assistant.knowledge.adding import SourceFile
    from assistant.knowledge.medquad import ARCHIVE_URL, NAME, fetched_archive
    from models.views import progress

    folder = _folder(system)
    with ExitStack() as fetched:
        with progress("fetching", None) as on_progress:
            path = fetched.enter_context(fetched_archive(folder, mirror or ARCHIVE_URL, on_progress))
        return _add(library, given, [SourceFile(path, NAME)], folder)


def _add_paths(library: str, given: "Given", paths: Sequence[str], system: bool) -> "Added":
    from assistant.knowledge.adding import find_files

    return _add(library, given, find_files([Path(path) for path in paths]), _folder(system))


def _add(library: str, given: "Given", files: Sequence["SourceFile"], folder: Path) -> "Added":
    from assistant.knowledge.adding import add_files
    from models.views import progress

    total_bytes = sum(file.path.stat().st_size for file in files)
    with progress("reading", total_bytes) as on_progress:
        return add_files(library, folder, files, given, on_progress, on_wait=_say_waiting)


def _say_waiting() -> None:
    typer.echo("waiting for another process that is changing libraries", err=True)


def _tell(library: str, added: "Added") -> None:
    """Raises DocumentError where something was left out."""
    from assistant.knowledge.views import print_added

    print_added(library, added)
    if added.faults:
        sys.stdout.flush()
        raise DocumentError("what is named above could not be read and was left out; the rest is in")


@app.command("list")
def list_libraries(
    library: Annotated[
        str, typer.Argument(metavar="[LIBRARY]", help="Show the sources of this one.", show_default=False)
    ] = "",
    as_json: _AsJson = False,
) -> None:
    """Show the libraries on this machine, or the sources of one."""
    from assistant.knowledge import views

    if library:
        sources = views.source_rows(_installed(library))
        if as_json:
            views.print_json({"library": library, "sources": sources})
        else:
            views.print_sources(sources)
        return
    rows = views.library_rows()
    if as_json:
        views.print_json({"libraries": rows})
    else:
        views.print_libraries(rows)


@app.command()
def remove(
    library: Annotated[str, typer.Argument(help="A library.")],
    source: Annotated[
        str, typer.Argument(metavar="[SOURCE]", help="One file of it, as `list` names it.", show_default=False)
    ] = "",
    system: _System = False,
) -> None:
    """Take a library away, or one source out of it."""
    from assistant.knowledge.adding import remove_library
    from assistant.knowledge.library import check_library_name
    from models.disk import ended_by_sigterm_too

    name = check_library_name(library)
    with ended_by_sigterm_too():
        remove_library(_folder(system), name, _source_name(source) if source else None, _say_waiting)
    typer.echo(f"removed {plain(source)} from {library}" if source else f"removed {library}")


@app.command()
def search(
    text: Annotated[str, typer.Argument(metavar="TEXT", help="A question, or words.", show_default=False)],
    count: Annotated[int, typer.Option("-k", metavar="N", min=1, max=50, help="At most so many passages.")] = 4,
    library: Annotated[
        list[str] | None,
        typer.Option("--library", metavar="NAME", help="In this library only; may be repeated.", show_default=False),
    ] = None,
    as_json: _AsJson = False,
) -> None:
    """Show the passages that fit a question best, without an answer."""
    from assistant.knowledge import views
    from assistant.knowledge.installed import Shelf
    from assistant.knowledge.search import search as find

    query = plain(text).strip()
    if not query or len(query) > _LONGEST_QUERY:
        raise typer.BadParameter(f"give 1 to {_LONGEST_QUERY} characters", param_hint="TEXT")
    shelf, names = Shelf(), library or None
    hits = shelf.reading(names, lambda: find(shelf.index(names), query, count))
    left_out = shelf.index(names).left_out
    if as_json:
        views.print_json(views.result_rows(query, hits, left_out))
    else:
        views.print_left_out(left_out)
        views.print_results(hits)


@app.command()
def verify(
    library: Annotated[
        str, typer.Argument(metavar="[LIBRARY]", help="One library instead of all.", show_default=False)
    ] = "",
    repair: Annotated[bool, typer.Option("--repair", help="Make the indexes anew from the text.")] = False,
) -> None:
    """Check that texts and indexes are what was written."""
    from assistant.knowledge.adding import rebuild_library
    from assistant.knowledge.checking import find_faults
    from assistant.knowledge.installed import installed_files
    from models.disk import ended_by_sigterm_too

    checked = {library: _installed(library)} if library else installed_files()
    found: list[str] = []
    for name, path in checked.items():
        try:
            if repair:
                with ended_by_sigterm_too():
                    rebuild_library(path, _say_waiting)
            faults = find_faults(path)
        except DamagedLibraryError as error:
            faults = [str(error)]
        typer.echo(f"{name}: {'; '.join(faults) or 'every text and index is as written'}")
        found += faults
    if not checked:
        typer.echo("no library but the starter, which is built in")
    if found:
        raise LibraryError("not everything is as written; see above, and bedside knowledge verify --help")


def _folder(system: bool) -> Path:
    from assistant.knowledge.installed import system_folder, user_folder

    return system_folder() if system else user_folder()


def _installed(library: str) -> Path:
    from assistant.knowledge.installed import installed_files

    files = installed_files()
    if library not in files:
        raise LibraryError(f"no library named {library!r} with sources of its own; see bedside knowledge list")
    return files[library]


def _source_name(written: str) -> str:
    """A source's name as it is stored: `medquad`, or the whole path of a file, which need not exist any more."""
    return written if written == "medquad" else str(Path(written).resolve())
