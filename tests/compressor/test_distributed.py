"""Two real processes under torchrun (gloo) end with what one gives: sums, kept neurons, files; and devices."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from compressor.calibrate import Statistics, load_statistics
from compressor.criteria.score import CRITERIA, ScoringInputs, score_layers
from compressor.distributed import ALONE, choose_device, device_name, joined
from compressor.errors import DeviceError
from compressor.masks.choose import choose
from compressor.storage import load_tensors
from compressor.walk import StreamCheckpoint
from models.resolve import resolve_checkpoint
from tests.compressor.shared_calibration import rows, run
from tests.compressor.test_compress_command import app, recipe
from tests.compressor.test_layers import view


def torchrun(*arguments: str) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-4000:]


def assert_same_neurons(folder: Path, ours: Statistics, theirs: Statistics) -> None:
    """Equal kept indices by every criterion that uses the sums, but for scores that tie within 1e-9 of the threshold."""
    for criterion in sorted({*CRITERIA} - {"taylor"}):
        inputs = [ScoringInputs(view(folder), statistics, rows(), {}, 0) for statistics in (ours, theirs)]
        both = [score_layers(criterion, each) for each in inputs]
        for method in ("uniform", "global"):
            half = sum(layer.numel() for layer in both[0]) // 2
            kept = [choose(scores, half, method, 32) for scores in both]
            for layer, (one, two) in enumerate(zip(*kept, strict=True)):
                assert len(one) == len(two)
                differing = torch.tensor(sorted(set(one.tolist()) ^ set(two.tolist())), dtype=torch.int64)
                values = both[0][layer][differing]
                assert values.numel() == 0 or float(values.max() - values.min()) <= 1e-9 * float(values.abs().max())


class Stopping(StreamCheckpoint):
    """Ctrl-C as soon as a layer is saved."""

    def save(self, next_layer: int, tensors: dict[str, torch.Tensor]) -> None:
        super().save(next_layer, tensors)
        raise KeyboardInterrupt


def test_two_processes_give_the_sums_of_one_and_continue_its_walk(tiny_folder: Path, tmp_path: Path) -> None:
    alone = run(tiny_folder, StreamCheckpoint(tmp_path / "alone", every_s=0.0))
    with pytest.raises(KeyboardInterrupt):
        run(tiny_folder, Stopping(tmp_path / "interrupted", every_s=0.0))
    torchrun("tests.compressor.shared_calibration", str(tiny_folder), str(tmp_path))
    for name in ("stats", "continued"):
        shared = load_statistics(tmp_path / f"{name}.safetensors", 2)
        assert shared.tokens == alone.tokens
        for ours, theirs in zip(shared.layers, alone.layers, strict=True):
            for field, sums in vars(ours).items():
                torch.testing.assert_close(sums, vars(theirs)[field], rtol=1e-12, atol=1e-12)
        assert_same_neurons(tiny_folder, shared, alone)
    other = torch.load(tmp_path / "sums-1.pt")
    mine = load_statistics(tmp_path / "stats.safetensors", 2).layers[0]
    assert all(torch.equal(other[field], sums) for field, sums in vars(mine).items())
    # The state that the leader kept is that of a walk by one process: either can continue the other's.
    saved, expected = load_tensors(tmp_path / "state")[0], load_tensors(tmp_path / "alone")[0]
    assert saved.keys() == expected.keys()
    assert all(torch.equal(saved[name], expected[name]) for name in saved if name.startswith("hidden"))


@pytest.mark.usefixtures("one_core")
def test_compress_under_torchrun_ends_well_in_every_process(tiny_folder: Path, tmp_path: Path) -> None:
    """Exit status 0 of torchrun means 0 of every process. One process keeps the same neurons and leaves the same files."""
    arguments = ["compress", str(tiny_folder), "--recipe", recipe(tmp_path, 24), "--device", "cpu", "--out"]
    torchrun("assistant", *arguments, str(tmp_path / "two"))
    CliRunner().invoke(app(), [*arguments, str(tmp_path / "one")], catch_exceptions=False)
    kept = [load_tensors(tmp_path / name / "stages" / "03-mask" / "kept.safetensors")[0] for name in ("one", "two")]
    assert all(torch.equal(kept[0][name], kept[1][name]) for name in kept[0])
    found = [{path.relative_to(tmp_path / name) for path in (tmp_path / name).rglob("*")} for name in ("one", "two")]
    assert found[0] == found[1]
    facts = json.loads((tmp_path / "two" / "manifest.json").read_text("utf-8"))["stages"]["01-calibrate"]["facts"]
    assert (facts["device"], facts["processes"]) == ("cpu", 2)


def test_alone_every_exchange_is_the_identity() -> None:
    with joined("cpu") as group:
        assert group == ALONE
    assert group.leads
    assert group.share([1, 2, 3]) == group.gather([1, 2, 3]) == [1, 2, 3]
    assert group.announce("x") == "x"
    assert torch.equal(group.add_up(torch.ones(2)), torch.ones(2))


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_gpu_that_is_not_there_is_refused() -> None:
    assert choose_device(None, 0) == torch.device("cpu")
    assert device_name(choose_device("cpu", 5)) == "cpu"
    with pytest.raises(DeviceError, match="--device cpu"):
        choose_device("cuda", 0)


@pytest.mark.slow
def test_two_processes_keep_the_reference_models_neurons(tmp_path: Path) -> None:
    folder = resolve_checkpoint("reference")
    torchrun("tests.compressor.shared_calibration", str(folder), str(tmp_path))
    alone = run(folder, StreamCheckpoint(tmp_path / "alone"))
    assert_same_neurons(folder, load_statistics(tmp_path / "stats.safetensors", 8), alone)
