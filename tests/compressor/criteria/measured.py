"""A tiny model with its calibration sums, and the same model in transformers with what went through its FFN layers."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from transformers import LlamaForCausalLM

from compressor.calibrate import Statistics, calibrate
from compressor.checkpoint import Checkpoint
from compressor.criteria.score import ScoringInputs
from compressor.families import find_family
from compressor.layers import ModelView
from compressor.rows import make_batches
from compressor.walk import StreamCheckpoint

FFN, LAYERS = 128, 2
LENGTHS = (24, 11, 17, 24)


def rows() -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    return [[0, *torch.randint(6, 512, (length,), generator=generator).tolist()] for length in LENGTHS]


def scoring_inputs(folder: Path, state: Path, seed: int = 0) -> ScoringInputs:
    checkpoint = Checkpoint(folder)
    family = find_family(checkpoint.config)
    model = ModelView(checkpoint, family, family.shape(checkpoint.config), family.rope_frequencies(checkpoint.config))
    with torch.inference_mode():
        statistics: Statistics = calibrate(model, make_batches(rows(), rows=2), StreamCheckpoint(state))
    return ScoringInputs(model, statistics, rows(), checkpoint.config, seed)


@dataclass(frozen=True)
class Seen:
    """One FFN layer in float64: its matrices, and per text position its input x and the input h of down."""

    gate: torch.Tensor
    up: torch.Tensor
    down: torch.Tensor
    x: torch.Tensor
    h: torch.Tensor


@cache
def seen(folder: Path) -> list[Seen]:
    """What plain transformers computes on the rows, one after the other."""
    model = LlamaForCausalLM.from_pretrained(folder).eval()
    inputs: list[list[torch.Tensor]] = [[] for _ in range(LAYERS)]
    inner: list[list[torch.Tensor]] = [[] for _ in range(LAYERS)]
    for index, layer in enumerate(model.model.layers):
        layer.mlp.register_forward_pre_hook(lambda _, args, at=index: inputs[at].append(args[0][0]))
        layer.mlp.down_proj.register_forward_pre_hook(lambda _, args, at=index: inner[at].append(args[0][0]))
    with torch.no_grad():
        for row in rows():
            model(torch.tensor([row]))
    return [
        Seen(
            layer.mlp.gate_proj.weight.detach().double(),
            layer.mlp.up_proj.weight.detach().double(),
            layer.mlp.down_proj.weight.detach().double(),
            torch.cat(inputs[index]).double(),
            torch.cat(inner[index]).double(),
        )
        for index, layer in enumerate(model.model.layers)
    ]
