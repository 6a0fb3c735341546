"""Scores of a file and of a checkpoint against each other and against the plainest computation."""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, LlamaForCausalLM

from compressor.checkpoint import Checkpoint, Overlay
from compressor.examples.scores import first_mark
from compressor.export_gguf import export_gguf
from compressor.export_hf import export_hf
from compressor.families import find_family
from compressor.grounded import grounded_examples
from compressor.prune import replaced_tensors, write_pruned
from compressor.report.accuracy import CITATION_COLUMNS, citation_cells
from compressor.tasks.agreement import compare_scores
from compressor.tasks.answers import likeliest
from compressor.tasks.benchmarks import read_task
from compressor.tasks.checkpoint import CheckpointModel
from compressor.tasks.generation import citation_count, citation_scores, grounded_answers
from compressor.tasks.gguf import GgufModel
from compressor.tasks.items import Completion, Question, Task
from compressor.tasks.likelihood import Continuation, continuations, shared_tokens
from models.resolve import resolve_checkpoint
from models.starter import split_notes
from tests.compressor.tasks.questions import write_benchmarks
from tests.compressor.test_export_gguf import gguf_model

pytestmark = pytest.mark.usefixtures("one_core")

CHOICES = ["yes", "no", "maybe the answer is longer than that", "maybe the answer is"]
NATS = 1e-3


