"""Token ids through llama.cpp equal to transformers on a thousand lines, for each kind of tokenizer; real ones where at hand."""

import json
import os
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sentencepiece import SentencePieceProcessor
from tokenizers import AddedToken, Tokenizer, normalizers, processors
from tokenizers.models import BPE
from transformers import LlamaConfig, LlamaTokenizer, PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import TikTokenConverter, generate_merges

from compressor.errors import FamilyError
from compressor.export_gguf import export_gguf
from compressor.gguf_vocabulary import read_vocabulary
from compressor.tokens import ChatTokenizer
from models.runtime.model import Model
from tests.compressor.families.contract import gguf_model
from tests.compressor.families.random_models import COMMON, make_family_model
from tests.compressor.families.tokenizers import gemma_tokenizer, mistral_tokenizer, qwen_tokenizer
from tests.compressor.test_export_gguf import lines
from tests.compressor.tiny import make_tokenizer

TOKENIZERS = Path(os.environ.get("BEDSIDE_DATA", "absent")).parent / "tokenizers"
LLAMA2 = TOKENIZERS / "llama2" / "tokenizer.model"
real = pytest.mark.skipif(not TOKENIZERS.is_dir(), reason="the real vocabularies are not at hand")
SIZES = {**COMMON, "hidden_size": 32, "num_hidden_layers": 1, "intermediate_size": 32}


def exported(folder: Path, tokenizer: Any) -> Path:
    """A GGUF file with `tokenizer`, whose model is as small as can be."""
    config = LlamaConfig(**{**SIZES, "vocab_size": len(tokenizer)})
    make_family_model(folder, config, tokenizer)
    export_gguf(gguf_model(folder), folder / "model.gguf")
    return folder / "model.gguf"


def differing(path: Path, tested: list[str]) -> list[str]:
    tokenizer = ChatTokenizer(path.parent)
    with Model.load(path, vocab_only=True) as model:
        return [
            text for text in tested if model.tokenize(text, add_bos=False, parse_special=True) != tokenizer.text(text)
        ]


def chat(tokenizer: ChatTokenizer) -> str:
    """Special tokens in their places."""
    turns = [
        {"role": "user", "content": "Is 5,000 mg too much?\n\nNo  fever."},
        {"role": "assistant", "content": "Yes."},
    ]
    return str(tokenizer._tokenizer.apply_chat_template(turns, tokenize=False))


@pytest.mark.parametrize(
    ("make", "model", "splitter", "prefix"),
    [
        (make_tokenizer, "gpt2", "qwen2", None),
        (qwen_tokenizer, "gpt2", "qwen2", None),
        (gemma_tokenizer, "llama", "default", "False"),
        (mistral_tokenizer, "llama", "default", "True"),
    ],
)
def test_ids_equal_on_a_thousand_lines(
    tmp_path: Path, make: Callable[[], Any], model: str, splitter: str, prefix: str | None
) -> None:
    path = exported(tmp_path, make())
    tokenizer = ChatTokenizer(tmp_path)
    notes = read_vocabulary(tmp_path, len(make()), tokenizer).notes
    tested = lines()
    if make is qwen_tokenizer:
        assert "NFC" in notes[0]
        tested = [unicodedata.normalize("NFC", text) for text in tested]
    elif make is mistral_tokenizer:
        assert "space" in notes[0]
        tested = [text for text in tested if not text.startswith(" ")]
    else:
        assert notes == ()
        tested.append(chat(tokenizer))
    assert len(tested) > 900
    assert differing(path, tested) == []
    with Model.load(path, vocab_only=True) as loaded:
        assert loaded.metadata["tokenizer.ggml.model"] == model
        assert loaded.metadata["tokenizer.ggml.pre"] == splitter
        assert loaded.metadata.get("tokenizer.ggml.add_space_prefix", "").capitalize() == (prefix or "")
        assert loaded.add_bos == (tokenizer.bos is not None)
        assert loaded.eos == tokenizer.eos
        assert loaded.is_end(tokenizer.end_of_turn() or tokenizer.eos or 0)
        assert loaded.metadata["tokenizer.chat_template"] == tokenizer.chat_template


def test_what_the_notes_say_is_so(tmp_path: Path) -> None:
    """Text that is not in NFC, and text that begins with a space, get other ids."""
    path = exported(tmp_path / "qwen", qwen_tokenizer())
    assert differing(path, ["e\u0301", "\u00e9"]) == ["e\u0301"]
    path = exported(tmp_path / "mistral", mistral_tokenizer())
    assert differing(path, [" a dose", "a dose", "</s>a dose"]) == [" a dose", "</s>a dose"]


