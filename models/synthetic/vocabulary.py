"""Small vocabularies for synthetic GGUF files: byte-level BPE, as the built-in model has, and SentencePiece."""

import itertools
import string
from dataclasses import dataclass, field
from typing import Literal

from models.errors import ModelFileError

VocabularyKind = Literal["bpe", "spm"]

_NORMAL, _UNKNOWN, _CONTROL, _BYTE = 1, 2, 3, 6
_BPE_CONTROL = ["<|begin|>", "<|end|>", "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>"]
_BPE_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}{{ '<|' + message['role'] + '|>' }}{{ message['content'] }}"
    "{{ '<|end|>' }}{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
_SPM_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + message['content'] + ' [/INST]' }}"
    "{% else %}{{ ' ' + message['content'] + eos_token }}{% endif %}{% endfor %}"
)


@dataclass(frozen=True)
class Vocabulary:
    """What a GGUF file says about its tokenizer; `scores` only for SentencePiece, `merges` only for BPE."""

    model: Literal["gpt2", "llama"]
    tokens: list[str]
    types: list[int]
    bos: int
    eos: int
    template: str
    merges: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)


def make_vocabulary(size: int, kind: VocabularyKind = "bpe") -> Vocabulary:
    """A vocabulary of exactly `size` tokens: control tokens, all bytes, letters and pairs of letters, then fillers."""
    return _bpe(size) if kind == "bpe" else _spm(size)


def _bpe(size: int) -> Vocabulary:
    base = list(_byte_characters().values())
    pairs = [*itertools.product("Ġ", string.ascii_lowercase), *itertools.product(string.ascii_lowercase, repeat=2)]
    merges = [" ".join(pair) for pair in pairs][: max(0, size - len(_BPE_CONTROL) - len(base))]
    tokens = [*_BPE_CONTROL, *base, *(merge.replace(" ", "") for merge in merges)]
    types = [_CONTROL] * len(_BPE_CONTROL) + [_NORMAL] * (len(tokens) - len(_BPE_CONTROL))
    tokens, types = _filled(tokens, types, size)
    return Vocabulary("gpt2", tokens, types, bos=0, eos=1, template=_BPE_TEMPLATE, merges=merges)


def _spm(size: int) -> Vocabulary:
    letters = ["▁", *string.ascii_letters, *string.digits, *string.punctuation]
    pairs = ["".join(pair) for pair in itertools.product("▁" + string.ascii_lowercase, string.ascii_lowercase)]
    tokens = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)), *letters]
    types = [_UNKNOWN, _CONTROL, _CONTROL] + [_BYTE] * 256 + [_NORMAL] * len(letters)
    pairs = pairs[: max(0, size - len(tokens))]
    tokens, types = _filled([*tokens, *pairs], types + [_NORMAL] * len(pairs), size)
    scores = [-float(rank) for rank in range(size)]
    return Vocabulary("llama", tokens, types, bos=1, eos=2, template=_SPM_TEMPLATE, scores=scores)


def _filled(tokens: list[str], types: list[int], size: int) -> tuple[list[str], list[int]]:
    missing = size - len(tokens)
    if missing < 0:
        raise ModelFileError(f"a vocabulary of {size} is too small for all bytes; use {len(tokens)} or more")
    fillers = [f"filler{number}" for number in range(missing)]
    return tokens + fillers, types + [_NORMAL] * missing


def _byte_characters() -> dict[int, str]:
    """GPT-2's map from bytes to printable characters."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    shifted = (byte for byte in range(256) if byte not in printable)
    return {byte: chr(byte) for byte in printable} | {byte: chr(256 + rank) for rank, byte in enumerate(shifted)}
