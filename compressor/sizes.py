"""What a Q4_0 file of a given shape weighs, and so what a budget buys."""

from collections.abc import Sequence
from math import prod

from compressor.export_gguf import GgufModel, header_bytes, quantized_bytes
from compressor.job import Job, unique_parameters
from compressor.masks.budget import Cost, running_bytes

Q4_0_BYTES = 18 / 32
Q6_K_BYTES = 210 / 256
Q8_0_BYTES = 34 / 32
K_QUANT_VALUES = 256
"""Values of one block of the K types: rows hold a multiple of it, or llama.cpp takes another type."""
HEADER_SLACK_BYTES = 4096
"""What llama.cpp may add to the header."""
BIAS_ENTRY_BYTES = 128
"""One more tensor in the header, and its padding."""


def asked_type(name: str, dimensions: int, tied: bool) -> str:
    """The type that llama.cpp's Q4_0 mixture means for tensor `name`."""
    if dimensions == 1:
        return "F32"
    return "Q6_K" if name == "output.weight" or (tied and name == "token_embd.weight") else "Q4_0"


def expected_type(name: str, shape: Sequence[int], tied: bool) -> str:
    """The type that it gives tensor `name` of `shape` (out, in): Q6_K needs rows of 256, and Q8_0 stands in for it."""
    asked = asked_type(name, len(shape), tied)
    return "Q8_0" if asked == "Q6_K" and shape[-1] % K_QUANT_VALUES else asked


def tensor_bytes(name: str, shape: Sequence[int], tied: bool) -> int:
    """Stored size of one tensor in the Q4_0 file."""
    each = {"F32": 4.0, "Q4_0": Q4_0_BYTES, "Q6_K": Q6_K_BYTES, "Q8_0": Q8_0_BYTES}[expected_type(name, shape, tied)]
    return round(prod(shape) * each)


def model_cost(job: Job) -> Cost:
    """Fixed and per-neuron cost of the job's model."""
    shape = job.shape
    model: GgufModel = job.gguf_model(job.checkpoint, job.name)
    header = header_bytes(model, job.out / ".header.gguf") + HEADER_SLACK_BYTES
    dense_bytes = quantized_bytes(header, model, lambda name, size: tensor_bytes(name, size, shape.tied))
    neurons = shape.layers * shape.ffn
    per_neuron_bytes = 3 * shape.hidden * Q4_0_BYTES
    reconstruct = job.recipe.reconstruct
    biased = job.recipe.saliency.bias or (reconstruct is not None and reconstruct.bias)
    biases = shape.layers * shape.hidden if biased else 0
    bias_bytes = 4 * biases + (shape.layers * BIAS_ENTRY_BYTES if biased else 0)
    return Cost(
        layers=shape.layers,
        ffn=shape.ffn,
        fixed_parameters=unique_parameters(job.checkpoint, job.family, shape) - 3 * shape.hidden * neurons + biases,
        parameters_per_neuron=3 * shape.hidden,
        fixed_bytes=dense_bytes - int(per_neuron_bytes * neurons) + bias_bytes,
        bytes_per_neuron=per_neuron_bytes,
        running_bytes=running_bytes(shape, job.recipe.budget.context_tokens),
    )
