"""Healing against transformers, PEFT and the layer stream: what is learned, merged, resumed and refused."""

import hashlib
import importlib.util
import math
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional

from compressor.assemble import assemble
from compressor.checkpoint import Checkpoint, Overlay
from compressor.errors import MemoryShortError, RecipeError
from compressor.heal.adapters import adapter_parameters, add_adapters, write_merged
from compressor.heal.heal import HealOutcome, heal
from compressor.heal.objective import Objective, total_weight
from compressor.heal.precision import cpu_flags, training_dtype
from compressor.heal.rows import HealRow, HealRows
from compressor.heal.training import learning_rate_factor
from compressor.layers import ModelView, stream_loss
from compressor.prune import replaced_tensors
from compressor.recipe.tables import Heal
from compressor.rows import make_batches
from tests.compressor.heal.conftest import small

pytestmark = pytest.mark.usefixtures("one_core", "float32")


def run(model: ModelView, teacher: ModelView, recipe: Heal, rows: HealRows, folder: Path) -> HealOutcome:
    return heal(model, teacher, config_of(teacher), recipe, rows, folder=folder)


def config_of(dense: ModelView) -> dict[str, Any]:
    assert isinstance(dense.source, Checkpoint)
    return dense.source.config


def module(model: ModelView, dense: ModelView) -> Any:
    return assemble(model.source, model.family, model.shape, config_of(dense))


def healed_loss(model: ModelView, folder: Path, rows: list[HealRow]) -> float:
    """By the layer stream, on the merged files; rows whose every token weighs one."""
    healed = ModelView(Overlay(model.source, replaced_tensors(folder)), model.family, model.shape, model.frequencies)
    with torch.inference_mode():
        return stream_loss(healed, make_batches([row.ids for row in rows]))


def digest(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("layer-*")}


@pytest.mark.parametrize("objective", ["cross-entropy", "distill", "both"])
def test_the_merged_model_has_the_loss_that_training_reports(
    objective: Any, pruned: ModelView, dense: ModelView, rows: HealRows, tmp_path: Path
) -> None:
    outcome = run(pruned, dense, small(objective=objective), rows, tmp_path)
    assert healed_loss(pruned, tmp_path, rows.tuning) == pytest.approx(outcome.tuning_after, abs=1e-4)
    with torch.inference_mode():
        before = stream_loss(pruned, make_batches([row.ids for row in rows.tuning]))
    assert before == pytest.approx(outcome.tuning_before, abs=1e-4)
    assert outcome.tuning_after < outcome.tuning_before - 0.01
    assert [step for step, _ in outcome.train_curve] == [1, 2, 3, 4, 5, 6]
    assert [step for step, _ in outcome.tuning_curve] == [0, 2, 4, 6]
    assert not (tmp_path / "state.safetensors").exists()


def test_the_dense_model_heals_by_the_same_call(dense: ModelView, rows: HealRows, tmp_path: Path) -> None:
    outcome = run(dense, dense, small(), rows, tmp_path)
    assert outcome.tuning_after < outcome.tuning_before
    assert healed_loss(dense, tmp_path, rows.tuning) == pytest.approx(outcome.tuning_after, abs=1e-4)


def test_merging_is_what_peft_would_merge(pruned: ModelView, dense: ModelView, tmp_path: Path) -> None:
    adapted = add_adapters(module(pruned, dense), pruned.family, pruned.shape, small(rank=3, alpha=5.0))
    for parameter in adapter_parameters(adapted).values():
        torch.nn.init.normal_(parameter.data, std=0.1)
    write_merged(adapted, pruned.source, pruned.family, pruned.shape, tmp_path)
    ours = replaced_tensors(tmp_path)
    theirs = dict(adapted.merge_and_unload().named_parameters())
    assert len(ours.names()) == 7 * pruned.shape.layers
    for name in ours.names():
        assert ours.tensor(name).dtype == torch.float32
        torch.testing.assert_close(ours.tensor(name), theirs[name].data, rtol=1e-5, atol=1e-6)
        assert not torch.equal(ours.tensor(name), pruned.source.tensor(name))


def test_the_loss_is_transformers_own(pruned: ModelView, dense: ModelView, rows: HealRows) -> None:
    """Without weights and padding: its label loss of each row, added up."""
    model = module(pruned, dense)
    part = rows.train[:3]
    ours = Objective(small(), None, torch.float32).training_loss(model, part)
    theirs = 0.0
    for row in part:
        ids = torch.tensor([row.ids])
        theirs += float(model(input_ids=ids, labels=ids).loss) * (len(row.ids) - 1)
    assert float(ours) == pytest.approx(theirs, rel=1e-5)


