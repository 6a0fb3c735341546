"""Loading, the vocabulary, and what is said when a file is refused."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.errors import ModelFileError, RuntimeFailure
from models.runtime.batch import Batch
from models.runtime.context import Context
from models.runtime.generate import Utf8Stream
from models.runtime.library import LogBuffer, default_threads
from models.runtime.model import Model
from models.synthetic.gguf import write_gguf
from models.synthetic.shapes import Shape

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    with Model.load(write_gguf(tmp_path_factory.mktemp("model") / "m.gguf", Shape(vocab_size=700))) as opened:
        yield opened


def test_a_file_that_is_written_to_gives_no_more_answers(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", Shape(vocab_size=700))
    os.utime(path, ns=(0, 0))
    with Model.load(path) as opened, Context(opened, 64) as context, Batch(1) as batch:
        batch.add(5, 0, [0], True)
        context.decode(batch)
        path.rename(tmp_path / "old.gguf")  # as an update does it: what is in use stays
        path.write_bytes(b"another")
        batch.clear()
        batch.add(6, 1, [0], True)
        context.decode(batch)
        with (tmp_path / "old.gguf").open("r+b") as stream:
            stream.write(b"GGUF")
        batch.clear()
        batch.add(7, 2, [0], True)
        with pytest.raises(ModelFileError, match="was written to while it was in use"):
            context.decode(batch)


def test_facts_come_from_the_file(model: Model) -> None:
    assert (model.n_vocab, model.n_ctx_train, model.n_embd, model.n_layer) == (700, 512, 64, 2)
    assert (model.bos, model.eos, model.add_bos) == (0, 1, True)
    assert model.metadata["general.architecture"] == "llama"
    assert "<|assistant|>" in model.metadata["tokenizer.chat_template"]
    assert model.n_params * 4 == model.size_bytes
    assert "F32" in model.description
    assert model.is_end(1)
    assert not model.is_end(0)


@settings(deadline=None)
@given(text=TEXTS)
def test_text_survives_tokenizing(model: Model, text: str) -> None:
    ids = model.tokenize(text, add_bos=False, parse_special=False)
    assert b"".join(model.token_bytes(token) for token in ids) == text.encode()
    assert model.detokenize(ids) == text


@settings(deadline=None)
@given(text=TEXTS)
def test_streamed_text_never_shows_half_a_code_point(model: Model, text: str) -> None:
    stream = Utf8Stream()
    pieces = [stream.push(bytes([byte])) for byte in text.encode()]
    assert "".join(pieces) + stream.finish() == text
    assert [piece for piece in pieces if piece] == list(text)


def test_a_cut_code_point_is_replaced_at_the_end() -> None:
    stream = Utf8Stream()
    assert stream.push("µ".encode()[:1]) == ""
    assert stream.finish() == "\ufffd"


def test_control_tokens_are_parsed_only_on_request(model: Model) -> None:
    assert model.tokenize("<|end|>", add_bos=False, parse_special=True) == [1]
    assert 1 not in model.tokenize("<|end|>", add_bos=False, parse_special=False)
    assert model.tokenize("", add_bos=True, parse_special=False) == [0]
    assert model.detokenize([0, 1]) == ""
    assert model.detokenize([0, 1], special=True) == "<|begin|><|end|>"
    assert model.token_bytes(1) == b""
    assert model.token_bytes(1, special=True) == b"<|end|>"


@pytest.mark.parametrize("token", [-1, 700, 2**31])
def test_ids_outside_the_vocabulary_are_refused(model: Model, token: int) -> None:
    for call in (model.token_bytes, model.is_end, lambda value: model.detokenize([value])):
        with pytest.raises(RuntimeFailure, match="outside the vocabulary of 700"):
            call(token)


def test_missing_and_foreign_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="no model file at"):
        Model.load(tmp_path / "absent.gguf")
    with pytest.raises(ModelFileError, match="cannot read"):
        Model.load(tmp_path)
    (tmp_path / "text.gguf").write_text("not a model")
    with pytest.raises(ModelFileError, match="is not a GGUF file"):
        Model.load(tmp_path / "text.gguf")


def test_a_truncated_file_is_refused_with_the_reason_of_llama_cpp(tmp_path: Path) -> None:
    whole = write_gguf(tmp_path / "whole.gguf", Shape()).read_bytes()
    (tmp_path / "cut.gguf").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(
        RuntimeFailure, match=r"cannot load .*cut\.gguf: .*error loading model: .*not within the file bounds"
    ) as caught:
        Model.load(tmp_path / "cut.gguf")
    assert "\n" not in str(caught.value)


def test_nothing_is_printed(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "m.gguf", Shape())
    program = (
        "import sys; from models.runtime.model import Model; from models.runtime.context import Context\n"
        "with Model.load(sys.argv[1]) as model, Context(model, 64, threads=1): pass\n"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")


def test_closing_a_model_closes_its_contexts(tmp_path: Path) -> None:
    model = Model.load(write_gguf(tmp_path / "m.gguf", Shape()))
    context = Context(model, 64, threads=1)
    model.close()
    model.close()
    with pytest.raises(RuntimeFailure, match="context is closed"):
        context.seq_pos_max(0)
    with pytest.raises(RuntimeFailure, match=r"model .* is closed"):
        model.tokenize("a", add_bos=False, parse_special=False)


def test_vocabulary_can_be_opened_without_weights(tmp_path: Path) -> None:
    with Model.load(write_gguf(tmp_path / "m.gguf", Shape()), vocab_only=True) as model:
        assert model.detokenize(model.tokenize("no weights", add_bos=False, parse_special=False)) == "no weights"


def test_log_lines_are_joined_bounded_and_ranked() -> None:
    log = LogBuffer()
    log.write(3, "an old warning\n")
    mark = log.mark()
    assert log.complaints(mark) == ""
    log.write(3, "half ")
    log.write(5, "a warning\n")
    log.write(2, "chatter\n")
    assert log.complaints(mark) == "half a warning"
    log.write(2, "progress .. ")
    log.write(4, "broken\n")
    assert log.complaints(mark) == "broken"
    for number in range(10_000):
        log.write(4, f"error {number}\n")
    assert log.complaints(mark) == "error 9997; error 9998; error 9999"


def test_ctrl_c_during_a_load_is_raised_once_it_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_gguf(tmp_path / "m.gguf", Shape())

    class InterruptedBuffer(LogBuffer):
        def write(self, level: int, text: str) -> None:
            super().write(level, text)
            if "general.architecture" in text:
                signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr("models.runtime.library.LOG", InterruptedBuffer())
    with pytest.raises(KeyboardInterrupt):
        Model.load(path)
    monkeypatch.undo()
    Model.load(path).close()


def test_ctrl_c_as_the_log_callback_begins_is_raised_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There no handler inside the callback catches it: ctypes would print it and go on."""
    path, printed = write_gguf(tmp_path / "m.gguf", Shape()), list[object]()
    monkeypatch.setattr(sys, "unraisablehook", printed.append)

    def interrupt(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name == "_capture_log":
            sys.setprofile(None)
            signal.raise_signal(signal.SIGINT)

    sys.setprofile(interrupt)
    with pytest.raises(KeyboardInterrupt):
        Model.load(path)
    assert printed == []
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_threads_default_to_the_cores_at_hand() -> None:
    assert 1 <= default_threads() <= 1024
