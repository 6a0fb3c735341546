"""Tokenizers as GGUF metadata: byte-level BPE and SentencePiece's BPE.

What is read is the tokenizer as transformers runs it. What llama.cpp would split differently is refused where text in
general is affected, and stated in `notes` where odd text alone is.
"""

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
SENTENCEPIECE = "default"
"""llama.cpp's splitter for SentencePiece vocabularies: none."""
_SPACE = "▁"
_NO_NFC = "the tokenizer composes Unicode (NFC) first and llama.cpp does not: text that is not in NFC gets other ids"
_FIRST_ONLY = (
    "llama.cpp puts a space before all text, this tokenizer not after a special token and not before a space:"
    " such text gets one space more"
)
FEWEST_SHARE = 0.75
"""A tokenizer with fewer ids than this share of the embedding's rows belongs to another model; published ones pad by 1%."""


@dataclass(frozen=True)
class Vocabulary:
    """What llama.cpp needs to tokenize and to format a chat."""

    splitter: str
    tokens: tuple[str, ...]
    types: tuple[int, ...]
    merges: tuple[str, ...]
    """Of byte-level BPE; SentencePiece has `scores`."""
    bos: int | None
    eos: int | None
    end_of_turn: int | None
    add_bos: bool
    chat_template: str | None
    scores: tuple[float, ...] = ()
    """One per token: the pair whose merged token has the highest score is merged first."""
    unknown: int | None = None
    add_space_prefix: bool = False
    notes: tuple[str, ...] = ()
    """Where ids differ from the tokenizer's."""


def read_vocabulary(folder: Path, size: int, tokenizer: ChatTokenizer) -> Vocabulary:
    """The tokenizer of `folder`, padded to `size` ids. Raises FamilyError for what cannot be carried over."""
    content = tokenizer.definition()
    model = content["model"]
    if model.get("type") != "BPE":
        raise FamilyError(f"{folder} has a {model.get('type')} tokenizer; supported are BPE ones; choose another model")
    pieces = bool(model.get("byte_fallback"))
    tokens, types = _tokens(content, size, folder)
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    normalizers = _stages(content.get("normalizer"), "normalizers")
    if pieces:
        prefix, notes = _space_prefix(content, normalizers, folder)
    else:
        prefix, notes = False, _composition(normalizers, folder)
    return Vocabulary(
        splitter=SENTENCEPIECE if pieces else _splitter(content, folder),
        tokens=tokens,
        types=types,
        merges=() if pieces else tuple(merges),
        bos=tokenizer.bos,
        eos=tokenizer.eos,
        end_of_turn=tokenizer.end_of_turn(),
        add_bos=tokenizer.adds_bos or (tokenizer.bos is not None and tokenizer.has_template),
        chat_template=tokenizer.chat_template,
        scores=_scores(tokens, merges) if pieces else (),
        unknown=model["vocab"].get(model.get("unk_token")) if pieces else None,
        add_space_prefix=prefix,
        notes=notes,
    )


def _stages(part: dict[str, Any] | None, key: str) -> list[dict[str, Any]]:
    """The steps of a normalizer or pre-tokenizer, a sequence or a single one."""
    if part is None:
        return []
    return list(part[key]) if part["type"] == "Sequence" else [part]


def _composition(normalizers: list[dict[str, Any]], folder: Path) -> tuple[str, ...]:
    kinds = [stage["type"] for stage in normalizers]
    if kinds not in ([], ["NFC"]):
        raise FamilyError(
            f"{folder} normalises text by {', '.join(kinds)}, which llama.cpp does not; choose another model"
        )
    return (_NO_NFC,) if kinds else ()


def _splitter(content: dict[str, Any], folder: Path) -> str:
    parts = _stages(content.get("pre_tokenizer"), "pretokenizers")
    patterns = [part.get("pattern", {}).get("Regex") for part in parts if part.get("type") == "Split"]
    byte_level = [part for part in parts if part.get("type") == "ByteLevel"]
    name = _SPLITTERS.get(patterns[0]) if len(patterns) == 1 and len(parts) == 2 else None
    if name is None or not byte_level or byte_level[0].get("add_prefix_space") or byte_level[0].get("use_regex"):
        raise FamilyError(
            f"{folder} splits words in a way that is not supported; supported are {', '.join(_SPLITTERS.values())}"
        )
    if bool(content["model"].get("ignore_merges")) != _WHOLE_WORDS[name]:
        raise FamilyError(f"{folder} sets ignore_merges unlike llama.cpp's {name} splitter; correct the tokenizer")
    return name