def test_distillation_is_the_divergence_from_dense(pruned: ModelView, dense: ModelView) -> None:
    """Σ p·ln(p / q) written out, weights in place; nothing where student and teacher are one."""
    row = HealRow([0, 7, 8, 9, 10], [0.0, 0.5, 0.0, 1.0, 2.0])
    student, teacher = module(pruned, dense), module(dense, dense)
    objective = Objective(small(objective="distill"), teacher, torch.float32)
    p, q = (model(input_ids=torch.tensor([row.ids])).logits[0, :-1].softmax(-1) for model in (teacher, student))
    expected = sum(weight * float((p[t] * (p[t] / q[t]).log()).sum()) for t, weight in enumerate(row.weights[1:]))
    assert float(objective.training_loss(student, [row])) == pytest.approx(expected, rel=1e-4)
    assert float(objective.training_loss(teacher, [row])) == pytest.approx(0.0, abs=1e-5)
    both = Objective(small(objective="both", distill_share=0.3), teacher, torch.float32).training_loss(student, [row])
    plain = Objective(small(), None, torch.float32).training_loss(student, [row])
    assert float(both) == pytest.approx(0.3 * expected + 0.7 * float(plain), rel=1e-4)


def test_accumulated_gradients_are_those_of_the_whole_batch(
    pruned: ModelView, dense: ModelView, rows: HealRows, tmp_path: Path
) -> None:
    curves = []
    for rows_at_once in (1, 8):
        recipe = small(dropout=0.0, rows_at_once=rows_at_once, steps=3, evaluate_every=3)
        curves.append(run(pruned, dense, recipe, rows, tmp_path / str(rows_at_once)).train_curve)
    for (_, one), (_, whole) in zip(*curves, strict=True):
        assert one == pytest.approx(whole, abs=1e-4)


def test_the_first_training_loss_is_the_batch_mean(
    pruned: ModelView, dense: ModelView, rows: HealRows, tmp_path: Path
) -> None:
    outcome = run(pruned, dense, small(dropout=0.0, steps=1), rows, tmp_path)
    batch = rows.train[:8]
    model = module(pruned, dense)
    nats = 0.0
    for row in batch:
        logits = model(input_ids=torch.tensor([row.ids])).logits[0, :-1]
        losses = functional.cross_entropy(logits, torch.tensor(row.ids[1:]), reduction="none")
        nats += float((losses * torch.tensor(row.weights[1:])).sum())
    assert outcome.train_curve[0][1] == pytest.approx(nats / total_weight(batch), abs=1e-4)


def test_checkpointed_gradients_change_nothing(
    pruned: ModelView, dense: ModelView, rows: HealRows, tmp_path: Path
) -> None:
    plain = run(pruned, dense, small(steps=3), rows, tmp_path / "plain")
    saved = run(pruned, dense, small(steps=3, gradient_checkpointing=True), rows, tmp_path / "saved")
    for (_, one), (_, other) in zip(plain.train_curve, saved.train_curve, strict=True):
        assert one == pytest.approx(other, abs=1e-5)


