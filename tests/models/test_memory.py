"""The memory estimate against what llama.cpp itself logs, in a process of its own (its log handler is global)."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from gguf import GGMLQuantizationType

from models.catalogue import CatalogueModel, LayerShapes
from models.gguf_header import read_header
from models.memory import estimate_memory
from tests.models.gguf_files import write_llama

LOAD = """
import json, re, sys
from models.runtime.library import llama
lib = llama()  # it repacks for no AMX
log = []
keep = lib.llama_log_callback(lambda level, text, data: log.append(text.decode()))
lib.llama_log_set(keep, None)
path, runs = sys.argv[1], json.loads(sys.argv[2])
params = lib.llama_model_default_params()
params.n_gpu_layers = 0
model = lib.llama_model_load_from_file(path.encode(), params)
def mib(pattern):
    return sum(float(size) for size in re.findall(pattern + r" += +([0-9.]+) MiB", "".join(log)))
result = [{"repack": mib("CPU_REPACK model buffer size")}]
for run in runs:
    log.clear()
    params = lib.llama_context_default_params()
    params.n_ctx, params.n_ubatch, params.n_seq_max = run["n_ctx"], run["n_ubatch"], run["n_seq_max"]
    params.n_batch, params.n_threads, params.kv_unified = 512, 1, True
    params.flash_attn_type = int(run["flash"])
    context = lib.llama_init_from_model(model, params)
    result.append({"kv": mib("CPU KV buffer size"), "compute": mib("CPU compute buffer size"),
                   "output": mib("CPU  output buffer size")})
    lib.llama_free(context)
print(json.dumps(result))
"""

QUANTIZE = """
import sys
import llama_cpp as lib
lib.llama_log_set(keep := lib.llama_log_callback(lambda level, text, data: None), None)
params = lib.llama_model_quantize_default_params()
params.ftype, params.nthread = lib.LLAMA_FTYPE_MOSTLY_Q4_0, 1
assert lib.llama_model_quantize(sys.argv[1].encode(), sys.argv[2].encode(), params) == 0
"""

RUNS = [
    {"n_ctx": 1000, "n_ubatch": 512, "n_seq_max": 1, "flash": True},
    {"n_ctx": 4096, "n_ubatch": 512, "n_seq_max": 1, "flash": False},
    {"n_ctx": 4096, "n_ubatch": 512, "n_seq_max": 4, "flash": True},
    {"n_ctx": 4096, "n_ubatch": 128, "n_seq_max": 1, "flash": True},
]


def child(script: str, *arguments: str) -> str:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


@pytest.mark.parametrize(
    "shape",
    [
        {"hidden": 1024, "widths": (4096, 4096), "heads": 8, "kv_heads": 4, "vocab": 16_000},  # logits are the largest
        {"hidden": 512, "widths": (8192, 8192), "heads": 8, "kv_heads": 8, "vocab": 1000},  # the FFN is
        {"hidden": 256, "widths": (1024,) * 8, "heads": 4, "kv_heads": 2, "vocab": 4096},  # attention is
    ],
)
def test_the_estimate_is_what_llama_cpp_allocates(tmp_path: Path, shape: dict[str, Any]) -> None:
    path = write_llama(tmp_path / "model.gguf", quantization=GGMLQuantizationType.Q4_0, **shape)
    header = read_header(path)
    model, *contexts = json.loads(child(LOAD, str(path), json.dumps(RUNS)))
    for run, logged in zip(RUNS, contexts, strict=True):
        ours = estimate_memory(
            header,
            int(run["n_ctx"]),
            n_ubatch=int(run["n_ubatch"]),
            n_seq_max=int(run["n_seq_max"]),
            flash_attention=bool(run["flash"]),
        )
        assert ours.kv_bytes == logged["kv"] * 2**20
        # Never under by more than the log's rounding; over by the rows a product quantizes, and a little.
        spare = min(int(run["n_ubatch"]), int(run["n_ctx"])) * max(shape["widths"]) * 34 // 32
        theirs = (logged["compute"] + logged["output"]) * 2**20
        assert theirs * 0.995 <= ours.compute_bytes - spare <= theirs * 1.06, (run, logged)
    if model["repack"]:
        assert header.tensor_bytes >= estimate_memory(header, 512).repacked_bytes
        assert estimate_memory(header, 512).repacked_bytes == pytest.approx(model["repack"] * 2**20, rel=0.002)


def test_totals_count_weights_once_and_the_peak_twice(tmp_path: Path) -> None:
    header = read_header(write_llama(tmp_path / "m.gguf", quantization=GGMLQuantizationType.Q4_0))
    estimate = estimate_memory(header, 512)
    assert estimate.weights_bytes == header.tensor_bytes
    assert estimate.total_bytes == header.tensor_bytes + estimate.running_bytes
    assert estimate.running_bytes == estimate.kv_bytes + estimate.compute_bytes + estimate.library_bytes
    assert estimate.load_peak_bytes == estimate.total_bytes + estimate.repacked_bytes


def test_layers_with_different_heads_and_wider_cache_types(tmp_path: Path) -> None:
    header = read_header(write_llama(tmp_path / "m.gguf"))
    # 2 layers x 2 KV heads x (16 + 16) elements x 512 cells
    assert estimate_memory(header, 500, kv_type="f16").kv_bytes == 2 * 2 * 32 * 512 * 2
    assert estimate_memory(header, 500, kv_type="f32").kv_bytes == 2 * 2 * 32 * 512 * 4
    assert estimate_memory(header, 500, kv_type="q8_0").kv_bytes == 2 * 2 * 32 * 512 * 34 // 32


@pytest.mark.parametrize("hidden", [256, 96])
def test_catalogue_sizes_are_what_the_quantizer_writes(tmp_path: Path, hidden: int) -> None:
    shapes = LayerShapes(
        hidden=hidden, ffn=512, layers=2, heads=4, kv_heads=2, head_dim=hidden // 4, vocab=512, tied=True
    )
    model = CatalogueModel("m", "M", "none", "llama", 0, 512, (), shapes)
    source = write_llama(tmp_path / "f32.gguf", hidden=hidden, widths=(512, 512), vocab=512)
    child(QUANTIZE, str(source), str(tmp_path / "q4_0.gguf"))
    header = read_header(tmp_path / "q4_0.gguf")
    assert header.tensor_bytes == model.q4_0_bytes()
    assert header.n_params == model.count_parameters()
    assert estimate_memory(model, 512) == estimate_memory(header, 512)
