"""Text that is shown early, but never what a stop string takes back."""

from hypothesis import given
from hypothesis import strategies as st

from assistant.engine.text_output import TextOutput

LETTERS = st.text(st.sampled_from("abé\U0001f642"), max_size=40)


@given(LETTERS, st.lists(st.text(st.sampled_from("abé"), min_size=1, max_size=4), max_size=3), st.data())
def test_pieces_join_to_the_text_before_the_first_stop(text: str, stops: list[str], data: st.DataObject) -> None:
    output, raw, shown = TextOutput(stops), text.encode(), ""
    while raw and not output.stopped:
        size = data.draw(st.integers(1, len(raw)))
        shown += output.push(raw[:size])
        raw = raw[size:]
    shown += output.finish()
    if output.stopped:
        assert any((shown + stop) == text[: len(shown) + len(stop)] for stop in stops)
        assert not any(stop in shown for stop in stops)
    else:
        assert shown == text
        assert not any(stop in text for stop in stops)


def test_what_may_become_a_stop_string_is_held_and_the_rest_shown_at_once() -> None:
    output = TextOutput(["\n\nUser:"])
    assert output.push(b"Yes.\n") == "Yes."
    assert output.push(b"No.") == "\nNo."
    assert output.push(b"\n\nUser") == ""
    assert output.finish() == "\n\nUser"


def test_half_a_code_point_waits_for_the_other_half() -> None:
    output = TextOutput()
    assert [output.push(bytes([byte])) for byte in "é".encode()] == ["", "é"]
    output.push("é".encode()[:1])
    assert output.finish() == "\ufffd"
