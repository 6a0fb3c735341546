"""What usage and metrics count: all prompts of a request, and of a prompt's time also that of one that is only scored."""

from typing import Any

import pytest

from tests.assistant.server.conftest import Served

LONG = "Croup is an infection of the upper airway. " * 12


def ask(served: Served, **body: Any) -> Any:
    with served.local() as client:
        found = client.post("/v1/completions", json=body)
    assert found.status_code == 200, found.text
    return found.json()["usage"]


def counted(served: Served) -> dict[str, float]:
    with served.local() as client:
        lines = client.get("/metrics").text.splitlines()
    pairs = [line.split() for line in lines if line.startswith("bedside_") and "{" not in line]
    return {name.removeprefix("bedside_"): float(value) for name, value in pairs}


def test_cached_tokens_of_several_prompts_are_all_counted(served: Served) -> None:
    prompts = [f"{number} {LONG}" for number in range(3)]
    alone = [ask(served, prompt=prompt, max_tokens=1) for prompt in prompts]
    again = ask(served, prompt=prompts, max_tokens=1)
    assert again["prompt_tokens"] == sum(each["prompt_tokens"] for each in alone)
    cached = again["bedside"]["cached_tokens"]
    assert again["prompt_tokens_details"]["cached_tokens"] == cached
    assert max(each["prompt_tokens"] for each in alone) < cached <= again["prompt_tokens"] - len(prompts)
    assert again["bedside"]["prompt_tokens_per_s"] > 0


@pytest.mark.parametrize("n", [1, 3])
def test_a_prompt_counts_once_for_all_its_answers(served: Served, n: int) -> None:
    found = ask(served, prompt=LONG, max_tokens=2, n=n, temperature=1.0, seed=1)
    assert found["prompt_tokens"] == ask(served, prompt=LONG, max_tokens=1)["prompt_tokens"]
    assert found["total_tokens"] == found["prompt_tokens"] + found["completion_tokens"]


def test_a_scored_prompt_has_its_time_and_cached_tokens_are_not_read(served: Served) -> None:
    before = counted(served)
    used = ask(served, prompt=f"Scored {LONG}", max_tokens=0, echo=True, logprobs=1)
    scored = counted(served)
    assert scored["read_tokens_total"] - before["read_tokens_total"] == used["prompt_tokens"]
    assert scored["prompt_seconds_total"] > before["prompt_seconds_total"]
    assert used["bedside"]["prompt_tokens_per_s"] > 0
    assert used["bedside"]["time_to_first_token_s"] is None
    used = ask(served, prompt=f"Scored {LONG}", max_tokens=1)
    after = counted(served)
    read = used["prompt_tokens"] - used["bedside"]["cached_tokens"]
    assert used["bedside"]["cached_tokens"] > 0
    assert after["read_tokens_total"] - scored["read_tokens_total"] == read
    assert after["prompt_tokens_total"] - scored["prompt_tokens_total"] == used["prompt_tokens"]


def test_steps_are_counters(served: Served) -> None:
    with served.local() as client:
        lines = client.get("/metrics").text.splitlines()
    assert "# TYPE bedside_steps_total counter" in lines
    assert "# TYPE bedside_aborted_steps_total counter" in lines
