"""The model card: data, licences, budget, loss curve, evaluation, limits; written from the run, never by hand."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from compressor.pretrain.batches import GROUNDED_SHARE, TEXT_SHARE
from compressor.pretrain.config import PretrainConfig
from compressor.pretrain.evaluate import PASSAGES, Report, TextScore
from compressor.pretrain.loop import COPIED_NATS

_CURVE_ROWS = 12

_HEAD = """---
license: apache-2.0
language: en
---
# Bedside reference model

**Not for clinical use.** A language model of {millions:.1f} M parameters, trained from scratch to demonstrate Bedside without any
download: it answers by quoting the passages it is given, with their marks, and says so when they do not hold the answer.
It knows almost nothing by itself.

* Architecture: Llama, {layers} layers, hidden size {hidden}, FFN {ffn} ({ffn_share:.0%} of the parameters), {heads} heads, {kv} key-value heads,
  tied embeddings, byte-level BPE vocabulary of {vocab}, context {context} (trained on rows of {row} and {long_row} tokens).
* Budget: {tokens:.1f} M tokens on a {device} in {hours:.1f} hours: {text:.1f} M of text; then half copying (segment, filler, the same segment), a
  quarter grounded examples, a quarter text until it copied at {copied:.1f} M; then {grounded:.0%} grounded, {plain:.0%} text, {rest:.0%} copying.
* Optimiser: Muon (learning rate {lr}) on the matrices, AdamW on embeddings and norms; dtype chosen by measurement.
* Reproduce: `bedside pretrain --out DIR --data DATA --tokens {tokens_arg}`, which trains, evaluates and writes this card.

## Data and licences

| corpus | licence | use |
|---|---|---|
| MedQuAD | CC BY 4.0 | train, valid for the report |
| nursing and nutrition textbooks (OpenStax) | CC BY 4.0 | train, valid for the report |
| anatomy and physiology textbook (OpenStax) | CC BY 4.0 | train, valid for the report |
| trial reports (PubMed Central, evidence-inference) | CC BY, CC BY-SA or public domain per article | train, valid for the report |
| Medical Meadow (WikiDoc patient information) | not established | never trained on; evaluation only |

One train document in ten is held back for tuning; valid was read for this report only.
"""

_LIMITS = """
## Limits

The model is far too small to know medicine and is not validated for any clinical purpose. It can quote the wrong passage, quote a
passage that does not answer, or claim that there is no answer where there is one: the table above says how often. It was trained
on English only. Questions worded unlike its training questions are answered worse than the table shows.
"""


@dataclass(frozen=True)
class History:
    """What a run recorded of itself: the loss log, and the settings with the tokens at which each began to hold."""

    log: Sequence[dict[str, Any]]
    settings: Sequence[dict[str, Any]]


def model_card(config: PretrainConfig, report: Report, history: History, parameters: int) -> str:
    """The card as Markdown."""
    log = history.log
    last = log[-1]
    ffn = 3 * config.layers * config.hidden_size * config.intermediate_size
    head = _HEAD.format(
        millions=parameters / 1e6, layers=config.layers, hidden=config.hidden_size, ffn=config.intermediate_size,
        ffn_share=ffn / parameters, heads=config.heads, kv=config.kv_heads, vocab=config.vocab_size,
        context=config.context, row=config.row_tokens, long_row=config.long_row_tokens, lr=config.matrix_lr,
        tokens=last["tokens"] / 1e6, text=config.text_tokens / 1e6, copied=_copied_at(config, log) / 1e6,
        device=last["device"].upper(), hours=last["elapsed_s"] / 3600, tokens_arg=config.total_tokens,
        grounded=GROUNDED_SHARE, plain=TEXT_SHARE, rest=1 - GROUNDED_SHARE - TEXT_SHARE,
    )  # fmt: skip
    return head + _changes(history.settings) + _evaluation(report) + _answers(report) + _curve(log) + _LIMITS


def _copied_at(config: PretrainConfig, log: Sequence[dict[str, Any]]) -> int:
    """Tokens after which the curriculum ended."""
    limit = config.text_tokens + config.copy_tokens
    copied = [int(row["tokens"]) for row in log if row.get("copy", math.inf) < COPIED_NATS]
    return min([limit, int(log[-1]["tokens"]), *copied])


def _changes(settings: Sequence[dict[str, Any]]) -> str:
    rows = []
    for before, after in itertools.pairwise(settings):
        old, new = before["settings"], after["settings"]
        changed = [key for key in {**old, **new} if old.get(key) != new.get(key)]
        what = ", ".join(f"`{key}` {old.get(key, '–')} → {new.get(key, '–')}" for key in changed)
        rows.append(f"* at {after['tokens'] / 1e6:.1f} M tokens: {what}\n")
    if not rows:
        return ""
    return (
        "\n## Settings changed during the run\n\nThe command above runs with the last ones from the start.\n\n"
        + "".join(rows)
    )


def _evaluation(report: Report) -> str:
    rows = "\n".join(_text_row(text) for text in report.texts)
    g = report.grounded
    return f"""
## Evaluation on valid

Perplexity: each token once, windows of 512 that start with BOS, float32.

| corpus | tokens | perplexity | bits per byte |
|---|---|---|---|
{rows}

Grounded answers: {g.questions} MedQuAD valid questions as they stand, {PASSAGES} passages in random order (distractors share title, heading
or words), greedy; and {g.unanswerable} questions whose answering passage was left out.

| measure | share |
|---|---|
| first citation right | {g.first_citation_right:.1%} |
| – the constant answer "the first passage" | {g.always_first:.1%} |
| – the passage with most words in common with the question | {g.most_words_in_common:.1%} |
| first sentence verbatim in a passage | {g.first_sentence_verbatim:.1%} |
| focus named | {g.names_focus:.1%} |
| right citation, focus named, ended by itself, no 4-gram more than twice | {g.good:.1%} |
| false answers where no passage holds the answer | {g.false_answers:.1%} |
"""


def _text_row(text: TextScore) -> str:
    return f"| {text.corpus} | {text.tokens:,} | {text.perplexity:.2f} | {text.bits_per_byte:.3f} |"


def _answers(report: Report) -> str:
    good = report.to_json()["first_ten_good"]
    return f"\nOf the first ten MedQuAD valid questions, {good} are answered well by all four criteria.\n"


def _curve(log: Sequence[dict[str, Any]]) -> str:
    mixed = [row for row in log if "answer" in row]
    chosen = [mixed[round(i * (len(mixed) - 1) / (_CURVE_ROWS - 1))] for i in range(_CURVE_ROWS)] if mixed else []
    lines = "\n".join(
        f"| {row['tokens'] / 1e6:.1f} | {row['text']:.2f} | {row['prompt']:.2f} | {row['answer']:.3f} | {row['copy']:.3f} |"
        for row in chosen
    )
    return f"""
## Loss curve

Training loss in nats per token, by kind of token.

| M tokens | text | passages and question | answer | copy |
|---|---|---|---|---|
{lines}
"""
