"""A GGUF file that weighs and writes answers, through llama.cpp.

Questions are weighed together, as sequences of one batch; the tokens that a question's choices share are computed once.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt

from compressor.perplexity import TokenModel, token_nats
from compressor.tasks.items import Completion, Question
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
"""Several questions share a batch up to this: more fills no gap, and adds attention over the others' cells."""
_SEQUENCES = 64
_LOGITS = 2**26
"""At most so many logits are kept of one batch (256 MiB), unless a single choice has more."""


@dataclass(frozen=True)
class _Branching:
    """Choices of one question that are decoded together."""

    question: int
    choices: Sequence[int]
    sequences: Sequence[Continuation]

    @cached_property
    def shared(self) -> int:
        """Leading tokens that all sequences have."""
        return shared_tokens(self.sequences)

    @property
    def tokens(self) -> int:
        """Cells and batch rows that it takes; nothing follows a sequence's last token."""
        return self.shared + sum(len(sequence.ids) - 1 - self.shared for sequence in self.sequences)

    @property
    def scored(self) -> int:
        """Rows of logits, at most."""
        return sum(len(sequence.ids) - sequence.first for sequence in self.sequences)

    def with_choice(self, choice: int, sequence: Continuation) -> "_Branching":
        """One choice more."""
        return _Branching(self.question, [*self.choices, choice], [*self.sequences, sequence])


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

    def token_size(self, token: int) -> int:
        """Bytes of text that a token stands for."""
        return len(self._model.token_bytes(token))

    def token_nats(self, ids: Sequence[int], first: int) -> list[float]:
        """−ln p of tokens `first` (at least 1) to the last, each given all before it."""
        return token_nats(self._context, ids, first)

    def loglikelihoods(self, questions: Sequence[Question]) -> list[list[float]]:
        """ln p of ` choice` after each question's prompt, for each of its choices, in nats."""
        totals = [[0.0] * len(choices) for _, choices in questions]
        for pack in self._packs(questions):
            self._decode(pack, totals)
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

    def _packs(self, questions: Sequence[Question]) -> Iterator[list[_Branching]]:
        """As many whole questions at a time as there is room for; one that needs more than all room is cut up."""
        pack: list[_Branching] = []
        for number, (prompt, choices) in enumerate(questions):
            sequences = continuations(self.tokenize, self.start, prompt, choices, self.longest)
            whole = _Branching(number, range(len(choices)), sequences)
            if self._fits([*pack, whole]):
                pack.append(whole)
                continue
            if pack:
                yield pack
            *full, rest = [whole] if self._fits([whole]) else self._parts(whole)
            yield from ([part] for part in full)
            pack = [rest]
        if pack:
            yield pack

    def _parts(self, whole: _Branching) -> list[_Branching]:
        """Consecutive choices of one question, as many together as there is room for; a single one always fits."""
        parts: list[_Branching] = []
        for choice, sequence in zip(whole.choices, whole.sequences, strict=True):
            longer = parts[-1].with_choice(choice, sequence) if parts else None
            if longer is not None and self._fits([longer]):
                parts[-1] = longer
            else:
                parts.append(_Branching(whole.question, [choice], [sequence]))
        return parts

    def _fits(self, pack: Sequence[_Branching]) -> bool:
        scored = sum(part.scored for part in pack)
        most_tokens = self.longest if len(pack) == 1 else min(self.longest, _MICRO_BATCH_TOKENS)
        return (
            sum(len(part.sequences) for part in pack) <= _SEQUENCES
            and sum(part.tokens for part in pack) <= most_tokens
            and scored * self._model.n_vocab <= _LOGITS
        )

    def _decode(self, pack: Sequence[_Branching], totals: list[list[float]]) -> None:
        """One batch: a question's shared tokens belong to all of its sequences, the others to one."""
        wanted: list[tuple[int, int, int, int]] = []
        self._context.clear()
        most = max(len(part.sequences) for part in pack)
        with Batch(sum(part.tokens for part in pack), most) as batch:
            first_seq = 0
            for part in pack:
                wanted += _add(batch, part, first_seq)
                first_seq += len(part.sequences)
            self._context.decode(batch)
        known: tuple[int, npt.NDArray[np.float64]] | None = None
        for row, question, choice, token in wanted:
            if known is None or known[0] != row:
                known = row, _log_softmax(self._context.logits(row))
            totals[question][choice] += float(known[1][token])

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


def _add(batch: Batch, part: _Branching, first_seq: int) -> list[tuple[int, int, int, int]]:
    """Add a question's tokens; gives batch row, question, choice and scored token, rows in order."""
    wanted = []
    sequences, shared = part.sequences, part.shared
    everyone = range(first_seq, first_seq + len(sequences))
    first = min(sequence.first for sequence in sequences) - 1
    for position in range(shared):
        row = batch.add(sequences[0].ids[position], position, everyone, logits=position >= first)
        for choice, sequence in zip(part.choices, sequences, strict=True):
            if position >= sequence.first - 1:
                wanted.append((row, part.question, choice, sequence.ids[position + 1]))
    for seq, choice, sequence in zip(everyone, part.choices, sequences, strict=True):
        for position in range(shared, len(sequence.ids) - 1):
            scored = position >= sequence.first - 1
            row = batch.add(sequence.ids[position], position, [seq], logits=scored)
            wanted += [(row, part.question, choice, sequence.ids[position + 1])] if scored else []
    return wanted


def _log_softmax(logits: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
    wide = logits.astype(np.float64)
    peak = wide.max()
    return np.asarray(wide - peak - np.log(np.exp(wide - peak).sum()))
