"""The rules of the house that a machine can check: sizes, names, docstrings, doors, commands in documents."""

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ["models", "device", "compressor", "assistant"]
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 40
GRAB_BAGS = {"utils", "util", "common", "helpers", "helper", "misc"}
# Who alone may import what: the first matching door of a module decides.
DOORS = {
    "llama_cpp": ["models/runtime/"],
    "huggingface_hub": ["models/"],
    "torch": ["compressor/"],
    "transformers": ["compressor/"],
    "safetensors": ["compressor/"],
    "tokenizers": ["compressor/"],
    "peft": ["compressor/"],
    "fastapi": ["assistant/server/"],
    "uvicorn": ["assistant/server/"],
    "textual": ["assistant/tui/"],
    "sqlcipher3": ["assistant/history/"],
    "cryptography": ["assistant/history/"],
    "jtop": ["device/sources/jtop_child.py"],
    "pynvml": ["device/sources/nvml.py"],
}
DOCUMENTS = [ROOT / "README.md", *(ROOT / package / "README.md" for package in [*PACKAGES, "systemd"])]

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef


def sources(*folders: str) -> list[Path]:
    return [path for folder in folders for path in sorted((ROOT / folder).glob("**/*.py"))]


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


OURS = sources(*PACKAGES)
EVERYTHING = sources(*PACKAGES, "benchmarks", "tests")


@pytest.mark.parametrize("path", EVERYTHING, ids=name_of)
def test_files_and_functions_are_short(path: Path) -> None:
    text = path.read_text("utf-8")
    assert text.count("\n") <= MAX_FILE_LINES, f"{name_of(path)} has {text.count(chr(10))} lines"
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, FunctionNode):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            assert lines <= MAX_FUNCTION_LINES, f"{name_of(path)}: {node.name} has {lines} lines"


def test_no_module_is_a_grab_bag() -> None:
    named = [path for path in EVERYTHING if {path.stem, *path.relative_to(ROOT).parts[:-1]} & GRAB_BAGS]
    assert named == []


@pytest.mark.parametrize("path", OURS, ids=name_of)
def test_everything_public_has_a_docstring(path: Path) -> None:
    missing = [name for name, node in public_definitions(path) if ast.get_docstring(node) is None]
    assert missing == [], f"{name_of(path)} leaves undocumented: {missing}"


def public_definitions(path: Path) -> Iterator[tuple[str, ast.Module | ast.ClassDef | FunctionNode]]:
    """The module, and all classes, functions and methods that are not private, not nested and not overloads."""
    module = ast.parse(path.read_text("utf-8"))
    if module.body:
        yield path.stem, module
    for node in module.body:
        if isinstance(node, ast.ClassDef | FunctionNode) and not node.name.startswith("_"):
            yield node.name, node
            members = node.body if isinstance(node, ast.ClassDef) else []
            for member in members:
                if isinstance(member, FunctionNode) and not member.name.startswith("_"):
                    yield f"{node.name}.{member.name}", member


@pytest.mark.parametrize("path", OURS, ids=name_of)
def test_foreign_libraries_come_in_by_their_doors_only(path: Path) -> None:
    place = name_of(path)
    for library in imported(path):
        doors = DOORS.get(library)
        assert doors is None or place.startswith(tuple(doors)), f"{place} imports {library}, which belongs to {doors}"


def imported(path: Path) -> set[str]:
    """Top-level names of everything that a file imports, wherever in the file it does so."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def test_the_import_contracts_hold() -> None:
    command = [
        sys.executable,
        "-c",
        "from importlinter.cli import lint_imports_command; lint_imports_command(['--no-cache'])",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def links() -> list[tuple[Path, str]]:
    found = [
        (document, link)
        for document in DOCUMENTS
        for link in re.findall(r"\]\(([^)\s]+)\)", document.read_text("utf-8"))
    ]
    return [(document, link) for document, link in found if "://" not in link]


@pytest.mark.parametrize(
    ("document", "link"), links(), ids=lambda part: name_of(part) if isinstance(part, Path) else part
)
def test_links_of_documents_lead_somewhere(document: Path, link: str) -> None:
    name, _, section = link.partition("#")
    target = document.parent / name if name else document
    assert target.is_file(), f"{target} does not exist"
    if section:
        headings = re.findall(r"^#+ +(.+)$", target.read_text("utf-8"), re.MULTILINE)
        assert section in {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def documented_commands() -> list[str]:
    """`bedside ...` and `make ...` lines of the documents' code blocks and inline code."""
    found: dict[str, None] = {}
    for document in DOCUMENTS:
        text = document.read_text("utf-8")
        blocks = re.findall(r"^```(?:sh|bash|console|shell)?\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
        lines = [line for block in blocks for line in block.replace("\\\n", " ").splitlines()]
        lines += re.findall(r"`((?:bedside|make) [^`\n]+)`", text)
        for line in lines:
            command = re.sub(r"^\s*\$\s+", "", line).strip()
            if re.match(r"(bedside|make)(\s|$)", command):
                found[command] = None
    return list(found)


@pytest.mark.parametrize("command", documented_commands())
def test_commands_that_documents_name_exist(command: str) -> None:
    words = shlex.split(re.split(r"\s[|;&>]|&&", command)[0], comments=True)
    if words[0] == "make":
        for target in (word for word in words[1:] if not word.startswith("-") and "=" not in word):
            assert target in make_targets(), f"the Makefile has no target {target}"
    else:
        assert_help_knows(words[1:])


def make_targets() -> set[str]:
    text = (ROOT / "Makefile").read_text("utf-8")
    return {name for line in re.findall(r"^([\w. -]+):(?!=)", text, re.MULTILINE) for name in line.split()}


def assert_help_knows(arguments: list[str]) -> None:
    """Walk the words of the command line: sub-commands must exist, options must stand in the help of their command."""
    if arguments == ["--version"]:
        return
    path: list[str] = []
    text = help_of(path)
    for word in arguments:
        if word.startswith("-") and word != "-":
            option = word.partition("=")[0]
            assert re.search(rf"(?<![\w-]){re.escape(option)}(?![\w-])", text), f"{option} is not in:\n{text}"
        elif "COMMAND [ARGS]" in text:
            path.append(word)
            text = help_of(path)


HELP: dict[tuple[str, ...], str] = {}


def help_of(path: list[str]) -> str:
    key = tuple(path)
    if key not in HELP:
        command = [sys.executable, "-m", "assistant", *path, "--help"]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
        assert done.returncode == 0, f"bedside {' '.join(path)} --help: {done.stderr}"
        HELP[key] = done.stdout
    return HELP[key]