def _space_prefix(
    content: dict[str, Any], normalizers: list[dict[str, Any]], folder: Path
) -> tuple[bool, tuple[str, ...]]:
    """Whether SentencePiece text begins with a space of llama.cpp's making, and where that differs."""
    kinds = [stage["type"] for stage in normalizers]
    splits = _stages(content.get("pre_tokenizer"), "pretokenizers")
    # Splitting at spaces does nothing once they are written as ▁, as Gemma's normalizer does.
    idle = kinds[-1:] == ["Replace"] and all(
        stage["type"] == "Split" and stage["pattern"].get("String") == " " for stage in splits
    )
    if idle and kinds in (["Replace"], ["Prepend", "Replace"]) and normalizers[-1].get("content") == _SPACE:
        return kinds[0] == "Prepend", ()
    if not kinds and [stage["type"] for stage in splits] == ["Metaspace"] and not splits[0].get("split"):
        scheme = splits[0].get("prepend_scheme")
        return (False, ()) if scheme == "never" else (True, (_FIRST_ONLY,))
    raise FamilyError(f"{folder} prepares text in a way that llama.cpp's SentencePiece does not; choose another model")


def _scores(tokens: tuple[str, ...], merges: list[str]) -> tuple[float, ...]:
    """Minus the rank of the first merge that makes a token: converters write merges by falling score."""
    rank: dict[str, int] = {}
    for position, pair in enumerate(merges):
        rank.setdefault(pair.replace(" ", ""), position)
    return tuple(-float(rank.get(token, len(merges))) for token in tokens)


def _tokens(content: dict[str, Any], size: int, folder: Path) -> tuple[tuple[str, ...], tuple[int, ...]]:
    tokens = [f"[PAD{index}]" for index in range(size)]
    types = [int(gguf.TokenType.UNUSED)] * size
    model = content["model"]
    entries = [(token, index, _piece_type(token, model)) for token, index in model["vocab"].items()]
    unknown = model.get("unk_token") if model.get("byte_fallback") else None
    for added in content.get("added_tokens", []):
        kind = gguf.TokenType.CONTROL if added["special"] else gguf.TokenType.USER_DEFINED
        # llama.cpp looks for user-defined tokens in the text as it was given, before spaces are written as ▁.
        plain = added["content"].replace(_SPACE, " ") if added.get("normalized") and unknown else added["content"]
        if added["content"] != unknown:
            entries.append((plain, added["id"], int(kind)))
    highest = max(index for _, index, _ in entries) + 1
    if highest > size:
        raise FamilyError(f"{folder} has id {highest - 1}, but the model's vocabulary holds {size}; fix vocab_size")
    if len({index for _, index, _ in entries}) < FEWEST_SHARE * size:
        raise FamilyError(
            f"the tokenizer in {folder} has {highest} ids and the embedding {size} rows: it belongs to another model;"
            " copy the model's own"
        )
    for token, index, kind_number in entries:
        tokens[index], types[index] = token, kind_number
    return tuple(tokens), tuple(types)


def _piece_type(token: str, model: dict[str, Any]) -> int:
    if model.get("byte_fallback"):
        if token == model.get("unk_token"):
            return int(gguf.TokenType.UNKNOWN)
        if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
            return int(gguf.TokenType.BYTE)
    return int(gguf.TokenType.NORMAL)


def write_vocabulary(writer: gguf.GGUFWriter, vocabulary: Vocabulary) -> None:
    """Add the tokenizer's keys to a GGUF file."""
    pieces = vocabulary.splitter == SENTENCEPIECE
    writer.add_tokenizer_model("llama" if pieces else "gpt2")
    writer.add_tokenizer_pre(vocabulary.splitter)
    writer.add_token_list(list(vocabulary.tokens))
    writer.add_token_types(list(vocabulary.types))
    if pieces:
        writer.add_token_scores(list(vocabulary.scores))
        writer.add_add_space_prefix(vocabulary.add_space_prefix)
    else:
        writer.add_token_merges(list(vocabulary.merges))
    writer.add_add_bos_token(vocabulary.add_bos)
    if vocabulary.unknown is not None:
        writer.add_unk_token_id(vocabulary.unknown)
    if vocabulary.bos is not None:
        writer.add_bos_token_id(vocabulary.bos)
    if vocabulary.eos is not None:
        writer.add_eos_token_id(vocabulary.eos)
    if vocabulary.end_of_turn is not None:
        writer.add_eot_token_id(vocabulary.end_of_turn)
    if vocabulary.chat_template is not None:
        writer.add_chat_template(vocabulary.chat_template)
