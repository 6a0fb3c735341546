"""What reaches the screen: wrapped between words, free of control characters, with the warnings under the answer."""

import io
import json
import re
import struct
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.ask.terminal import Screen, WrappingWriter
from assistant.client.answer import Answer, Versions
from assistant.client.wording import evidence, found_sources, made_with, summary, warnings
from assistant.engine.request import Request
from assistant.engine.usage import Usage
from assistant.knowledge.citations import Check
from assistant.knowledge.evidence import Evidence
from assistant.knowledge.library import starter_documents
from assistant.plaintext import Trimmer, plain, plain_line
from device.attribution import Spent
from device.reading import Kind, Meter
from models.grounding import NO_ANSWER, SYSTEM_PLAIN
from models.runtime.chat import ChatTemplate
from models.runtime.model import Model
from tests.assistant.conftest import Bedside
from tests.assistant.engine.conftest import alone

ESCAPES = "\x1b[2J\x1b]52;c;aGk=\x07\x9b31m\x7f\u202egp.exe\u2066\u200f\x00\r"


def test_terminal_and_bidirectional_controls_are_removed() -> None:
    assert plain(f"dose{ESCAPES} 5\tmg\n") == "dose[2J]52;c;aGk=31mgp.exe 5\tmg\n"
    assert plain("one\u2028two\ud800") == "one\ntwo\ufffd"
    assert plain_line(" a\n\tb\x1b ") == "a b"


@given(st.lists(st.text(max_size=20), max_size=8))
def test_cleaning_piece_by_piece_equals_cleaning_the_whole(pieces: list[str]) -> None:
    assert "".join(map(plain, pieces)) == plain("".join(pieces))
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", plain("".join(pieces)))


@given(st.lists(st.text(alphabet="ab \n", max_size=5), max_size=8))
def test_trimmed_pieces_make_the_stripped_text(pieces: list[str]) -> None:
    trimmer = Trimmer()
    assert "".join(trimmer.push(piece) for piece in pieces) == "".join(pieces).strip()


@given(st.lists(st.text(alphabet="abcdef \n", max_size=30), max_size=8), st.integers(6, 40))
def test_wrapping_breaks_between_words_only(pieces: list[str], width: int) -> None:
    stream = io.StringIO()
    writer = WrappingWriter(stream, width)
    for piece in pieces:
        writer.write(piece)
    writer.finish()
    written, words = stream.getvalue(), "".join(pieces).split()
    assert "".join(written.split()) == "".join(words)
    assert all(len(line) <= width for line in written.splitlines())
    if all(len(word) < width for word in words):  # a longer one is broken, so that it appears while it grows
        assert written.split() == words


def test_without_a_width_text_passes_unchanged() -> None:
    stream = io.StringIO()
    writer = WrappingWriter(stream, None)
    writer.write("  a  b\n" + "long " * 50)
    assert stream.getvalue() == "  a  b\n" + "long " * 50


@pytest.fixture
def answer() -> Answer:
    text = "Give 5 g. [1] Rest."
    checks = (
        Check(0, 13, (1,), "model", "unsupported", ("number", "unit")),
        Check(14, 19, (), "model", "uncited", ()),
    )
    usage = Usage(
        100, 21, decode_tokens=20, load_s=0.1, first_token_s=0.5, decode_s=2.0, finish_reason="length"
    ).as_json()
    flags: dict[str, Any] = {"screened": True, "reason": None, "rules": "2026-11", "findings": []}
    versions = Versions("1.0", "5ba95aee" * 8, {"starter": "2026-11-21.9f3c1a7b"}, {})
    sources = starter_documents()[0].passages[:1]
    return Answer(text, sources, "insufficient", checks, flags, usage, "reference", "not for use", versions)


def test_warnings_name_sentence_source_and_reason(answer: Answer) -> None:
    assert list(warnings(answer)) == [
        "not supported by [1] (number not in the source for this; another unit in the source): “Give 5 g.”",
        "no source given: “Rest.”",
        "the answer was cut off at its limit (at most 512 tokens)",
    ]


def test_a_source_that_the_check_found_is_told(answer: Answer) -> None:
    checks = (Check(0, 13, (2,), "host", "supported", ()), Check(14, 19, (1,), "host", "supported", ()))
    assert list(found_sources(replace(answer, checks=checks))) == [
        "[2], not [1] is the source of “Give 5 g.”",
        "[1] is the source of “Rest.”",
    ]


