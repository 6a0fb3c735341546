"""Real answers of a tiny model: their counts, their clock, their questions; and what is refused before loading."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from device.bench.engine import LlamaEngine, context_tokens, open_engine, require_text
from device.bench.questions import QUESTIONS
from device.bench.settings import Settings
from device.errors import BenchError
from models.gguf_header import read_header
from models.resolve import resolve_gguf

pytestmark = pytest.mark.usefixtures("one_core")


@pytest.fixture
def engine(tiny_model: Path) -> Iterator[LlamaEngine]:
    with open_engine(tiny_model, Settings(prompt_tokens=16, threads=1), 256) as opened:
        yield opened


def test_a_fixed_answer_has_the_tokens_asked_for(engine: LlamaEngine) -> None:
    task = engine.fixed(24)
    assert task == engine.fixed(24)
    answer = engine.answer(task)
    assert (len(task.prompt), answer.tokens, answer.finish, engine.threads) == (16, 24, "length", 1)
    assert answer.times.start_s < answer.times.first_token_s < answer.times.end_s
    assert answer.answer_s == pytest.approx(answer.times.prompt_s + answer.times.decode_s)
    assert answer.decode_tokens_per_s == pytest.approx(23 / answer.times.decode_s)
    assert engine.answer(engine.fixed(1)).decode_tokens_per_s is None


def test_the_longest_fixed_answer_fits(engine: LlamaEngine) -> None:
    assert engine.room == 240
    assert engine.answer(engine.fixed(engine.room)).tokens == 240


def test_questions_are_put_by_the_models_own_template() -> None:
    with open_engine(resolve_gguf("reference"), Settings(natural=True, threads=1), 1024) as engine:
        tasks = engine.questions()
        assert [task.question for task in tasks] == list(QUESTIONS)
        answer = engine.answer(replace(tasks[1], tokens=12))
        again = engine.answer(replace(tasks[1], tokens=12))
    assert 1 <= answer.tokens <= 12
    assert (answer.tokens, answer.finish) == (again.tokens, again.finish)
    assert answer.times.start_s < answer.times.first_token_s <= answer.times.end_s


def test_random_weights_cannot_be_asked(tiny_model: Path) -> None:
    with pytest.raises(BenchError, match="random weights: its answers never end; leave out --natural"):
        require_text(read_header(tiny_model))


def test_a_file_without_a_template_cannot_be_asked(tiny_model: Path) -> None:
    header = read_header(tiny_model)
    metadata = {**header.metadata, "general.name": "A model"}
    del metadata["tokenizer.chat_template"]
    with pytest.raises(BenchError, match="no chat template to ask questions with; leave out --natural"):
        require_text(replace(header, metadata=metadata))
    require_text(read_header(resolve_gguf("reference")))


@pytest.mark.parametrize(
    ("settings", "tokens"),
    [
        (Settings(), 512),  # all that the tiny model was made for
        (Settings(prompt_tokens=100, tokens=50), 150),
        (Settings(context=300), 300),
        (Settings(natural=True), 512),
        (Settings(natural=True, context=400), 400),
    ],
)
def test_the_context_holds_what_is_asked_for(tiny_model: Path, settings: Settings, tokens: int) -> None:
    assert context_tokens(settings, read_header(tiny_model)) == tokens


def test_what_does_not_fit_the_context_is_refused(tiny_model: Path) -> None:
    header = read_header(tiny_model)
    for settings in (Settings(prompt_tokens=512), Settings(tokens=400), Settings(prompt_tokens=300, context=256)):
        with pytest.raises(BenchError, match="do not fit a context of"):
            context_tokens(settings, header)
