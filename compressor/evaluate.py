"""Evaluation of the files that ship, through llama.cpp: size, parameters, perplexity, speed."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from compressor.perplexity import score_text
from compressor.progress import Reporter
from models.gguf_header import read_header
from models.runtime.speed import measure_speed

PROMPT_TOKENS = 256
DECODE_TOKENS = 64


def evaluate_file(
    label: str, path: Path, texts: Mapping[str, Sequence[str]], *, window: int, dense_neurons: int, reporter: Reporter
) -> dict[str, Any]:
    """One row of the report. Raises RuntimeFailure where llama.cpp cannot run the file."""
    header = read_header(path)
    advance = reporter.step(f"evaluate {label}", sum(len(documents) for documents in texts.values()) + 1)
    scores = {
        source: asdict(score_text(path, documents, window, advance=advance)) for source, documents in texts.items()
    }
    speed = measure_speed(path, prompt_tokens=PROMPT_TOKENS, decode_tokens=DECODE_TOKENS)
    advance()
    return {
        "label": label,
        "file": f"gguf/{path.name}",
        "bytes": path.stat().st_size,
        "parameters": header.n_params,
        "ffn_share_removed": 1 - sum(header.ffn_widths) / dense_neurons,
        "texts": scores,
        "prompt_tokens_per_s": speed.prompt_tokens_per_s,
        "decode_tokens_per_s": speed.decode_tokens_per_s,
    }