@pytest.fixture(scope="module")
def tiny_file(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "tiny-f32.gguf"
    export_gguf(gguf_model(tiny_folder), path, "f32")
    return path


@pytest.fixture(scope="module")
def file_model(tiny_file: Path, one_core: None) -> Iterator[GgufModel]:
    with GgufModel(tiny_file, kv_type="f32", flash_attention=False, threads=1) as model:
        yield model


def plain_loglikelihoods(folder: Path, prompt: str, choices: Sequence[str]) -> list[float]:
    """One forward pass a choice through transformers, no padding, no sharing."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = LlamaForCausalLM.from_pretrained(folder).eval()
    begin = len(tokenizer(prompt, add_special_tokens=False).input_ids) + 1
    totals = []
    for choice in choices:
        ids = torch.tensor([[0, *tokenizer(f"{prompt} {choice}", add_special_tokens=False).input_ids]])
        with torch.inference_mode():
            log_p = torch.log_softmax(model(ids).logits[0].double(), -1)
        totals.append(sum(float(log_p[p - 1, ids[0, p]]) for p in range(begin, ids.shape[1])))
    return totals


def test_file_and_checkpoint_give_the_plain_loglikelihoods(tiny_folder: Path, file_model: GgufModel) -> None:
    prompt = "Question: Is fever a sign of infection?\nAnswer:"
    expected = plain_loglikelihoods(tiny_folder, prompt, CHOICES)
    assert file_model.loglikelihoods([(prompt, CHOICES)])[0] == pytest.approx(expected, abs=NATS)
    assert CheckpointModel(tiny_folder).loglikelihoods([(prompt, CHOICES)])[0] == pytest.approx(expected, abs=NATS)


@pytest.mark.parametrize("biased", [False, True])
def test_an_exported_checkpoint_with_a_width_per_layer_is_measured(
    tiny_folder: Path, tmp_path: Path, biased: bool
) -> None:
    """Against the dense model in plain transformers with the removed neurons' columns of down set to zero."""
    checkpoint = Checkpoint(tiny_folder)
    family = find_family(checkpoint.config)
    kept = [torch.arange(0, 128, 2), torch.arange(96)]
    means = [torch.linspace(low, 3, 128, dtype=torch.float64) for low in (-2, 1)] if biased else None
    write_pruned(checkpoint, family, kept, tmp_path, means)
    export_hf(Overlay(checkpoint, replaced_tensors(tmp_path)), checkpoint, tmp_path / "hf")
    exported = load_file(tmp_path / "hf" / "model.safetensors")
    tensors = {name: t.bfloat16().float() for name, t in load_file(tiny_folder / "model.safetensors").items()}
    for layer, indices in enumerate(kept):
        removed = torch.ones(128, dtype=torch.bool)
        removed[indices] = False
        tensors[family.layer_names(layer).down][:, removed] = 0
        if biased:
            widths = (("gate", 128), ("up", 128), ("down", 64))
            names = {part: f"model.layers.{layer}.mlp.{part}_proj.bias" for part, _ in widths}
            tensors |= {names[part]: torch.zeros(width) for part, width in widths}
            tensors[names["down"]] = exported[names["down"]].float()
            assert tensors[names["down"]].abs().max() > 0.01
    shutil.copytree(tiny_folder, tmp_path / "plain")
    save_file(tensors, tmp_path / "plain" / "model.safetensors", {"format": "pt"})
    config = {**checkpoint.config, "mlp_bias": biased}
    (tmp_path / "plain" / "config.json").write_text(json.dumps(config), "utf-8")
    prompt = "Question: Is fever a sign of infection?\nAnswer:"
    expected = plain_loglikelihoods(tmp_path / "plain", prompt, CHOICES)
    assert CheckpointModel(tmp_path / "hf").loglikelihoods([(prompt, CHOICES)])[0] == pytest.approx(expected, abs=NATS)


def test_more_choices_than_sequences_and_too_long_prompts(tiny_folder: Path, file_model: GgufModel) -> None:
    """Seventeen branches run in groups; a prompt beyond the context loses its left end, as in lm-eval."""
    choices = [f"{number} mg of the drug each day" for number in range(17)]
    checkpoint = CheckpointModel(tiny_folder)
    expected = plain_loglikelihoods(tiny_folder, "Dose:", choices)
    assert file_model.loglikelihoods([("Dose:", choices)])[0] == pytest.approx(expected, abs=NATS)
    long = "fever and cough " * 900 + "\nAnswer:"
    assert len(checkpoint.tokenize(long)) > checkpoint.longest == 1024
    found = file_model.loglikelihoods([(long, CHOICES)])[0]
    assert found == pytest.approx(checkpoint.loglikelihoods([(long, CHOICES)])[0], abs=NATS)
    assert file_model.loglikelihoods([("Dose:", choices)])[0] == pytest.approx(expected, abs=NATS)


def test_questions_weighed_together_have_the_scores_of_each_alone(file_model: GgufModel, tmp_path: Path) -> None:
    """Short and long ones, one that fills the context, one of more choices than sequences, in any company."""
    tasks = [
        read_task(name, write_benchmarks(tmp_path), template="lm-eval", mode="likelihood", limit=None)
        for name in ("medqa", "retention")
    ]
    questions: list[Question] = [(item.prompt, item.choices) for task in tasks for item in task.items]
    questions[3:3] = [("fever and cough " * 900 + "\nAnswer:", CHOICES), ("Dose:", [f"{n} mg" for n in range(70)])]
    alone = [file_model.loglikelihoods([question])[0] for question in questions]
    each = [[file_model.loglikelihoods([(prompt, [choice])])[0][0] for choice in said] for prompt, said in questions]
    together = file_model.loglikelihoods(questions)
    assert [len(scores) for scores in together] == [len(choices) for _, choices in questions]
    for scores, one, single in zip(together, alone, each, strict=True):
        assert scores == pytest.approx(one, abs=NATS)
        assert scores == pytest.approx(single, abs=NATS)


def test_continuations_are_cut_like_lm_eval() -> None:
    def tokenize(text: str) -> list[int]:
        return [ord(character) for character in text]

    whole = continuations(tokenize, [1], "ab", ["x", "yz"], 10)
    assert whole == [
        Continuation((1, *map(ord, "ab x")), 3),
        Continuation((1, *map(ord, "ab yz")), 3),
    ]
    assert shared_tokens(whole) == 4
    cut = continuations(tokenize, [1], "abcdef", ["x", "yz"], 4)
    assert [bytes(part.ids).decode() for part in cut] == ["def x", "ef yz"]
    assert [part.first for part in cut] == [3, 2]
    assert shared_tokens(cut) == 0
    spaced = continuations(tokenize, [], "a: ", ["x"], 10)
    assert spaced == [Continuation(tuple(map(ord, "a:  x")), 2)]


def agree(file: Path, folder: Path, tasks: Sequence[Task]) -> None:
    checkpoint = CheckpointModel(folder)
    with GgufModel(file, kv_type="f32", flash_attention=False, threads=1) as model:
        items = [item for task in tasks for item in task.items]
        first, second = likeliest(items, model, "acc"), likeliest(items, checkpoint, "acc")
    found = compare_scores([answer.scores for answer in first], [answer.scores for answer in second])
    assert found.largest_difference < 1e-2
    assert found.decided_alike == found.decided
    assert found.decided >= 0.8 * found.items > 0


def test_file_and_checkpoint_choose_alike(tiny_file: Path, tiny_folder: Path, tmp_path: Path) -> None:
    data = write_benchmarks(tmp_path)
    names = ("medqa", "pubmedqa", "retention")
    agree(
        tiny_file, tiny_folder, [read_task(n, data, template="lm-eval", mode="likelihood", limit=None) for n in names]
    )


@pytest.mark.shared
@pytest.mark.skipif("BEDSIDE_DATA" not in os.environ, reason="BEDSIDE_DATA is not set")
def test_reference_file_and_checkpoint_choose_alike_on_real_questions(tmp_path: Path) -> None:
    data, folder = Path(os.environ["BEDSIDE_DATA"]), resolve_checkpoint("reference")
    export_gguf(gguf_model(folder), tmp_path / "f32.gguf", "f32")
    tasks = [
        read_task(name, data, template="lm-eval", mode="likelihood", limit=5)
        for name in ("medqa", "medmcqa", "pubmedqa", "retention")
    ]
    agree(tmp_path / "f32.gguf", folder, tasks)


def test_agreement_counts_what_rounding_cannot_have_swapped() -> None:
    first = [[-1.0, -2.0], [-1.0, -1.1], [-3.0, -1.0], [-1.0, -5.0]]
    second = [[-1.1, -2.0], [-1.1, -1.0], [-3.0, -1.0], [-1.0, -5.0]]
    found = compare_scores(first, second)
    assert (found.items, found.decided, found.decided_alike, found.close_alike) == (4, 3, 3, 0)
    assert found.largest_difference == pytest.approx(0.1)


def test_both_write_the_same_greedy_text(tiny_folder: Path, file_model: GgufModel) -> None:
    checkpoint = CheckpointModel(tiny_folder)
    prompt = "The treatment of fever"
    assert file_model.complete(prompt, 12) == checkpoint.complete(prompt, 12)
    whole = file_model.complete(prompt, 12).text
    stop = whole[len(whole) // 2]
    assert file_model.complete(prompt, 12, stop=stop).text == whole.partition(stop)[0]
    assert checkpoint.complete(prompt, 12, stop=stop) == file_model.complete(prompt, 12, stop=stop)
    messages = [{"role": "user", "content": "What is fever?"}]
    assert file_model.answer(messages, 8) == checkpoint.answer(messages, 8) is not None
    assert file_model.answer([{"role": "user", "content": "fever " * 2000}], 8) is None


class Quoter:
    """Cites the mark that the prompt's passages begin with, or says nothing that could be cited."""

    def __init__(self, cites: bool) -> None:
        self._cites = cites

    def complete(self, prompt: str, max_tokens: int, stop: str | None = None) -> Completion:
        raise AssertionError(prompt, max_tokens, stop)

    def answer(self, messages: Sequence[dict[str, str]], max_tokens: int) -> Completion | None:
        assert max_tokens > 0
        mark = first_mark(messages[1]["content"])
        return Completion(f"See [{mark}]." if self._cites else "See above.", True)


def test_generation_checks_count_every_prompt(file_model: GgufModel) -> None:
    """A random model cites nothing (one prompt passes its context of 1,024); one that takes the first passage is right as
    often as that is the gold one."""
    ticks: list[None] = []
    found = grounded_answers(file_model, 3, lambda: ticks.append(None))
    assert (len(ticks), found.prompts) == (3, 2)
    assert (found.empty, found.unfinished, found.cites_right) == (0.0, 1.0, 0.0)
    prompts = list(islice(grounded_examples(split_notes()[1], 11), 40))
    gold = [first_mark(turns[-1]["content"]) for turns in prompts]
    hits = [first_mark(turns[1]["content"]) == mark for turns, mark in zip(prompts, gold, strict=True) if mark]
    assert grounded_answers(Quoter(True), 40).cites_right == sum(hits) / len(hits) > 0
    assert grounded_answers(Quoter(False), 40).cites_right == 0.0


def test_citations_are_asked_of_a_file(tiny_file: Path, tmp_path: Path) -> None:
    ticks: list[None] = []
    found = citation_scores(tiny_file, write_benchmarks(tmp_path), 3, lambda: ticks.append(None))
    assert found.scores.questions == len(found.right) == 3
    assert found.scores.unanswerable == 1
    assert len(ticks) == citation_count(3) == 4
    assert found.scores.first_citation_right == sum(found.right) / 3 < 0.5
    assert found.to_json(None)["to_dense"] is None


def test_citations_are_compared_with_dense_question_by_question(tiny_file: Path, tmp_path: Path) -> None:
    found = citation_scores(tiny_file, write_benchmarks(tmp_path), 4)
    ours, dense = replace(found, right=(True, True, False, False)), replace(found, right=(True, True, True, True))
    value, low, high = ours.to_json(dense)["to_dense"]
    assert value == 0.5
    assert 0 <= low < 0.5 < high <= 1
    rows = [{"label": "Q4_0", "citations": ours.to_json(dense)}, {"label": "dense", "citations": dense.to_json(None)}]
    cells = citation_cells(rows)
    assert cells[0][3:6] == ("0.500", f"{low:.3f}–{high:.3f}", "not met (≥ 0.95)")
    assert cells[1][3:6] == ("–", "–", "–")
    assert all(len(row) == len(CITATION_COLUMNS) for row in cells)
