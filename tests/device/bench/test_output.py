"""The files of a run: every sample and figure, readable again, whole; nothing that was not measured."""

import csv
import json
import struct
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from device.bench import output
from device.bench.output import new_folder, write_files
from device.bench.report import Report
from device.bench.settings import Settings
from device.bench.views import print_json, print_report
from device.errors import BenchError
from device.other_processes import Others
from tests.device.bench.simulated import ClockedEngine, Machine, Simulation, report_of
from tests.device.meters import INA3221, PMIC

NOW = datetime(2026, 11, 22, 6, 7, 8, tzinfo=timezone.utc)


def simulated(*, meter: Any = PMIC, stop_at: int = 10**9, natural: bool = False) -> Report:
    machine = Machine(5.0, 18.7)
    settings = Settings(tokens=None if natural else 256, natural=natural)
    simulation = Simulation(machine, ClockedEngine(machine, stop_at=stop_at), settings, meter)
    try:
        simulation.run.measure()
    except KeyboardInterrupt:
        assert stop_at < 100
    return report_of(simulation.run.series, settings)


@pytest.fixture(scope="module")
def report() -> Report:
    return simulated()


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def document(folder: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads((folder / "bench.json").read_text("utf-8"))
    return loaded


def test_all_files_of_a_run_with_a_meter(report: Report, tmp_path: Path) -> None:
    assert write_files(report, tmp_path) == ["bench.json", "answers.csv", "trace.csv", "power.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.csv", "bench.json", "power.png", "trace.csv"]
    found = document(tmp_path)
    assert found["complete"] is True
    assert found["row"]["tokens_per_joule"] == pytest.approx(256 / 11.2 / 18.7, rel=5e-3)
    assert found["figures"]["gross_j"]["meter"] == {
        "source": "pmic-ioctl",
        "scope": "pmic-rails",
        "kind": "measured",
    }
    assert found["figures"]["gross_j"]["interval"]["coverage"] == pytest.approx(0.96875)
    assert found["figures"]["answer_s"]["meter"] is None
    assert found["settings"]["tokens"] == 256
    assert found["validity"]["highest_c"] == {"tj-thermal": 48.0}
    assert len(found["trace"]["time_s"]) == len(found["trace"]["power_w"]) > 900
    assert {phase["name"] for phase in found["phases"]} >= {"load", "idle before", "warm-up", "prefill", "idle after"}


def test_answers_have_a_line_each(report: Report, tmp_path: Path) -> None:
    write_files(report, tmp_path)
    answers = rows(tmp_path / "answers.csv")
    assert [int(row["answer"]) for row in answers] == list(range(1, 13))
    assert [row["sampled"] for row in answers[:4]] == ["1", "0", "0", "1"]
    assert {row["tokens"] for row in answers} == {"256"}
    sampled, plain = answers[0], answers[1]
    assert float(sampled["gross_j"]) == pytest.approx(18.7 * 11.2, rel=0.01)
    assert (plain["gross_j"], plain["valid"], sampled["valid"]) == ("", "", "1")


def test_the_trace_says_in_which_phase_each_sample_lies(report: Report, tmp_path: Path) -> None:
    write_files(report, tmp_path)
    samples = rows(tmp_path / "trace.csv")
    assert list(samples[0]) == ["time_s", "power_w", "energy_j", "phase"]
    answering = [float(row["power_w"]) for row in samples if row["phase"] in ("prefill", "decode")]
    idling = [float(row["power_w"]) for row in samples if row["phase"].startswith("idle")]
    assert set(answering) == {18.7}
    assert set(idling) == {5.0}
    times = [float(row["time_s"]) for row in samples]
    assert times[0] > 10.0  # seconds from the start of loading
    assert times == sorted(times)


def test_the_picture_is_a_png(report: Report, tmp_path: Path) -> None:
    write_files(report, tmp_path)
    content = (tmp_path / "power.png").read_bytes()
    assert content.startswith(b"\x89PNG\r\n")
    assert struct.unpack(">II", content[16:24]) == (1500, 600)


def test_without_matplotlib_all_else_is_written(
    report: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(output, "can_draw", lambda: False)
    assert write_files(report, tmp_path) == ["bench.json", "answers.csv", "trace.csv"]


def test_without_a_meter_there_is_no_trace_and_power_is_null(tmp_path: Path) -> None:
    assert write_files(simulated(meter=None), tmp_path) == ["bench.json", "answers.csv"]
    found = document(tmp_path)
    assert (found["meter"], found["trace"], found["row"]["idle_w"], found["figures"]["gross_j"]) == (None,) * 4
    assert found["row"]["tokens_per_s"] == pytest.approx(256 / 11.2)


def test_an_interrupted_run_is_kept_and_marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cut = simulated(stop_at=4)
    write_files(cut, tmp_path)
    found = document(tmp_path)
    assert found["complete"] is False
    assert found["validity"]["flags"][0].startswith("interrupted")
    assert len(rows(tmp_path / "answers.csv")) == 3
    assert rows(tmp_path / "trace.csv")
    print_report(cut, tmp_path, ["bench.json"], None)
    assert "interrupted: only what was measured before is here" in capsys.readouterr().out


def test_a_folder_is_dated_and_never_written_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert new_folder(None, "tiny", NOW) == Path("bench-20261122-060708-tiny")
    named = new_folder(tmp_path / "a" / "b", "tiny", NOW)
    assert named.is_dir()
    (named / "bench.json").write_text("{}")
    with pytest.raises(BenchError, match="holds a bench already; name another folder with --out"):
        new_folder(named, "tiny", NOW)
    (tmp_path / "file").touch()
    with pytest.raises(BenchError, match="is a file; name a folder with --out"):
        new_folder(tmp_path / "file", "tiny", NOW)


@pytest.mark.parametrize("natural", [False, True])
@pytest.mark.parametrize("meter", [None, PMIC, INA3221])
def test_people_see_it_in_80_columns(
    meter: Any, natural: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    print_report(simulated(meter=meter, natural=natural), Path("/out"), ["bench.json"], "a hint")
    text = capsys.readouterr().out
    flowing = " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80
    assert "..." not in text
    assert "…" not in text
    assert ("they differ in length" in flowing) is natural
    assert ("the sensor's own error comes to it" in flowing) is (meter is not None)
    if meter is None:
        assert "Power not measured: no meter that can be used" in flowing
        assert text.splitlines()[1].count("not measured") == 3
        assert "J per token" not in text
    elif meter is INA3221:
        assert "VDD_IN by ina3221-sysfs: module, measured; peak W as shown by the sensor's 0.43 s low-pass" in flowing
        assert "+-" in text
    else:
        assert "sum of 12 rails by pmic-ioctl: pmic-rails, measured" in flowing
        assert "unknown" in text


def test_a_neighbour_is_flagged(report: Report) -> None:
    assert report.flags == ()
    busy = replace(report, circumstances=replace(report.circumstances, others=Others(1.5, {"make": 1.2})))
    assert busy.flags == ("other processes kept 1.50 cores busy",)


def test_programs_see_all_but_the_samples(report: Report, capsys: pytest.CaptureFixture[str]) -> None:
    print_json(report, Path("/out"))
    found = json.loads(capsys.readouterr().out)
    assert found["folder"] == "/out"
    assert "trace" not in found
    assert len(found["answers"]) == 12
