"""The sampler chain: greedy, seeded, filtered, penalised; against the softmax of the logits it saw."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import psutil
import pytest

from models.errors import RuntimeFailure
from models.runtime.batch import Batch
from models.runtime.context import Context
from models.runtime.errors import SamplingError
from models.runtime.model import Model
from models.runtime.sampler import Sampler, SamplingOptions
from models.synthetic.gguf import write_gguf
from models.synthetic.shapes import Shape

UNFILTERED = SamplingOptions(top_k=0, top_p=1.0, min_p=0.0)


@pytest.fixture(scope="module")
def decoded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Context]:
    """A context whose last batch has logits in row 1 only."""
    path = write_gguf(tmp_path_factory.mktemp("sampler") / "m.gguf", Shape(), seed=3)
    with Model.load(path) as model, Context(model, 64, threads=1) as context, Batch(2) as batch:
        batch.add(40, 0, [0], False)
        batch.add(41, 1, [0], True)
        context.decode(batch)
        yield context


def draw(context: Context, options: SamplingOptions, count: int) -> list[int]:
    with Sampler(options) as sampler:
        return [sampler.sample(context, 1) for _ in range(count)]


def test_temperature_zero_takes_the_likeliest(decoded: Context) -> None:
    assert draw(decoded, SamplingOptions(), 3) == [int(decoded.logits(1).argmax())] * 3
    assert draw(decoded, SamplingOptions(temperature=2.0, top_k=1), 3) == [int(decoded.logits(1).argmax())] * 3


def test_the_seed_decides(decoded: Context) -> None:
    hot = replace(UNFILTERED, temperature=1.5)
    assert draw(decoded, replace(hot, seed=5), 30) == draw(decoded, replace(hot, seed=5), 30)
    assert draw(decoded, replace(hot, seed=5), 30) != draw(decoded, replace(hot, seed=6), 30)
    assert draw(decoded, hot, 30) != draw(decoded, hot, 30)


def test_reset_starts_the_random_numbers_again(decoded: Context) -> None:
    with Sampler(SamplingOptions(temperature=1.0, seed=9)) as sampler:
        first = [sampler.sample(decoded, 1) for _ in range(20)]
        sampler.reset()
        assert [sampler.sample(decoded, 1) for _ in range(20)] == first


def test_frequencies_follow_the_softmax_at_that_temperature(decoded: Context) -> None:
    count, temperature = 4000, 0.7
    scaled = decoded.logits(1).astype(np.float64) / temperature
    expected = np.exp(scaled - scaled.max())
    expected /= expected.sum()
    drawn = draw(decoded, replace(UNFILTERED, temperature=temperature, seed=1), count)
    seen = np.bincount(drawn, minlength=len(expected)) / count
    bound = 5 * np.sqrt(expected * (1 - expected) / count) + 2 / count
    assert (np.abs(seen - expected) <= bound).all()


@pytest.mark.parametrize("name", ["top_k", "top_p", "min_p"])
def test_filters_keep_the_set_that_their_definition_names(decoded: Context, name: str) -> None:
    logits = decoded.logits(1).astype(np.float64)
    probabilities = np.exp(logits - logits.max())
    probabilities /= probabilities.sum()
    order = np.argsort(-probabilities)
    kept = {
        "top_k": 7,
        "top_p": int(np.searchsorted(np.cumsum(probabilities[order]), 0.3)) + 1,
        "min_p": int((probabilities >= 0.5 * probabilities.max()).sum()),
    }[name]
    value = {"top_k": 7, "top_p": 0.3, "min_p": 0.5}[name]
    options = replace(UNFILTERED, temperature=1.0, seed=2, **{name: value})  # type: ignore[arg-type]
    assert set(draw(decoded, options, 2000)) == set(order[:kept].tolist())


@pytest.mark.parametrize("name", ["repeat_penalty", "presence_penalty", "frequency_penalty"])
def test_penalties_turn_greedy_away_from_what_was_said(decoded: Context, name: str) -> None:
    first, second = draw(decoded, replace(SamplingOptions(), **{name: 50.0}), 2)  # type: ignore[arg-type]
    order = np.argsort(-decoded.logits(1))
    assert [first, second] == order[:2].tolist()


@pytest.mark.parametrize(
    ("name", "value"),
    [("temperature", -0.1), ("temperature", float("nan")), ("top_p", 1.1), ("top_k", -1), ("seed", 2**32 - 1)],
)
def test_values_out_of_range_are_named(name: str, value: float) -> None:
    with pytest.raises(SamplingError, match=f"{name} is .*must lie between"):
        SamplingOptions(**{name: value})  # type: ignore[arg-type]


def test_a_bias_moves_the_choice_by_what_it_adds(decoded: Context) -> None:
    logits = decoded.logits(1)
    second, first = np.argsort(logits)[-2:].tolist()
    gap = float(logits[first] - logits[second])
    for bias, chosen in ((gap + 0.01, second), (gap - 0.01, first)):
        assert draw(decoded, SamplingOptions(logit_bias=((second, bias),)), 1) == [chosen]
    banned = SamplingOptions(logit_bias=((first, -100.0),))
    assert draw(decoded, banned, 1) == [second]


def test_biases_have_limits() -> None:
    with pytest.raises(SamplingError, match="logit_bias names 301 tokens; give 300 at most"):
        SamplingOptions(logit_bias=tuple((token, 1.0) for token in range(301)))
    for value in (100.5, float("nan")):
        with pytest.raises(SamplingError, match=rf"logit_bias of token 7 is {value}; it must lie between -100 and 100"):
            SamplingOptions(logit_bias=((7, value),))


def test_a_row_without_logits_is_an_error_not_a_crash(decoded: Context) -> None:
    with Sampler() as sampler, pytest.raises(RuntimeFailure, match="no logits for row 0"):
        sampler.sample(decoded, 0)


def test_chains_give_their_memory_back(decoded: Context) -> None:
    options = SamplingOptions(temperature=1.0, presence_penalty=1.0)

    def cycle(times: int) -> int:
        for _ in range(times):
            draw(decoded, options, 1)
        return int(psutil.Process().memory_info().rss)

    before = cycle(50)
    assert cycle(2000) - before < 4 * 2**20
