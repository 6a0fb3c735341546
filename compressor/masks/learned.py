"""Masks learned by back-propagation: the paper's differentiable mask and thresholds, base weights frozen.

Loss = next-token loss in nats [+ distillation · KL(dense ‖ masked)] + λ·((size − target) / dense size)², sizes in
parameters of the whole model. The target falls from the dense size to the budget over the first part of the steps, the
temperature from 1 to 0.1 over all. From then on the masks are projected to the exact budget at intervals, and the
projection with the lowest loss on the tuning rows is the result. Deterministic: no step draws from a running generator,
rows are ordered by seed and epoch, so a state of parameters and optimiser is all that an interruption needs.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from compressor.assemble import assemble, layer_modules, require_memory
from compressor.layers import ModelView
from compressor.masks.budget import Cost
from compressor.masks.gates import Gates, as_masks
from compressor.recipe.tables import Mask
from compressor.rows import Batch, make_batches
from compressor.walk import Advance, StreamCheckpoint

ROWS_PER_STEP = 4
LEARNING_RATE = 0.02
"""Of Adam at the first step; falls linearly to 0."""
RAMP_SHARE = 0.6
"""Share of the steps over which the target falls to the budget."""
COLDEST = 0.1
"""The last step's temperature; the first step's is 1."""
PROJECTIONS = 8
"""How often, after the ramp, the projected masks are measured on the tuning rows."""


@dataclass(frozen=True)
class LearningInputs:
    """What masks are learned from and for."""

    dense: ModelView
    config: Mapping[str, Any]
    """The checkpoint's config.json."""
    evidence: torch.Tensor
    """Ranks in [0, 1], (layers, scores, ffn)."""
    calibrate: Sequence[Sequence[int]]
    tuning: Sequence[Sequence[int]]
    cost: Cost
    mask: Mask
    kept_total: int
    one_width: bool
    """All layers get the same width, so masks choose which neurons, not how many."""
    seed: int


@dataclass
class Learned:
    """The best projection so far and its loss in nats per token on the tuning rows."""

    kept: list[torch.Tensor]
    tuning_loss: float


class MaskedModel:
    """The dense model in memory, the inputs of its down projections multiplied by masks (layers, ffn)."""

    def __init__(self, inputs: LearningInputs) -> None:
        dense = inputs.dense
        self._model: Any = assemble(dense.source, dense.family, dense.shape, inputs.config, device=dense.device)
        self._masks: torch.Tensor | None = None
        self._device = dense.device
        for layer, module in enumerate(layer_modules(self._model, dense.family, dense.shape)):
            module.down_proj.register_forward_pre_hook(self._multiply(layer))

    def _multiply(self, layer: int) -> Any:
        def hook(_: Any, arguments: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...] | None:
            return None if self._masks is None else (arguments[0] * self._masks[layer], *arguments[1:])

        return hook

    def logits(self, batch: Batch, masks: torch.Tensor | None) -> torch.Tensor:
        """Logits at the positions whose next token is text, (positions, vocab)."""
        self._masks = masks
        logits: torch.Tensor = self._model(input_ids=batch.ids.to(self._device)).logits
        return logits[:, :-1][batch.valid[:, 1:].to(self._device)].float()

    def loss(self, batch: Batch, masks: torch.Tensor, distillation: float = 0.0) -> torch.Tensor:
        """Mean next-token loss in nats, plus distillation · KL to the dense model."""
        found = self.logits(batch, masks)
        loss = functional.cross_entropy(found, batch.ids[:, 1:][batch.valid[:, 1:]].to(self._device))
        if distillation:
            with torch.no_grad():
                expected = self.logits(batch, None).log_softmax(-1)
            divergence = functional.kl_div(found.log_softmax(-1), expected, reduction="batchmean", log_target=True)
            loss = loss + distillation * divergence
        return loss

    @torch.no_grad()
    def mean_loss(self, batches: Sequence[Batch], masks: torch.Tensor) -> float:
        """Nats per token over all rows."""
        counts = [int(batch.valid[:, 1:].sum()) for batch in batches]
        sums = [float(self.loss(batch, masks)) * count for batch, count in zip(batches, counts, strict=True)]
        return sum(sums) / sum(counts)


def memory_bytes(inputs: LearningInputs) -> int:
    """Estimate of what learning holds: float32 weights, and activations of one step for the backward pass."""
    shape = inputs.dense.shape
    tokens = ROWS_PER_STEP * max(len(row) for row in inputs.calibrate)
    layer = 10 * shape.hidden + 4 * shape.heads * shape.head_dim + 5 * shape.ffn
    logits = (4 if inputs.mask.distillation == 0 else 7) * shape.vocab
    return 4 * (inputs.cost.dense_parameters + tokens * (shape.layers * layer + logits))


def target_share(step: int, steps: int, final: float) -> float:
    """The share of neurons to keep at a step: 1 at the start, `final` from the ramp's end, falling fast first (cubic)."""
    progress = min(1.0, (step + 1) / max(1.0, RAMP_SHARE * steps))
    return final + (1 - final) * (1 - progress) ** 3


