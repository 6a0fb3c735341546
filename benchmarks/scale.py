"""Llama 3 8B's size on this machine: a random-weight checkpoint from safetensors to a verified Q4_0 file, with time and memory.

Usage: `python -m benchmarks.scale [--folder DIR] [--layers N]`. It makes a bf16 checkpoint of that shape (16 GB), runs
`bedside compress` on it at 67% (global mask, reconstruction, no healing), samples the anonymous memory of the process and its
children, and then measures what one layer costs at other token counts and widths. Twelve starter notes calibrate: most are
shorter than 512 tokens, and together they have as many as 8 x 512. With BEDSIDE_DATA the tokenizer is Llama 3's own, from
the folder beside; else a synthetic one of the same size.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table
from tokenizers import AddedToken, Regex, Tokenizer, decoders, pre_tokenizers
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import TikTokenConverter

from compressor.calibrate import calibrate
from compressor.checkpoint import Checkpoint, Overlay
from compressor.families import find_family
from compressor.layers import ModelView
from compressor.prune import replaced_tensors, write_pruned
from compressor.reconstruct.walk import Reconstruction
from compressor.rows import make_batches
from compressor.walk import StreamCheckpoint
from models.synthetic.checkpoint import write_checkpoint
from models.synthetic.shapes import LLAMA_3_8B
from models.synthetic.vocabulary import make_vocabulary

FREE_BYTES = 40 * 2**30
LIMIT_BYTES, LIMIT_S = 6 * 2**30, 3600.0
SAMPLE_EVERY_S = 0.2
FULL_LAYERS = LLAMA_3_8B.layers
SPLITTER = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
RECIPE = """
[calibrate]
text = { starter = 1.0 }
samples = 12
tokens_per_sample = 512
grounded_share = 0.0
[mask]
method = "global"
multiple = 256
[budget]
ffn_share = 0.67
[reconstruct]
[evaluate]
text = ["starter"]
documents = 1
context_tokens = 64
"""
LAST_STAGE = "08-quantize"
GROWTH = ((4096, 4608), (2048, 4608), (4096, 2304))
"""Calibration tokens and kept neurons at which one layer is timed."""


@dataclass
class Memory:
    """Samples of RssAnon, the memory that no file backs, of one process and its children: the peak of each stage."""

    pid: int
    stages: Path
    peaks: dict[str, int] = field(default_factory=dict)

    def watch(self, ended: threading.Event) -> None:
        """Sample until `ended`."""
        while not ended.wait(SAMPLE_EVERY_S):
            started = sorted(path.name for path in self.stages.glob("*")) if self.stages.is_dir() else []
            stage = started[-1] if started else "opening"
            self.peaks[stage] = max(self.peaks.get(stage, 0), anonymous_bytes(self.pid))


def anonymous_bytes(pid: int) -> int:
    """RssAnon of a process and its descendants; 0 for one that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
        children = [path.read_text().split() for path in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return 0
    own = next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon:")), 0)
    return own + sum(anonymous_bytes(int(child)) for group in children for child in group)


def save_tokenizer(folder: Path) -> str:
    """Llama 3's own tokenizer where it is at hand, else a synthetic one of the same size; says which."""
    data = os.environ.get("BEDSIDE_DATA")
    real = Path(data).parent / "tokenizers" / "llama3" / "tokenizer.model" if data else None
    if real is not None and real.is_file():
        begin, end = "<|begin_of_text|>", "<|end_of_text|>"
        converted = TikTokenConverter(vocab_file=str(real), extra_special_tokens=[begin, end]).converted()
        _save(PreTrainedTokenizerFast(tokenizer_object=converted, bos_token=begin, eos_token=end), folder)
        return "Llama 3's tokenizer"
    vocabulary = make_vocabulary(LLAMA_3_8B.vocab_size)
    ids = {token: index for index, token in enumerate(vocabulary.tokens)}
    merges = [(left, right) for left, _, right in (merge.partition(" ") for merge in vocabulary.merges)]
    tokenizer = Tokenizer(BPE(ids, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLITTER), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    controls = [token for token, kind in zip(vocabulary.tokens, vocabulary.types, strict=True) if kind == 3]
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in controls])
    wrapped = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token=vocabulary.tokens[vocabulary.bos],
        eos_token=vocabulary.tokens[vocabulary.eos],
        chat_template=vocabulary.template,
    )
    _save(wrapped, folder)
    return "a synthetic tokenizer"


