"""A GGUF file that weighs and writes answers, through llama.cpp.

The tokens that all choices share are computed once; the choices then branch off as sequences of one batch.
"""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from compressor.perplexity import TokenModel, token_nats
from compressor.tasks.items import Completion
from compressor.tasks.likelihood import Continuation, continuations, shared_tokens
from models.errors import TemplateError
from models.runtime.batch import Batch
from models.runtime.chat import ChatTemplate
from models.runtime.context import Context
from models.runtime.generate import generate
from models.runtime.model import Model
from models.runtime.sampler import Sampler

LONGEST_TOKENS = 4096
"""Longer prompts are cut at their left end, as lm-eval cuts at the model's own limit."""
_MICRO_BATCH_TOKENS = 512
_SEQUENCES = 8


class GgufModel(TokenModel):
    """An open file. Raises ModelFileError, RuntimeFailure where llama.cpp cannot run it."""

    def __init__(
        self, path: Path, *, kv_type: str = "f16", flash_attention: bool | None = None, threads: int | None = None
    ) -> None:
        self._model = Model.load(path)
        self.longest = min(LONGEST_TOKENS, self._model.n_ctx_train)
        self._context = Context(
            self._model,
            n_ctx=self.longest,
            n_seq_max=_SEQUENCES,
            n_batch=self.longest,
            n_ubatch=min(_MICRO_BATCH_TOKENS, self.longest),
            threads=threads,
            kv_type=kv_type,
            flash_attention=flash_attention,
        )
        self.start = [] if self._model.bos is None else [self._model.bos]

    def tokenize(self, text: str) -> list[int]:
        """Ids of plain text without BOS."""
        return self._model.tokenize(text, add_bos=False, parse_special=False)

    def token_nats(self, ids: Sequence[int], first: int) -> list[float]:
        """−ln p of tokens `first` (at least 1) to the last, each given all before it."""
        return token_nats(self._context, ids, first)

    def loglikelihoods(self, prompt: str, choices: Sequence[str]) -> list[float]:
        """ln p of ` choice` after `prompt`, for each choice, in nats."""
        sequences = continuations(self.tokenize, self.start, prompt, choices, self.longest)
        shared = shared_tokens(sequences)
        totals = [0.0] * len(sequences)
        self._context.clear()
        if shared:
            self._decode_shared(sequences, shared, totals)
        waiting = [number for number, sequence in enumerate(sequences) if len(sequence.ids) - 1 > shared]
        while waiting:
            group = self._fitting(sequences, waiting, shared)
            self._decode_branches(sequences, group, shared, totals)
            waiting = waiting[len(group) :]
        return totals

    def complete(self, prompt: str, max_tokens: int, stop: str | None = None) -> Completion:
        """Greedy continuation of plain text, cut before `stop`; a prompt that is too long loses its left end."""
        ids = [*self.start, *self.tokenize(prompt)][-(self.longest - max_tokens) :]
        return self._write(ids, max_tokens, stop)

    def answer(self, messages: Sequence[dict[str, str]], max_tokens: int) -> Completion | None:
        """Greedy answer to a conversation; None where the file has no template or the answer would not fit."""
        try:
            ids = ChatTemplate.from_model(self._model).prompt_ids(self._model, messages)
        except TemplateError:
            return None
        return self._write(ids, max_tokens, None) if len(ids) + max_tokens <= self.longest else None

    def _decode_shared(self, sequences: Sequence[Continuation], shared: int, totals: list[float]) -> None:
        """Fill sequence 0; positions whose next token is scored give their logits."""
        first = min(sequence.first for sequence in sequences) - 1
        with Batch(shared) as batch:
            for position in range(shared):
                batch.add(sequences[0].ids[position], position, [0], logits=position >= first)
            self._context.decode(batch)
        for position in range(first, shared):
            log_p = _log_softmax(self._context.logits(position))
            for number, sequence in enumerate(sequences):
                if position >= sequence.first - 1:
                    totals[number] += float(log_p[sequence.ids[position + 1]])

    def _fitting(self, sequences: Sequence[Continuation], waiting: Sequence[int], shared: int) -> list[int]:
        """As many of `waiting` as there are sequences and cells for; the first always fits."""
        group: list[int] = []
        cells = shared
        for number in waiting[: _SEQUENCES - 1]:
            cells += len(sequences[number].ids) - 1 - shared
            if group and cells > self.longest:
                break
            group.append(number)
        return group

    def _decode_branches(
        self, sequences: Sequence[Continuation], group: Sequence[int], shared: int, totals: list[float]
    ) -> None:
        rows: list[tuple[int, int, int]] = []
        with Batch(sum(len(sequences[number].ids) - 1 - shared for number in group)) as batch:
            for seq, number in enumerate(group, start=1):
                self._context.seq_rm(seq)
                self._context.seq_cp(0, seq)
                sequence = sequences[number]
                for position in range(shared, len(sequence.ids) - 1):
                    scored = position >= sequence.first - 1
                    row = batch.add(sequence.ids[position], position, [seq], logits=scored)
                    rows += [(row, number, sequence.ids[position + 1])] if scored else []
            self._context.decode(batch)
        for row, number, token in rows:
            totals[number] += float(_log_softmax(self._context.logits(row))[token])
        for seq in range(1, len(group) + 1):
            self._context.seq_rm(seq)

    def _write(self, ids: Sequence[int], max_tokens: int, stop: str | None) -> Completion:
        self._context.clear()
        written: list[int] = []
        with Sampler() as sampler:
            generation = generate(self._context, ids, sampler, max_tokens)
            for token in generation:
                written.append(token)
                text = self._model.detokenize(written)
                if stop is not None and stop in text:
                    return Completion(text.partition(stop)[0], True)
        return Completion(self._model.detokenize(written), generation.finish_reason == "stop")

    def close(self) -> None:
        """Free the file's memory; safe to call twice."""
        self._model.close()

    def __enter__(self) -> "GgufModel":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _log_softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    wide = logits.astype(np.float64)
    peak = wide.max()
    return np.asarray(wide - peak - np.log(np.exp(wide - peak).sum()))
