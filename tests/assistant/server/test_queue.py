"""Who waits is told how many are before him."""

import json

from tests.assistant.server.conftest import Served


def test_a_client_that_asks_for_progress_sees_its_place_in_the_queue(served: Served) -> None:
    body = {
        "messages": [{"role": "user", "content": "Count."}],
        "n": 8,  # twice as many as are worked on at once
        "max_tokens": 64,
        "stream": True,
        "stream_options": {"include_progress": True},
    }
    with served.local() as client, client.stream("POST", "/v1/chat/completions", json=body) as response:
        frames = [json.loads(line[6:]) for line in response.iter_lines() if line.startswith("data: {")]
    places: dict[int, list[int]] = {}
    for frame in frames:
        if "queue" in frame.get("bedside", {}):
            (choice,) = frame["choices"]
            assert (choice["delta"], choice["finish_reason"]) == ({}, None)
            places.setdefault(choice["index"], []).append(frame["bedside"]["queue"]["before"])
    assert sorted(places) == list(range(8))
    assert all(before == sorted(before, reverse=True) for before in places.values())
    assert places[7][0] > 0
