"""What is kept on disk of a prompt makes the next start warm, holds nothing but that prompt, and is never believed blindly."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from assistant.engine import kept as kept_module
from assistant.engine.kept import KeptPrompts
from assistant.engine.request import Reading, Request
from assistant.engine.scheduler import Scheduler
from assistant.engine.states import StateCache
from models.runtime.model import Model
from tests.assistant.engine.conftest import COSTS, TEXT, Asked, alone, open_context, prompt_of

QUESTION = " And a patient named Zebulon?"


@contextmanager
def started(model: Model, folder: Path, beginning: tuple[int, ...], key: str = "k") -> Iterator[Scheduler]:
    """An engine that has just been started."""
    states = StateCache(2**24)
    kept = KeptPrompts(folder, key, [beginning], states)
    with open_context(model, 3) as context:
        scheduler = Scheduler(context, COSTS, states=states, queue_limit=8, kept=kept)
        try:
            yield scheduler
        finally:
            scheduler.close()


def ask(scheduler: Scheduler, prompt: tuple[int, ...]) -> tuple[int, list[int]]:
    """Cached tokens and the answer."""
    asked = Asked(scheduler, Request(prompt, 12, drafting=False))
    first = asked.until(lambda event: isinstance(event, Reading))
    asked.end()
    assert isinstance(first, Reading)
    return first.cached, asked.tokens


@pytest.fixture
def beginning(model: Model) -> tuple[int, ...]:
    return prompt_of(model, TEXT)


@pytest.fixture
def prompt(model: Model, beginning: tuple[int, ...]) -> tuple[int, ...]:
    return (*beginning, *model.tokenize(QUESTION, add_bos=False, parse_special=False))


def test_the_next_start_is_warm_and_answers_alike(
    model: Model, tmp_path: Path, beginning: tuple[int, ...], prompt: tuple[int, ...]
) -> None:
    folder = tmp_path / "states"
    with started(model, folder, beginning) as scheduler:
        assert ask(scheduler, prompt)[0] == 0
    (path,) = folder.iterdir()
    assert (folder.stat().st_mode & 0o777, path.stat().st_mode & 0o777) == (0o700, 0o600)
    with started(model, folder, beginning) as scheduler:
        cached, answer = ask(scheduler, prompt)
        other = ask(scheduler, (*beginning, *prompt[:5]))
    assert cached == len(beginning)
    assert answer == alone(model, Request(prompt, 12))
    assert other[0] == len(beginning)
    assert [path] == list(folder.iterdir())


def test_nothing_behind_the_beginning_is_written(
    model: Model, tmp_path: Path, beginning: tuple[int, ...], prompt: tuple[int, ...]
) -> None:
    for name, asked in (("short", beginning), ("long", prompt)):
        with started(model, tmp_path / name, beginning) as scheduler:
            ask(scheduler, (*asked, 9))
    (short,), (long,) = (list((tmp_path / name).iterdir()) for name in ("short", "long"))
    assert short.name == long.name
    assert short.stat().st_size == long.stat().st_size


@pytest.mark.parametrize("harm", ["flip", "cut", "empty"])
def test_a_damaged_file_is_read_as_none(
    model: Model, tmp_path: Path, beginning: tuple[int, ...], prompt: tuple[int, ...], harm: str
) -> None:
    with started(model, tmp_path, beginning) as scheduler:
        _, answer = ask(scheduler, prompt)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    path.write_bytes({"flip": whole[:-9] + bytes([whole[-9] ^ 1]) + whole[-8:], "cut": whole[:-1], "empty": b""}[harm])
    with started(model, tmp_path, beginning) as scheduler:
        assert ask(scheduler, prompt) == (0, answer)
    assert path.read_bytes() == whole  # written again


def test_another_model_context_or_library_starts_cold(
    model: Model, tmp_path: Path, beginning: tuple[int, ...], prompt: tuple[int, ...]
) -> None:
    with started(model, tmp_path, beginning) as scheduler:
        ask(scheduler, prompt)
    with started(model, tmp_path, beginning, key="another") as scheduler:
        assert ask(scheduler, prompt)[0] == 0


def test_a_folder_that_cannot_be_written_costs_only_warmth(
    model: Model,
    tmp_path: Path,
    beginning: tuple[int, ...],
    prompt: tuple[int, ...],
    caplog: pytest.LogCaptureFixture,
) -> None:
    (tmp_path / "file").write_text("")
    with started(model, tmp_path / "file" / "states", beginning) as scheduler:
        ask(scheduler, prompt)
        assert ask(scheduler, prompt)[0] == len(prompt) - 1
    assert len(caplog.messages) == 1


def test_states_that_cannot_be_kept_are_told_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(kept_module, "free_space", lambda _: 0)
    prompts = [tuple(range(number, number + 40)) for number in range(2)]
    kept = KeptPrompts(tmp_path, "k", prompts, StateCache(1000))
    for prompt in prompts:
        kept.keep(prompt, np.zeros(80, np.uint8))
    kept.close()
    (told,) = caplog.messages
    assert told.startswith("system messages are read again after a restart: their states cannot be kept (")
    assert "\n" not in told
    assert not list(tmp_path.iterdir())


def test_one_that_is_too_large_is_told_and_not_written(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    prompt = tuple(range(40))
    kept = KeptPrompts(tmp_path, "k", [prompt], StateCache(2**20))
    kept.keep(prompt, np.zeros(2**20 + 1, np.uint8))
    kept.close()
    assert not list(tmp_path.iterdir())
    assert caplog.messages == [
        "a system message of 40 tokens takes 1.0 MiB of memory and is not kept; give more --cache-mib"
    ]


def test_what_a_killed_writer_left_goes_and_what_another_writes_stays(tmp_path: Path) -> None:
    left, fresh = tmp_path / ".a.state.1.partial", tmp_path / ".b.state.2.partial"
    for path in (left, fresh):
        path.write_bytes(b"0")
    os.utime(left, (0, 0))
    prompt = tuple(range(40))
    kept = KeptPrompts(tmp_path, "k", [prompt], StateCache(1000))
    kept.keep(prompt, np.zeros(80, np.uint8))
    kept.close()
    assert {path.suffix for path in tmp_path.iterdir()} == {".partial", ".state"}
    assert (left.exists(), fresh.exists()) == (False, True)


def test_files_unused_longest_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_module, "MOST_BYTES", 250)
    prompts = [tuple(range(number, number + 40)) for number in range(3)]
    for prompt in prompts:
        kept = KeptPrompts(tmp_path, "k", [prompt], StateCache(1000))
        for each in kept.beginnings(prompt):
            kept.keep(each, np.zeros(80, np.uint8))
        kept.close()
    cold = [bool(KeptPrompts(tmp_path, "k", [prompt], StateCache(1000)).beginnings(prompt)) for prompt in prompts]
    assert cold == [True, False, False]
