"""Answers that are none: what a history was given from elsewhere, and what another kind of server says."""

from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from assistant.client.fields import FAULTS
from assistant.client.wording import progress
from assistant.history.conversation import STATES, Message, State
from assistant.history.store import History
from assistant.knowledge.citations import Check
from assistant.safety.views import finding_lines
from assistant.tui.readings import Readings, status_text
from assistant.tui.talk import Exchange, texts
from assistant.tui.turn import Turn
from assistant.tui.turn_rows import banner, turn_rows
from benchmarks.scripted_server import FLAGS, USAGE, Script, first, last, piece, source
from tests.assistant.tui.stage import ANSWER, Stage, play

AT = datetime(2030, 1, 2, 3, 4, tzinfo=timezone.utc)
QUESTION = Message("q", None, "user", "question", AT, "complete", {"knowledge": "on"})
CHECK = asdict(Check(0, 6, (1,), "host", "supported", ()))
FINDING = {
    "rule": "r", "severity": "urgent", "meaning": "m", "source": "s", "places": [{"message": 0, "start": 0, "end": 8}],
    "contacts": [{"name": "n", "number": "1", "hours": ""}],
}  # fmt: skip
WHOLE: dict[str, Any] = {
    **first([source(1, "title", "section", "text")])["bedside"], "red_flags": {**FLAGS, "findings": [FINDING]},
    "model": "m", "checks": [CHECK, {**CHECK, "status": "unsupported", "reasons": ["number"]}], "refused": False,
    "usage": {**USAGE, "bedside": {**USAGE["bedside"], "joules": 1.0, "watts": 2.0, "tokens_per_joule": 3.0, "scope": "x"}},
}  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.just(10**400) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value in a value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    return [at] + [found for key, each in inner for found in places(each, (*at, key))]


def changed(value: Any, at: tuple[Any, ...], new: Any) -> Any:
    """The value with another one in a place of it."""
    if not at:
        return new
    if isinstance(value, dict):
        return {**value, at[0]: changed(value[at[0]], at[1:], new)}
    return [changed(each, at[1:], new) if place == at[0] else each for place, each in enumerate(value)]


def drawn(turn: Turn) -> str:
    """Everything that is drawn of a turn, at its longest."""
    turn.is_detailed = True
    rows = turn_rows(turn, 80)
    list(finding_lines(turn.told.fields.get("red_flags", FLAGS), turn.texts))
    banner(turn, 80, 24)
    status_text(Readings(most_tokens=2048).of_conversation(turn.told.usage), 80)
    status_text(Readings(most_tokens=2048).with_usage(turn.told.model, turn.told.usage), 80)
    assert progress(turn.told) == ""
    return "\n".join("".join(piece.text for piece in row.pieces) for row in rows)


def restored(details: dict[str, Any], state: State = "complete") -> Turn:
    """A turn of a history with such an answer. Raises one of `FAULTS`."""
    exchange = Exchange(QUESTION, None, Message("a", "q", "assistant", "answer of it", AT, state, details))
    return Turn.restored(exchange, texts([exchange])[0])


def test_a_whole_answer_is_drawn() -> None:
    shown = drawn(restored(WHOLE))
    assert "1 of 2 sentences supported" in shown
    assert "1.0 J at 2.0 W" in shown


@given(st.sampled_from(places(WHOLE)[1:]), JSON, st.sampled_from(STATES))
@example(("checks", 0, "start"), 7, "complete")
@example(("dropped_messages",), "\x1b[2J", "complete")
@example(("usage", "bedside", "joules"), 10**400, "complete")
@example(("red_flags", "findings", 0, "severity"), "\x1b[2J", "complete")
def test_whatever_stands_in_a_history_is_refused_or_can_be_drawn(at: tuple[Any, ...], new: Any, state: State) -> None:
    try:
        turn = restored(changed(WHOLE, at, new), state)
    except FAULTS:
        return
    assert "\x1b" not in drawn(turn)


@given(st.dictionaries(st.sampled_from(sorted(WHOLE)), JSON), st.sampled_from(STATES))
@example({"model": "reference", "sources": [], "checks": []}, "complete")
@example({}, "complete")
def test_details_of_any_kind_are_refused_or_can_be_drawn(details: dict[str, Any], state: State) -> None:
    try:
        turn = restored(details, state)
    except FAULTS:
        return
    drawn(turn)


@given(st.sampled_from(["power_w", "scope", "temperatures_c", "throttling"]), JSON)
@example("temperatures_c", {"cpu": "hot", "gpu": 50})
@example("throttling", {"flags": 7})
@example("throttling", {"flags": {"now": 7}})
def test_whatever_a_device_says_can_be_shown(name: str, told: Any) -> None:
    before = Readings(model="m", power_w=1.0)
    status_text(before.with_device({name: told}), 80)
    status_text(before.with_device(told), 80)


def test_a_damaged_answer_of_a_history_is_said_to_be_so(tmp_path: Path) -> None:
    def fill(history: History) -> str:
        begun = history.start("brought in")
        history.add(begun.id, QUESTION)
        details = {"model": "reference", "sources": [], "checks": []}
        history.add(begun.id, Message("a", "q", "assistant", "Act.", AT, "complete", details))
        return begun.id

    async def scene(stage: Stage) -> None:
        keeper = stage.app.session.book.keeper
        name = await keeper.call(fill)
        await stage.app.session.open(await keeper.call(lambda history: history.conversation(name)))
        await stage.until(lambda: "this answer is damaged in the history" in stage.words)

    play(scene, tmp_path)


def usage(**ours: Any) -> dict[str, Any]:
    """The usage chunk, its own fields among them."""
    return {**last(), "usage": {**USAGE, **ours}}


@pytest.mark.parametrize(
    "script",
    [
        [first([{"n": 1, "id": "x"}]), piece("Act."), last()],
        [first(red_flags={**FLAGS, "findings": [{}]}), piece("Act."), last()],
        [first(notice={"a": 1}), piece("Act."), last()],
        [first(dropped_messages="many"), piece("Act."), last()],
        [first(), piece("", prompt={"done": 0, "total": 0}), piece("Act."), last()],
        [first(), piece("Act."), usage(total_tokens="many", bedside={**USAGE["bedside"], "decode_tokens_per_s": "fast"})],
        [first(), piece("Act."), usage(bedside={})],
    ],
)  # fmt: skip
def test_another_kind_of_server_is_named_and_the_question_comes_back(tmp_path: Path, script: Script) -> None:
    async def scene(stage: Stage) -> None:
        await stage.type("dvt?")
        await stage.pilot.press("enter")
        await stage.until(lambda: "no Bedside server; check the address" in stage.words, 5)
        assert stage.composer.text == "dvt?"
        await stage.pilot.press("enter")
        await stage.until(lambda: "Evidence:" in stage.words, 5)

    play(scene, tmp_path, script, ANSWER)
