"""Libraries of one's own over the API: seen when they are added, told apart, and never changed by the server."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from assistant.knowledge.adding import add_files, find_files, remove_library
from assistant.knowledge.cut import Given
from assistant.knowledge.installed import library_file
from tests.assistant.conftest import IGNORED
from tests.assistant.server.conftest import Served, start, stop

PODAGRA = "# Podagra\n## Treatment\nRest the joint. Colchicine 0.5 mg twice a day helps.\n"
QUESTION = "How is podagra treated?"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def with_libraries(home: Path, environment: dict[str, str]) -> Iterator[Served]:
    running = start(home, {**environment, "BEDSIDE_HOME": str(home)})
    yield running
    stop(running)


@pytest.fixture
def library(home: Path) -> Iterator[Path]:
    folder, note = home / "libraries", home / "podagra.md"
    note.write_text(PODAGRA)
    add_files("own", folder, find_files([note]), Given(licence="CC0"))
    yield library_file(folder, "own")
    if library_file(folder, "own").exists():
        remove_library(folder, "own")


def search(served: Served, **body: Any) -> Any:
    with served.local() as client:
        return client.post("/v1/knowledge/search", json={"query": QUESTION, **body}).json()


def chat(served: Served, knowledge: Any, *passages: str) -> Any:
    message = {"role": "user", "content": QUESTION, "bedside": {"passages": list(passages)}}
    with served.local() as client:
        body = {"messages": [message], "bedside": {"knowledge": knowledge}, "max_tokens": 2}
        return client.post("/v1/chat/completions", json=body).json()


def ids(found: Any) -> list[str]:
    return [result["id"].partition("#")[0] for result in found["results"]]


def test_a_library_that_is_added_while_the_server_runs_is_searched(with_libraries: Served, library: Path) -> None:
    found = search(with_libraries, k=1)
    assert ids(found) == ["own/podagra"]
    (result,) = found["results"]
    assert (result["title"], result["section"], result["licence"]) == ("Podagra", "Treatment", "CC0")
    assert (result["source"], result["position"], result["date"]) == ("podagra.md", "line 3", "")
    assert ids(search(with_libraries, libraries=["own"])) == ["own/podagra"]
    assert "own/podagra" not in ids(search(with_libraries, libraries=["starter"]))


def test_what_goes_is_found_no_more(with_libraries: Served, library: Path) -> None:
    (source,) = chat(with_libraries, ["own"])["bedside"]["sources"]
    assert chat(with_libraries, ["own"], source["id"])["bedside"]["sources"] == [source]
    remove_library(library.parent, "own")
    assert "own/podagra" not in ids(search(with_libraries))
    assert search(with_libraries, libraries=["own"])["error"]["code"] == "library_not_found"
    assert chat(with_libraries, "on", source["id"])["error"]["code"] == "unknown_passage"


def test_on_means_every_library(with_libraries: Served, library: Path) -> None:
    sources = chat(with_libraries, "on")["bedside"]["sources"]
    assert sources[0]["id"].startswith("own/podagra#1@")
    assert all(
        source["id"].startswith("starter/") for source in chat(with_libraries, ["starter"])["bedside"]["sources"]
    )


def test_a_changed_text_is_another_passage(with_libraries: Served, library: Path, home: Path) -> None:
    before = search(with_libraries, k=1)["results"][0]
    (home / "podagra.md").write_text(PODAGRA.replace("twice", "once"))
    add_files("own", library.parent, find_files([home / "podagra.md"]), Given(licence="CC0"))
    after = search(with_libraries, k=1)["results"][0]
    assert after["text"] == before["text"].replace("twice", "once")
    assert chat(with_libraries, "on", before["id"])["error"]["code"] == "unknown_passage"
    assert chat(with_libraries, "on", after["id"])["bedside"]["sources"][0]["id"] == after["id"]


def test_a_damaged_library_is_left_out_and_said(
    with_libraries: Served, library: Path, environment: dict[str, str]
) -> None:
    library.write_bytes(library.read_bytes()[:5000])
    found = search(with_libraries)
    assert list(found["left_out"]) == ["own"]
    assert "remove the library and add its documents again" in found["left_out"]["own"]
    versions = chat(with_libraries, "on")["bedside"]["versions"]
    assert (list(versions["libraries"]), versions["left_out"]) == (["starter"], found["left_out"])
    command = [sys.executable, *IGNORED, "-m", "assistant", "ask", "--url", with_libraries.url, "How is croup treated?"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert f"warning: library own was left out: {library} is damaged" in done.stdout


def test_a_damaged_library_that_is_named_is_refused(with_libraries: Served, library: Path) -> None:
    library.write_bytes(library.read_bytes()[:5000])
    assert search(with_libraries, libraries=["own"])["error"]["code"] == "library_damaged"
    assert chat(with_libraries, ["own"])["error"]["code"] == "library_damaged"
    assert search(with_libraries, libraries=["starter"])["left_out"] == {}


def test_the_command_asks_one_library(with_libraries: Served, library: Path, environment: dict[str, str]) -> None:
    command = [sys.executable, *IGNORED, "-m", "assistant", "ask", "--url", with_libraries.url, "--knowledge", "own"]
    done = subprocess.run([*command, QUESTION], env=environment, capture_output=True, text=True, timeout=60, check=True)
    assert "[1] Podagra: Treatment (no date)" in done.stdout
    assert "    From podagra.md, CC0." in done.stdout.splitlines()
