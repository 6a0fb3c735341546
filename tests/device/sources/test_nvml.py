"""NVIDIA's library as cards of several kinds answer it, and the real one on a machine without a card."""

import importlib.util
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from device.answer import tail_s
from device.energy import Window, window_energy
from device.errors import ReadingError, SourceUnavailableError
from device.reading import Filter
from device.sources.nvml import open_nvml, read_gpu
from device.system import System
from device.trace import make_trace
from tests.device.fixtures import POWER, expected, shared


class NVMLError(Exception):
    pass


class NVMLError_NotSupported(NVMLError):  # noqa: N801, N818
    """Named as in the library."""


class NVMLError_Unknown(NVMLError):  # noqa: N801, N818
    """Named as in the library."""


NOT_SUPPORTED = NVMLError_NotSupported("Not Supported")


class Library:
    """pynvml with recorded answers: numbers in turn, or the error to raise."""

    NVMLError, NVMLError_NotSupported = NVMLError, NVMLError_NotSupported

    def __init__(
        self,
        power_mw: Any,
        energy_mj: Any,
        count: int = 1,
        init: Exception | None = None,
        capability: tuple[int, int] | Exception = (8, 9),
    ) -> None:
        self.answers = {"power": power_mw, "energy": energy_mj}
        self.capability = capability
        self.count, self.init, self.inits = count, init, 0

    def nvmlInit(self) -> None:  # noqa: N802
        if self.init:
            raise self.init
        self.inits += 1

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.inits -= 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return self.count

    def nvmlDeviceGetHandleByIndex(self, index: int) -> SimpleNamespace:  # noqa: N802
        assert index == 0
        return SimpleNamespace(name="NVIDIA Card")

    def nvmlDeviceGetName(self, handle: SimpleNamespace) -> str:  # noqa: N802
        return str(handle.name)

    def nvmlDeviceGetCudaComputeCapability(self, handle: SimpleNamespace) -> tuple[int, int]:  # noqa: N802
        if isinstance(self.capability, Exception):
            raise self.capability
        return self.capability

    def nvmlDeviceGetPowerUsage(self, handle: SimpleNamespace) -> int:  # noqa: N802
        return self._answer("power")

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: SimpleNamespace) -> int:  # noqa: N802
        return self._answer("energy")

    def _answer(self, name: str) -> int:
        answer = self.answers[name]
        if isinstance(answer, Exception):
            raise answer
        return int(answer.pop(0) if isinstance(answer, list) else answer)


def test_milliwatts_and_millijoules_become_watts_and_joules() -> None:
    library = Library(68432, 1500)
    source = open_nvml(System(), library)
    assert (source.meter.source, source.meter.rail, source.meter.scope) == ("nvml", "NVIDIA Card", "gpu")
    reading = source.read()
    assert (reading.power_w, reading.energy_j) == (68.432, 1.5)
    source.close()
    source.close()
    assert library.inits == 0
    with pytest.raises(SourceUnavailableError, match="closed"):
        source.read()


def test_a_card_may_have_only_one_of_the_two() -> None:
    assert read_gpu(Library(5000, NOT_SUPPORTED), None).energy_j is None
    assert read_gpu(Library(NOT_SUPPORTED, 5000), None).power_w is None


@pytest.mark.parametrize(
    ("capability", "averages"),
    [
        ((7, 0), False),  # V100
        ((8, 0), False),  # A100
        ((8, 6), True),  # RTX 3090
        ((9, 0), True),  # H200
        ((12, 0), True),
        (NOT_SUPPORTED, True),
    ],
)
def test_watts_are_an_average_from_ampere_on_but_for_the_a100(
    capability: tuple[int, int] | Exception, averages: bool
) -> None:
    meter = open_nvml(System(), Library(68432, 1500, capability=capability)).meter
    assert meter.filter == (Filter(None, 1.0, 1.0) if averages else None)
    assert tail_s(meter) == pytest.approx(6.0 if averages else 0.15)


