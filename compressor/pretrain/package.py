"""A finished run as files to ship: safetensors shards under 16 MiB, tokenizer, configuration, model card, hashes."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer
from transformers import GenerationConfig, LlamaForCausalLM

from compressor.pretrain.card import History, model_card
from compressor.pretrain.config import PretrainConfig
from compressor.pretrain.evaluate import Report
from compressor.pretrain.tokenizer import save_tokenizer
from models.builtin import CHECKSUMS
from models.disk import hash_file, write_atomically

SHARD_LIMIT = "14MB"


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSON lines file of the run: `log.jsonl`, `settings.jsonl`."""
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


def write_package(
    model: LlamaForCausalLM, tokenizer: Tokenizer, config: PretrainConfig, report: Report, run: Path
) -> Path:
    """Write the checkpoint (bfloat16), tokenizer, report and card to `run/model`, replacing what stands there.

    The ten answers that the report counts go to `run/first-ten.json`.
    """
    out = run / "model"
    partial = out.with_name(out.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    model.to(torch.bfloat16)
    model.generation_config = GenerationConfig(bos_token_id=0, eos_token_id=1, pad_token_id=2)
    model.save_pretrained(partial, max_shard_size=SHARD_LIMIT)
    save_tokenizer(tokenizer, partial, config.context)
    (partial / "evaluation.json").write_text(json.dumps(report.to_json(), indent=1) + "\n", encoding="utf-8")
    answers = json.dumps(report.first_ten, indent=1, ensure_ascii=False) + "\n"
    (run / "first-ten.json").write_text(answers, encoding="utf-8")
    history = History(read_rows(run / "log.jsonl"), read_rows(run / "settings.jsonl"))
    card = model_card(config, report, history, model.num_parameters())
    (partial / "README.md").write_text(card, encoding="utf-8")
    write_sums(partial)
    shutil.rmtree(out, ignore_errors=True)
    partial.replace(out)
    return out


def install(package: Path, compressed: Path, target: Path) -> None:
    """Replace the built-in model in `target` by `package` and its compressed GGUF; other files there are removed."""
    for old in target.iterdir():
        if old.name != "__init__.py" and old.is_file():
            old.unlink()
    for file in (*sorted(package.iterdir()), compressed):
        shutil.copyfile(file, target / file.name)
    write_sums(target)


def write_sums(folder: Path) -> None:
    """SHA256CHECKSUMS over every other file of the folder, in the format of `sha256sum`."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name not in {CHECKSUMS, "__init__.py"})
    write_atomically(folder / CHECKSUMS, "".join(f"{hash_file(path)}  {path.name}\n" for path in files).encode())