def temperature(step: int, steps: int) -> float:
    """1 at the first step, 0.1 at the last, falling by the same factor each step."""
    return float(COLDEST ** (step / max(1, steps - 1)))


def learn_masks(inputs: LearningInputs, state: StreamCheckpoint, advance: Advance = lambda: None) -> Learned:
    """Learn and project. An interrupted run continues from `state`; `advance` is called once a step.

    Raises MemoryShortError where the dense model and one step's activations do not fit.
    """
    remedy = "use global, uniform or search, or shorter rows"
    require_memory(memory_bytes(inputs), "mask.method = learned", remedy, inputs.dense.device)
    with torch.inference_mode(False), torch.enable_grad():
        learning = _Learning(inputs)
        for step in range(inputs.mask.steps):
            if step == 0:
                first = learning.restore(state)
            if step >= first:
                learning.step(step)
                state.save_if_due(step + 1, learning.pack)
            advance()
        assert learning.best is not None
        return learning.best


class _Learning:
    def __init__(self, inputs: LearningInputs) -> None:
        self._inputs = inputs
        self._model = MaskedModel(inputs)
        self._tuning = make_batches([list(row) for row in inputs.tuning])
        self._gates = Gates(inputs.evidence.to(inputs.dense.device))
        self._optimiser = torch.optim.Adam([self._gates.logits, self._gates.thresholds], lr=LEARNING_RATE)
        self.best: Learned | None = None

    def step(self, step: int) -> None:
        """One update, and a projection where one is due."""
        inputs, steps = self._inputs, self._inputs.mask.steps
        masks = self._gates.masks(temperature(step, steps))
        task = self._model.loss(self._rows(step), masks, inputs.mask.distillation)
        wanted = target_share(step, steps, inputs.kept_total / inputs.cost.neurons) * inputs.cost.neurons
        per_neuron = inputs.cost.parameters_per_neuron / inputs.cost.dense_parameters
        excess = (masks.sum() - wanted) * per_neuron
        loss = task + inputs.mask.resource_weight * excess.square()
        for group in self._optimiser.param_groups:
            group["lr"] = LEARNING_RATE * (1 - step / steps)
        self._optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimiser.step()
        if step in self._due():
            self._project()

    def _due(self) -> frozenset[int]:
        steps = self._inputs.mask.steps
        first = min(steps - 1, round(RAMP_SHARE * steps))
        return frozenset(first + round((steps - 1 - first) * part / PROJECTIONS) for part in range(PROJECTIONS + 1))

    def _project(self) -> None:
        inputs = self._inputs
        kept = self._gates.project(inputs.kept_total, inputs.mask.multiple, one_width=inputs.one_width)
        masks = as_masks(kept, inputs.dense.shape.ffn).to(inputs.dense.device)
        loss = self._model.mean_loss(self._tuning, masks)
        if self.best is None or loss < self.best.tuning_loss:
            self.best = Learned(kept, loss)

    def _rows(self, step: int) -> Batch:
        """The step's rows: each epoch in an order of its own."""
        rows = self._inputs.calibrate
        each = min(ROWS_PER_STEP, len(rows))
        epoch, place = divmod(step, len(rows) // each)
        generator = torch.Generator().manual_seed((self._inputs.seed << 20) + epoch)
        order = torch.randperm(len(rows), generator=generator)[place * each : (place + 1) * each]
        return make_batches([list(rows[int(index)]) for index in order], each)[0]

    def pack(self) -> dict[str, torch.Tensor]:
        """Parameters, optimiser and the best projection so far."""
        packed = {"logits": self._gates.logits.detach(), "thresholds": self._gates.thresholds.detach()}
        for name, parameter in self._parameters().items():
            packed |= {f"adam.{name}.{key}": value for key, value in self._optimiser.state[parameter].items()}
        if self.best is not None:
            packed["best.loss"] = torch.tensor(self.best.tuning_loss, dtype=torch.float64)
            packed |= {f"best.{layer:05d}": kept for layer, kept in enumerate(self.best.kept)}
        return packed

    def restore(self, state: StreamCheckpoint) -> int:
        """Take up what was saved; returns the next step."""
        first, saved = state.load()
        if not first:
            return 0
        for name, parameter in self._parameters().items():
            with torch.no_grad():
                parameter.copy_(saved[name])
            moments = {key: saved[f"adam.{name}.{key}"].to(parameter.device) for key in ("exp_avg", "exp_avg_sq")}
            self._optimiser.state[parameter] = {"step": saved[f"adam.{name}.step"], **moments}
        if "best.loss" in saved:
            layers = range(self._inputs.dense.shape.layers)
            self.best = Learned([saved[f"best.{layer:05d}"] for layer in layers], float(saved["best.loss"]))
        return first

    def _parameters(self) -> dict[str, torch.Tensor]:
        return {"logits": self._gates.logits, "thresholds": self._gates.thresholds}
