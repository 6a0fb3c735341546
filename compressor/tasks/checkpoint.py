"""A Hugging Face checkpoint that weighs and writes answers, as a transformers module in float32."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from compressor.assemble import assemble, require_memory
from compressor.checkpoint import Checkpoint
from compressor.families import find_family
from compressor.perplexity import TokenModel
from compressor.tasks.items import Completion, Question
from compressor.tasks.likelihood import Continuation, continuations
from compressor.tokens import ChatTokenizer
from models.errors import TemplateError

LONGEST_TOKENS = 4096
_FLOAT_BYTES = 4
_OWN_SETTINGS = frozenset({"intermediate_sizes", "mlp_bias"})
"""What `export_hf` writes into config.json for a width per layer and for biases of down."""


class CheckpointModel(TokenModel):
    """An open checkpoint of any FFN widths. Raises CheckpointError, FamilyError, MemoryShortError."""

    def __init__(self, folder: Path) -> None:
        checkpoint = Checkpoint(folder)
        family = find_family(checkpoint.config)
        # What the pipeline itself cannot prune again, the assembled module runs: it takes sizes and biases from the tensors.
        shape = family.shape({key: value for key, value in checkpoint.config.items() if key not in _OWN_SETTINGS})
        stored = sum(torch.Size(checkpoint.shape(name)).numel() for name in checkpoint.names())
        require_memory(_FLOAT_BYTES * stored, f"{folder} in float32", "measure its GGUF file instead")
        self._model: Any = assemble(checkpoint, family, shape, checkpoint.config)
        self._tokenizer = ChatTokenizer(folder)
        self.longest = min(LONGEST_TOKENS, shape.context)
        self.start = [] if self._tokenizer.bos is None else [self._tokenizer.bos]

    def tokenize(self, text: str) -> list[int]:
        """Ids of plain text without BOS."""
        return self._tokenizer.text(text)

    def token_size(self, token: int) -> int:
        """Bytes of text that a token stands for; part of a code point counts as its replacement does, three."""
        return len(self._tokenizer.decode([token]).encode())

    def token_nats(self, ids: Sequence[int], first: int) -> list[float]:
        """−ln p of tokens `first` (at least 1) to the last, each given all before it."""
        log_p = self._log_softmax([ids[:-1]], first - 1)[0]
        return [-float(log_p[position - first, ids[position]]) for position in range(first, len(ids))]

    def loglikelihoods(self, questions: Sequence[Question]) -> list[list[float]]:
        """ln p of ` choice` after each question's prompt, for each of its choices, in nats."""
        return [self._weigh(prompt, choices) for prompt, choices in questions]

    def _weigh(self, prompt: str, choices: Sequence[str]) -> list[float]:
        """One question at a time; choices with the same input share a row."""
        sequences = continuations(self.tokenize, self.start, prompt, choices, self.longest)
        inputs = list(dict.fromkeys(sequence.ids[:-1] for sequence in sequences))
        begin = min(sequence.first for sequence in sequences) - 1
        rows = dict(zip(inputs, self._log_softmax(inputs, begin), strict=True))
        return [_total(rows[sequence.ids[:-1]], sequence, begin) for sequence in sequences]

    def complete(self, prompt: str, max_tokens: int, stop: str | None = None) -> Completion:
        """Greedy continuation of plain text, cut before `stop`; a prompt that is too long loses its left end."""
        ids = [*self.start, *self.tokenize(prompt)][-(self.longest - max_tokens) :]
        written = self._write(ids, max_tokens)
        if stop is not None and stop in written.text:
            return Completion(written.text.partition(stop)[0], True)
        return written

    def answer(self, messages: Sequence[dict[str, str]], max_tokens: int) -> Completion | None:
        """Greedy answer to a conversation; None without a template or where the answer would not fit."""
        try:
            ids = self._tokenizer.prompt(list(messages))
        except TemplateError:
            return None
        return self._write(ids, max_tokens) if len(ids) + max_tokens <= self.longest else None

    def _log_softmax(self, rows: Sequence[Sequence[int]], begin: int) -> torch.Tensor:
        """From position `begin` on, float64 (rows, positions, vocabulary); rows are padded on the right, which no token sees."""
        length = max(len(row) for row in rows)
        padded = torch.tensor([[*row, *[0] * (length - len(row))] for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows])
        with torch.inference_mode():
            found = self._model(padded, attention_mask=mask, logits_to_keep=length - begin)
        return torch.log_softmax(found.logits.double(), -1)

    def _write(self, ids: Sequence[int], max_tokens: int) -> Completion:
        ends = [token for token in {self._tokenizer.eos, self._tokenizer.end_of_turn()} if token is not None]
        prompt = torch.tensor([list(ids)])
        with torch.inference_mode():
            found = self._model.generate(
                prompt,
                attention_mask=torch.ones_like(prompt),
                do_sample=False,
                max_new_tokens=max_tokens,
                use_cache=True,
                eos_token_id=ends or None,
                pad_token_id=ends[0] if ends else 0,
            )
        written = found[0, len(ids) :].tolist()
        ended = bool(written) and written[-1] in ends
        return Completion(self._tokenizer.decode(written[:-1] if ended else written), ended)


def _total(log_p: torch.Tensor, sequence: Continuation, begin: int) -> float:
    """ln p of the scored tokens; `log_p` (positions, vocabulary) starts at position `begin`."""
    return sum(float(log_p[p - 1 - begin, sequence.ids[p]]) for p in range(sequence.first, len(sequence.ids)))
