"""What the server's benchmark counts and how it compares."""

import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from benchmarks.serve.client import BrokenAnswerError, complete, together
from benchmarks.serve.drafting import Forced
from benchmarks.serve.files import Prompts, model_file
from benchmarks.serve.findings import Finding
from benchmarks.serve.pairs import alternate
from benchmarks.serve.servers import Server, bedside
from models.runtime.model import Model


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with bedside(model_file("reference")) as running:
        yield running


def test_prompts_have_the_tokens_they_say_and_answers_theirs(server: Server) -> None:
    prompts = Prompts(model_file("reference"))
    with Model.load(model_file("reference"), vocab_only=True) as model:
        text = prompts.text(100)
        assert len(model.tokenize(text, add_bos=True, parse_special=False)) == 100
    answers = together(server.url, [prompts.ours(prompts.body(100, 24)) for _ in range(3)])
    for answer in answers:
        assert (answer.usage["prompt_tokens"], answer.completion_tokens) == (100, 24)
        assert answer.sent_at < answer.arrived_at[0] <= answer.arrived_at[-1] <= answer.ended_at
        assert answer.usage["bedside"]["drafted_tokens"] == 0


def test_an_answer_that_is_cut_is_no_measurement(server: Server) -> None:
    with pytest.raises(BrokenAnswerError, match="400"):
        complete(server.url, {"prompt": "1", "max_tokens": 4, "temperature": 7})
    with pytest.raises(BrokenAnswerError, match="of 4000"):
        complete(server.url, {"prompt": "1", "max_tokens": 4000})


def test_pairs_take_turns_and_noise_is_discarded() -> None:
    order: list[str] = []

    def measure(name: str, value: float) -> list[float]:
        order.append(name)
        time.sleep(0.02)
        return [value]

    found = alternate(lambda: measure("a", 3.0), lambda: measure("b", 2.0), 4, most_elsewhere=100)
    assert (found.ratio(0), found.medians(0), len(found.ours)) == (1.5, (3.0, 2.0), 4)
    assert order[:4] == ["a", "b", "b", "a"]


def waited(seconds: float) -> list[float]:
    time.sleep(seconds)
    return [seconds]


def test_a_neighbour_makes_it_give_up() -> None:
    """It is no child of the benchmark: only such a process is held to be somebody else's."""
    code = (
        "import subprocess, sys; spin = [sys.executable, '-c', 'while True: pass'];"
        "print(subprocess.Popen(spin, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).pid)"
    )
    # Its parent has ended, so that it belongs to nobody here.
    spinning = int(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60).stdout)
    try:
        with pytest.raises(SystemExit, match="disturbed by other processes"):
            alternate(lambda: waited(0.2), lambda: waited(0.2), 1)
    finally:
        subprocess.run(["kill", str(spinning)], check=True)


def test_a_forced_answer_leaves_one_token() -> None:
    import numpy as np

    forced, logits = Forced([3, 1]), np.zeros(5, np.float32)
    for token in (3, 1):
        forced.mask(logits)
        assert [place for place, value in enumerate(logits) if value == 0] == [token]
        forced.accept(token)


def test_the_verdict_is_the_ratios() -> None:
    assert [Finding("", "", "", *pair).verdict for pair in ((1.0, 1.0), (0.99, 1.0), (1.0, None))] == [
        "reached",
        "missed",
        "",
    ]
