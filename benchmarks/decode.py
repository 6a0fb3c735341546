"""Decode and prompt speed of our runtime against llama-cpp-python's own high-level class, in one process, alternated.

Both use the same llama.cpp library, file, threads and tokens; what differs is the Python around it. Usage:
`python -m benchmarks.decode [FILE.gguf]`; without a file it measures the built-in model.
"""

import argparse
import statistics
import time
from pathlib import Path

import numpy as np
from llama_cpp import Llama
from rich.console import Console
from rich.table import Table

from models.resolve import resolve_gguf
from models.runtime.speed import measure_speed

PROMPT_TOKENS, DECODE_TOKENS, PAIRS = 256, 128, 5


def peer_speed(path: Path, threads: int) -> tuple[float, float]:
    """Prompt and decode tokens per second of `llama_cpp.Llama`, greedy, after a warm-up."""
    llm = Llama(
        str(path), n_ctx=PROMPT_TOKENS + DECODE_TOKENS, n_threads=threads, n_threads_batch=threads, verbose=False
    )
    tokens = np.random.default_rng(0).integers(0, llm.n_vocab(), PROMPT_TOKENS).tolist()
    llm.eval(tokens[:8])
    llm.reset()
    started = time.monotonic()
    llm.eval(tokens)
    chosen = llm.sample(temp=0.0)
    prompt_done = time.monotonic()
    for _ in range(DECODE_TOKENS):
        llm.eval([chosen])
        chosen = llm.sample(temp=0.0)
    decode_s = time.monotonic() - prompt_done
    llm.close()
    return PROMPT_TOKENS / (prompt_done - started), DECODE_TOKENS / decode_s


def main() -> None:
    """Print medians over alternated pairs, and the ratio pair by pair."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", nargs="?", default="reference")
    path = resolve_gguf(parser.parse_args().file)
    ours, peers = [], []
    for _ in range(PAIRS):
        speed = measure_speed(path, PROMPT_TOKENS, DECODE_TOKENS, runs=1)
        ours.append((speed.prompt_tokens_per_s, speed.decode_tokens_per_s))
        peers.append(peer_speed(path, speed.threads))
    table = Table(title=f"{path.name}: median of {PAIRS} alternated pairs")
    for column in ("", "Bedside tok/s", "llama-cpp-python tok/s", "ratio, median of pairs"):
        table.add_column(column, justify="right" if column else "left")
    for index, name in enumerate(("prompt", "decode")):
        mine, theirs = [pair[index] for pair in ours], [pair[index] for pair in peers]
        ratio = statistics.median(a / b for a, b in zip(mine, theirs, strict=True))
        table.add_row(name, f"{statistics.median(mine):.0f}", f"{statistics.median(theirs):.0f}", f"{ratio:.2f}")
    Console().print(table)


if __name__ == "__main__":
    main()
