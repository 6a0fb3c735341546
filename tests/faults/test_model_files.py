"""A model's file cut short or with flipped bits: it is refused in one line, or served; it never takes the server down unsaid."""

import random
import struct
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import httpx2 as httpx
import pytest

from assistant.client.sockets import answers
from models.gguf_header import read_header
from tests.assistant.conftest import IGNORED, Bedside

CHAT = {"messages": [{"role": "user", "content": "What is croup?"}], "max_tokens": 4}
U32, U64 = struct.Struct("<I"), struct.Struct("<Q")


def flipped(data: bytes, chance: random.Random, begin: int, end: int, count: int) -> bytes:
    changed = bytearray(data)
    for _ in range(count):
        changed[chance.randrange(begin, end)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def twice_in_the_vocabulary(data: bytes) -> bytes:
    """Two tokens of one spelling: our header passes over vocabularies, and llama.cpp ends the process."""
    tokens = data.index(b"tokenizer.ggml.tokens")
    at = data.index(U64.pack(2) + "ã".encode()[:1], tokens)
    first = data[at + 8 : at + 10]
    after = data.index(U64.pack(2), at + 10)
    return data[: after + 8] + first + data[after + 10 :]


def serve(path: Path, environment: dict[str, str], folder: Path) -> str:
    """`refused` in one line, or `served`: it answers, with text or an error of its own, and ends as asked."""
    socket = folder / "m.sock"
    command = [sys.executable, *IGNORED, "-m", "assistant", "serve", "--model", str(path), "--socket", str(socket)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), base_url="http://x", timeout=60) as client:
            while process.poll() is None:
                with suppress(httpx.HTTPError):  # it has ended meanwhile
                    if answers(socket) and client.get("/ready").status_code == 200:
                        found = client.post("/v1/chat/completions", json=CHAT)
                        assert found.status_code == 200 or found.json()["error"]["message"], found.text
                        break
                time.sleep(0.05)
            process.terminate()
        said = process.stderr.read()
    if process.returncode == 0:
        return "served"
    assert (process.returncode, said.count("error: "), "Traceback" in said) == (1, 1, False), (process.returncode, said)
    assert not socket.exists()
    return "refused"


def test_weights_that_are_no_numbers_are_served(tiny_model: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    """A file cut short is in test_serving, a header of nonsense in tests/models/test_gguf_header.py."""
    path = tmp_path / "m.gguf"
    path.write_bytes(tiny_model.read_bytes()[:-4096] + b"\xff" * 4096)
    assert serve(path, environment, tmp_path) == "served"


def test_a_stored_model_that_decayed_on_its_disk(
    tiny_model: Path, tmp_path: Path, environment: dict[str, str], bedside: Bedside
) -> None:
    assert bedside("models", "import", str(tiny_model), "--id", "decayed").returncode == 0
    file = next(Path(environment["BEDSIDE_HOME"]).glob("models/decayed/*.gguf"))
    file.write_bytes(twice_in_the_vocabulary(file.read_bytes()))
    done = bedside("serve", "--model", "decayed", "--socket", str(tmp_path / "b.sock"))
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "makes llama.cpp crash (SIGABRT); do not use it, fetch it again" in done.stderr
    assert "decayed is damaged" in bedside("models", "verify", "decayed").stderr


@pytest.mark.slow
def test_many_damaged_files(tiny_model: Path, tmp_path: Path, environment: dict[str, str]) -> None:
    chance, data = random.Random(5), tiny_model.read_bytes()
    header = read_header(tiny_model).data_offset
    path, found = tmp_path / "m.gguf", []
    for number in range(30):
        begin, end = (0, header) if number % 2 else (header, len(data))
        changed = flipped(data, chance, begin, end, chance.choice([1, 1, 2, 8, 64]))
        path.write_bytes(changed[: chance.randrange(len(changed))] if number % 10 == 0 else changed)
        found.append(serve(path, environment, tmp_path))
    assert {"served", "refused"} == set(found)


def text(words: bytes) -> bytes:
    return U64.pack(len(words)) + words


HOSTILE = {
    "a list of lists": U64.pack(1) + text(b"a.b") + U32.pack(9) + U32.pack(9) + U64.pack(2**22) + bytes(2**20),
    "strings up to the limit": U64.pack(4096) + (text(b"a.%d") + U32.pack(8) + text(b"x" * 2**20)) * 64,
    "as many short lists": U64.pack(4096)
    + b"".join(text(b"a.%04d" % n) + U32.pack(9) + U32.pack(0) + U64.pack(1024) + bytes(1024) for n in range(1024)),
    "a vocabulary without end": U64.pack(1) + text(b"a.b") + U32.pack(9) + U32.pack(8) + U64.pack(2**22) + bytes(2**23),
    "a string longer than the file": U64.pack(1) + text(b"a.b") + U32.pack(8) + U64.pack(2**63) + bytes(64),
    "as many tensors": U64.pack(0) + (text(b"x") + U32.pack(1) + U64.pack(32) + U32.pack(0) + U64.pack(0)) * 65_536,
}  # fmt: skip


READ_THEM = """
import pathlib, resource, sys
from models.errors import ModelFileError
from models.gguf_header import read_header
resource.setrlimit(resource.RLIMIT_DATA, (2**28, 2**28))
for path in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    try:
        read_header(path)
    except ModelFileError as error:
        print(error)
"""


def test_headers_that_ask_for_much_get_little(tmp_path: Path) -> None:
    for name, body in HOSTILE.items():
        tensors = 65_536 if name == "as many tensors" else 1
        (tmp_path / f"{name}.gguf").write_bytes(b"GGUF" + U32.pack(3) + U64.pack(tensors) + body)
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", READ_THEM, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert [Path(line.partition(".gguf")[0]).name for line in done.stdout.splitlines()] == sorted(HOSTILE)
    assert time.monotonic() - started < 20