def _save(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Beside the weights, whose config then names the same begin and end."""
    tokenizer.save_pretrained(folder)
    path = folder / "config.json"
    config = json.loads(path.read_text("utf-8"))
    config |= {"bos_token_id": tokenizer.bos_token_id, "eos_token_id": tokenizer.eos_token_id}
    path.write_text(json.dumps(config, indent=2) + "\n", "utf-8")


def compress(model: Path, recipe: Path, run: Path) -> tuple[float, dict[str, int]]:
    """`bedside compress` as a process of its own: seconds, and the peak anonymous bytes of each stage."""
    command = [sys.executable, "-m", "assistant", "compress", str(model), "--recipe", str(recipe), "--out", str(run)]
    started = time.monotonic()
    with subprocess.Popen(command) as process:
        memory, ended = Memory(process.pid, run / "stages"), threading.Event()
        watcher = threading.Thread(target=memory.watch, args=(ended,))
        watcher.start()
        try:
            process.wait()
        finally:
            ended.set()
            watcher.join()
    if process.returncode:
        sys.exit(f"bedside compress ended with {process.returncode}; see its message above")
    return time.monotonic() - started, memory.peaks


def stage_table(run: Path, peaks: dict[str, int]) -> Table:
    """Time and peak memory of each stage, from the manifests and the samples."""
    table = Table(title="stages")
    for column in ("stage", "seconds", "peak RssAnon, GiB", "files, GB"):
        table.add_column(column, justify="left" if column == "stage" else "right")
    for path in sorted((run / "stages").glob("*/manifest.json")):
        record = json.loads(path.read_text("utf-8"))
        size = sum(item["size_bytes"] for item in record["files"]) / 1e9
        peak = peaks.get(record["stage"], 0) / 2**30
        table.add_row(record["stage"], f"{record['wall_s']:.0f}", f"{peak:.2f}", f"{size:.2f}")
    return table


def layer_costs(folder: Path, scratch: Path) -> Table:
    """Seconds that one layer takes to calibrate and to reconstruct, at several token counts and widths."""
    table = Table(title="one layer of 8B's shape (14,336 neurons)")
    for column in ("calibration tokens", "kept neurons", "calibrate, s", "reconstruct, s"):
        table.add_column(column, justify="right")
    for tokens, width in GROWTH:
        calibrated_s, reconstructed_s = _time_layer(folder, scratch / f"{tokens}-{width}", tokens, width)
        table.add_row(f"{tokens:,}", f"{width:,}", f"{calibrated_s:.1f}", f"{reconstructed_s:.1f}")
    return table


def _time_layer(folder: Path, scratch: Path, tokens: int, width: int) -> tuple[float, float]:
    checkpoint = Checkpoint(folder)
    family = find_family(checkpoint.config)
    shape = replace(family.shape(checkpoint.config), layers=1)
    dense = ModelView(checkpoint, family, shape, family.rope_frequencies(checkpoint.config))
    write_pruned(checkpoint, family, [torch.arange(width)], scratch)
    pruned = replace(dense, source=Overlay(checkpoint, replaced_tensors(scratch)))
    rows = torch.randint(100, 20_000, (tokens // 512 + 2, 512), generator=torch.Generator().manual_seed(0)).tolist()
    fitting, tuning = make_batches(rows[:-2]), make_batches(rows[-2:])
    with torch.inference_mode():
        started = time.monotonic()
        calibrate(dense, fitting, StreamCheckpoint(scratch / "calibrate"))
        calibrated = time.monotonic()
        walk = Reconstruction(dense, pruned, fitting, tuning, "dense")
        walk.run((0.0001, 0.001, 0.01, 0.1, 1.0), scratch, StreamCheckpoint(scratch / "reconstruct"))
    return calibrated - started, time.monotonic() - calibrated


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the checkpoint, compress it, print the tables, and remove all again. Exit 1 where a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, default=Path("build/scale"), help="made here, and removed at the end")
    parser.add_argument("--layers", type=int, default=FULL_LAYERS, help="fewer, to try it and to extrapolate")
    options = parser.parse_args(arguments)
    folder: Path = options.folder
    if folder.exists():
        sys.exit(f"{folder} exists; remove it or give another --folder")
    folder.mkdir(parents=True)
    try:
        free = shutil.disk_usage(folder).free
        if free < FREE_BYTES:
            sys.exit(f"{folder} has {free / 2**30:.1f} GiB free; this needs {FREE_BYTES / 2**30:.0f}: free some first")
        sys.exit(_measure(folder, options.layers))
    finally:
        shutil.rmtree(folder)


def _measure(folder: Path, layers: int) -> int:
    console, model, recipe = Console(), folder / "llama-3-8b", folder / "scale.toml"
    started = time.monotonic()
    write_checkpoint(model, replace(LLAMA_3_8B, layers=layers))
    which = save_tokenizer(model)
    console.print(f"checkpoint of {layers} layers with {which} made in {time.monotonic() - started:.0f} s")
    recipe.write_text(RECIPE, "utf-8")
    elapsed_s, peaks = compress(model, recipe, folder / "run")
    console.print(stage_table(folder / "run", peaks))
    manifests = [json.loads(path.read_text("utf-8")) for path in (folder / "run" / "stages").glob("*/manifest.json")]
    tokens = next(record["facts"]["tokens"] for record in manifests if record["stage"] == "01-calibrate")
    verified_s = elapsed_s - sum(record["wall_s"] for record in manifests if record["stage"] > LAST_STAGE)
    peak = max(peaks.values())
    console.print(layer_costs(model, folder / "layer"))
    console.print(
        f"{layers} layers, {tokens:,} calibration tokens: verified Q4_0 after {verified_s / 60:.1f} min, whole run"
        f" {elapsed_s / 60:.1f} min, peak RssAnon {peak / 2**30:.2f} GiB (limits at {FULL_LAYERS} layers:"
        f" {LIMIT_S / 60:.0f} min, 6 GiB)"
    )
    return int(verified_s > LIMIT_S or peak > LIMIT_BYTES)


if __name__ == "__main__":
    main()
