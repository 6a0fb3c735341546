"""The real Llama 3 vocabulary on a model of width 32: exported, its ids equal the tokenizer's on odd and plain text."""

import base64
import os
from pathlib import Path
from typing import Any

import pytest
from tokenizers import AddedToken, Regex, Tokenizer, decoders, pre_tokenizers, processors
from tokenizers.models import BPE
from transformers import PreTrainedTokenizerFast

from compressor.export_gguf import export_gguf
from compressor.tokens import ChatTokenizer
from models.runtime.model import Model
from tests.compressor.test_export_gguf import gguf_model, lines
from tests.compressor.test_layers import LLAMA3_SCALING
from tests.compressor.tiny import SPLITTER, make_model

pytestmark = [
    pytest.mark.shared,
    pytest.mark.skipif("BEDSIDE_DATA" not in os.environ, reason="BEDSIDE_DATA is not set"),
]
SPECIALS = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}<|start_header_id|>{{ m['role'] }}<|end_header_id|>\n\n"
    "{{ m['content'] }}<|eot_id|>{% endfor %}"
)


def byte_letters() -> dict[int, str]:
    """GPT-2's printable letter for each byte."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    letters = {byte: chr(byte) for byte in plain}
    missing = [byte for byte in range(256) if byte not in letters]
    return {**letters, **{byte: chr(256 + index) for index, byte in enumerate(missing)}}


def splits(token: bytes, ranks: dict[bytes, int]) -> list[tuple[bytes, bytes]]:
    """Every way to join two tokens to `token`, as transformers writes merges for a tiktoken vocabulary."""
    halves = [(token[:at], token[at:]) for at in range(1, len(token))]
    known = [pair for pair in halves if pair[0] in ranks and pair[1] in ranks]
    return sorted(known, key=lambda pair: (ranks[pair[0]], ranks[pair[1]]))


def llama3_tokenizer(path: Path) -> PreTrainedTokenizerFast:
    rows = [line.split() for line in path.read_bytes().splitlines()]
    ranks = {base64.b64decode(token): int(rank) for token, rank in rows}
    letters = byte_letters()

    def spell(token: bytes) -> str:
        return "".join(letters[byte] for byte in token)

    merges = [pair for token in sorted(ranks, key=ranks.__getitem__) for pair in splits(token, ranks)]
    vocab = {spell(token): rank for token, rank in ranks.items()}
    spelled = [(spell(left), spell(right)) for left, right in merges]
    tokenizer = Tokenizer(BPE(vocab, spelled, ignore_merges=True))
    splitter: Any = Regex(SPLITTER.replace(r"|\p{N}|", r"|\p{N}{1,3}|"))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(splitter, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIALS])
    bos = tokenizer.token_to_id(SPECIALS[0])
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{SPECIALS[0]} $A", special_tokens=[(SPECIALS[0], bos)]
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=SPECIALS[0], eos_token=SPECIALS[1], chat_template=TEMPLATE
    )


def test_ids_equal_and_the_turn_ends_with_eot(tmp_path: Path) -> None:
    make_model(tmp_path, vocab_size=128_261, hidden_size=32, num_hidden_layers=1, rope_parameters=LLAMA3_SCALING)
    vocabulary = Path(os.environ["BEDSIDE_DATA"]).parent / "tokenizers" / "llama3" / "tokenizer.model"
    llama3_tokenizer(vocabulary).save_pretrained(tmp_path)
    tokenizer = ChatTokenizer(tmp_path)
    export_gguf(gguf_model(tmp_path), tmp_path / "model.gguf")
    with Model.load(tmp_path / "model.gguf", vocab_only=True) as model:
        for text in lines():
            assert model.tokenize(text, add_bos=False, parse_special=True) == tokenizer.text(text), repr(text)
        assert (model.bos, model.eos, model.eot, model.add_bos) == (128_000, 128_001, 128_004, True)
        assert model.is_end(128_004)
        assert model.metadata["tokenizer.ggml.pre"] == "llama-bpe"
