"""`bedside models` as a person meets it: its output in 80 columns, its exit codes, its one-line errors."""

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gguf import GGMLQuantizationType
from typer.testing import CliRunner

from models.catalogue import catalogue
from models.cli import app
from models.errors import BedsideError, ModelFileError, ModelNotFoundError
from tests.models.gguf_files import write_llama
from tests.models.hub_server import COMMIT, HubState, serve_hub, wait_for_bytes

ROOT = Path(__file__).parents[2]
WEIGHTS = random.Random(2).randbytes(2_500_000)


@pytest.fixture
def hub() -> Iterator[HubState]:
    files = {"config.json": b"{}", "model.safetensors": WEIGHTS}
    with serve_hub(files, {"model.safetensors"}) as state:
        yield state


def run(*arguments: str) -> str:
    """Standard output of `bedside models ARGUMENTS`, run in this process."""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def run_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for key, value in {"BEDSIDE_HOME": str(tmp_path / "home"), "COLUMNS": "80", "NO_COLOR": "1"}.items():
        monkeypatch.setenv(key, value)
    return tmp_path / "home"


class Process:
    """The installed command in a process of its own, with a Hub of its own: what a person starts in a terminal."""

    def __init__(self, home: Path, endpoint: str) -> None:
        kept = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        own = {"HF_HOME": str(home / "hf"), "HF_ENDPOINT": endpoint, "NO_PROXY": "127.0.0.1,localhost"}
        self.environment = kept | own

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "assistant", "models", *arguments]
        return subprocess.Popen(
            command, cwd=ROOT, env=self.environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *arguments: str, status: int = 0) -> str:
        """Standard output, or the one line of standard error where `status` is not 0."""
        with self.start(*arguments) as process:
            output, errors = process.communicate(timeout=60)
        assert process.returncode == status, errors
        if status:
            assert errors.startswith("error: ")
            assert errors.count("\n") == 1
        return errors if status else output


def test_the_list_fits_a_terminal_of_80_columns() -> None:
    lines = run("list").splitlines()
    assert max(len(line) for line in lines) <= 80
    assert not any("…" in line for line in lines)
    for model in catalogue():
        assert any(line.startswith(f"{model.id} ") for line in lines)


def test_the_list_and_info_as_json() -> None:
    rows = {row["id"]: row for row in run_json("list")["models"]}
    assert rows["reference"]["state"] == "built in"
    assert rows["gemma-7b"]["gated"] is True
    assert rows["llama-3-8b"]["recipes"] == ["llama-3-8b-67"]
    facts = run_json("info", "llama-3-8b", "--context", "2048")
    assert facts["parameters"] == 8_030_261_248
    assert facts["memory"]["kv_bytes"] == 2048 * 32 * 8 * 128 * 2 * 2
    assert facts["memory"]["boards"]["pi-5-4gb"] is False
    assert facts["memory"]["boards"]["pi-5-8gb"] is True


def test_a_file_from_import_to_removal(home: Path, tmp_path: Path) -> None:
    source = write_llama(
        tmp_path / "Clinic.gguf",
        architecture="deci",
        hidden=256,
        widths=(256, 512),
        quantization=GGMLQuantizationType.Q4_0,
    )
    assert "clinic: gguf" in run("import", str(source))
    shown = run("info", "clinic")
    assert max(len(line) for line in shown.splitlines()) <= 80
    assert "FFN 256 to 512, by layer" in shown
    assert "no chat template" in shown
    facts = run_json("info", "clinic")["file"]
    assert (facts["architecture"], facts["ffn_widths"]) == ("deci", [256, 512])
    assert {row["id"]: row["state"] for row in run_json("list")["models"]}["clinic"] == "here"
    assert "every file is as recorded" in run("verify", "clinic")
    stored = home / "models" / "clinic" / "Clinic.gguf"
    stored.write_bytes(stored.read_bytes()[:-1] + b"\xff")
    with pytest.raises(ModelFileError, match=r"clinic is damaged: Clinic\.gguf has sha256"):
        run("verify", "clinic")
    assert "freed" in run("remove", "clinic")
    with pytest.raises(ModelNotFoundError, match="nothing is stored as 'clinic'"):
        run("remove", "clinic")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("info", "llama-3-9b"), "did you mean llama-3-8b"),
        (("info", "../../etc"), "no model '../../etc'"),
        (("remove", "../.."), "is not a model id"),
        (("remove", "reference"), "cannot be removed"),
        (("pull", "reference"), "built in"),
        (("pull", "gemma-7b", "--offline"), "not on this machine"),
        (("import", "/nowhere.gguf"), "does not exist"),
        (("verify", "gemma-7b"), "nothing complete is stored"),
    ],
)
def test_mistakes_are_one_line(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(BedsideError, match=re.escape(message)) as caught:
        run(*arguments)
    assert "\n" not in str(caught.value)


def test_a_repository_is_fetched_and_a_gate_explained(hub: HubState, home: Path) -> None:
    bedside = Process(home, hub.url)
    assert f"hub:clinic/tiny at {COMMIT[:12]}" in bedside.run("pull", "clinic/tiny")
    assert "every file is as recorded" in run("verify", "clinic--tiny")
    hub.refuse = (401, "GatedRepo")
    assert "google/gemma-7b is gated: accept its licence at" in bedside.run("pull", "gemma-7b", status=1)


def test_no_network_is_one_line_on_standard_error(home: Path) -> None:
    assert "no connection to http://127.0.0.1:9" in Process(home, "http://127.0.0.1:9").run(
        "pull", "gemma-7b", status=1
    )
    assert not (home / "models").exists()


def test_ctrl_c_stops_at_once_and_the_next_run_goes_on(hub: HubState, home: Path) -> None:
    hub.hold_after["model.safetensors"] = 1_500_000
    bedside = Process(home, hub.url)
    with bedside.start("pull", "clinic/tiny") as process:
        assert hub.holding.wait(30)
        have = wait_for_bytes(home / "models/clinic--tiny/model.safetensors.partial", 1_000_000)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)
    assert process.returncode == 130
    assert "Traceback" not in errors
    hub.release.set()
    assert {row["id"]: row["state"] for row in run_json("list")["models"]}["clinic--tiny"] == "unfinished"
    bedside.run("pull", "clinic/tiny")
    resumed_at = int(hub.seen("/cdn/")[-1]["range"].removeprefix("bytes=").rstrip("-"))
    assert have <= resumed_at <= 1_500_000
    assert "every file is as recorded" in run("verify", "clinic--tiny")
