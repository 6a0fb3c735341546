"""The training loop: curriculum, mixture, checkpoints, logs of loss and settings; resumable at any moment."""

import json
import math
import os
import shutil
import signal
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from transformers import LlamaForCausalLM

from compressor.pretrain.batches import KIND_NAMES, Batch, BatchBuilder
from compressor.pretrain.config import PretrainConfig
from compressor.pretrain.model import fastest_dtype, new_model, token_losses, training_losses
from compressor.pretrain.optimiser import build_optimisers, learning_rate_factor

_CHECKPOINT_EVERY_S = 300.0
_LOG_EVERY_STEPS = 10
COPIED_NATS = 0.8
"""The curriculum ends early once the second copy costs less than this per token."""


def record_settings(folder: Path, tokens: int, config: PretrainConfig) -> None:
    """Append the settings to `settings.jsonl` where they differ from the last ones, so that no change is forgotten."""
    path = folder / "settings.jsonl"
    earlier = path.read_text("utf-8").splitlines() if path.exists() else []
    if not earlier or json.loads(earlier[-1])["settings"] != config.to_json():
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"tokens": tokens, "settings": config.to_json()}) + "\n")


@dataclass
class _State:
    step: int = 0
    tokens: int = 0
    elapsed_s: float = 0.0
    copies: bool = False
    """Whether the curriculum has reached its goal."""
    sums: dict[str, list[float]] = field(default_factory=dict)


class Trainer:
    """Trains one model in `folder`, which holds `checkpoint.pt`, `log.jsonl` and `settings.jsonl`."""

    def __init__(self, config: PretrainConfig, builder: BatchBuilder, folder: Path) -> None:
        """Resume from the folder's checkpoint where there is one."""
        self.config, self.builder, self.folder = config, builder, folder
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model: LlamaForCausalLM = new_model(config).to(self.device)
        self.optimisers = build_optimisers(self.model, config)
        self.state = _State()
        if (folder / "checkpoint.pt").exists():
            self._load()
        record_settings(folder, self.state.tokens, config)
        self.dtype: torch.dtype = (
            fastest_dtype(self.model, builder.text(0), self.device)
            if config.dtype == "measured"
            else getattr(torch, config.dtype)
        )
        compilable = self.device.type == "cuda" or shutil.which("g++") or shutil.which("c++")
        self._losses = torch.compile(token_losses) if config.compiled and compilable else token_losses

    def run(self) -> LlamaForCausalLM:
        """Train to the end of the budget; Ctrl-C and SIGTERM save a checkpoint and raise KeyboardInterrupt."""
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        saved_s = time.monotonic()
        with Progress(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[status]}"), TimeRemainingColumn()
        ) as progress:
            task = progress.add_task("pretrain", total=self.config.total_tokens, status="")
            try:
                while self.state.tokens < self.config.total_tokens:
                    status = self._step()
                    progress.update(task, completed=self.state.tokens, status=status)
                    if time.monotonic() - saved_s > _CHECKPOINT_EVERY_S:
                        self._save()
                        saved_s = time.monotonic()
            finally:
                self._save()
        return self.model

    def _batch(self) -> Batch:
        tokens, config = self.state.tokens, self.config
        if tokens < config.text_tokens:
            return self.builder.text(self.state.step)
        if not self.state.copies and tokens < config.text_tokens + config.copy_tokens:
            return self.builder.copying(self.state.step)
        long = tokens >= (1 - config.long_share) * config.total_tokens
        return self.builder.mixed(self.state.step, config.long_row_tokens if long else config.row_tokens)

    def _step(self) -> str:
        start_s = time.monotonic()
        batch = self._batch()
        factor = learning_rate_factor(self.state.tokens, self.config)
        for optimiser, peak in zip(self.optimisers, (self.config.matrix_lr, self.config.embedding_lr), strict=True):
            for group in optimiser.param_groups:
                group["lr"] = peak * factor
        losses, weights = training_losses(self.model, batch, self.device, self.dtype, self._losses)
        loss = (losses * weights).sum() / weights.sum()
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip)
        for optimiser in self.optimisers:
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)
        self.state.step += 1
        self.state.tokens += batch.tokens
        self.state.elapsed_s += time.monotonic() - start_s
        return self._log(batch, losses.detach().cpu(), factor, batch.tokens / (time.monotonic() - start_s))

    def _log(self, batch: Batch, losses: torch.Tensor, factor: float, tokens_per_s: float) -> str:
        kinds = batch.kinds[:, 1:]
        counted = batch.weights[:, 1:] > 0
        for kind, name in KIND_NAMES.items():
            chosen = losses[(kinds == kind) & counted]
            if len(chosen):
                total = self.state.sums.setdefault(name, [0.0, 0.0])
                total[0] += float(chosen.sum())
                total[1] += len(chosen)
        means = {name: round(total / count, 4) for name, (total, count) in self.state.sums.items()}
        if self.state.step % _LOG_EVERY_STEPS == 0 or self.state.tokens >= self.config.total_tokens:
            row: dict[str, float | str] = {
                "step": self.state.step,
                "tokens": self.state.tokens,
                "lr": round(factor, 4),
                **means,
            }
            row |= {
                "tokens_per_s": round(tokens_per_s),
                "elapsed_s": round(self.state.elapsed_s),
                "device": self.device.type,
            }
            with (self.folder / "log.jsonl").open("a", encoding="utf-8") as log:
                log.write(json.dumps(row) + "\n")
            self.state.sums = {}
            self.state.copies |= means.get("copy", math.inf) < COPIED_NATS
        shown = " ".join(f"{name} {value:.2f}" for name, value in means.items())
        return f"{self.state.tokens / 1e6:.2f}M tokens, {tokens_per_s:,.0f}/s, {shown}"

    def _save(self) -> None:
        partial = self.folder / "checkpoint.partial"
        payload = {
            "model": self.model.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in self.optimisers],
            "progress": [self.state.step, self.state.tokens, self.state.elapsed_s, self.state.copies],
        }
        with partial.open("wb") as file:
            torch.save(payload, file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.folder / "checkpoint.pt")

    def _load(self) -> None:
        payload: dict[str, Any] = torch.load(self.folder / "checkpoint.pt", map_location=self.device, weights_only=True)
        self.model.load_state_dict(payload["model"])
        for optimiser, state in zip(self.optimisers, payload["optimisers"], strict=True):
            optimiser.load_state_dict(state)
        self.state.step, self.state.tokens, self.state.elapsed_s, self.state.copies = payload["progress"]
