"""GGUF files against transformers: logits, token ids, unequal widths, and what may not be in a file."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from tokenizers import AddedToken
from transformers import LlamaForCausalLM

from compressor.checkpoint import Checkpoint, Overlay, TensorFiles
from compressor.errors import CheckpointError, FamilyError
from compressor.export_gguf import GgufModel, export_gguf, header_bytes, permute_rotary
from compressor.export_hf import export_hf, ffn_widths
from compressor.families import find_family
from compressor.gguf_vocabulary import read_vocabulary
from compressor.layers import ModelView, stream_loss
from compressor.perplexity import score_text, token_nats
from compressor.prune import replaced_tensors, write_pruned
from compressor.rows import make_batches
from compressor.tokens import ChatTokenizer
from models.gguf_header import read_header
from models.runtime.batch import Batch
from models.runtime.context import Context
from models.runtime.model import Model
from models.starter import split_notes
from tests.compressor.test_layers import LLAMA3_SCALING
from tests.compressor.tiny import SPLITTER, make_model, make_tokenizer


def gguf_model(folder: Path, source: Any = None) -> GgufModel:
    checkpoint = Checkpoint(folder)
    family = find_family(checkpoint.config)
    shape = family.shape(checkpoint.config)
    source = source or checkpoint
    return GgufModel(
        name="tiny",
        source=source,
        family=family,
        shape=shape,
        widths=ffn_widths(source, family, shape),
        rope_factors=family.rope_factors(checkpoint.config),
        vocabulary=read_vocabulary(folder, shape.vocab, ChatTokenizer(folder)),
    )


def llama_cpp_logits(path: Path, ids: list[int]) -> npt.NDArray[np.float32]:
    with (
        Model.load(path) as model,
        Context(model, n_ctx=len(ids), threads=1, kv_type="f32", flash_attention=False) as context,
        Batch(len(ids), 1) as batch,
    ):
        for position, token in enumerate(ids):
            batch.add(token, position, [0], logits=True)
        context.decode(batch)
        return np.stack([context.logits(row) for row in range(len(ids))])


def random_ids(count: int = 512) -> list[int]:
    return [0, *torch.randint(6, 512, (count - 1,), generator=torch.Generator().manual_seed(2)).tolist()]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"tie_word_embeddings": False, "num_key_value_heads": 4, "rms_norm_eps": 1e-5},
        {"rope_parameters": LLAMA3_SCALING, "head_dim": 32},
    ],
)
def test_f32_logits_equal_transformers(tmp_path: Path, config: dict[str, Any]) -> None:
    make_model(tmp_path, **config)
    model = LlamaForCausalLM.from_pretrained(tmp_path).eval()
    export_gguf(gguf_model(tmp_path), tmp_path / "model.gguf", "f32")
    with torch.inference_mode():
        expected = model(torch.tensor([random_ids()])).logits[0].numpy()
    actual = llama_cpp_logits(tmp_path / "model.gguf", random_ids())
    assert np.abs(actual - expected).max() < 1e-3
    assert np.abs(expected).max() > 2


@pytest.mark.parametrize("file_type", ["f16", "bf16"])
def test_half_types_stay_close(tiny_folder: Path, tmp_path: Path, file_type: Any) -> None:
    export_gguf(gguf_model(tiny_folder), tmp_path / "model.gguf", file_type)
    export_gguf(gguf_model(tiny_folder), tmp_path / "f32.gguf", "f32")
    difference = llama_cpp_logits(tmp_path / "model.gguf", random_ids(64)) - llama_cpp_logits(
        tmp_path / "f32.gguf", random_ids(64)
    )
    assert 0 < np.abs(difference).max() < 0.3
    types = read_header(tmp_path / "model.gguf").quantization_mix
    assert set(types) == {"F32", file_type.upper()}


def test_unequal_widths_run_as_deci_and_equal_our_forward(tiny_folder: Path, tmp_path: Path) -> None:
    checkpoint = Checkpoint(tiny_folder)
    family = find_family(checkpoint.config)
    kept = [torch.arange(0, 128, 2)[:32], torch.arange(96)]
    write_pruned(checkpoint, family, kept, tmp_path)
    pruned = Overlay(checkpoint, replaced_tensors(tmp_path))
    model = gguf_model(tiny_folder, pruned)
    assert model.widths == (32, 96)
    path = tmp_path / "model.gguf"
    export_gguf(model, path, "f32")
    header = read_header(path)
    assert header.architecture == "deci"
    assert header.ffn_widths == (32, 96)
    view = ModelView(pruned, family, model.shape, family.rope_frequencies(checkpoint.config))
    ids = random_ids(128)
    with torch.inference_mode():
        expected = stream_loss(view, make_batches([ids]))
    with Model.load(path) as loaded, Context(loaded, 128, threads=1, kv_type="f32", flash_attention=False) as context:
        nats = token_nats(context, ids, 1)
    assert sum(nats) / len(nats) == pytest.approx(expected, abs=1e-4)


def test_equal_widths_load_in_plain_transformers(tiny_folder: Path, tmp_path: Path) -> None:
    """Masking the dense model's neurons by hand gives the same logits as the pruned checkpoint."""
    checkpoint = Checkpoint(tiny_folder)
    family = find_family(checkpoint.config)
    kept = [torch.arange(0, 128, 2), torch.arange(64)]
    write_pruned(checkpoint, family, kept, tmp_path)
    export_hf(Overlay(checkpoint, replaced_tensors(tmp_path)), checkpoint, tmp_path / "hf", shard_bytes=60_000)
    assert len(list((tmp_path / "hf").glob("model-*.safetensors"))) > 1
    pruned = LlamaForCausalLM.from_pretrained(tmp_path / "hf", dtype=torch.float32).eval()
    dense = LlamaForCausalLM.from_pretrained(tiny_folder).eval()
    with torch.no_grad():
        for parameter in dense.parameters():
            parameter.copy_(parameter.to(torch.bfloat16).float())
        for layer, indices in zip(dense.model.layers, kept, strict=True):
            gone = torch.ones(128, dtype=torch.bool)
            gone[indices] = False
            layer.mlp.down_proj.weight[:, gone] = 0
        ids = torch.tensor([random_ids(64)])
        torch.testing.assert_close(pruned(ids).logits, dense(ids).logits, rtol=1e-4, atol=1e-4)
    assert ChatTokenizer(tmp_path / "hf").chat_template == ChatTokenizer(tiny_folder).chat_template


