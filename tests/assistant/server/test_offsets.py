"""`text_offset` counts code points of the text that is returned, whatever bytes its tokens have."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.engine.request import Piece, TokenLogprob
from assistant.engine.text_output import TextOutput
from assistant.server.offsets import AnswerOffsets, Offsets, Placed, prompt_offsets
from tests.assistant.server.conftest import Served

EMOJI = "Croup 😀é is"


@given(st.text(), st.lists(st.integers(min_value=0, max_value=60)))
def test_a_token_has_the_place_of_the_character_that_holds_its_first_byte(text: str, cuts: list[int]) -> None:
    data = text.encode()
    starts = [0, *sorted(cut for cut in set(cuts) if 0 < cut < len(data))]
    offsets = Offsets()
    found = [offsets.place(data[a:b]) for a, b in pairwise([*starts, len(data)])]
    assert found == [len(data[:start].decode(errors="ignore")) for start in starts]
    assert offsets.length == len(text)


@given(st.lists(st.binary(max_size=3)))
def test_bytes_that_are_no_text_have_places_in_what_stands_for_them(tokens: list[bytes]) -> None:
    offsets = Offsets()
    found = [offsets.place(data) for data in tokens]
    assert found == sorted(found)
    assert offsets.length == len(b"".join(tokens).decode(errors="replace"))


def test_what_stands_before_a_text_has_its_first_place() -> None:
    assert prompt_offsets([b"<s>", b" a", b"b"], "ab") == [0, 0, 1]
    assert prompt_offsets([b"<s>", b"ab"], "<s>ab") == [0, 3]
    assert prompt_offsets([b"<s>"], "") == [0]


def answers(served: Served, body: dict[str, Any]) -> tuple[Any, Any]:
    """One choice, whole and joined from a stream."""
    with served.local() as client:
        whole = client.post("/v1/completions", json=body)
        assert whole.status_code == 200, whole.text
    with served.openai() as client:
        chunks = [chunk.choices[0] for chunk in client.completions.create(model="reference", stream=True, **body)]
    told = [chunk.logprobs for chunk in chunks if chunk.logprobs is not None]
    names = ("tokens", "text_offset", "token_logprobs")
    return whole.json()["choices"][0], {
        "text": "".join(chunk.text for chunk in chunks),
        "logprobs": {name: [entry for each in told for entry in getattr(each, name)] for name in names},
    }


ANSWER = [b"na", b"\xf0\x9f", b"\x98\x80", b"x", b"\xf0", b"y", b"", b"na", b"nb\xc3"]


@given(
    st.lists(st.integers(min_value=0, max_value=len(ANSWER) - 1), min_size=1, max_size=12),
    st.lists(st.sampled_from(["x", "nan", "😀x", "yna", "\ufffd"]), max_size=2),
    st.integers(min_value=1, max_value=4),
)
def test_an_answer_in_pieces_has_the_places_of_the_whole(tokens: list[int], stops: list[str], together: int) -> None:
    """Pieces as the engine makes them: several tokens at once, and text held back that may become a stop string."""
    output, streamed = TextOutput(stops), AnswerOffsets(ANSWER.__getitem__, 5)
    told: list[Placed] = []
    pieces: list[Piece] = []
    while tokens and not output.stopped:
        taken, tokens = tokens[:together], tokens[together:]
        scored = tuple(TokenLogprob(token, 0.0, ()) for token in taken)
        pieces.append(Piece(tuple(taken), "".join(output.push(ANSWER[token]) for token in taken), scored))
        told += streamed.take(pieces[-1])
    pieces.append(Piece((), output.finish()))
    told += [*streamed.take(pieces[-1]), *streamed.finish()]
    text = "".join(piece.text for piece in pieces)
    whole = AnswerOffsets(ANSWER.__getitem__, 5)
    scores = tuple(each for piece in pieces for each in piece.logprobs)
    assert told == [*whole.take(Piece((), text, scores)), *whole.finish()]
    places = [place for _, place in told]
    assert places == sorted(places)
    assert 5 <= places[0] <= places[-1] <= 5 + len(text)


def ids_of(served: Served, text: str) -> list[int]:
    with served.local() as client:
        found: list[int] = client.post("/tokenize", json={"prompt": text, "add_special_tokens": False}).json()["tokens"]
    return found


@pytest.mark.parametrize("echo", [True, False])
@pytest.mark.parametrize("prompt", [EMOJI, "", [60, 61, 62]])
@pytest.mark.parametrize(("written", "stop"), [(" cough", None), (" cough", "gh cou"), ("😀", None), ("😀", "\ufffd")])
def test_places_lie_in_the_text_and_a_stream_tells_the_same(
    served: Served, prompt: str | list[int], echo: bool, written: str, stop: str | None
) -> None:
    """The answer is one token again and again, as a near tie may fall out otherwise the second time."""
    body: dict[str, Any] = {"prompt": prompt, "max_tokens": 6, "logprobs": 2, "echo": echo, "stop": stop}
    token = ids_of(served, written)[0]
    whole, streamed = answers(served, {**body, "logit_bias": {str(token): 100}})
    offsets = whole["logprobs"]["text_offset"]
    assert len(offsets) == len(whole["logprobs"]["tokens"])
    assert offsets == sorted(offsets)
    assert 0 <= offsets[0] <= offsets[-1] <= len(whole["text"])
    assert streamed["text"] == whole["text"]
    assert streamed["logprobs"]["text_offset"] == offsets
    assert streamed["logprobs"]["tokens"] == whole["logprobs"]["tokens"]


def test_the_tokens_of_a_character_share_its_place(served: Served) -> None:
    body = {"prompt": EMOJI, "max_tokens": 0, "logprobs": 2, "echo": True}
    choice, _ = answers(served, body)
    told = choice["logprobs"]
    parts = [place for token, place in zip(told["tokens"], told["text_offset"], strict=True) if "bytes:" in token]
    assert parts
    assert set(parts) <= {EMOJI.index("😀"), EMOJI.index("é")}
    for token, place in zip(told["tokens"][1:], told["text_offset"][1:], strict=True):
        if "bytes:" not in token:
            assert choice["text"].startswith(token, place)
