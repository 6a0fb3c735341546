"""A conversation beyond the context: refused unless the client lets its oldest turns go, which it is then told."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from assistant.server.overflow import drop_oldest
from assistant.server.wire import Message
from tests.assistant.server.conftest import Served

CHAT = "/v1/chat/completions"
ROLES = st.lists(st.sampled_from(["system", "user", "assistant"]), min_size=1, max_size=12)


def weight(messages: Any) -> int:
    return sum(int(str(message.content)) for message in messages)


@given(ROLES, st.lists(st.integers(1, 9), min_size=12, max_size=12), st.integers(0, 60))
def test_the_most_that_fits_from_a_users_turn_on(roles: list[str], weights: list[int], limit: int) -> None:
    messages = [
        Message.model_validate({"role": role, "content": str(each)}) for role, each in zip(roles, weights, strict=False)
    ]
    systems = [message for message in messages if message.role == "system"]
    starts = [
        place
        for place, message in enumerate(messages)
        if message.role == "user" and (place == 0 or messages[place - 1].role != "user")
    ]
    rests = [[each for each in messages[start:] if each.role != "system"] for start in starts]
    fitting = [rest for rest in rests if weight(systems) + weight(rest) <= limit]  # the longest is the first
    found = list(drop_oldest(messages, lambda some: weight(some) <= limit))
    assert [message for message in found if message.role == "system"] == systems
    if weight(messages) <= limit or not fitting:
        assert found == messages
    else:
        assert [message for message in found if message.role != "system"] == fitting[0]


def conversation(exchanges: int) -> list[dict[str, str]]:
    turns = [
        [
            {"role": "user", "content": f"Question {number} about croup and fever in a small child?"},
            {"role": "assistant", "content": "It is an infection of the upper airway that makes a child cough. " * 4},
        ]
        for number in range(exchanges)
    ]
    return [{"role": "system", "content": "Be brief."}, *(turn for pair in turns for turn in pair)]


def test_it_is_refused_or_shortened_as_asked(served: Served) -> None:
    body: dict[str, Any] = {
        "messages": [*conversation(60), {"role": "user", "content": "How is croup treated?"}],
        "max_tokens": 8,
    }
    with served.local() as client:
        room = client.get("/tokenizer_info").json()["model_max_length"]
        refused = client.post(CHAT, json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "context_length_exceeded")
        for knowledge in ("off", "on"):
            bedside = {"overflow": "drop_oldest", "knowledge": knowledge}
            found = client.post(CHAT, json={**body, "bedside": bedside}).json()
            assert found["bedside"]["dropped_messages"] > 0
            assert found["bedside"]["dropped_messages"] % 2 == 0
            assert found["usage"]["prompt_tokens"] + 8 <= room
            assert found["usage"]["prompt_tokens"] > room * 0.6
        short = client.post(CHAT, json={**body, "messages": body["messages"][-3:], "bedside": bedside}).json()
        assert short["bedside"]["dropped_messages"] == 0
        # A last question that leaves less than a quarter of the context: the older turns go, and the answer is short.
        words = room * 3 // 5
        while client.post("/tokenize", json={"prompt": "fever " * words}).json()["count"] < room * 0.85:
            words += 20
        long = [*conversation(30), {"role": "user", "content": "fever " * words}]
        found = client.post(CHAT, json={"messages": long, "bedside": {"overflow": "drop_oldest"}}).json()
        assert found["bedside"]["dropped_messages"] > 0
        assert room * 0.85 < found["usage"]["prompt_tokens"] < room
        alone = {"messages": [{"role": "user", "content": "fever " * 9000}], "bedside": {"overflow": "drop_oldest"}}
        assert client.post(CHAT, json=alone).json()["error"]["code"] == "context_length_exceeded"
