"""The monitor over trees of files: it finds the meter, says when it goes, finds it again, and gets out of the way."""

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from device.attribution import spent
from device.detect import survey
from device.errors import SourceUnavailableError
from device.monitor import Monitor, Sample
from device.reading import Meter, Reading
from device.system import System
from tests.device.machines import JETSON, RAPL, Files, Watched, write

QUICK_S = 0.002
ONLY_POWER: Files = {name: each for name, each in JETSON.items() if "samples" not in name and "interval" not in name}
"""A Jetson without the filter's files: whatever takes ten periods can be measured."""


class Heard:
    """Samples as they come; to wait for one of a kind."""

    def __init__(self, monitor: Monitor) -> None:
        self._changed = threading.Condition()
        self.all: list[Sample | None] = []
        monitor.listen(self._take)

    def _take(self, sample: Sample | None) -> None:
        with self._changed:
            self.all.append(sample)
            self._changed.notify_all()

    def wait(self, wanted: Callable[[Sample | None], bool]) -> Sample | None:
        """The first that has not been waited for yet and is wanted."""
        with self._changed:
            assert self._changed.wait_for(lambda: any(wanted(each) for each in self.all), 30)
            place = next(place for place, each in enumerate(self.all) if wanted(each))
            found = self.all[place]
            del self.all[: place + 1]
            return found


def is_sample(sample: Sample | None) -> bool:
    return sample is not None


def is_end(sample: Sample | None) -> bool:
    return sample is None


def monitor_of(root: Path, *trees: Files) -> Monitor:
    return Monitor(System(write(root, *trees)), period_s=QUICK_S, look_again_s=0.01)


def test_it_tells_samples_and_shares_them_out(tmp_path: Path) -> None:
    monitor = monitor_of(tmp_path, ONLY_POWER)
    heard = Heard(monitor)
    with monitor:
        sample = heard.wait(is_sample)
        assert sample is not None
        assert (sample.meter.source, sample.power_w, sample.energy_j) == ("ina3221-sysfs", 6.0, None)
        assert abs(sample.unix_s - time.time()) < 60
        attribution = monitor.attribution
        assert attribution is not None
        account = attribution.open_account()
        step = attribution.begin([(account, 1)])
        heard.wait(is_sample)
        while time.monotonic() < step.start_s + 10 * QUICK_S:
            heard.wait(is_sample)
        attribution.end(step)
        while not account.is_settled:
            heard.wait(is_sample)
        found = spent([account])
        assert found is not None
        assert found.watts == pytest.approx(6.0)
        assert found.joules == pytest.approx(6.0 * account.computed_s)
        sampling = monitor.sampling()
    assert list(sampling.energy) == [("ina3221-sysfs", "module", "measured")]
    assert sampling.energy["ina3221-sysfs", "module", "measured"].joules == pytest.approx(found.joules)
    assert monitor.attribution is None


def test_without_a_meter_it_says_so_once_and_costs_no_sample(tmp_path: Path) -> None:
    monitor = monitor_of(tmp_path)
    heard = Heard(monitor)
    with monitor:
        heard.wait(is_end)
        assert monitor.missing == monitor.unavailable
        assert monitor.latest is None
        assert [missing.source for missing in monitor.unavailable or ()] == ["battery", "rapl", "nvml"]
    assert heard.all == []  # it has looked again since, and found the same
    assert monitor.sampling().energy == {}


def test_a_meter_that_goes_away_is_said_and_found_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    monitor = monitor_of(tmp_path, ONLY_POWER)
    heard = Heard(monitor)
    chip, gone = tmp_path / "sys/class/hwmon/hwmon3", tmp_path / "gone"
    with caplog.at_level(logging.WARNING), monitor:
        heard.wait(is_sample)
        first = monitor.attribution
        assert first is not None
        chip.rename(gone)
        heard.wait(is_end)
        assert first.closed
        assert monitor.latest is None
        gone.rename(chip)
        heard.wait(is_sample)
        second = monitor.attribution
        assert second is not first
    (said,) = {record.getMessage() for record in caplog.records}
    assert said.startswith("the power meter ina3221-sysfs has gone: ")
    assert said.endswith("; it is looked for again every 0.01 s")


def test_a_named_meter_that_cannot_be_used_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    monitor = Monitor(System(write(tmp_path, ONLY_POWER)), Path("/sys/class/hwmon/hwmon9"), period_s=QUICK_S)
    heard = Heard(monitor)
    with caplog.at_level(logging.WARNING), monitor:
        sample = heard.wait(is_sample)
    assert sample is not None
    assert sample.meter.source == "ina3221-sysfs"
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("the named meter is not used: ")
    assert said.endswith("hwmon9 is no hwmon meter; see which meters there are")


def test_a_recording_is_refused() -> None:
    """It has an end, and would be played from its start again by whoever looks next."""
    with pytest.raises(SourceUnavailableError, match=r"run\.csv is a recording, which is not of now; name a meter"):
        Monitor(meter=Path("run.csv"))


