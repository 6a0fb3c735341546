"""The tables of a recipe: every key with its meaning, default and limits."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from compressor.text import CORPORA
from models.boards import boards

_NAMES = frozenset({"starter", "meadow", "none", *CORPORA})
BUDGETS = ("ffn_share", "parameters", "bytes", "board", "retention")

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Calibrate(_Table):
    """Which text the statistics are taken on."""

    text: Annotated[dict[str, _Positive], Field(min_length=1)] = {"starter": 1.0}
    """Source (`starter`, a corpus under --data, or a JSONL path) to its share of the ungrounded samples."""
    samples: Annotated[int, Field(ge=8, le=1_000_000)] = 128
    tokens_per_sample: Annotated[int, Field(ge=64, le=131_072)] = 512
    grounded_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of samples in the grounded run-time format, built from the starter notes."""
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0


class Saliency(_Table):
    """How neurons are scored."""

    criterion: Literal[
        "saliency",
        "jacobian",
        "random",
        "magnitude-down",
        "magnitude-all",
        "activation",
        "wanda",
        "flap",
        "taylor",
        "obs",
        "obs-exact",
    ] = "saliency"
    """`saliency` is the paper's; formulas and sources are in compressor/criteria. `random` draws with calibrate.seed.
    `obs` and `obs-exact` choose during the reconstruction, on pruned inputs; `activation` then decides the widths."""
    bias: bool = False
    """FLAP's compensation, `flap` only: a bias of down for the mean of what the pruned neurons gave, where the family's
    files can carry one."""

    @model_validator(mode="after")
    def _bias_is_flaps(self) -> "Saliency":
        if self.bias and self.criterion != "flap":
            raise ValueError(f"bias = true belongs to criterion flap, not {self.criterion}; set it to false")
        return self


class Mask(_Table):
    """How scores and budget become widths."""

    method: Literal["uniform", "global", "learned", "search"] = "uniform"
    """`uniform`: one width. `global`: one threshold over standardised scores. `learned`: logits and thresholds trained by
    back-propagation (dense model in memory). `search`: widths optimised on tuning text, scores rank within a layer."""
    multiple: Annotated[int, Field(ge=32, multiple_of=32)] = 256
    """Widths are multiples of this (neurons); 32 is the Q4_0 block."""
    steps: Annotated[int, Field(ge=1)] = 300
    """Steps of `learned`."""
    resource_weight: _Positive = 100.0
    """λ of `learned`: weight of ((size − target) / dense size)² beside the next-token loss in nats."""
    distillation: Annotated[float, Field(ge=0)] = 0.0
    """Weight of KL(dense ‖ masked) in nats per token beside the next-token loss of `learned`."""
    evaluations: Annotated[int, Field(ge=0)] = 32
    """How many joint allocations `search` measures on tuning text after the allocation by curves."""


class Budget(_Table):
    """How small: exactly one of these is set, and the result never exceeds it."""

    ffn_share: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Share of the FFN neurons that is removed, at least; 0 prunes nothing, so the model is only healed and quantized."""
    parameters: Annotated[int, Field(gt=0)] | None = None
    """Unique parameters of the pruned model, at most."""
    bytes: Annotated[int, Field(gt=0)] | None = None
    """Size of the Q4_0 file, at most."""

    board: str | None = None
    """Id of a board (models/boards.toml): Q4_0 file, cache and compute buffers fit what it leaves to a model."""
    context_tokens: Annotated[int, Field(ge=256)] = 4096
    """Context of the cache that `board` counts."""
    retention: Annotated[float, Field(gt=0, le=1)] | None = None
    """α: the smallest model whose tuning loss (bits per byte, before healing and Q4_0) is at most dense's / α."""

    @field_validator("board")
    @classmethod
    def _known_board(cls, board: str | None) -> str | None:
        known = [entry.id for entry in boards()]
        if board is not None and board not in known:
            raise ValueError(f"{board} is no board; use one of {', '.join(known)}")
        return board

    @model_validator(mode="after")
    def _exactly_one(self) -> "Budget":
        given = [kind for kind in BUDGETS if getattr(self, kind) is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"exactly one of {', '.join(BUDGETS)} is needed; found {found}")
        return self


class Reconstruct(_Table):
    """Least squares on the kept columns of down; the table's absence leaves the stage out."""

    target: Literal["dense", "own", "best"] = "dense"
    """`dense`: the dense model's residual stream after the layer. `own`: the layer's own unpruned output. `best`: both are
    done, and the one with the lower tuning loss stays."""
    ridge: Annotated[tuple[_Positive, ...], Field(min_length=1, strict=False)] = (0.0001, 0.001, 0.01, 0.1, 1.0)
    """Candidates for λ as shares of the mean diagonal of H; tuning text chooses per layer."""
    bias: bool = False
    """Also fit a bias of down, where the family's files can carry one."""
    rounds: Annotated[int, Field(ge=1)] | None = None
    """Steps in which a layer's neurons go, each followed by a refit and by scores taken anew on what is left. Without it `obs`
    and `obs-exact` take 16, all other criteria cut once, before the reconstruction."""


