"""What every family has to do: stream like transformers, count like autograd, export what llama.cpp runs alike."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import save_file

from compressor.assemble import assemble
from compressor.calibrate import calibrate
from compressor.checkpoint import Checkpoint, Overlay, TensorFiles
from compressor.errors import CheckpointError, FamilyError, RecipeError
from compressor.export_gguf import GgufModel, export_gguf
from compressor.export_hf import export_hf, ffn_widths
from compressor.families import find_family
from compressor.gguf_vocabulary import read_vocabulary
from compressor.importance import importance
from compressor.job import Job, check_tensors, open_job
from compressor.layers import ModelView, attend, embed, ffn_input, load_layer, stream_losses, through_layer
from compressor.pipeline import run_job
from compressor.prune import replaced_tensors, write_pruned
from compressor.quantize import check_types, quantize_file
from compressor.recipe.load import load_recipe
from compressor.rows import make_batches
from compressor.tokens import ChatTokenizer
from compressor.walk import StreamCheckpoint
from models.gguf_header import read_header
from models.runtime.context import Context
from models.runtime.generate import generate
from models.runtime.model import Model
from models.runtime.sampler import Sampler
from tests.compressor.families.random_models import make_family_model
from tests.compressor.runs import Silent
from tests.compressor.test_export_gguf import llama_cpp_logits
from tests.compressor.tiny import make_tokenizer

Array = npt.NDArray[np.float32]


def view(folder: Path, source: Any = None) -> ModelView:
    checkpoint = Checkpoint(folder)
    family = find_family(checkpoint.config)
    return ModelView(
        source or checkpoint, family, family.shape(checkpoint.config), family.rope_frequencies(checkpoint.config)
    )


def gguf_model(folder: Path, source: Any = None) -> GgufModel:
    model, config = view(folder, source), Checkpoint(folder).config
    return GgufModel(
        name="tiny",
        source=model.source,
        family=model.family,
        shape=model.shape,
        widths=ffn_widths(model.source, model.family, model.shape),
        rope_factors=model.family.rope_factors(config),
        vocabulary=read_vocabulary(folder, model.shape.vocab, ChatTokenizer(folder)),
    )


def random_rows(lengths: tuple[int, ...]) -> list[list[int]]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(6, 512, (length,), generator=generator).tolist() for length in lengths]


def pruned_source(folder: Path, out: Path, widths: list[int]) -> Overlay:
    checkpoint = Checkpoint(folder)
    family = find_family(checkpoint.config)
    generator = torch.Generator().manual_seed(3)
    kept = [torch.randperm(128, generator=generator)[:width].sort().values for width in widths]
    write_pruned(checkpoint, family, kept, out)
    return Overlay(checkpoint, replaced_tensors(out))


def transformers_logits(folder: Path, source: Any, ids: list[int]) -> Array:
    model = view(folder, source)
    config = {**Checkpoint(folder).config, "attn_implementation": "eager"}
    module = assemble(model.source, model.family, model.shape, config)
    with torch.inference_mode():
        logits: Array = module(torch.tensor([ids])).logits[0].numpy()
    return logits


class FamilyContract:
    """Subclass it, name the config, and every test below is the family's."""

    config: ClassVar[Any]
    """A width-reduced config with everything on that sets the family apart."""
    tokenizer: ClassVar[Callable[[], Any]] = staticmethod(make_tokenizer)
    """Builds a tokenizer of the family's kind."""
    architecture: ClassVar[str]
    unequal_architecture: ClassVar[str | None] = None
    refusal: ClassVar[str] = "one FFN width"
    tolerance: ClassVar[float] = 1e-3
    """On logits, against llama.cpp with an F32 cache; GELU there is a half-precision table: 1e-2."""
    row_tokens: ClassVar[int] = 96
    """Rows of the llama.cpp comparison: longer than the window where llama.cpp knows windows."""

    @pytest.fixture(scope="class")
    @classmethod
    def folder(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("family") / "model"
        make_family_model(folder, cls.config, cls.tokenizer())
        return folder

    def widths(self, layers: int) -> list[int]:
        return [32 if layer % 2 else 96 for layer in range(layers)]

    def test_every_tensor_of_a_layer_has_its_shape_checked(self, folder: Path, tmp_path: Path) -> None:
        model = view(folder)
        check_tensors(model.source, model.family, model.shape)
        for part, name in vars(model.family.layer_names(0)).items():
            if name is None or part == "down_bias":
                continue
            size = model.source.shape(name)
            longer = (size[0] + 1, *size[1:])
            save_file({name: torch.zeros(longer)}, tmp_path / "longer.safetensors")
            source = Overlay(model.source, TensorFiles.scan([tmp_path / "longer.safetensors"]))
            says = re.escape(f"{name} has shape {longer} and config.json asks for {size}")
            with pytest.raises(CheckpointError, match=says):
                check_tensors(source, model.family, model.shape)

    def test_losses_equal_transformers(self, folder: Path) -> None:
        rows = random_rows((100, 37, 80))
        model = view(folder)
        with torch.inference_mode():
            ours = stream_losses(model, make_batches(rows, rows=2))
        for (nats, scored), row in zip(ours, sorted(rows, key=len, reverse=True), strict=True):
            logits = torch.from_numpy(transformers_logits(folder, None, row))
            expected = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(row[1:]))
            assert scored == len(row) - 1
            assert nats / scored == pytest.approx(float(expected), abs=5e-5)

    def test_hidden_states_equal_transformers(self, folder: Path) -> None:
        """Each layer's output, not only the loss: a random model's loss hides much."""
        rows = random_rows((100,))
        model = view(folder)
        module: Any = assemble(model.source, model.family, model.shape, {**Checkpoint(folder).config})
        module.set_attn_implementation("eager")
        with torch.inference_mode():
            expected = module(torch.tensor(rows), output_hidden_states=True).hidden_states
            (batch,) = make_batches(rows)
            (hidden,) = embed(model, [batch])
            torch.testing.assert_close(hidden, expected[0], rtol=1e-4, atol=1e-4)
            for layer in range(model.shape.layers - 1):
                hidden = through_layer(model, load_layer(model, layer), hidden, batch)
                torch.testing.assert_close(hidden, expected[layer + 1], rtol=1e-3, atol=1e-3)

    def test_slope_is_the_derivative(self, folder: Path) -> None:
        family = view(folder).family
        gate = torch.linspace(-8, 8, 101, dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(family.activation(gate).sum(), gate)
        torch.testing.assert_close(family.activation_slope(gate), slope)

    def test_sums_equal_autograd(self, folder: Path, tmp_path: Path) -> None:
        model, batches = view(folder), make_batches(random_rows((20,)))
        with torch.inference_mode():
            statistics = calibrate(model, batches, StreamCheckpoint(tmp_path / "state"))
        weights = load_layer(model, 0)
        inputs = ffn_input(model, weights, attend(model, weights, embed(model, batches)[0]), batches[0].valid)

        def inner(x: torch.Tensor) -> torch.Tensor:
            return model.family.activation(weights.gate @ x) * (weights.up @ x)

        jacobian: Any = torch.func.jacrev(inner)
        expected = torch.stack([jacobian(x).double().square().sum(1) for x in inputs]).sum(0)
        torch.testing.assert_close(statistics.layers[0].jacobian_squared, expected, rtol=1e-4, atol=1e-6)

    def test_equal_widths_run_alike_in_llama_cpp(self, folder: Path, tmp_path: Path) -> None:
        layers = view(folder).shape.layers
        self.compare(folder, tmp_path, [64] * layers, self.architecture)

    def test_unequal_widths_run_alike_or_are_refused_by_name(self, folder: Path, tmp_path: Path) -> None:
        model, config = view(folder), Checkpoint(folder).config
        reason = model.family.allows_unequal_widths(config)
        if self.unequal_architecture is not None:
            assert reason is None
            self.compare(folder, tmp_path, self.widths(model.shape.layers), self.unequal_architecture)
            return
        assert reason is not None
        assert self.refusal in reason

    def compare(self, folder: Path, out: Path, widths: list[int], architecture: str) -> None:
        source = pruned_source(folder, out, widths)
        path = out / "model.gguf"
        export_gguf(gguf_model(folder, source), path, "f32")
        header = read_header(path)
        assert header.architecture == architecture
        assert header.ffn_widths == tuple(widths)
        (ids,) = random_rows((self.row_tokens,))
        expected = transformers_logits(folder, source, ids)
        assert np.abs(llama_cpp_logits(path, ids) - expected).max() < self.tolerance
        assert expected.std() > 0.3

    def test_quantizes_with_an_importance_matrix(self, folder: Path, tmp_path: Path) -> None:
        layers = view(folder).shape.layers
        choices = [[64] * layers, *([self.widths(layers)] if self.unequal_architecture else [])]
        for number, widths in enumerate(choices):
            out = tmp_path / str(number)
            source = pruned_source(folder, out, widths)
            model = gguf_model(folder, source)
            export_gguf(model, out / "f16.gguf")
            with torch.inference_mode():
                found = importance(view(folder, source), make_batches(random_rows((100, 50))))
            matrices = {tensor.name for tensor in read_header(out / "f16.gguf").tensors if len(tensor.shape) == 2}
            assert set(found) == matrices - {"token_embd.weight", "output.weight"}
            quantize_file(out / "f16.gguf", out / "q4_0.gguf", found)
            types = check_types(out / "q4_0.gguf", tied=model.shape.tied)
            assert types["Q8_0"] == 1
            assert types["Q4_0"] == len(found) + (not model.shape.tied)

    def test_a_bias_of_down_runs_alike_or_is_refused(self, folder: Path, tmp_path: Path) -> None:
        model = view(folder)
        layers = model.shape.layers
        pruned = pruned_source(folder, tmp_path / "pruned", [64] * layers)
        bias = torch.randn(model.shape.hidden, generator=torch.Generator().manual_seed(5))
        save_file({model.family.layer_names(layers - 1).down_bias: bias}, tmp_path / "bias.safetensors")
        source = Overlay(pruned, TensorFiles.scan([tmp_path / "bias.safetensors"]))
        path, (ids,) = tmp_path / "model.gguf", random_rows((48,))
        if not model.family.carries_down_bias:
            with pytest.raises(FamilyError, match="has no place"):
                export_gguf(gguf_model(folder, source), path)
            return
        export_gguf(gguf_model(folder, source), path, "f32")
        expected = transformers_logits(folder, source, ids)
        assert np.abs(llama_cpp_logits(path, ids) - expected).max() < self.tolerance
        assert np.abs(transformers_logits(folder, pruned, ids) - expected).max() > 0.1
        export_hf(source, Checkpoint(folder), tmp_path / "hf")
        exported = Checkpoint(tmp_path / "hf")
        biases = [name for name in exported.names() if ".mlp." in name and name.endswith("bias")]
        assert len(biases) == (3 * layers if model.family.hf_down_bias else 0)
        assert exported.config.get("mlp_bias", False) == model.family.hf_down_bias

    def test_the_hugging_face_folder_loads_in_plain_transformers(self, folder: Path, tmp_path: Path) -> None:
        from transformers import AutoModelForCausalLM

        layers = view(folder).shape.layers
        source = pruned_source(folder, tmp_path / "pruned", [64] * layers)
        export_hf(source, Checkpoint(folder), tmp_path / "hf")
        loaded = AutoModelForCausalLM.from_pretrained(
            tmp_path / "hf", dtype=torch.float32, attn_implementation="eager"
        ).eval()
        (ids,) = random_rows((40,))
        with torch.inference_mode():
            actual = loaded(torch.tensor([ids])).logits[0].numpy()
        again = Checkpoint(tmp_path / "hf")
        np.testing.assert_allclose(actual, transformers_logits(tmp_path / "hf", again, ids), atol=1e-5)
        assert ffn_widths(again, view(folder).family, view(folder).shape) == (64,) * layers

    @pytest.mark.usefixtures("one_core")
    def test_compresses_to_a_file_that_answers(self, folder: Path, tmp_path: Path) -> None:
        job = self.job(folder, tmp_path, "uniform")
        manifest = run_job(job)
        assert manifest["stages"]["08-quantize"]["facts"]["types"]["Q4_0"] > 0
        assert manifest["stages"]["07-export"]["facts"]["architecture"] == self.architecture
        path = job.gguf_path("q4_0")
        assert read_header(path).ffn_widths == (64,) * job.shape.layers
        with Model.load(path) as model, Context(model, n_ctx=64, threads=1) as context:
            ids = model.tokenize("Fever and a", add_bos=model.add_bos, parse_special=True)
            assert ids == [
                *([] if job.tokenizer.bos is None else [job.tokenizer.bos]),
                *job.tokenizer.text("Fever and a"),
            ]
            assert list(generate(context, ids, Sampler(), 8))

    def job(self, folder: Path, tmp_path: Path, method: str) -> Job:
        (tmp_path / "small.toml").write_text(RECIPE.format(method=method), "utf-8")
        recipe = load_recipe(str(tmp_path / "small.toml"))
        return open_job("tiny", folder, recipe, out=tmp_path / "run", data=None, reporter=Silent())

    def test_global_masks_are_refused_before_the_work(self, folder: Path, tmp_path: Path) -> None:
        if self.unequal_architecture is not None:
            return
        with pytest.raises(RecipeError, match=f"mask.method = global .*{self.refusal}"):
            run_job(self.job(folder, tmp_path, "global"))
        assert not (tmp_path / "run" / "stages").exists()


RECIPE = """
[calibrate]
samples = 8
tokens_per_sample = 64
[mask]
method = "{method}"
multiple = 32
[budget]
ffn_share = 0.5
[reconstruct]
target = "own"
[evaluate]
documents = 1
context_tokens = 64
"""