def test_energy_comes_from_the_counter_and_the_peak_from_watts() -> None:
    """A card that takes 100 W: its counter grows in steps of 0.1 s, between which no rate can be seen."""
    source = open_nvml(System(), Library(100_000, [0, 0, 10_000, 10_000, 20_000, 30_000]))
    readings = [source.read() for _ in range(5)]
    times_s = np.array([0.0, 0.1, 0.14, 0.2, 0.3])
    power_w = np.array([reading.power_w for reading in readings], dtype=np.float64)
    energy_j = np.array([reading.energy_j for reading in readings], dtype=np.float64)
    measured = window_energy(make_trace(source.meter, times_s, power_w, energy_j), Window(0.0, 0.3))
    assert measured.energy_j == 30.0
    assert measured.peak_w == 100.0


def test_failed_looks() -> None:
    with pytest.raises(ReadingError, match="0 W"):
        read_gpu(Library(0, 5000), None)
    with pytest.raises(ReadingError, match="GPU is lost"):
        read_gpu(Library(NVMLError_Unknown("GPU is lost"), 5000), None)


def test_of_several_cards_the_first_is_named_as_such() -> None:
    assert open_nvml(System(), Library(5000, 1, count=4)).meter.rail == "NVIDIA Card (first of 4 GPUs)"


@pytest.mark.parametrize(
    ("library", "message"),
    [
        (Library(1, 1, init=NVMLError("Driver Not Loaded")), "cannot be opened .Driver Not Loaded"),
        (Library(1, 1, count=0), "knows no GPU"),
        (Library(NOT_SUPPORTED, NOT_SUPPORTED), "has no meter"),
        (Library(NVMLError_Unknown("GPU is lost"), 1), "no first reading"),
    ],
)
def test_no_card_with_a_meter_is_no_source(library: Library, message: str) -> None:
    with pytest.raises(SourceUnavailableError, match=message):
        open_nvml(System(), library)
    assert library.inits == 0


def test_it_is_not_asked_for_another_root(tmp_path: Path) -> None:
    library = Library(1, 1)
    with pytest.raises(SourceUnavailableError, match="without --sysroot"):
        open_nvml(System(tmp_path), library)
    assert library.inits == 0


@shared
def test_recorded_cards() -> None:
    recorded, told = json.loads((POWER / "generic/nvml.json").read_text("utf-8")), expected()["generic/nvml.json"]
    card = Library(recorded["desktop"]["power_mW"], list(recorded["desktop"]["total_energy_mJ"]))
    first, second = read_gpu(card, None), read_gpu(card, None)
    assert first.power_w == told["desktop_W"]
    assert first.energy_j is not None
    assert second.energy_j is not None
    assert second.energy_j - first.energy_j == pytest.approx(told["desktop_J"])
    errors: dict[str, Callable[[], Exception]] = {"NVMLError_NotSupported": NVMLError_NotSupported}
    jetson = {name: errors[recorded["jetson"][name]]() for name in ("power", "total_energy")}
    assert told["jetson"] is None
    with pytest.raises(SourceUnavailableError, match="has no meter"):
        open_nvml(System(), Library(jetson["power"], jetson["total_energy"]))


@pytest.mark.skipif(importlib.util.find_spec("pynvml") is None, reason="nvidia-ml-py is not installed")
def test_the_real_library_without_a_driver_gives_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its loader finds no library, as on a machine without a card; the errors are its own."""
    import pynvml

    def find_none(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(pynvml, "nvmlLib", None)
    monkeypatch.setattr(pynvml, "CDLL", find_none)
    with pytest.raises(SourceUnavailableError, match=r"NVML cannot be opened .*; check nvidia-smi"):
        open_nvml(System())


def test_without_the_extra_its_name_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(SourceUnavailableError, match=r"pip install 'bedside\[nvml\]'"):
        open_nvml(System())
