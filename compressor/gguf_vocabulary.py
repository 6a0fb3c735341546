"""Byte-level BPE tokenizers as GGUF metadata; anything that llama.cpp would split differently is refused."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf

from compressor.errors import FamilyError
from compressor.tokens import ChatTokenizer

# llama.cpp selects its splitter by name; these are the Hugging Face patterns that it mirrors exactly.
_QWEN2 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
_LLAMA3 = _QWEN2.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
_SPLITTERS = {_QWEN2: "qwen2", _LLAMA3: "llama-bpe"}
# llama.cpp looks whole words up before merging for these splitters, whatever the tokenizer says.
_WHOLE_WORDS = {"llama-bpe": True, "qwen2": False}


@dataclass(frozen=True)
class Vocabulary:
    """What llama.cpp needs to tokenize and to format a chat."""

    splitter: str
    tokens: tuple[str, ...]
    types: tuple[int, ...]
    merges: tuple[str, ...]
    bos: int | None
    eos: int | None
    end_of_turn: int | None
    add_bos: bool
    chat_template: str | None


def read_vocabulary(folder: Path, size: int, tokenizer: ChatTokenizer) -> Vocabulary:
    """Read tokenizer.json, padded to `size` ids. Raises FamilyError for what cannot be carried over exactly."""
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise FamilyError(f"{folder} has no tokenizer.json; only byte-level BPE tokenizers of that form are supported")
    content: dict[str, Any] = json.loads(path.read_text("utf-8"))
    splitter = _splitter(content, path)
    tokens, types = _tokens(content, size, path)
    merges = tuple(pair if isinstance(pair, str) else " ".join(pair) for pair in content["model"]["merges"])
    return Vocabulary(
        splitter=splitter,
        tokens=tokens,
        types=types,
        merges=merges,
        bos=tokenizer.bos,
        eos=tokenizer.eos,
        end_of_turn=tokenizer.end_of_turn(),
        add_bos=tokenizer.adds_bos or (tokenizer.bos is not None and tokenizer.has_template),
        chat_template=tokenizer.chat_template,
    )


def _splitter(content: dict[str, Any], path: Path) -> str:
    model = content["model"]
    if model.get("type") != "BPE" or model.get("byte_fallback"):
        raise FamilyError(
            f"{path} is not a byte-level BPE tokenizer, which is the only kind supported; choose another model"
        )
    if content.get("normalizer") is not None:
        raise FamilyError(f"{path} normalises text, which llama.cpp does not; choose another model")
    stages = content.get("pre_tokenizer") or {}
    parts = stages.get("pretokenizers", [stages])
    patterns = [part.get("pattern", {}).get("Regex") for part in parts if part.get("type") == "Split"]
    byte_level = [part for part in parts if part.get("type") == "ByteLevel"]
    name = _SPLITTERS.get(patterns[0]) if len(patterns) == 1 and len(parts) == 2 else None
    if name is None or not byte_level or byte_level[0].get("add_prefix_space") or byte_level[0].get("use_regex"):
        raise FamilyError(
            f"{path} splits words in a way that is not supported; supported are {', '.join(_SPLITTERS.values())}"
        )
    if bool(model.get("ignore_merges")) != _WHOLE_WORDS[name]:
        raise FamilyError(f"{path} sets ignore_merges unlike llama.cpp's {name} splitter; correct the tokenizer")
    return name


def _tokens(content: dict[str, Any], size: int, path: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    tokens = [f"[PAD{index}]" for index in range(size)]
    types = [int(gguf.TokenType.UNUSED)] * size
    entries = [(token, index, int(gguf.TokenType.NORMAL)) for token, index in content["model"]["vocab"].items()]
    for added in content.get("added_tokens", []):
        kind = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
        entries.append((added["content"], added["id"], int(kind)))
    for token, index, kind in entries:
        if index >= size:
            raise FamilyError(f"{path} has id {index}, but the model's vocabulary holds {size}; fix vocab_size")
        tokens[index], types[index] = token, kind
    return tuple(tokens), tuple(types)


def write_vocabulary(writer: gguf.GGUFWriter, vocabulary: Vocabulary) -> None:
    """Add the tokenizer's keys to a GGUF file."""
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(vocabulary.splitter)
    writer.add_token_list(list(vocabulary.tokens))
    writer.add_token_types(list(vocabulary.types))
    writer.add_token_merges(list(vocabulary.merges))
    writer.add_add_bos_token(vocabulary.add_bos)
    if vocabulary.bos is not None:
        writer.add_bos_token_id(vocabulary.bos)
    if vocabulary.eos is not None:
        writer.add_eos_token_id(vocabulary.eos)
    if vocabulary.end_of_turn is not None:
        writer.add_eot_token_id(vocabulary.end_of_turn)
    if vocabulary.chat_template is not None:
        writer.add_chat_template(vocabulary.chat_template)
