"""The `bedside` command itself: what it lists, how fast, what it imports, and what it says when used wrongly."""

import importlib.util
import resource
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import typer

from assistant import cli
from assistant.cli import MOUNTS, Mount
from assistant.errors import MissingExtraError
from tests.assistant.conftest import Bedside

HEAVY = [
    "torch",
    "transformers",
    "llama_cpp",
    "numpy",
    "huggingface_hub",
    "jinja2",
    "rich.console",
    "compressor",
    "models.cli",
]


def test_help_lists_every_command_within_half_a_second(bedside: Bedside) -> None:
    bedside("--help")
    before = processor_time_of_children_s()
    done = bedside("--help")
    assert processor_time_of_children_s() - before < 0.5
    assert done.returncode == 0
    listed = [line.split()[0] for line in done.stdout.partition("Commands:\n")[2].splitlines()]
    assert listed == [
        "ask",
        "chat",
        "serve",
        "service",
        "switch",
        "knowledge",
        "history",
        "redflags",
        "models",
        "device",
        "doctor",
        "compress",
        "compare",
        "evaluate",
        "report",
        "pretrain",
    ]


def processor_time_of_children_s() -> float:
    """Not wall time: that would also measure what else the machine does."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['bedside', '--help']\n"
        "from assistant.__main__ import main\n"
        "try: main()\n"
        f"except SystemExit: print('HEAVY', [name for name in {HEAVY} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_a_locale_without_the_characters_is_no_fault(environment: dict[str, str], tiny_model: Path) -> None:
    latin = {**environment, "PYTHONIOENCODING": "ascii"}
    command = [sys.executable, "-m", "assistant", "ask", "--model", str(tiny_model), "How is croup treated?"]
    done = subprocess.run(command, env=latin, capture_output=True, text=True, timeout=60, check=True)
    assert "tok/s ? first token" in done.stdout


def test_version(bedside: Bedside) -> None:
    assert bedside("--version").stdout == f"bedside {version('bedside')}\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["frobnicate"], "error: No such command 'frobnicate'; see bedside --help"),
        (["ask"], "error: Missing argument 'TEXT'; see bedside ask --help"),
        (["ask", "--xyzzy", "x"], "error: No such option: --xyzzy; see bedside ask --help"),
        (
            ["ask", "  "],
            "error: Invalid value for TEXT: the question is empty; write it in quotes; see bedside ask --help",
        ),
    ],
)
def test_wrong_usage_is_one_line_and_exit_code_2(bedside: Bedside, arguments: list[str], message: str) -> None:
    done = bedside(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines() == [message]


def test_control_characters_of_the_command_line_do_not_reach_the_screen(bedside: Bedside) -> None:
    done = bedside("ask", "a", "--b\x1b]0;title\x07")
    assert done.returncode == 2
    assert not set("\x1b\x07") & set(done.stderr)


def test_no_command_shows_the_help(bedside: Bedside) -> None:
    done = bedside()
    assert done.returncode == 2
    assert "Commands:" in done.stderr


@pytest.mark.parametrize("name", list(MOUNTS))
def test_every_mounted_command_has_help_of_its_own(bedside: Bedside, name: str) -> None:
    mount = MOUNTS[name]
    if any(importlib.util.find_spec(module) is None for module in mount.needs):
        pytest.skip(f"the {mount.extra} extra is not installed")
    done = bedside(name, "--help")
    assert done.returncode == 0, done.stderr
    assert f"bedside {name}" in done.stdout
    assert "Never runs" not in done.stdout


def test_without_the_extra_the_command_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    mount = Mount("compressor.cli", "compress", "Compress.", "compress", ("json", "no_such_module_at_all"))
    monkeypatch.setitem(MOUNTS, "compress", mount)
    with pytest.raises(MissingExtraError, match=r"needs no_such_module_at_all; .* pip install 'bedside\[compress\]'"):
        typer.main.get_command(cli.app).main(["compress", "x"], standalone_mode=False)


def test_the_reader_may_leave(environment: dict[str, str]) -> None:
    command = f"{sys.executable} -m assistant --help | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.strip() in ("0", "1")
    assert done.stderr == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("arguments", [["--help"], ["models", "list"], ["ask", "--json", "How is croup treated?"]])
def test_a_full_disk_behind_the_output_is_one_line(environment: dict[str, str], arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "assistant", *arguments],
            env=environment,
            stdout=full,
            stderr=-1,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith("error: cannot write the output")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("closed", ["<&-", ">&-"])
def test_closed_streams_end_without_a_traceback(environment: dict[str, str], closed: str) -> None:
    command = f"{sys.executable} -m assistant ask --note - 'How is croup treated?' {closed} < /dev/null {closed}"
    done = subprocess.run(["bash", "-c", command], env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr
