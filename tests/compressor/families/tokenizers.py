"""Small tokenizers built the way the published families build theirs, trained on the starter notes."""

import json
from typing import Any

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers
from transformers import AddedToken, GemmaTokenizer, LlamaTokenizer, Qwen2Tokenizer
from transformers.convert_slow_tokenizer import generate_merges

from models.starter import load_notes
from tests.compressor.tiny import make_tokenizer

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
TURNS = (
    "{{ bos_token }}{% for m in messages %}<start_of_turn>{{ m['role'] }}\n{{ m['content'] }}<end_of_turn>\n{% endfor %}"
    "{% if add_generation_prompt %}<start_of_turn>model\n{% endif %}"
)
INST = (
    "{{ bos_token }}{% for m in messages %}{% if m['role'] == 'assistant' %} {{ m['content'] }}{{ eos_token }}"
    "{% else %}[INST] {{ m['content'] }} [/INST]{% endif %}{% endfor %}"
)


def qwen_tokenizer() -> Any:
    """Byte-level BPE that composes to NFC first, without BOS."""
    content = make_tokenizer(vocab=509).backend_tokenizer
    vocab, merges = _parts(content)
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    tokenizer = Qwen2Tokenizer(
        vocab={**vocab, **{token: 509 + index for index, token in enumerate(specials)}},
        merges=merges,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=CHATML,
    )
    tokenizer.add_tokens([AddedToken(token, special=True) for token in specials])
    return tokenizer


def _parts(tokenizer: Any) -> tuple[dict[str, int], list[tuple[str, str]]]:
    model = json.loads(tokenizer.to_str())["model"]
    return model["vocab"], [tuple(pair) for pair in model["merges"]]


def pieces(specials: list[str], size: int = 512) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """A SentencePiece-like vocabulary: specials, all bytes, letters, words; merges by falling score as converted."""
    trained = Tokenizer(models.BPE())
    trained.normalizer = normalizers.Replace(" ", "▁")
    trained.pre_tokenizer = pre_tokenizers.Split("▁", "merged_with_next")
    room = size - len(specials) - 256
    trainer = trainers.BpeTrainer(vocab_size=room, show_progress=False, limit_alphabet=70)
    trained.train_from_iterator([note.text for note in load_notes()], trainer)
    ranks = trained.get_vocab()
    words = sorted(set(ranks).difference(specials), key=ranks.__getitem__)
    tokens = [*specials, *(f"<0x{byte:02X}>" for byte in range(256)), *words]
    vocab = {token: index for index, token in enumerate(tokens)}
    scores = {token: -float(index) for index, token in enumerate(words) if len(token) > 1}
    return vocab, generate_merges(vocab, scores, skip_tokens=tokens[: -len(words)])


def gemma_tokenizer() -> Any:
    """No space before text, spaces as ▁ by a normalizer, a user-defined token for line breaks."""
    vocab, merges = pieces(["<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>", "\n\n"])
    tokenizer = GemmaTokenizer(vocab=vocab, merges=merges, chat_template=TURNS)
    tokenizer.add_tokens([AddedToken(token, special=True) for token in ("<start_of_turn>", "<end_of_turn>")])
    tokenizer.add_tokens([AddedToken("\n\n", special=False, normalized=False)])
    return tokenizer


def mistral_tokenizer() -> Any:
    """SentencePiece with a space before text, as transformers rebuilds Llama 2's and Mistral's."""
    vocab, merges = pieces(["<unk>", "<s>", "</s>"])
    return LlamaTokenizer(vocab=vocab, merges=merges, chat_template=INST)
