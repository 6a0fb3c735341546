"""The whole of `bedside device bench` on a tiny model, with a recording as its meter and without one."""

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from device.bench import command
from device.bench.circumstances import look
from device.bench.command import Wanted, bench
from device.bench.settings import Settings
from device.errors import BenchError, SourceUnavailableError
from models.errors import ModelFileError, StorageError

pytestmark = pytest.mark.usefixtures("one_core")
SHORT = Settings(answers=1, prompt_tokens=8, tokens=8, idle_s=0.3, threads=1, settle_s=0.0, least_s=0.0)


def document(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "bench.json").read_text("utf-8"))
    return loaded


def test_without_a_meter(tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    bench(Wanted(str(tiny_model)), SHORT, out=out)
    printed = capsys.readouterr()
    assert printed.out.splitlines()[1].split()[0] == "tiny"
    assert printed.err == ""
    found = document(out)
    assert found["complete"] is True
    assert (found["engine"]["threads"], found["engine"]["context_tokens"]) == (1, 256)
    assert (found["model"]["random_weights"], found["model"]["architecture"]) == (True, "llama")
    assert len(found["answers"]) == 1
    assert found["bandwidth"]["bytes_per_s"] > 0
    assert found["figures"]["bandwidth_share"]["median"] > 0
    assert found["memory"]["peak_bytes"] >= found["memory"]["anonymous_bytes"] > 0
    if found["meter"] is None:
        assert found["unavailable"]


def test_a_recording_is_a_meter_and_says_so(tiny_model: Path, recording: Path, tmp_path: Path) -> None:
    """Of a recording that stands still no answer drew more than idling: no figure, and the reason."""
    out = tmp_path / "out"
    bench(Wanted(str(tiny_model)), SHORT, meter=recording, out=out, as_json=True)
    found = document(out)
    assert (found["meter"]["source"], found["meter"]["scope"]) == ("replay", "supply")
    assert [answer["sampled"] for answer in found["answers"]] == [True, False]
    assert (found["row"]["idle_w"], found["row"]["inference_w"]) == (pytest.approx(7.0), None)
    assert found["figures"]["board_idle_w"]["median"] == pytest.approx(7.0)
    assert set(found["trace"]["power_w"]) == {7.0}
    assert {phase["name"] for phase in found["phases"]} == {
        "board idle", "load", "rest", "idle before", "warm-up", "prefill", "decode", "idle after"
    }  # fmt: skip


def test_a_meter_that_goes_away_before_the_first_answer_is_an_error(tiny_model: Path, tmp_path: Path) -> None:
    short = tmp_path / "short.csv"
    short.write_text("# scope: supply\nt_s,p_w\n0,7\n0.05,7\n0.1,7\n")
    with pytest.raises(BenchError, match="the meter went away"):
        bench(Wanted(str(tiny_model)), SHORT, meter=short, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_named_meter_that_fails_is_not_replaced(tiny_model: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text("a,b\n1,2\n")
    with pytest.raises(SourceUnavailableError, match="is no recording"):
        bench(Wanted(str(tiny_model)), SHORT, meter=bad, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()  # nor does an empty folder stay


def test_what_cannot_run_is_refused_before_it_is_loaded(
    tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ModelFileError, match="does not exist"):
        bench(Wanted(str(tmp_path / "no.gguf")), SHORT, out=tmp_path / "out")
    with pytest.raises(BenchError, match="random weights"):
        bench(Wanted(str(tiny_model)), Settings(natural=True), out=tmp_path / "out")
    monkeypatch.setattr(command, "free_memory_bytes", lambda: 1000)
    with pytest.raises(BenchError, match="with a context of 16 tokens and 1000 bytes are free"):
        bench(Wanted(str(tiny_model)), SHORT, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_the_answers_before_it(
    number: signal.Signals,
    tiny_model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    looks = 0

    def interrupted(*arguments: Any) -> Any:
        nonlocal looks
        looks += 1
        if looks == 3:
            signal.raise_signal(number)
        return look(*arguments)

    monkeypatch.setattr("device.bench.command.look", interrupted)
    settings = Settings(answers=9, prompt_tokens=8, tokens=8, threads=1, least_s=0.0)
    with pytest.raises(KeyboardInterrupt):
        bench(Wanted(str(tiny_model)), settings, out=tmp_path / "out")
    found = document(tmp_path / "out")
    assert (found["complete"], len(found["answers"]), found["bandwidth"]) == (False, 3, None)
    assert "interrupted" in capsys.readouterr().out


def test_files_that_cannot_be_written_do_not_take_the_table_along(
    tiny_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out" / "answers.csv" / "in the way").mkdir(parents=True)
    with pytest.raises(StorageError, match=r"answers\.csv"):
        bench(Wanted(str(tiny_model)), SHORT, out=tmp_path / "out")
    printed = capsys.readouterr().out
    assert printed.splitlines()[1].split()[0] == "tiny"
    assert "not all of them could be written" in printed


def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
    command_line = [sys.executable, "-m", "assistant", "device", "bench", *arguments]
    return subprocess.run(command_line, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "name a file or model id, or --shape"),
        (("a.gguf", "--shape", "llama-3-8b"), "one of them"),
        (("a.gguf", "--prune", "0.5"), "go with --shape"),
        (("a.gguf", "--natural", "--tokens", "5"), "has its own five questions"),
        (("a.gguf", "--idle", "inf"), "inf is no finite number"),
        (("a.gguf", "--idle", "nan"), "greater than or equal to 1"),
        (("--shape", "llama-3-8b", "--prune", "nan"), "Invalid value for '--prune'"),
    ],
)
def test_wrong_usage_is_one_line(arguments: tuple[str, ...], says: str) -> None:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert says in done.stderr


def test_errors_are_one_line(tiny_model: Path, tmp_path: Path) -> None:
    done = run(str(tiny_model), "--natural", "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert "random weights" in done.stderr
