"""Our answers against lm-evaluation-harness: the same items, its own task files and code, one model by every way.

`make harness-check` installs `lm_eval` in an environment of its own and runs this. The harness reads the checkpoint through
transformers; ours reads it too, and its F32 GGUF file through llama.cpp. Then the harness itself asks `bedside serve` of
that file over HTTP, in each way of ASKING. On every item whose best two choices lie further apart than twice the largest
measured difference of scores, both of a pair must choose alike; the others are counted. Since a large difference would
decide nothing, it may not pass LIMIT_NATS; ROUNDED_NATS for a server without --precise, whose attention is rounded.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.harness_server import ASKING, api_arguments, serving
from compressor.checkpoint import Checkpoint
from compressor.export_gguf import GgufModel as GgufSource
from compressor.export_gguf import export_gguf
from compressor.export_hf import ffn_widths
from compressor.families import find_family
from compressor.gguf_vocabulary import read_vocabulary
from compressor.tasks.agreement import Agreement, compare_scores
from compressor.tasks.answers import likeliest
from compressor.tasks.benchmarks import read_task, task_file
from compressor.tasks.checkpoint import CheckpointModel
from compressor.tasks.gguf import GgufModel
from compressor.tasks.items import Scorer
from compressor.text import read_objects
from compressor.tokens import ChatTokenizer
from models.resolve import resolve_checkpoint

Scores = dict[str, list[list[float]]]
"""ln p of each choice in nats, by task and item."""
LETTERS = "ABCD"
LIMIT_NATS = 0.01
"""Two float32 computations of one model differ by far less; a wrong prompt, token or BOS by far more."""
ROUNDED_NATS = 0.1
"""Keys and values of 16 bits under flash attention moved the reference model's scores by 0.012 with BOS and 0.049 without."""
HARNESS_YAML = {"medqa": "medqa/medqa.yaml", "medmcqa": "medmcqa/medmcqa.yaml", "pubmedqa": "pubmedqa/pubmedqa.yaml"}


