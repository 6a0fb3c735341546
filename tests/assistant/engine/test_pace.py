"""What the engine goes by: packing, neighbours, pace."""

import random
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.engine.neighbours import NeighbourMeter, threads_beside
from assistant.engine.pace import Pace
from assistant.engine.packing import fit_passages
from assistant.engine.rows import RowCosts
from models.sentences import split_sentences


@dataclass(frozen=True)
class Passage:
    text: str


def count_words(passages: Sequence[Passage]) -> int:
    return sum(len(passage.text.split()) for passage in passages)


def passages_of(sizes: list[list[int]]) -> list[Passage]:
    """A passage for each list, of sentences with so many words each, all different."""
    return [
        Passage(" ".join(f"P{place}s{number}" + " more" * (size - 1) + "." for number, size in enumerate(passage)))
        for place, passage in enumerate(sizes)
    ]


PASSAGES = st.lists(st.lists(st.integers(1, 12), min_size=1, max_size=5), min_size=1, max_size=5).map(passages_of)


@given(PASSAGES, st.integers(0, 60), st.integers(0, 60))
def test_packed_passages_fit_and_are_whole_sentences_in_order(passages: list[Passage], most: int, soon: int) -> None:
    packed = fit_passages(passages, count_words, most, soon)
    assert count_words(packed) <= most or not packed
    assert count_words(packed) <= soon or len(packed) <= 1
    kept = iter(passages)
    for place, passage in enumerate(packed):
        source = next(candidate for candidate in kept if candidate.text.startswith(passage.text))
        whole = [sentence.text for sentence in split_sentences(source.text)]
        cut = [sentence.text for sentence in split_sentences(passage.text)]
        assert cut == whole[: len(cut)]
        assert cut == whole or place == 0  # only the best one is ever cut


@given(PASSAGES, st.integers(0, 60), st.integers(0, 60))
def test_the_best_passage_is_dropped_only_where_its_first_sentence_does_not_fit(
    passages: list[Passage], budget: int, soon: int
) -> None:
    packed = fit_passages(passages, count_words, budget, soon)
    first = split_sentences(passages[0].text)[0].text
    if len(first.split()) <= budget:
        assert packed[0].text.startswith(first)


def test_passages_behind_the_best_one_come_along_where_they_are_read_soon() -> None:
    passages = passages_of([[9], [6], [4], [2]])
    assert fit_passages(passages, count_words, 100, 0) == passages[:1]
    assert fit_passages(passages, count_words, 100, 13) == [passages[0], passages[2]]
    assert fit_passages(passages, count_words, 100, 21) == passages
    assert fit_passages(passages, count_words, 14, 100) == [passages[0], passages[2]]
    assert fit_passages(passages, count_words, 9, 100) == passages[:1]


def test_what_a_prompt_takes_is_told_by_the_largest_size() -> None:
    assert RowCosts({1: 0.1, 4: 0.2, 64: 1.6}).prompt_tokens(10.0) == 400
    assert RowCosts({1: 0.1}).prompt_tokens(0.05) == 0


@pytest.mark.parametrize(
    ("busy", "cores", "threads"), [(0.0, 2, 2), (0.3, 2, 2), (0.9, 2, 1), (2.0, 2, 1), (1.1, 4, 3)]
)
def test_threads_are_left_to_busy_neighbours(busy: float, cores: int, threads: int) -> None:
    assert threads_beside(busy, cores) == threads


def test_the_meter_sees_others_but_not_this_process() -> None:
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as spinning:
        try:
            beside = NeighbourMeter()
            time.sleep(0.5)
            busy = beside.busy_cores()
        finally:
            spinning.kill()
    assert busy > 0.4
    started, meter = time.monotonic(), NeighbourMeter()
    end = time.process_time() + 0.3
    while time.process_time() < end:
        pass
    own_cores = 0.3 / (time.monotonic() - started)
    assert meter.busy_cores() < (psutil.cpu_count() or 1) - 0.5 * own_cores


QUIET, BUSY = {2: 18.0, 1: 29.0}, {2: 1600.0, 1: 29.0}  # milliseconds a token took with so many threads


@pytest.mark.parametrize(
    ("first", "then", "most_ms"),
    [(QUIET, QUIET, 19.0), (BUSY, BUSY, 60.0), (QUIET, BUSY, 36.0), (BUSY, QUIET, 60.0)],
)
def test_pace_loses_little_whatever_the_neighbours_do(
    first: dict[int, float], then: dict[int, float], most_ms: float
) -> None:
    pace, times_ms = Pace(2), []
    for token in range(400):
        times_ms.append((first if token < 150 else then)[pace.threads])
        pace.observe(times_ms[-1])
    assert sum(times_ms) / len(times_ms) < most_ms


def test_threads_that_were_left_to_a_neighbour_are_taken_back() -> None:
    """He was busy while the model was loaded, and is gone."""
    pace, quiet = Pace(4, threads=2), {1: 60.0, 2: 32.0, 3: 23.0, 4: 18.0}
    for _ in range(1500):
        pace.observe(quiet[pace.threads])
    assert pace.threads in (3, 4)
    times_ms = []
    for _ in range(3000):
        times_ms.append(quiet[pace.threads])
        pace.observe(times_ms[-1])
    assert sum(times_ms) / len(times_ms) < 18.5


def test_a_neighbour_who_goes_after_hours_is_noticed() -> None:
    pace, times_ms = Pace(2), []
    for _ in range(20000):
        pace.observe(QUIET[pace.threads])
    for _ in range(3000):
        times_ms.append(BUSY[pace.threads])
        pace.observe(times_ms[-1])
    assert sum(times_ms) / len(times_ms) < 32
    times_ms = []
    for _ in range(3000):
        times_ms.append(QUIET[pace.threads])
        pace.observe(times_ms[-1])
    assert sum(times_ms) / len(times_ms) < 23


def test_a_late_token_now_and_then_does_not_cost_a_thread() -> None:
    rng, pace, times_ms = random.Random(1), Pace(2), []
    for _ in range(6000):
        late = rng.choice((1.0, 1.7, 2.5)) if rng.random() < 0.1 else rng.uniform(1.0, 1.1)
        times_ms.append(QUIET[pace.threads] * late)
        pace.observe(times_ms[-1])
    unchanged_ms = QUIET[2] * (0.9 * 1.05 + 0.1 * (1.0 + 1.7 + 2.5) / 3)
    assert sum(times_ms) / len(times_ms) < 1.04 * unchanged_ms


def test_a_trial_is_for_tokens_only() -> None:
    pace = Pace(2)
    while pace.threads == 2:
        assert pace.settled == 2
        pace.observe(18.0)
    assert (pace.threads, pace.settled) == (1, 2)


def test_one_thread_stays_one_thread() -> None:
    pace = Pace(1)
    assert not any(pace.observe(elapsed_s) for elapsed_s in (0.1, 5.0, 0.1, 0.1, 0.1, 0.1))
    assert pace.threads == 1
