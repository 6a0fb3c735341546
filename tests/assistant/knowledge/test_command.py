"""`bedside knowledge` as a person types it."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from assistant.__main__ import main
from models.disk import only_writer
from tests.assistant.conftest import IGNORED
from tests.assistant.knowledge.archive_server import serve_archive
from tests.assistant.knowledge.documents import medquad_xml, pdf, zipped


@pytest.fixture
def home(tmp_path: Path, environment: dict[str, str]) -> dict[str, str]:
    folders = {"BEDSIDE_HOME": str(tmp_path / "home"), "BEDSIDE_LIBRARIES": str(tmp_path / "service")}
    return {**environment, **folders, "NO_PROXY": "127.0.0.1"}


@pytest.fixture
def in_process(
    home: dict[str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in this process: exit code, output, errors."""

    def run_here(*arguments: str) -> tuple[int, str, str]:
        for name in ("BEDSIDE_HOME", "BEDSIDE_LIBRARIES"):
            monkeypatch.setenv(name, home[name])
        for settings in ("QUIET", "OFFLINE"):  # they would outlive the test
            monkeypatch.setattr(f"assistant.surroundings.{settings}", {})
        monkeypatch.setattr(sys, "argv", ["bedside", "knowledge", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        return int(caught.value.code or 0), *capsys.readouterr()

    return run_here


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-W", "error", *IGNORED, "-m", "assistant", "knowledge", *arguments]


def run(home: dict[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        command(*arguments), env=home, capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL
    )


def said(home: dict[str, str], *arguments: str) -> str:
    done = run(home, *arguments)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def test_from_adding_to_removing(home: dict[str, str], tmp_path: Path) -> None:
    note = tmp_path / "podagra.md"
    note.write_text("# Podagra\n## Treatment\nRest, and colchicine 0.5 mg twice a day.\x1b[2J\n")
    added = said(home, "add", str(note), "--licence", "CC0", "--date", "2026-01")
    assert added == "own: 1 file added with 1 document and 1 passage, 1 document new, changed or gone\n"
    assert said(home, "add", str(note), "--licence", "CC0", "--date", "2026-01") == (
        "own: nothing to do, 1 file already in it\n"
    )

    listed = json.loads(said(home, "list", "--json"))["libraries"]
    assert [(row["id"], row["documents"], row["passages"], row["state"]) for row in listed][1] == ("own", 1, 1, "here")
    assert said(home, "list").splitlines()[2].split()[:4] == ["own", "1", "1", "1"]
    assert str(note) in said(home, "list", "own")

    found = json.loads(said(home, "search", "podagra treatment", "--json", "-k", "1"))
    (result,) = found["results"]
    assert found["query"] == "podagra treatment"
    assert list(result) == [
        "n", "id", "title", "section", "text", "date", "licence", "follows", "source", "position", "score"
    ]  # fmt: skip
    assert (result["n"], result["title"], result["section"]) == (1, "Podagra", "Treatment")
    assert result["text"] == "Rest, and colchicine 0.5 mg twice a day.[2J"
    assert (result["date"], result["licence"], result["position"]) == ("2026-01", "CC0", "line 3")
    shown = said(home, "search", "podagra treatment", "--library", "own")
    assert shown.startswith("[1] Podagra: Treatment (2026-01)\n    Rest, and colchicine 0.5 mg twice a day.[2J\n")

    assert said(home, "verify") == "own: every text and index is as written\n"
    assert said(home, "verify", "own", "--repair") == "own: every text and index is as written\n"
    assert said(home, "remove", "own", str(note)) == f"removed {note} from own\n"
    assert [row["id"] for row in json.loads(said(home, "list", "--json"))["libraries"]] == ["starter"]


def test_medquad_is_fetched_and_the_services_folder_is_served(home: dict[str, str]) -> None:
    data = zipped({"m/1.xml": medquad_xml("1", "Podagra", {"causes": "Urate.", "treatment": ""})})
    with serve_archive(data) as archive:
        added = said(home, "add", "medquad", "--from", archive.url, "--system")
    assert added.startswith("medquad: 1 file added with 1 document and 1 passage")
    assert added.endswith("; entries left out: 1\n")
    row = json.loads(said(home, "list", "--json"))["libraries"][1]
    assert (row["id"], Path(row["path"]).parent) == ("medquad", Path(home["BEDSIDE_LIBRARIES"]))
    assert said(home, "remove", "medquad", "--system") == "removed medquad\n"


def test_an_interrupted_fetch_leaves_nothing(home: dict[str, str]) -> None:
    with serve_archive(zipped({"m/1.xml": medquad_xml("1", "Gout", {"causes": "Urate."})})) as archive:
        archive.cut_after, archive.hold = 100, True
        process = subprocess.Popen(
            command("add", "medquad", "--from", archive.url), env=home, stdout=-1, stderr=-1, text=True
        )
        assert archive.holding.wait(60)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (130, "", "")
    assert list((Path(home["BEDSIDE_HOME"]) / "libraries").iterdir()) == []


@pytest.fixture
def adding(home: dict[str, str], tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process that adds a file of some seconds, and has begun to write the library."""
    rows = ({"title": f"Note {n}", "text": f"Colic {n} and fever {n} pass by themselves. " * 20} for n in range(20_000))
    (tmp_path / "many.jsonl").write_text("\n".join(map(json.dumps, rows)))
    arguments = command("add", str(tmp_path / "many.jsonl"))
    with subprocess.Popen(arguments, env=home, stdout=-1, stderr=-1, text=True) as process:
        while not left(home):
            assert process.poll() is None
            time.sleep(0.01)
        yield process
        process.kill()


def left(home: dict[str, str]) -> list[str]:
    """What lies in the folder of libraries besides its lock."""
    folder = Path(home["BEDSIDE_HOME"]) / "libraries"
    return sorted(entry.name for entry in folder.glob("*") if entry.name != ".lock")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_end_by_signal_leaves_nothing(
    home: dict[str, str], adding: "subprocess.Popen[str]", number: signal.Signals
) -> None:
    adding.send_signal(number)
    out, err = adding.communicate(timeout=60)
    assert (adding.returncode, out, err) == (130, "", "")
    assert left(home) == []


def test_what_a_killed_process_left_goes_with_the_next_change(
    home: dict[str, str], adding: "subprocess.Popen[str]", tmp_path: Path
) -> None:
    adding.kill()
    adding.communicate(timeout=60)
    stale = left(home)
    assert stale
    assert all(name.startswith(".own.sqlite3.") for name in stale)
    (tmp_path / "colic.txt").write_text("Colic passes.")
    said(home, "add", str(tmp_path / "colic.txt"), "--library", "other")
    assert left(home) == [*stale, "other.sqlite3"]  # another library's is left to those who change it
    assert run(home, "remove", "own").stderr.startswith("error: no library named 'own' in ")
    assert left(home) == ["other.sqlite3"]


def test_one_that_adds_waits_for_another_and_says_so(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "colic.txt").write_text("Colic passes.")
    folder = Path(home["BEDSIDE_HOME"]) / "libraries"
    with ExitStack() as held:
        held.enter_context(only_writer(folder))
        arguments = command("add", str(tmp_path / "colic.txt"))
        with subprocess.Popen(arguments, env=home, stdout=-1, stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            assert process.stderr.readline() == "waiting for another process that is changing libraries\n"
            held.close()
            out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert out.startswith("own: 1 file added")


def test_the_good_lines_of_a_file_are_taken(home: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    path.write_text('{"text": "Colic passes."}\n{"text": \n\n[]\n{"title": "Gout", "text": "Gout hurts."}\n')
    done = run(home, "add", str(path))
    assert done.returncode == 1
    assert done.stdout.startswith("own: 1 file added with 2 documents and 2 passages")
    assert done.stdout.endswith("; entries left out: 2\n")
    named, error = done.stderr.splitlines()
    assert named == f"left out: {path}, line 2: not JSON; write one object a line (2 of 4 lines were left out)"
    assert error == "error: what is named above could not be read and was left out; the rest is in"


def test_what_was_left_out_is_told_and_the_rest_is_in(home: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "papers").mkdir()
    (tmp_path / "papers" / "good.txt").write_text("Podagra hurts.")
    (tmp_path / "papers" / "scan.pdf").write_bytes(pdf([[]]))
    done = run(home, "add", str(tmp_path / "papers"))
    assert done.returncode == 1
    assert done.stdout.startswith("own: 1 file added with 1 document")
    left_out, error = done.stderr.splitlines()
    assert left_out.startswith(f"left out: {tmp_path}/papers/scan.pdf holds no text (a scan?)")
    assert error == "error: what is named above could not be read and was left out; the rest is in"


def test_a_damaged_library_is_listed_and_said(home: dict[str, str]) -> None:
    folder = Path(home["BEDSIDE_HOME"]) / "libraries"
    folder.mkdir(parents=True)
    (folder / "own.sqlite3").write_text("not a database, but long enough to be looked at" * 30)
    listed: list[dict[str, Any]] = json.loads(said(home, "list", "--json"))["libraries"]
    assert listed[1]["state"].startswith("damaged: ")
    assert listed[1]["documents"] is None
    done = run(home, "search", "croup")
    assert (done.returncode, done.stderr.count("\n")) == (0, 1)
    assert done.stdout.startswith("[1] Croup")
    assert done.stderr.startswith(f"library own was left out: {folder / 'own.sqlite3'} is damaged")
    done = run(home, "search", "croup", "--library", "own")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert "remove the library and add its documents again" in done.stderr
    checked = run(home, "verify")
    assert checked.returncode == 1
    assert checked.stdout.startswith(f"own: {folder / 'own.sqlite3'} is damaged or no library of Bedside (")
    assert said(home, "remove", "own") == "removed own\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["add", "/no/such.md"], 1, "error: there is no file /no/such.md; check the path"),
        (["add", "x.md", "--library", "On"], 1, "error: 'On' cannot be a library's name: up to 40 lower-case letters"),
        (["add", "x.md", "--library", "starter"], 1, "error: no library can be made or changed as 'starter', which is"),
        (["add", "x.md", "--date", "spring"], 2, "error: Invalid value for --date: write it as 2024, 2024-05 or"),
        (["add", "x.md", "--from", "http://a.b"], 2, "error: Invalid value for --from: only medquad is fetched"),
        (["remove", "none"], 1, "error: no library named 'none' in "),
        (["list", "none"], 1, "error: no library named 'none' with sources of its own"),
        (["search", " "], 2, "error: Invalid value for TEXT: give 1 to 4096 characters"),
        (["search", "x", "--library", "none"], 1, "error: no library named 'none' (available: starter)"),
    ],
)
def test_wrong_usage_is_one_line(
    in_process: Callable[..., tuple[int, str, str]], arguments: list[str], code: int, message: str
) -> None:
    found, out, err = in_process(*arguments)
    assert (found, out, err.count("\n")) == (code, "", 1)
    assert err.startswith(message)