def dataset_row(task: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A line of our file in the columns of the dataset that the harness's task file names."""
    if task == "pubmedqa":
        return {"QUESTION": row["question"], "CONTEXTS": row["contexts"], "final_decision": row["answer"]}
    options, gold = row["options"], LETTERS.index(row["answer"])
    if task == "medqa":
        endings = {f"ending{number}": options[letter] for number, letter in enumerate(LETTERS)}
        return {"sent1": row["question"], **endings, "label": gold}
    return {"question": row["question"], **{f"op{letter.lower()}": options[letter] for letter in LETTERS}, "cop": gold}


def write_tasks(folder: Path, data: Path, harness_tasks: Path, limit: int) -> None:
    """For each task the items as JSON lines, and a task file that includes the harness's own and changes the data alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for task, yaml in HARNESS_YAML.items():
        rows = [row for _, row in read_objects(task_file(task, data)) if row.get("split", "test") == "test"][:limit]
        lines = folder / f"{task}.jsonl"
        lines.write_text("".join(json.dumps(dataset_row(task, row)) + "\n" for row in rows), "utf-8")
        settings = [
            f"include: {harness_tasks / yaml}",
            f"task: bedside_{task}",
            "dataset_path: json",
            "dataset_name: null",
            f"dataset_kwargs: {{data_files: {{test: {lines}}}}}",
            "training_split: null",
            "validation_split: null",
            "test_split: test",
        ]
        (folder / f"{task}.yaml").write_text("\n".join(settings) + "\n", "utf-8")


@dataclass(frozen=True)
class Harness:
    """lm-evaluation-harness with our items: its interpreter, the task files, where its samples go."""

    python: Path
    tasks: Path
    out: Path

    def scores(self, backend: str, arguments: str, limit: int, batch: int = 1) -> Scores:
        """Log-likelihoods that it logs for the first `limit` items of each task."""
        command = [
            str(self.python), "-m", "lm_eval", "run", "--model", backend, "--model_args", arguments,
            "--tasks", ",".join(f"bedside_{task}" for task in HARNESS_YAML), "--include_path", str(self.tasks),
            "--output_path", str(self.out), "--log_samples", "--limit", str(limit),
            "--batch_size", str(batch), "--device", "cpu",
        ]  # fmt: skip
        offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_HOME": str(self.out / "cache")}
        subprocess.run(command, check=True, env={**os.environ, **offline})
        return logged_scores(self.out)


def logged_scores(out: Path) -> Scores:
    """What the newest run logged, by task and item."""
    found = {}
    for task in HARNESS_YAML:
        path = max(out.glob(f"**/samples_bedside_{task}_*.jsonl"), key=lambda file: file.stat().st_mtime)
        rows = sorted(
            (json.loads(line) for line in path.read_text("utf-8").splitlines()), key=lambda row: row["doc_id"]
        )
        found[task] = [[float(answer[0]) for answer in row["filtered_resps"]] for row in rows]
    return found


def our_scores(model: Scorer, data: Path, limit: int) -> Scores:
    """The same from ours."""
    found = {}
    for task in HARNESS_YAML:
        items = read_task(task, data, template="lm-eval", mode="likelihood", limit=limit).items
        found[task] = [list(answer.scores) for answer in likeliest(items, model, "acc")]
    return found


def export_f32(folder: Path, path: Path) -> None:
    """The checkpoint's F32 GGUF file."""
    checkpoint = Checkpoint(folder)
    family = find_family(checkpoint.config)
    shape = family.shape(checkpoint.config)
    vocabulary = read_vocabulary(folder, shape.vocab, ChatTokenizer(folder))
    widths = ffn_widths(checkpoint, family, shape)
    factors = family.rope_factors(checkpoint.config)
    path.parent.mkdir(parents=True, exist_ok=True)
    export_gguf(GgufSource("check", checkpoint, family, shape, widths, factors, vocabulary), path, "f32")


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one line a pair and task; 1 where any of them fails."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="reference", help="catalogue id or Hugging Face folder")
    parser.add_argument(
        "--data", type=Path, default=os.environ.get("BEDSIDE_DATA"), required="BEDSIDE_DATA" not in os.environ
    )
    parser.add_argument("--limit", type=int, default=500, help="items of each task")
    parser.add_argument("--served", type=int, default=50, help="of them, items that each way to ask the server gets")
    parser.add_argument("--harness", type=Path, default=Path("build/harness-venv"), help="environment that has lm_eval")
    parser.add_argument("--out", type=Path, default=Path("build/harness"))
    options = parser.parse_args(arguments)
    out, python, folder = options.out.resolve(), options.harness / "bin" / "python", resolve_checkpoint(options.model)
    where = [str(python), "-c", "import lm_eval.tasks as t; print(t.__path__[0])"]
    harness_tasks = Path(subprocess.run(where, check=True, capture_output=True, text=True).stdout.split()[-1])
    write_tasks(out / "tasks", options.data, harness_tasks, options.limit)
    harness = Harness(python, out / "tasks", out)
    scores = {"lm_eval": harness.scores("hf", _hf_arguments(folder, bos=True), options.limit)}
    scores["checkpoint"] = our_scores(CheckpointModel(folder), options.data, options.limit)
    export_f32(folder, out / "model-f32.gguf")
    with GgufModel(out / "model-f32.gguf", kv_type="f32", flash_attention=False) as model:
        scores["GGUF F32"] = our_scores(model, options.data, options.limit)
    failed = [print_agreement(pair, task, scores) for pair in _PAIRS for task in HARNESS_YAML]
    failed.append(check_server(harness, folder, out / "model-f32.gguf", min(options.served, options.limit)))
    return int(any(failed))


_PAIRS = (("checkpoint", "lm_eval"), ("GGUF F32", "lm_eval"), ("GGUF F32", "checkpoint"))


def check_server(harness: Harness, folder: Path, gguf: Path, limit: int) -> bool:
    """Print a line for each way to ask the server and each task; whether any differs from the checkpoint in transformers."""
    scores = {
        "lm_eval": harness.scores("hf", _hf_arguments(folder, bos=True), limit),
        "without BOS": harness.scores("hf", _hf_arguments(folder, bos=False), limit),
    }
    for precise, group in groupby(ASKING, lambda asking: asking.precise):
        with serving(gguf, precise=precise) as url:
            for asking in group:
                arguments = api_arguments(asking, url, folder)
                scores[asking.name] = harness.scores("local-completions", arguments, limit, _BATCH)
    failed = [
        print_agreement(
            (asking.name, "lm_eval" if asking.bos else "without BOS"),
            task,
            scores,
            LIMIT_NATS if asking.precise else ROUNDED_NATS,
        )
        for asking in ASKING
        for task in HARNESS_YAML
    ]
    return any(failed)


_BATCH = 4
"""Prompts in one request, of unequal lengths."""


def _hf_arguments(folder: Path, *, bos: bool) -> str:
    return f"pretrained={folder},dtype=float32,add_bos_token={bos}"


def print_agreement(
    pair: tuple[str, str], task: str, scores: Mapping[str, Scores], limit_nats: float = LIMIT_NATS
) -> bool:
    """One line; whether a decided item is chosen differently or the scores are not the same model's."""
    result: Agreement = compare_scores(scores[pair[0]][task], scores[pair[1]][task])
    sys.stdout.write(
        f"{task:9} {pair[0]:>12} / {pair[1]:<11} {result.items} items, largest difference {result.largest_difference:.2e}"
        f" nats of {limit_nats}; {result.decided} decided, {result.decided_alike} of them alike;"
        f" {result.items - result.decided} too close to call, {result.close_alike} of them alike\n"
    )
    return result.decided_alike < result.decided or result.largest_difference > limit_nats


if __name__ == "__main__":
    sys.exit(main())