def published_llama2() -> PreTrainedTokenizerFast:
    """The SentencePiece file as the published tokenizer.json was made of it: merges by score, a space before all text."""
    original = SentencePieceProcessor(model_file=str(LLAMA2))
    vocab = {original.id_to_piece(index): index for index in range(len(original))}
    scores = {piece: original.get_score(index) for piece, index in vocab.items()}
    merges = generate_merges(vocab, scores)
    model = BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    tokenizer = Tokenizer(model)
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.add_special_tokens(
        [AddedToken(token, special=True, normalized=False) for token in ("<unk>", "<s>", "</s>")]
    )
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


@real
@pytest.mark.shared
def test_the_real_llama2_vocabulary(tmp_path: Path) -> None:
    path = exported(tmp_path, published_llama2())
    assert read_vocabulary(tmp_path, 32_000, ChatTokenizer(tmp_path)).notes == ()
    assert differing(path, [*lines(), "<s>[INST] dose  of a\tdrug [/INST] ok </s>"]) == []
    original = SentencePieceProcessor(model_file=str(LLAMA2))
    with Model.load(path, vocab_only=True) as model:
        for text in lines():
            if "\x00" not in text:
                assert model.tokenize(text, add_bos=False, parse_special=False) == original.encode(text), repr(text)
        assert (model.bos, model.eos, model.add_bos) == (1, 2, True)
        assert model.metadata["tokenizer.ggml.model"] == "llama"


@real
@pytest.mark.shared
def test_llama2s_vocabulary_as_transformers_converts_it(tmp_path: Path) -> None:
    """No space before a text that has one: what the note says, and no other line."""
    path = exported(tmp_path, LlamaTokenizer.from_pretrained(LLAMA2.parent, add_bos_token=True))
    assert "one space more" in read_vocabulary(tmp_path, 32_000, ChatTokenizer(tmp_path)).notes[0]
    different = differing(path, lines())
    assert different
    assert all(text.startswith(" ") for text in different)


def llama3_tokenizer() -> PreTrainedTokenizerFast:
    """The tiktoken file through transformers' converter, with the special tokens that chat needs."""
    specials = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    converted = TikTokenConverter(
        vocab_file=str(TOKENIZERS / "llama3" / "tokenizer.model"), extra_special_tokens=specials
    ).converted()
    template = (
        "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
        "{{ m['content'] }}<|eot_id|>{% endfor %}"
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=converted, bos_token=specials[0], eos_token=specials[1], chat_template=template
    )


@real
@pytest.mark.shared
def test_the_real_llama3_vocabulary(tmp_path: Path) -> None:
    path = exported(tmp_path, llama3_tokenizer())
    tokenizer = ChatTokenizer(tmp_path)
    assert differing(path, [*lines(), chat(tokenizer)]) == []
    with Model.load(path, vocab_only=True) as model:
        assert (model.bos, model.eos, model.eot, model.add_bos) == (128_000, 128_001, 128_004, True)
        assert model.is_end(128_004)
        assert model.metadata["tokenizer.ggml.pre"] == "llama-bpe"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"normalizer": {"type": "Lowercase"}}, "normalises text by Lowercase"),
        ({"pre_tokenizer": {"type": "Whitespace"}}, "splits words in a way"),
    ],
)
def test_what_llama_cpp_would_split_otherwise_is_refused(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    make_tokenizer().save_pretrained(tmp_path)
    content = json.loads((tmp_path / "tokenizer.json").read_text("utf-8"))
    (tmp_path / "tokenizer.json").write_text(json.dumps({**content, **change}), "utf-8")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}', "utf-8")
    with pytest.raises(FamilyError, match=says):
        read_vocabulary(tmp_path, 512, ChatTokenizer(tmp_path))


def test_a_tokenizer_of_another_model_is_refused(tmp_path: Path) -> None:
    make_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(FamilyError, match="has 512 ids and the embedding 4096 rows: it belongs to another model"):
        read_vocabulary(tmp_path, 4096, ChatTokenizer(tmp_path))
    with pytest.raises(FamilyError, match="has id 511, but the model's vocabulary holds 300"):
        read_vocabulary(tmp_path, 300, ChatTokenizer(tmp_path))