@pytest.mark.parametrize(
    ("text", "status", "told"),
    [
        (
            "Give 5 g. [1] Rest.",
            "insufficient",
            "0 of 2 sentences supported by the source they cite; do not rely on the answer",
        ),
        (NO_ANSWER, "insufficient", "the passages above are the nearest that the library holds"),
        ("Paris.", "out_of_scope", "the library holds no passage on this"),
        ("Paris.", "off", "nothing here was checked"),
    ],
)
def test_the_evidence_is_told_in_words(answer: Answer, text: str, status: Evidence, told: str) -> None:
    assert told in evidence(replace(answer, text=text, evidence=status))


def test_what_is_supported_and_yet_no_answer_is_told_as_such(answer: Answer) -> None:
    checks = (Check(0, 13, (1,), "model", "supported", ()),)
    told = evidence(replace(answer, checks=checks))
    assert told.startswith("insufficient - what it says is supported, but not all that was asked is in it; do not rely")


def test_the_passages_are_shown_in_full_where_the_evidence_is_insufficient(answer: Answer) -> None:
    cases: list[tuple[Evidence, bool]] = [("insufficient", True), ("sufficient", False)]
    for status, shown in cases:
        stream = io.StringIO()
        Screen(stream).answer(replace(answer, evidence=status))
        assert (" ".join(answer.sources[0].text.split()) in " ".join(stream.getvalue().split())) is shown


def test_the_last_line_gives_speed_model_and_notice(answer: Answer) -> None:
    assert summary(answer) == "10.0 tok/s · first token 0.50 s · not for use"
    assert summary(replace(answer, notice="\x1b[2Jx\u202e")).endswith("· [2Jx")


@pytest.mark.parametrize(("kind", "told"), [("measured", "supply"), ("estimated", "supply, estimated")])
def test_the_last_line_gives_energy_where_it_was_measured(answer: Answer, kind: Kind, told: str) -> None:
    spent = Spent(Meter("hwmon", "power1_input", "supply", kind), joules=14.0, watts=5.6)
    usage = Usage(
        100, 21, decode_tokens=20, load_s=0.1, first_token_s=0.5, decode_s=2.0, finish_reason="length", spent=spent
    ).as_json()
    assert summary(replace(answer, usage=usage)) == (
        f"10.0 tok/s · first token 0.50 s · 14.0 J at 5.6 W ({told}) · 1.50 tok/J · not for use"
    )


def test_a_pipe_gets_plain_unwrapped_text(answer: Answer) -> None:
    stream = io.StringIO()
    screen = Screen(stream)
    screen.piece(answer.text)
    screen.answer(answer)
    lines = stream.getvalue().splitlines()
    assert lines[0] == answer.text
    assert "\x1b" not in stream.getvalue()
    assert lines[-2:] == [made_with(answer), summary(answer)]


def said_by(path: Path) -> list[str]:
    """What a model answers, token by token."""
    messages = [{"role": "system", "content": SYSTEM_PLAIN}, {"role": "user", "content": "fever"}]
    with Model.load(path) as model:
        prompt = tuple(ChatTemplate.from_model(model).prompt_ids(model, messages))
        return [model.detokenize([token]) for token in alone(model, Request(prompt, 200))]


@pytest.fixture(scope="module")
def hostile_model(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with two vocabulary entries exchanged: the word that it repeats most, and the escape character."""
    pieces = Counter(piece for piece in said_by(tiny_model) if re.fullmatch("[a-z]{2}", piece))
    word, escape = pieces.most_common(1)[0][0].encode(), "ě".encode()  # how byte-level vocabularies spell 0x1b
    length = struct.pack("<Q", 2)
    data = tiny_model.read_bytes()
    assert data.count(length + word) == data.count(length + escape) == 1
    data = data.replace(length + word, b"@" * 10).replace(length + escape, length + word)
    path = tmp_path_factory.mktemp("hostile") / "hostile.gguf"
    path.write_bytes(data.replace(b"@" * 10, length + escape))
    return path


def test_escape_characters_of_a_model_never_reach_the_screen(bedside: Bedside, hostile_model: Path) -> None:
    assert "\x1b" in "".join(said_by(hostile_model))
    ask = ["ask", "--model", str(hostile_model), "--knowledge", "off", "fever"]
    assert "\x1b" not in bedside(*ask).stdout
    assert "\x1b" not in json.loads(bedside(*ask, "--json").stdout)["answer"]
