"""The first load happens in a child: what kills it is an error here."""

import struct
from pathlib import Path

import pytest

from models.errors import ModelFileError
from models.runtime.trial import trial_load
from models.synthetic.gguf import write_gguf
from models.synthetic.shapes import Shape


def with_number(path: Path, key: str, value: int) -> Path:
    """Overwrite the uint32 value of a metadata key in place."""
    data = bytearray(path.read_bytes())
    at = data.index(key.encode()) + len(key) + 4  # the type number stands between key and value
    data[at : at + 4] = struct.pack("<I", value)
    path.write_bytes(data)
    return path


def test_a_good_file_passes_from_any_working_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "models.py").write_text("raise SystemExit('imported from the working folder')")
    monkeypatch.chdir(tmp_path)
    write_gguf(tmp_path / "m.gguf", Shape())
    trial_load("m.gguf")


def test_a_refused_file_gives_the_reason_of_llama_cpp(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", Shape())
    path.write_bytes(path.read_bytes()[:50_000])
    with pytest.raises(ModelFileError, match=r"cannot load .*m\.gguf: .*not within the file bounds"):
        trial_load(path)


def test_a_crash_of_the_child_is_an_error(tmp_path: Path) -> None:
    path = with_number(write_gguf(tmp_path / "m.gguf", Shape()), "llama.block_count", 2**31 - 1)
    with pytest.raises(ModelFileError, match=r"makes llama\.cpp crash \(SIGABRT\); do not use it"):
        trial_load(path)


def test_a_child_that_takes_too_long_is_stopped(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"did not open within 0\.01 s"):
        trial_load(write_gguf(tmp_path / "m.gguf", Shape()), timeout_s=0.01)
