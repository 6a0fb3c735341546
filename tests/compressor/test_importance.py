"""The importance matrix against hooks on transformers' own linear layers, and what the quantizer makes of it."""

from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import LlamaForCausalLM

from compressor.export_gguf import export_gguf
from compressor.importance import importance
from compressor.quantize import check_types, quantize_file
from compressor.rows import make_batches
from tests.compressor.test_export_gguf import gguf_model
from tests.compressor.test_layers import rows, view

HF_NAMES = {
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def test_it_is_the_mean_squared_input(tiny_folder: Path) -> None:
    with torch.inference_mode():
        found = importance(view(tiny_folder), make_batches(rows(), rows=2))
    model = LlamaForCausalLM.from_pretrained(tiny_folder).eval()
    seen: dict[str, list[torch.Tensor]] = {}
    for layer in range(2):
        for ours, theirs in HF_NAMES.items():
            name = f"blk.{layer}.{ours}.weight"
            module = model.get_submodule(f"model.layers.{layer}.{theirs}")
            module.register_forward_pre_hook(lambda _, args, name=name: seen.setdefault(name, []).append(args[0][0]))
    with torch.no_grad():
        for row in rows():
            model(torch.tensor([row]))
    assert found.keys() == seen.keys()
    for name, inputs in seen.items():
        expected = torch.cat(inputs).double().square().mean(0).numpy()
        np.testing.assert_allclose(found[name], expected, rtol=2e-4, err_msg=name)


@pytest.mark.usefixtures("one_core")
def test_the_quantizer_uses_it_and_keeps_the_types(tiny_folder: Path, tmp_path: Path) -> None:
    export_gguf(gguf_model(tiny_folder), tmp_path / "f16.gguf")
    with torch.inference_mode():
        found = importance(view(tiny_folder), make_batches(rows()))
    quantize_file(tmp_path / "f16.gguf", tmp_path / "with.gguf", found)
    quantize_file(tmp_path / "f16.gguf", tmp_path / "without.gguf")
    assert check_types(tmp_path / "with.gguf", tied=True) == check_types(tmp_path / "without.gguf", tied=True)
    assert (tmp_path / "with.gguf").read_bytes() != (tmp_path / "without.gguf").read_bytes()