class Heal(_Table):
    """LoRA on the pruned model, merged into its unquantised weights; the table's absence leaves the stage out."""

    data: Annotated[str, Field(min_length=1)] = "medquad"
    """`medquad`, `meadow` (both under --data), `starter`, a JSONL path, or `none`, which leaves the stage out."""
    grounded_share: Annotated[float, Field(ge=0, lt=1)] = 0.25
    """Share of the rows in the grounded run-time format, made of MedQuAD where that is the data, else of the starter notes."""
    plain_share: Annotated[float, Field(ge=0, le=1)] = 0.5
    """Share of the other rows that are plain text, question above answer, every token weighing 1: what perplexity is measured
    on. The rest is in the chat template; documents without a question are plain text in any case."""
    objective: Literal["cross-entropy", "distill", "both"] = "cross-entropy"
    """`distill`: KL(dense ‖ healed) at temperature 1, the dense model in memory as well."""
    distill_share: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """Weight of the KL in `both`; cross-entropy has the rest."""
    question_weight: Annotated[float, Field(ge=0, le=1)] = 0.1
    """Weight of a question's or passage's token in the loss; an answer's has 1."""
    decision_weight: Annotated[float, Field(ge=1)] = 10.0
    """Weight of a grounded answer's first token, which decides between quoting and admitting that nothing fits."""
    rank: Annotated[int, Field(ge=1)] = 16
    alpha: _Positive = 32.0
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.05
    learning_rate: _Positive = 2e-4
    """Peak: linear warm-up over the first 3% of the steps, then a cosine to 0."""
    batch_rows: Annotated[int, Field(ge=1)] = 32
    """Rows of one step; gradients are accumulated."""
    rows_at_once: Annotated[int, Field(ge=1)] = 4
    """Rows of one forward pass; halved where a GPU runs out of memory."""
    tokens_per_row: Annotated[int, Field(ge=64)] = 512
    epochs: Annotated[int, Field(ge=1)] = 1
    steps: Annotated[int, Field(ge=1)] | None = None
    """Steps at most; without it the epochs decide."""
    tuning_rows: Annotated[int, Field(ge=2)] = 64
    """Rows, grounded ones included, that early stopping and the choice of the best adapter look at."""
    evaluate_every: Annotated[int, Field(ge=1)] = 50
    """Steps between two looks at the tuning rows."""
    patience: Annotated[int, Field(ge=1)] = 4
    """Looks without improvement after which training stops."""
    base: Literal["full", "8bit", "4bit"] = "full"
    """How the frozen weights are held while training, through bitsandbytes but for `full`."""
    gradient_checkpointing: bool = False
    """Recompute activations in the backward pass: a third more time for far less memory."""
    rounds: Annotated[int, Field(ge=1)] = 1
    """Prune, heal, prune, heal: so many times, in equal steps down to the budget; those before the last cut evenly."""
    seed: Annotated[int, Field(ge=0)] = 0


class Export(_Table):
    """Which files are written beside the pruned F16 GGUF."""

    dense: bool = False
    """Also write gguf/dense-f16.gguf (the built-in reference model always does)."""
    chat_template: Literal["own", "plain"] = "own"
    """`plain`: headings for a base model, which has no template. Calibration and healing use it, and the files carry it."""


class Quantize(_Table):
    """The shipped file's type, and what it is compared with."""

    type: Literal["q4_0"] = "q4_0"
    imatrix: bool = True
    """Weigh columns by their mean squared input on the calibration rows, from one pass over the pruned model."""
    compare: Annotated[
        tuple[Literal["dense", "no-imatrix", "q4_k_m", "q8_0", "tensors"], ...], Field(strict=False)
    ] = ()
    """Further files, made and measured alike: the dense model's Q4_0 (needs export.dense), Q4_0 without the matrix, Q4_K_M
    (widths of 256 only) and Q8_0. `tensors` measures on tuning text what each kind of tensor loses by Q4_0."""


class Evaluate(_Table):
    """What the finished files are measured on."""

    text: Annotated[tuple[str, ...], Field(min_length=1, strict=False)] = ("starter",)
    documents: Annotated[int, Field(ge=1)] = 100
    """At most so many documents of each text."""
    context_tokens: Annotated[int, Field(ge=64, multiple_of=2)] = 512
    tasks: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """`medqa`, `medmcqa`, `pubmedqa`, `retention` (all under --data), or a JSONL file with such questions."""
    template: Literal["lm-eval", "context"] = "lm-eval"
    """`lm-eval`: its exact prompts. `context`: the second paper's `Context: … Question: … Answer:`."""
    mode: Literal["likelihood", "generate"] = "likelihood"
    """`likelihood`: the likeliest choice, as lm-eval. `generate`: what the model writes, with LightEval's prompts."""
    limit: Annotated[int, Field(ge=1)] | None = None
    """At most so many items of each task, the first ones."""
    explanations: Annotated[int, Field(ge=0)] = 20
    """So many wrong answers of each task and file are explained by the model itself."""
    answers: Annotated[int, Field(ge=0)] = 0
    """So many grounded questions, and questions of each task, are answered in words and checked for loops and citations."""
    citations: Annotated[int, Field(ge=0)] = 0
    """So many grounded MedQuAD questions (under --data) measure how often the right passage is cited."""