def test_unequal_widths_are_listed_in_config(tiny_folder: Path, tmp_path: Path) -> None:
    checkpoint = Checkpoint(tiny_folder)
    write_pruned(checkpoint, find_family(checkpoint.config), [torch.arange(128), torch.arange(96)], tmp_path)
    export_hf(Overlay(checkpoint, replaced_tensors(tmp_path)), checkpoint, tmp_path / "hf")
    assert Checkpoint(tmp_path / "hf").config["intermediate_sizes"] == [128, 96]


def lines() -> list[str]:
    """A thousand lines: prose of the notes, then Unicode, digits, line ends and control characters."""
    prose = [sentence for note in split_notes()[0] for sentence in re.split(r"(?<=\.) ", note.text)]
    odd = [
        "Dose 1,234.50 mg/kg – 37.5 °C", "naïve café 東京 Ωμέγα 😀👩‍⚕️", "a\r\nb\r\n\r\nc", "  two  spaces\t\ttab ",
        "\u200bzero\u200dwidth", "e\u0301 combining", "٣٤٥ १२३", "don't WE'LL I'M", "\x00\x01\x7f", "<|user| > spelled",
        "…—“quoted”", "\u00a0nbsp\u3000",
    ]  # fmt: skip
    mixed = [f"{left}{number}{right}" for number, left in enumerate(odd * 3) for right in odd]
    return (odd + mixed + prose)[:1000]


