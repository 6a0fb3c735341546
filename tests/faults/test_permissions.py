"""What may not be read or written: one line that names it and the remedy, nothing half-written, and no traceback.

Root is bound by permissions here, too: see without_privileges.
"""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.assistant.conftest import IGNORED

WITHOUT = [sys.executable, *IGNORED, "-m", "tests.faults.without_privileges"]
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    return folder


@pytest.fixture
def bound(home: Path, environment: dict[str, str]) -> Run:
    """Runs `bedside` as somebody whom permissions bind."""

    def run(*arguments: str, **changes: str) -> "subprocess.CompletedProcess[str]":
        own = {**environment, "BEDSIDE_HOME": str(home), "BEDSIDE_HISTORY": str(home / "history"), **changes}
        command = [*WITHOUT, sys.executable, *IGNORED, "-m", "assistant", *arguments]
        return subprocess.run(command, env=own, capture_output=True, text=True, timeout=60, check=False)

    return run


def refused(done: "subprocess.CompletedProcess[str]", *words: str) -> None:
    assert done.returncode in (1, 2), done
    assert done.stderr.count("error: ") == done.stderr.count("\n") == 1, done.stderr
    assert all(word in done.stderr for word in words), done.stderr


def closed(path: Path, mode: int = 0) -> str:
    path.chmod(mode)
    return str(path)


def test_files_that_serve_may_not_read(tmp_path: Path, home: Path, bound: Run, tiny_model: Path) -> None:
    socket = str(tmp_path / "b.sock")
    model = closed(Path(shutil.copy(tiny_model, tmp_path / "m.gguf")))
    refused(bound("serve", "--socket", socket, "--model", model), f"cannot read {model}: Permission denied")
    (tmp_path / "key").write_text("a-key-0123456789")
    key = closed(tmp_path / "key")
    refused(bound("serve", "--socket", socket, "--key-file", key), f"'{key}' is not readable")
    (home / "crisis-contacts.toml").write_text("")
    contacts = closed(home / "crisis-contacts.toml")
    refused(bound("serve", "--socket", socket), contacts, "Permission denied")
    assert not Path(socket).exists()


def test_folders_that_serve_may_not_write_to(tmp_path: Path, bound: Run) -> None:
    (tmp_path / "sockets").mkdir()
    folder = closed(tmp_path / "sockets", 0o500)
    refused(bound("serve", "--socket", f"{folder}/b.sock"), "cannot listen on", "Permission denied", "give another")
    refused(bound("ask", "fever", XDG_RUNTIME_DIR=folder), f"cannot write in {folder}", "set XDG_RUNTIME_DIR")


def test_a_data_folder_that_may_not_be_read(tmp_path: Path, home: Path, bound: Run) -> None:
    (tmp_path / "gout.md").write_text("# Gout\nColchicine.\n")
    closed(home)
    refused(bound("knowledge", "add", str(tmp_path / "gout.md")), "no permission", "check its owner")
    refused(bound("models", "list"), str(home), "Permission denied", "check its owner")
    refused(bound("history", "list"), str(home / "history"))
    found = bound("knowledge", "search", "gout", "--json")
    assert (found.returncode, found.stderr) == (0, "")  # the starter library is part of the program
    home.chmod(0o700)
    assert list(home.iterdir()) == []


@pytest.mark.slow
def test_a_library_that_may_not_be_read_keeps_the_others_in(tmp_path: Path, home: Path, bound: Run) -> None:
    page = tmp_path / "gout.md"
    page.write_text("# Gout\nColchicine.\n")
    assert bound("knowledge", "add", str(page)).returncode == 0
    library = closed(home / "libraries/own.sqlite3")
    found = bound("knowledge", "search", "croup", "--json")
    assert (found.returncode, "starter/" in found.stdout, library in found.stdout) == (0, True, True)
    refused(bound("knowledge", "search", "gout", "--library", "own"), f"cannot open {library}", "check its owner")
    refused(bound("knowledge", "add", str(page)), f"cannot open {library}")
    Path(library).chmod(0o600)
    refused(bound("knowledge", "add", closed(page)), f"no permission for {page}")
    assert {each.name for each in (home / "libraries").iterdir()} == {".lock", "own.sqlite3"}


@pytest.mark.slow
def test_a_stored_model_that_may_not_be_read(tmp_path: Path, home: Path, bound: Run, tiny_model: Path) -> None:
    assert bound("models", "import", str(tiny_model), "--id", "tiny").returncode == 0
    socket = ("--socket", str(tmp_path / "b.sock"))
    file = next((home / "models/tiny").glob("*.gguf"))
    closed(file)
    refused(bound("serve", "--model", "tiny", *socket), f"cannot read {file}: Permission denied")
    manifest = closed(home / "models/tiny/manifest.json")
    refused(bound("serve", "--model", "tiny", *socket), f"no permission for {manifest}", "check its owner")
    closed(home / "models/tiny")
    assert bound("models", "list").returncode == 0
    (home / "models/tiny").chmod(0o700)