def test_steps_without_a_meter_are_counted_as_time(tmp_path: Path) -> None:
    """Before the first meter, and once it has gone; what is computed meanwhile belongs to no meter."""
    monitor = monitor_of(tmp_path, ONLY_POWER)
    with monitor.step(lambda: [(None, 1)]):
        time.sleep(0.01)
    before_s = monitor.sampling().unmetered_s
    assert before_s >= 0.01
    heard = Heard(monitor)
    with monitor:
        heard.wait(is_sample)
        with monitor.step(lambda: [(None, 1)]):
            heard.wait(is_sample)
        heard.wait(is_sample)
        assert monitor.sampling().unmetered_s == before_s
        (tmp_path / "sys/class/hwmon/hwmon3").rename(tmp_path / "gone")
        heard.wait(is_end)
        with monitor.step(lambda: [(None, 1)]):
            time.sleep(0.01)
        assert monitor.sampling().unmetered_s >= before_s + 0.01


def test_a_counter_gives_watts_once_it_has_moved(tmp_path: Path) -> None:
    monitor = monitor_of(tmp_path, RAPL)
    heard = Heard(monitor)
    with monitor:
        first, second = heard.wait(is_sample), heard.wait(is_sample)
        write(tmp_path, {"sys/class/powercap/intel-rapl:0/energy_uj": 3_000_000})
        third = heard.wait(lambda sample: sample is not None and sample.power_w is not None)
    assert first is not None
    assert second is not None
    assert third is not None
    assert (first.power_w, first.energy_j, second.power_w, second.energy_j) == (None, 1.0, None, 1.0)
    assert third.energy_j == 3.0
    assert (third.power_w or 0) > 0


def test_failed_looks_are_counted(tmp_path: Path) -> None:
    monitor = monitor_of(tmp_path, ONLY_POWER, {"sys/class/hwmon/hwmon3/curr1_input": 0})
    with monitor:
        while not monitor.sampling().failures:
            time.sleep(QUICK_S)
        assert monitor.latest is None
        assert monitor.attribution is not None


def test_a_meter_whose_every_look_fails_is_said_once_with_the_reason(tmp_path: Path) -> None:
    current = "sys/class/hwmon/hwmon3/curr1_input"
    monitor = monitor_of(tmp_path, ONLY_POWER, {current: 0})
    heard = Heard(monitor)
    with monitor:
        heard.wait(is_end)
        missing = monitor.missing
        assert missing is not None
        assert missing[0].source == "ina3221-sysfs"
        assert "VDD_IN says 0 W" in missing[0].reason
        found = monitor.survey()
        assert (found.looks[0].meter.source, found.looks[0].reading) == ("ina3221-sysfs", None)
        assert found.unavailable[0].reason == missing[0].reason
        failures = monitor.sampling().failures
        while monitor.sampling().failures < failures + 5:
            time.sleep(QUICK_S)
        assert heard.all == []
        write(tmp_path, {current: 1200})
        heard.wait(is_sample)
        assert monitor.missing is None


def test_whoever_leaves_is_told_nothing_more(tmp_path: Path) -> None:
    monitor = monitor_of(tmp_path, ONLY_POWER)
    told: list[Sample | None] = []
    leave = monitor.listen(told.append)
    leave()
    leave()
    heard = Heard(monitor)
    with monitor:
        heard.wait(is_sample)
    assert told == []


def test_a_fault_in_detection_is_a_reason(tmp_path: Path) -> None:
    class Broken(System):
        def path(self, name: str) -> Path:
            raise ZeroDivisionError(name)

    monitor = Monitor(Broken(tmp_path), look_again_s=0.01)
    heard = Heard(monitor)
    with monitor:
        heard.wait(is_end)
    (missing,) = monitor.unavailable or ()
    assert "ZeroDivisionError" in missing.reason


def test_the_survey_of_a_running_monitor_shows_its_newest_sample(tmp_path: Path) -> None:
    monitor = monitor_of(tmp_path, JETSON, RAPL)
    heard = Heard(monitor)
    with monitor:
        heard.wait(is_sample)
        found = monitor.survey()
    assert [look.meter.source for look in found.looks] == ["ina3221-sysfs", "rapl"]
    assert found.looks[0].reading == Reading(6.0, rails_w={"VDD_IN": 6.0, "VDD_CPU_GPU_CV": 2.0, "VDD_SOC": 1.0})


def test_a_meter_in_use_is_not_opened_again(tmp_path: Path) -> None:
    class InUse:
        meter = Meter("ina3221-sysfs", "VDD_IN", "module", "measured")

        def read(self) -> Reading:
            return Reading(7.0)

        def close(self) -> None:
            """Stays open."""

    system = Watched(write(tmp_path, JETSON, RAPL))
    found = survey(system, in_use=InUse())
    assert found.looks[0].reading == Reading(7.0)
    assert "curr1_input" not in system.seen


def test_one_that_never_started_stops() -> None:
    Monitor().stop()