def test_token_ids_equal_on_a_thousand_lines(tiny_folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    export_gguf(gguf_model(tiny_folder), path)
    tokenizer = ChatTokenizer(tiny_folder)
    tested = lines()
    assert len(tested) == 1000
    with Model.load(path, vocab_only=True) as model:
        for text in tested:
            assert model.tokenize(text, add_bos=False, parse_special=True) == tokenizer.text(text), repr(text)
        assert model.tokenize("a<|user|>b", add_bos=False, parse_special=True) == tokenizer.text("a<|user|>b")
        assert (model.bos, model.eos, model.eot, model.add_bos) == (0, 1, 1, True)
        assert model.metadata["tokenizer.chat_template"] == tokenizer.chat_template
        assert model.token_bytes(4, special=True) == b"<|user|>"
        assert model.token_bytes(4) == b""


def test_the_same_weights_give_the_same_bytes(tiny_folder: Path, tmp_path: Path) -> None:
    contents = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        export_gguf(gguf_model(tiny_folder), tmp_path / name / f"{name}.gguf")
        contents.add((tmp_path / name / f"{name}.gguf").read_bytes())
    assert len(contents) == 1
    assert str(tmp_path).encode() not in contents.pop()


def test_header_bytes_is_the_offset_of_the_data(tiny_folder: Path, tmp_path: Path) -> None:
    model = gguf_model(tiny_folder)
    export_gguf(model, tmp_path / "model.gguf")
    size = header_bytes(model, tmp_path / "header.gguf")
    offset = read_header(tmp_path / "model.gguf").data_offset
    assert offset - 32 < size <= offset
    assert not (tmp_path / "header.gguf").exists()


def test_values_beyond_f16_are_refused_and_leave_nothing(tiny_folder: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    checkpoint = Checkpoint(tiny_folder)
    name = "model.layers.0.mlp.down_proj.weight"
    save_file({name: checkpoint.tensor(name) * 1e6}, tmp_path / "top.safetensors")
    source = Overlay(checkpoint, TensorFiles.scan([tmp_path / "top.safetensors"]))
    with pytest.raises(CheckpointError, match="beyond float16"):
        export_gguf(gguf_model(tiny_folder, source), tmp_path / "model.gguf")
    assert [path.name for path in tmp_path.iterdir()] == ["top.safetensors"]


def test_rotary_permutation_brings_halves_together() -> None:
    rows = torch.arange(8).view(8, 1)
    assert permute_rotary(rows, 2).flatten().tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


@pytest.mark.parametrize(
    ("splitter", "bpe", "expected"),
    [
        (SPLITTER.replace(r"|\p{N}|", r"|\p{N}{1,3}|"), {"ignore_merges": True}, "llama-bpe"),
        (SPLITTER, {}, "qwen2"),
        (SPLITTER.replace(r"|\p{N}|", r"|\p{N}{1,2}|"), {}, None),
        (SPLITTER, {"ignore_merges": True}, None),
    ],
)
def test_splitters_are_known_or_refused(
    tmp_path: Path, splitter: str, bpe: dict[str, Any], expected: str | None
) -> None:
    make_tokenizer(splitter=splitter, **bpe).save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}', "utf-8")
    if expected is None:
        with pytest.raises(FamilyError):
            read_vocabulary(tmp_path, 512, ChatTokenizer(tmp_path))
    else:
        assert read_vocabulary(tmp_path, 520, ChatTokenizer(tmp_path)).splitter == expected


def test_added_tokens_get_their_types(tmp_path: Path) -> None:
    tokenizer = make_tokenizer()
    tokenizer.add_tokens([AddedToken("<dose>", special=False)])
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "llama"}', "utf-8")
    vocabulary = read_vocabulary(tmp_path, 514, ChatTokenizer(tmp_path))
    assert vocabulary.tokens[512:] == ("<dose>", "[PAD513]")
    assert vocabulary.types[:7] == (3, 3, 3, 3, 3, 3, 1)
    assert vocabulary.types[512:] == (4, 5)
    with pytest.raises(FamilyError, match="vocabulary holds 512"):
        read_vocabulary(tmp_path, 512, ChatTokenizer(tmp_path))


def test_perplexity_agrees_with_transformers(tiny_folder: Path, tmp_path: Path) -> None:
    """hf_stride by the recipe of the transformers documentation with BOS before each window, on the F32 file."""
    export_gguf(gguf_model(tiny_folder), tmp_path / "model.gguf", "f32")
    documents = [note.text for note in split_notes()[1][:2]]
    score = score_text(tmp_path / "model.gguf", documents, 128, kv_type="f32", flash_attention=False, threads=1)
    model = LlamaForCausalLM.from_pretrained(tiny_folder).eval()
    tokenizer = ChatTokenizer(tiny_folder)
    nats, scored = 0.0, 0
    for document in documents:
        ids = tokenizer.text(document)
        previous = 0
        for begin in range(0, len(ids), 64):
            end = min(begin + 127, len(ids))
            window = torch.tensor([[0, *ids[begin:end]]])
            labels = window.clone()
            labels[:, : -(end - previous)] = -100
            with torch.inference_mode():
                loss = model(window, labels=labels).loss
            count = int((labels[:, 1:] != -100).sum())
            nats, scored = nats + float(loss) * count, scored + count
            previous = end
            if end == len(ids):
                break
    assert score.scored_tokens == scored
    assert np.log(score.hf_stride) == pytest.approx(nats / scored, abs=1e-4)
    size = sum(len(document.encode()) for document in documents)
    assert score.bits_per_byte == pytest.approx(nats / np.log(2) / size, rel=1e-4)
    assert score.llama_cpp_chunk == pytest.approx(_chunk_perplexity(model, tokenizer, documents), rel=1e-3)


def _chunk_perplexity(model: LlamaForCausalLM, tokenizer: ChatTokenizer, documents: list[str]) -> float:
    """llama-perplexity's loop: BOS over the first token of each window of 128, positions 64 to 126 predict the next."""
    ids = [0, *tokenizer.text("\n\n".join(documents))]
    losses = []
    for start in range(0, len(ids) // 128 * 128, 128):
        window = torch.tensor([[0, *ids[start + 1 : start + 128]]])
        with torch.inference_mode():
            logits = model(window).logits[0]
        losses.append(torch.nn.functional.cross_entropy(logits[64:127], window[0, 65:], reduction="none"))
    return float(torch.cat(losses).double().mean().exp())
