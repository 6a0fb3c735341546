"""`bedside device plan`: what fits, how fast it would be, what has to go; at 80 columns and as one object."""

import json
import math
import os
import re
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from device import command, speed_profile
from device.command import app
from device.other_processes import Others
from device.plan import plan_catalogue_model, plan_file, predict
from device.plan_views import show_share
from device.speed_profile import board_key, profile_path, read_profile
from device.workload import workload_of_catalogue
from models.catalogue import CatalogueModel, catalogue, find_in_catalogue
from models.errors import ModelFileError, ModelNotFoundError
from models.gguf_header import read_header
from models.memory import estimate_memory
from models.pruned import pruned_memory
from models.runtime.library import default_threads
from models.synthetic.gguf import write_gguf
from tests.device.test_speed_profile import KEPT
from tests.device.test_unit_costs import COSTS
from tests.device.test_workload import SHAPE

ROOT = Path(__file__).parents[2]
GIB = 1 << 30


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A board that was measured before, with 4 GiB free."""
    own = {"BEDSIDE_HOME": tmp_path / "home", "XDG_CACHE_HOME": tmp_path / "cache", "COLUMNS": 80, "NO_COLOR": 1}
    for name, value in own.items():
        monkeypatch.setenv(name, str(value))
    key = board_key(default_threads())
    path = profile_path(key)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"key": key, **KEPT}))
    monkeypatch.setattr("models.free_memory.free_memory_bytes", lambda: 4 * GIB)
    return tmp_path / "home"


def run(*arguments: str) -> str:
    """Standard output of `bedside device plan ARGUMENTS`."""
    result = CliRunner().invoke(app, ["plan", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def run_json(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


def known(model_id: str) -> CatalogueModel:
    model = find_in_catalogue(model_id)
    assert model is not None
    return model


def test_every_model_at_80_columns() -> None:
    lines = run().splitlines()
    assert max(len(line) for line in lines) <= 80
    assert not any("…" in line for line in lines)
    for model in catalogue():
        assert any(line.startswith(f"{model.id} ") for line in lines)
    text = " ".join(word for line in lines for word in line.split())
    assert "Speeds are predicted" in text
    assert "memory is read at 40.0 GB/s by 1 thread (read test), Q4_0 weights at 40.0 GB/s" in text


@pytest.mark.parametrize(("name", "says"), [("", "name is empty"), ("/dev/zero", "is not a regular file")])
def test_what_can_be_no_model_is_told_apart(name: str, says: str) -> None:
    with pytest.raises(ModelFileError, match=says):
        CliRunner().invoke(app, ["plan", name], catch_exceptions=False)


def test_a_disturbed_measurement_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "Disturbed" not in run("llama-3-8b")
    assert run_json("llama-3-8b")["measured"]["disturbed"] is False
    profile = read_profile(profile_path(board_key(default_threads())), board_key(default_threads()))
    assert profile is not None
    busy = replace(profile, others=Others(1.9, {"make": 1.8}))
    monkeypatch.setattr(speed_profile, "speed_profile", lambda *_, **__: (busy, True))
    text = " ".join(run("llama-3-8b").split())
    assert "Disturbed: other processes took 1.90 cores meanwhile (make 1.80)" in text
    told = run_json("llama-3-8b")["measured"]
    assert (told["disturbed"], told["others"]["cores"]) == (True, 1.9)


def test_a_line_for_what_fits_and_two_for_what_fits_pruned() -> None:
    text = run("llama-3.2-1b", "llama-3-8b")
    assert re.search(r"^llama-3.2-1b .* yes *$", text, re.MULTILINE)
    dense, pruned = re.search(r"^(llama-3-8b .*)\n(.*)$", text, re.MULTILINE).groups()  # type: ignore[union-attr]
    assert dense.rstrip().endswith("pruned")
    share = re.match(r"  (\d+)% pruned ", pruned)
    assert share is not None
    assert pruned.rstrip().endswith("yes")
    facts = run_json("llama-3-8b")["models"][0]["pruned"]
    assert int(share[1]) == math.ceil(100 * facts["ffn_share"])
    assert facts["total_bytes"] <= 4 * GIB < facts["total_bytes"] + 256 * 3 * 4096 * 18 // 32


def test_the_object_says_what_was_measured_and_what_is_predicted() -> None:
    told = run_json("llama-3-8b", "--context", "2048")
    assert (told["context_tokens"], told["free_bytes"]) == (2048, 4 * GIB)
    assert told["measured"] == {**KEPT, "now": False, "disturbed": False}
    model = told["models"][0]
    dense = model["as_it_is"]
    assert (model["id"], model["file"], dense["fits"]) == ("llama-3-8b", None, False)
    expected = estimate_memory(known("llama-3-8b"), 2048)
    assert dense["total_bytes"] == expected.total_bytes
    assert dense["weights_bytes"] == known("llama-3-8b").q4_0_bytes()
    work = workload_of_catalogue(known("llama-3-8b"))
    assert dense["predicted"] == asdict(predict(work, 2048, COSTS))
    assert dense["predicted"]["prompt_tokens_per_s"] == pytest.approx(512 / COSTS.prompt_s(work, 512))
    assert dense["predicted"]["full_answer_tokens_per_s"] == pytest.approx(1 / COSTS.answer_token_s(work, 2047))
    assert model["pruned"]["predicted"]["answer_tokens_per_s"] > dense["predicted"]["answer_tokens_per_s"]


def test_a_longer_context_than_a_model_knows_is_cut_to_it() -> None:
    told = run_json("gemma-7b", "--context", "100000")["models"][0]
    assert told["context_tokens"] == known("gemma-7b").context_tokens
    assert told["note"] == "Its context ends at 8,192 tokens: planned with these, not 100,000."
    assert "gemma-7b: Its context ends at 8,192 tokens" in run("gemma-7b", "--context", "100000")
    assert run_json("gemma-7b", "--context", "8192")["models"][0]["note"] is None


def test_a_file_is_planned_as_it_is(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "own.gguf", SHAPE, "q4_0")
    told = run_json(str(path), "reference")["models"]
    assert [model["file"] is not None for model in told] == [True, True]
    assert told[0]["as_it_is"]["weights_bytes"] == read_header(path).tensor_bytes
    assert told[0]["as_it_is"]["predicted"]["answer_tokens_per_s"] > 0


def test_a_file_fits_by_what_it_takes_while_it_runs(tmp_path: Path) -> None:
    """Pages that are copied while it loads can be dropped: they need no room of their own."""
    header = read_header(write_gguf(tmp_path / "own.gguf", SHAPE, "q4_0"))
    memory = estimate_memory(header, 256)
    assert memory.load_peak_bytes > memory.total_bytes
    for free_bytes, fits in ((memory.total_bytes, True), (memory.total_bytes - 1, False)):
        planned = plan_file("own", header, 256, free_bytes, COSTS).as_it_is
        assert planned is not None
        assert planned.fits is fits


def test_of_other_weights_no_speed_is_said(tmp_path: Path) -> None:
    path = write_gguf(tmp_path / "f16.gguf", SHAPE, "f16")
    assert run_json(str(path))["models"][0]["as_it_is"]["predicted"] is None
    text = run(str(path))
    assert "unknown" in text
    assert "No speed: its layers are not plain Q4_0" in text


def test_stored_files_are_listed_and_a_damaged_one_does_not_end_the_list(home: Path, tmp_path: Path) -> None:
    from models.cli import app as models_app

    for name in ("clinic", "broken"):
        path = write_gguf(tmp_path / f"{name}.gguf", SHAPE, "q4_0")
        assert CliRunner().invoke(models_app, ["import", str(path)]).exit_code == 0
    (home / "models" / "broken" / "broken.gguf").write_bytes(b"GGUF")
    text = run()
    assert re.search(r"^clinic .* yes *$", text, re.MULTILINE)
    assert re.search(r"^broken +damaged *$", text, re.MULTILINE)
    told = {model["id"]: model for model in run_json()["models"]}
    assert told["broken"]["as_it_is"] is None
    assert told["clinic"]["as_it_is"]["fits"] is True


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ModelNotFoundError, match="no model 'llama-9'"):
        run("llama-9")


def test_names_are_looked_up_before_anything_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def measure(*_: object, **__: object) -> None:
        raise AssertionError("measured for nothing")

    monkeypatch.setattr(speed_profile, "speed_profile", measure)
    with pytest.raises(ModelNotFoundError, match="no model 'llama-9'"):
        run("llama-3-8b", "llama-9")


def test_the_installed_command_names_the_fault_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "assistant", "device", "plan", "llama-9"],
        cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("error: no model 'llama-9'")
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_the_boards_options_are_not_the_plans() -> None:
    result = CliRunner().invoke(app, ["--bandwidth", "plan"])
    assert result.exit_code == 2
    result = CliRunner().invoke(app, ["--bandwidth", "--sysroot", "."])
    assert result.exit_code == 2
    assert "measures this machine" in result.output


def test_bandwidth_is_shown_where_it_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("device.bandwidth._MEASURE_S", 0.0)
    command.show_board(bandwidth=True)
    assert re.search(r"memory is read at [\d.]+ GB/s by", capsys.readouterr().out)
    command.show_board(as_json=True, bandwidth=True)
    assert json.loads(capsys.readouterr().out)["board"]["bandwidth"]["bytes_per_s"] > 0
    command.show_board(as_json=True)
    assert json.loads(capsys.readouterr().out)["board"]["bandwidth"] is None


@given(model=st.sampled_from(catalogue()), n_ctx=st.sampled_from([256, 4096]), free_mib=st.integers(0, 16_000))
def test_what_is_said_to_fit_does(model: CatalogueModel, n_ctx: int, free_mib: int) -> None:
    free_bytes = free_mib << 20
    planned = plan_catalogue_model(model, n_ctx, free_bytes, COSTS)
    dense = planned.as_it_is
    assert dense is not None
    assert dense.fits == (dense.memory.total_bytes <= free_bytes)
    assert not (dense.fits and planned.pruned)
    if planned.pruned is not None:
        share, memory = planned.pruned.ffn_share, planned.pruned.memory
        assert 0 < share < 1
        assert memory.total_bytes <= free_bytes
        ffn_bytes = model.q4_0_bytes() - pruned_memory(model, 0, n_ctx).weights_bytes
        assert dense.memory.weights_bytes - memory.weights_bytes == pytest.approx(share * ffn_bytes, rel=0.02)


@given(share=st.floats(0.0001, 0.9999))
def test_the_share_shown_is_never_too_little(share: float) -> None:
    assert int(show_share(share).removesuffix("%")) / 100 >= share - 1e-9


def test_a_shape_and_its_file_are_as_fast(tmp_path: Path) -> None:
    from tests.device.test_workload import as_catalogue_model

    shape = replace(SHAPE, tied=True)
    file = plan_file("f", read_header(write_gguf(tmp_path / "f.gguf", shape, "q4_0")), 256, GIB, COSTS).as_it_is
    model = plan_catalogue_model(as_catalogue_model(shape), 256, GIB, COSTS).as_it_is
    assert file is not None
    assert model is not None
    assert file.predicted == model.predicted
