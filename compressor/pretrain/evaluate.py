"""The report on valid: perplexity and bits per byte per corpus, and grounded answers scored."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from compressor.examples.corpora import CORPORA, Section, read_sections
from compressor.examples.grounded import Example
from compressor.examples.scores import Answer, GroundedScores, evaluation_examples, is_good, score
from compressor.pretrain.batches import render_chat
from compressor.pretrain.tokenizer import BEGIN, END

_WINDOW = 512
_LONGEST_ANSWER = 200
_TEXT_BYTES = 600_000
_SEED = 11
PASSAGES = 4
FIRST_TEN = 10


@dataclass(frozen=True)
class TextScore:
    """Perplexity of one corpus: every token scored once in windows of 512 that start with BOS."""

    corpus: str
    tokens: int
    utf8_bytes: int
    nats: float

    @property
    def perplexity(self) -> float:
        """exp of the mean negative log-likelihood per token."""
        return math.exp(self.nats / self.tokens)

    @property
    def bits_per_byte(self) -> float:
        """Independent of the tokenizer: total bits over UTF-8 bytes (as nanochat's loss_eval)."""
        return self.nats / math.log(2) / self.utf8_bytes


@dataclass(frozen=True)
class Report:
    """All that the model card states."""

    texts: tuple[TextScore, ...]
    grounded: GroundedScores
    first_ten: tuple[dict[str, str | bool], ...]

    def to_json(self) -> dict[str, object]:
        """Nested plain values. The answers stay out: they quote corpora that are not ours to ship."""
        texts = [
            {**asdict(t), "perplexity": round(t.perplexity, 3), "bits_per_byte": round(t.bits_per_byte, 4)}
            for t in self.texts
        ]
        good = sum(bool(row["good"]) for row in self.first_ten)
        return {"texts": texts, "grounded": self.grounded.to_json(), "first_ten_good": good}


class Reader:
    """A trained model that scores text and answers examples greedily, in float32."""

    def __init__(self, model: LlamaForCausalLM, tokenizer: Tokenizer) -> None:
        """The model is put into evaluation mode."""
        self.model = model.eval().float()
        self.tokenizer = tokenizer
        self._end = tokenizer.token_to_id(END)
        self._begin = tokenizer.token_to_id(BEGIN)

    def text_score(self, corpus: str, text: str) -> TextScore:
        """Negative log-likelihood of `text`, each token once."""
        ids = self.tokenizer.encode(text, add_special_tokens=False).ids
        nats = 0.0
        with torch.inference_mode():
            for start in range(0, len(ids), _WINDOW - 1):
                window = torch.tensor([[self._begin, *ids[start : start + _WINDOW - 1]]])
                logits = self.model(window.to(self.model.device)).logits[0, :-1].float()
                losses = torch.nn.functional.cross_entropy(logits, window[0, 1:].to(logits.device), reduction="sum")
                nats += float(losses)
        return TextScore(corpus, len(ids), len(text.encode()), nats)

    def answer(self, example: Example) -> Answer:
        """Greedy decoding until the end token or 200 tokens."""
        ids = self.tokenizer.encode(render_chat(example.messages()), add_special_tokens=False).ids
        prompt = torch.tensor([ids], device=self.model.device)
        with torch.inference_mode():
            out = self.model.generate(
                prompt, attention_mask=torch.ones_like(prompt), do_sample=False, max_new_tokens=_LONGEST_ANSWER
            )
        said = out[0, len(ids) :].tolist()
        ended = bool(said) and said[-1] == self._end
        return Answer(self.tokenizer.decode(said[:-1] if ended else said, skip_special_tokens=False), ended)


def evaluate(model: LlamaForCausalLM, tokenizer: Tokenizer, data: Path, questions: int = 300) -> Report:
    """Everything the card states, on valid parts only."""
    reader = Reader(model, tokenizer)
    valid = {corpus: read_sections(data, corpus, "valid") for corpus in (*CORPORA, "medical_meadow")}
    texts = tuple(reader.text_score(corpus, _joined(sections)) for corpus, sections in valid.items())
    answerable = evaluation_examples(valid["medquad"], questions, PASSAGES, _SEED, answered=True)
    unanswerable = evaluation_examples(valid["medquad"], questions // 3, PASSAGES, _SEED + 1, answered=False)
    grounded = score(answerable, unanswerable, reader.answer)
    ten = tuple(_shown(example, reader.answer(example)) for example in answerable[:FIRST_TEN])
    return Report(texts, grounded, ten)


def _shown(example: Example, said: Answer) -> dict[str, str | bool]:
    return {
        "question": example.question,
        "gold": str(example.gold),
        "answer": said.text,
        "good": is_good(example, said),
    }


def _joined(sections: Sequence[Section]) -> str:
    pieces: list[str] = []
    size = 0
    for section in sections:
        piece = f"{section.question or f'{section.title}: {section.heading}'}\n{section.text}"
        size += len(piece.encode())
        if pieces and size > _TEXT_BYTES:
            break
        pieces.append(piece)
    return "\n\n".join(pieces)
