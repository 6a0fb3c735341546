"""Generation: the same tokens as decoding by hand, and each way to end."""

import threading
from collections.abc import Iterator

import pytest

from models.runtime.batch import Batch
from models.runtime.context import Context
from models.runtime.errors import ContextFull, DecodeAborted
from models.runtime.generate import Generation, generate
from models.runtime.model import Model
from models.runtime.sampler import Sampler, SamplingOptions
from models.synthetic.gguf import write_gguf
from models.synthetic.shapes import Shape

PROMPT = list(range(30, 60))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Model]:
    with Model.load(write_gguf(tmp_path_factory.mktemp("generate") / "m.gguf", Shape(), seed=4)) as opened:
        yield opened


def greedy_by_hand(model: Model, prompt: list[int], count: int) -> list[int]:
    """Each token from a fresh pass over everything before it."""
    tokens = list(prompt)
    for _ in range(count):
        with Context(model, 256, threads=1) as context, Batch(len(tokens)) as batch:
            for position, token in enumerate(tokens):
                row = batch.add(token, position, [0], position == len(tokens) - 1)
            context.decode(batch)
            tokens.append(int(context.logits(row).argmax()))
    return tokens[len(prompt) :]


@pytest.mark.parametrize("n_batch", [7, 32, 512])
def test_chunks_of_any_size_give_the_greedy_continuation(model: Model, n_batch: int) -> None:
    with Context(model, 256, n_batch=n_batch, threads=1) as context, Sampler() as sampler:
        generation = generate(context, PROMPT, sampler, 8)
        assert list(generation) == greedy_by_hand(model, PROMPT, 8)
        assert generation.finish_reason == "length"
        assert context.seq_pos_max(0) == len(PROMPT) + 8 - 2  # the last token was not decoded


def test_a_held_prefix_is_continued_in_any_sequence(model: Model) -> None:
    with Context(model, 256, n_seq_max=2, threads=1) as context, Sampler() as sampler, Batch(20) as batch:
        for position, token in enumerate(PROMPT[:20]):
            batch.add(token, position, [1], False)
        context.decode(batch)
        assert list(generate(context, PROMPT[20:], sampler, 5, seq=1)) == greedy_by_hand(model, PROMPT, 5)


def test_the_first_token_needs_only_the_prompt(model: Model) -> None:
    with Context(model, 256, threads=1) as context, Sampler() as sampler:
        next(generate(context, PROMPT, sampler, 5))
        assert context.seq_pos_max(0) == len(PROMPT) - 1


def generation_that_stops(model: Model, context: Context) -> tuple[Generation, list[int]]:
    for seed in range(200):
        context.clear()
        with Sampler(SamplingOptions(temperature=5.0, top_k=0, top_p=1.0, min_p=0.0, seed=seed)) as sampler:
            generation = generate(context, PROMPT, sampler, 60)
            tokens = list(generation)
        if generation.finish_reason == "stop":
            return generation, tokens
    raise AssertionError("no seed met the end token")


def test_the_end_token_ends_and_is_not_yielded(model: Model) -> None:
    with Context(model, 256, threads=1) as context:
        generation, tokens = generation_that_stops(model, context)
        assert len(tokens) < 60
        assert not any(model.is_end(token) for token in tokens)
        with pytest.raises(StopIteration):
            next(generation)


def test_a_full_context_ends_the_text(model: Model) -> None:
    with Context(model, 256, threads=1) as context, Sampler() as sampler:
        generation = generate(context, PROMPT, sampler, 1000)
        tokens = list(generation)
        assert generation.finish_reason == "context"
        assert context.seq_pos_max(0) == context.n_ctx - 1
        assert len(PROMPT) + len(tokens) == context.n_ctx + 1


def test_room_taken_by_another_sequence_ends_the_text(model: Model) -> None:
    with Context(model, 256, n_seq_max=2, threads=1) as context, Sampler() as sampler, Batch(200) as batch:
        for position in range(200):
            batch.add(100, position, [1], False)
        context.decode(batch)
        generation = generate(context, PROMPT, sampler, 1000)
        assert len(list(generation)) == 256 - 200 - len(PROMPT) + 1
        assert generation.finish_reason == "context"


@pytest.mark.parametrize("prompt", [[], [50] * 257])
def test_prompts_that_do_not_fit_are_refused_at_once(model: Model, prompt: list[int]) -> None:
    with Context(model, 256, threads=1) as context, Sampler() as sampler:
        with pytest.raises(ContextFull, match="prompt"):
            generate(context, prompt, sampler, 5)
        assert context.seq_pos_max(0) == -1


def test_zero_tokens_decode_nothing(model: Model) -> None:
    with Context(model, 256, threads=1) as context, Sampler() as sampler:
        generation = generate(context, PROMPT, sampler, 0)
        assert list(generation) == []
        assert generation.finish_reason == "length"
        assert context.seq_pos_max(0) == -1


def test_abort_between_tokens_ends_the_text_and_frees_the_sequence(model: Model) -> None:
    with Context(model, 256, threads=1) as context, Sampler() as sampler:
        generation = generate(context, PROMPT, sampler, 100)
        first = next(generation)
        stopper = threading.Thread(target=context.abort)
        stopper.start()
        stopper.join()
        with pytest.raises(DecodeAborted):
            next(generation)
        assert generation.finish_reason == "aborted"
        assert list(generation) == []
        context.seq_rm(0)
        sampler.reset()
        assert list(generate(context, PROMPT, sampler, 1)) == [first]