class Recipe(_Table):
    """A whole recipe; every table but [budget] has defaults."""

    calibrate: Calibrate = Calibrate()
    saliency: Saliency = Saliency()
    mask: Mask = Mask()
    budget: Budget
    reconstruct: Reconstruct | None = None
    heal: Heal | None = None
    export: Export = Export()
    quantize: Quantize = Quantize()
    evaluate: Evaluate = Evaluate()

    @property
    def prunes(self) -> bool:
        """Whether any neuron is removed."""
        return self.budget.ffn_share != 0

    @property
    def heals(self) -> bool:
        """Whether the pruned model is healed."""
        return self.heal is not None and self.heal.data != "none"

    @model_validator(mode="after")
    def _reconstructs_what_it_prunes(self) -> "Recipe":
        if self.reconstruct is not None and not self.prunes:
            raise ValueError("budget.ffn_share = 0 prunes nothing that [reconstruct] could repair; leave the table out")
        return self

    @model_validator(mode="after")
    def _can_go_in_rounds(self) -> "Recipe":
        if self.heal is None or self.heal.rounds == 1:
            return self
        if not self.prunes:
            raise ValueError("heal.rounds prunes in steps, and budget.ffn_share = 0 prunes nothing; set rounds = 1")
        if self.budget.retention is not None:
            raise ValueError(
                "heal.rounds cuts towards a size known before, and budget.retention finds one; use another budget"
            )
        if self.saliency.bias or (self.reconstruct is not None and self.reconstruct.bias):
            raise ValueError("heal.rounds goes on from a plain checkpoint, which has no bias of down; set bias = false")
        return self

    @model_validator(mode="after")
    def _has_what_it_compares_with(self) -> "Recipe":
        compare = self.quantize.compare
        if "q4_k_m" in compare and self.mask.multiple % 256:
            raise ValueError("quantize.compare names q4_k_m, which needs widths of 256; set mask.multiple = 256")
        if "dense" in compare and not self.export.dense:
            raise ValueError("quantize.compare names dense, which needs its F16 file; set export.dense = true")
        if "no-imatrix" in compare and not self.quantize.imatrix:
            raise ValueError("quantize.compare names no-imatrix, but imatrix is false; remove one of them")
        return self

    @model_validator(mode="after")
    def _reconstructs_what_it_chooses(self) -> "Recipe":
        criterion = self.saliency.criterion
        if criterion in ("obs", "obs-exact") and self.reconstruct is None:
            raise ValueError(f"saliency.criterion = {criterion} chooses during the reconstruction; add [reconstruct]")
        return self

    @model_validator(mode="after")
    def _scores_anew_in_rounds(self) -> "Recipe":
        rounds = 1 if self.reconstruct is None else self.reconstruct.rounds or 1
        criterion = self.saliency.criterion
        if rounds == 1 or criterion in ("obs", "obs-exact"):
            return self
        if criterion in ("taylor", "random"):
            why = "needs the whole model for every score" if criterion == "taylor" else "would draw the same neurons"
            raise ValueError(
                f"reconstruct.rounds = {rounds} scores anew, and criterion {criterion} {why}; set rounds = 1"
            )
        if self.mask.method == "learned":
            raise ValueError(
                f"reconstruct.rounds = {rounds} scores anew, and learned masks are no scores; set rounds = 1"
            )
        if self.saliency.bias:
            raise ValueError(f"reconstruct.rounds = {rounds} refits what saliency.bias makes up for; set bias = false")
        return self

    @model_validator(mode="after")
    def _measures_on_other_text(self) -> "Recipe":
        learnt = {_file(text): ("calibrate.text", text) for text in self.calibrate.text}
        if self.heal is not None:
            learnt[_file(self.heal.data)] = ("heal.data", self.heal.data)
        for text in self.evaluate.text:
            if (path := _file(text)) is not None and path in learnt:
                key, name = learnt[path]
                raise ValueError(
                    f"evaluate.text = {text!r} and {key} = {name!r} are one file; measure on a file of its own"
                )
        return self


def _file(source: str) -> Path | None:
    """The file that a source is, wherever its path begins; None for a name, whose parts to learn and to measure differ."""
    return None if source in _NAMES else Path(source).resolve()