def test_training_that_makes_tuning_worse_changes_nothing(
    pruned: ModelView, dense: ModelView, rows: HealRows, tmp_path: Path
) -> None:
    """Tuned on its own most likely text: it stops after `patience` looks, and the best adapters are the untrained ones."""
    ids = [0]
    with torch.inference_mode():
        while len(ids) < 40:
            ids.append(int(module(pruned, dense)(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
    own = HealRows(rows.train, [HealRow(ids, [0.0] + [1.0] * 39)])
    outcome = run(pruned, dense, small(evaluate_every=1, patience=2), own, tmp_path)
    assert outcome.best_step == 0
    assert outcome.tuning_after == outcome.tuning_before
    assert [step for step, _ in outcome.tuning_curve] == [0, 1, 2]
    merged = replaced_tensors(tmp_path)
    for name in merged.names():
        assert torch.equal(merged.tensor(name), pruned.source.tensor(name).float())


def test_the_same_inputs_give_the_same_bytes_and_another_seed_others(
    pruned: ModelView, dense: ModelView, rows: HealRows, tmp_path: Path
) -> None:
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        torch.rand(3)  # What the process drew before is of no account.
        run(pruned, dense, small(steps=2, seed=seed), rows, tmp_path / name)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert digest(tmp_path / "a") != digest(tmp_path / "c")


RUN = """
import sys
from pathlib import Path
import torch
import compressor.heal.precision
from compressor.heal.heal import heal
from compressor.heal.rows import build_heal_rows
from compressor.tokens import ChatTokenizer
from tests.compressor.heal.conftest import prune_view, small, view
compressor.heal.precision.BFLOAT16_FLAGS = frozenset()
folder, work = Path(sys.argv[1]), Path(sys.argv[2])
dense, pruned, recipe = view(folder), prune_view(folder, work / "pruned"), small(steps=15)
rows = build_heal_rows(recipe, ChatTokenizer(folder), None)
config = dense.source.config
with torch.inference_mode():
    heal(pruned, dense, config, recipe, rows, folder=work / "healed", checkpoint_every_s=0.0)
"""


def test_a_killed_training_ends_with_the_same_files(tiny_folder: Path, tmp_path: Path) -> None:
    def start(work: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, "-c", RUN, str(tiny_folder), str(work)])

    assert start(tmp_path / "whole").wait() == 0
    killed = start(tmp_path / "killed")
    state = tmp_path / "killed" / "healed" / "state.safetensors"
    while not state.is_file():
        assert killed.poll() is None
        time.sleep(0.01)
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert state.is_file()
    assert start(tmp_path / "killed").wait() == 0
    assert digest(tmp_path / "killed" / "healed") == digest(tmp_path / "whole" / "healed")
    assert not state.exists()


def test_the_learning_rate_warms_up_peaks_and_ends_near_zero() -> None:
    factors = [learning_rate_factor(step, 100) for step in range(100)]
    assert factors[:3] == [pytest.approx(1 / 3), pytest.approx(2 / 3), 1.0]
    assert factors == sorted(factors[:3]) + sorted(factors[3:], reverse=True)
    assert factors[51] == pytest.approx(0.5, abs=0.02)
    assert 0 < factors[-1] < 0.001
    assert all(math.isfinite(learning_rate_factor(0, steps)) for steps in (1, 2))


def test_a_model_that_does_not_fit_is_refused_with_numbers(
    pruned: ModelView, dense: ModelView, rows: HealRows, tmp_path: Path
) -> None:
    with pytest.raises(MemoryShortError, match=r"healing needs \d+\.\d GiB of memory .*; lower heal\.rows_at_once"):
        run(pruned, dense, small(rows_at_once=10**7), rows, tmp_path)
    assert not list(tmp_path.iterdir())


HAS_BITSANDBYTES = importlib.util.find_spec("bitsandbytes") is not None


@pytest.mark.skipif(HAS_BITSANDBYTES, reason="bitsandbytes is installed")
@pytest.mark.parametrize("base", ["8bit", "4bit"])
def test_a_quantized_base_is_refused_without_bitsandbytes(
    base: Any, pruned: ModelView, dense: ModelView, rows: HealRows, tmp_path: Path
) -> None:
    with pytest.raises(RecipeError, match=rf'heal\.base = "{base}" needs bitsandbytes: pip install .*"full"'):
        run(pruned, dense, small(base=base), rows, tmp_path)


@pytest.mark.skipif(not HAS_BITSANDBYTES, reason="bitsandbytes is not installed")
@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize("base", ["8bit", "4bit"])
def test_a_quantized_base_trains_and_the_merge_is_into_the_full_weights(
    base: Any, dense: ModelView, rows: HealRows, tmp_path: Path
) -> None:
    """Widths of 128: bitsandbytes' blocks are of 64."""
    outcome = run(dense, dense, small(base=base), rows, tmp_path)
    assert outcome.tuning_after < outcome.tuning_before
    with torch.inference_mode():
        before = stream_loss(dense, make_batches([row.ids for row in rows.tuning]))
    assert healed_loss(dense, tmp_path, rows.tuning) < before
    merged = replaced_tensors(tmp_path)
    for name in merged.names():
        delta = merged.tensor(name) - dense.source.tensor(name).float()
        assert int(torch.linalg.matrix_rank(delta, rtol=1e-4)) <= small().rank


@pytest.mark.parametrize(
    ("text", "bfloat16"),
    [
        ("processor\t: 0\nflags\t\t: fpu avx512f avx512_bf16\n", True),
        ("processor\t: 0\nflags\t\t: fpu avx2 avx512f\n", False),
        ("Features\t: fp asimd bf16 i8mm\n", True),
        ("Features\t: fp asimd\n", False),
    ],
)
def test_bfloat16_only_where_the_cpu_has_it(text: str, bfloat16: bool, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(text, "utf-8")
    assert bool(cpu_flags(tmp_path / "cpuinfo") & {"avx512_bf16", "amx_bf16", "bf16"}) == bfloat16
    assert cpu_flags(tmp_path / "none") == frozenset()


def test_bfloat16_training_learns_and_merges_in_float32(
    pruned: ModelView, dense: ModelView, rows: HealRows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("compressor.heal.precision.BFLOAT16_FLAGS", cpu_flags(Path("/proc/cpuinfo")))
    assert training_dtype(torch.device("cpu")) == torch.bfloat16
    outcome = run(pruned, dense, small(objective="both"), rows, tmp_path)
    assert outcome.tuning_after < outcome.tuning_before - 0.01
    assert healed_loss(pruned, tmp_path, rows.tuning) == pytest.approx(outcome.tuning_after, abs=0.03)
