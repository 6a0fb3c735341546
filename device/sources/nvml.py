"""An NVIDIA card's own meter: the GPU alone.

Watts are an average over the last second on Ampere and later cards, the A100's chip left out (NVML's manual on
nvmlDeviceGetPowerUsage); joules are a counter, from Volta on, from which energy is taken where the card has it. A Jetson's
library answers and says "not supported" to both questions: that is no meter, not 0 W.
"""

import contextlib
from collections.abc import Callable
from typing import Any

from device.errors import ReadingError, SourceUnavailableError
from device.reading import Filter, Meter, Reading
from device.system import System

_REMEDY_LIBRARY = "pip install 'bedside[nvml]', or measure at the supply"
_REMEDY_DRIVER = "check nvidia-smi, or measure at the supply"
_AVERAGE = Filter(samples=None, update_interval_s=1.0, time_constant_s=1.0)
_AVERAGING_FROM = (8, 6)  # compute capability: (8, 0) is the A100's chip, the last that says what it takes now


def read_gpu(library: Any, handle: object) -> Reading:
    """Watts now and joules since the driver came up, each where this card has it.

    Raises:
        SourceUnavailableError: the card has neither.
        ReadingError: it has, and this look failed.
    """
    power_mw = _ask(library, lambda: library.nvmlDeviceGetPowerUsage(handle))
    energy_mj = _ask(library, lambda: library.nvmlDeviceGetTotalEnergyConsumption(handle))
    if power_mw is None and energy_mj is None:
        raise SourceUnavailableError("NVML is here, but this GPU has no meter", "use the board's own meter")
    if power_mw == 0:
        raise ReadingError("NVML says 0 W: the sensor is not read")
    return Reading(
        power_w=None if power_mw is None else power_mw / 1000,
        energy_j=None if energy_mj is None else energy_mj / 1000,
    )


def _ask(library: Any, question: Callable[[], int]) -> int | None:
    try:
        return question()
    except library.NVMLError_NotSupported:
        return None
    except library.NVMLError as error:
        raise ReadingError(f"NVML gives no answer ({error})") from None


def read_average(library: Any, handle: object) -> Filter | None:
    """How the card smooths its watts. One that does not say what it is counts as one that does: waiting loses nothing."""
    try:
        capability = tuple(library.nvmlDeviceGetCudaComputeCapability(handle))
    except library.NVMLError:
        return _AVERAGE
    return _AVERAGE if capability >= _AVERAGING_FROM else None


class Nvml:
    """The first card."""

    def __init__(self, library: Any, handle: object, rail: str) -> None:
        """Takes over an initialised library."""
        self._library, self._handle = library, handle
        self.meter = Meter("nvml", rail, "gpu", "measured", filter=read_average(library, handle))
        self._open = True

    def read(self) -> Reading:
        """Power and energy now."""
        if not self._open:
            raise SourceUnavailableError("NVML is closed", "open it again")
        return read_gpu(self._library, self._handle)

    def close(self) -> None:
        """Let go of the library."""
        if self._open:
            self._open = False
            with contextlib.suppress(self._library.NVMLError):
                self._library.nvmlShutdown()


def open_nvml(system: System, library: Any = None) -> Nvml:
    """Open the first card; `library` is pynvml or something with its functions.

    Raises:
        SourceUnavailableError: no library, no driver, no card, or one without a meter.
    """
    if not system.is_own:
        raise SourceUnavailableError(
            f"NVML is not asked for {system.root}", "look at the machine itself, without --sysroot"
        )
    library = library or _import_library()
    try:
        library.nvmlInit()
    except library.NVMLError as error:
        raise SourceUnavailableError(f"NVML cannot be opened ({error})", _REMEDY_DRIVER) from None
    try:
        source = _first_card(library)
        source.read()
    except (library.NVMLError, ReadingError) as error:
        _shut(library)
        raise SourceUnavailableError(f"NVML has no first reading ({error})", _REMEDY_DRIVER) from None
    except SourceUnavailableError:
        _shut(library)
        raise
    return source


def _import_library() -> Any:
    try:
        import pynvml
    except ImportError:
        raise SourceUnavailableError("nvidia-ml-py is not installed", _REMEDY_LIBRARY) from None
    return pynvml


def _first_card(library: Any) -> Nvml:
    count = library.nvmlDeviceGetCount()
    if not count:
        raise SourceUnavailableError("NVML knows no GPU", _REMEDY_DRIVER)
    handle = library.nvmlDeviceGetHandleByIndex(0)
    name = str(library.nvmlDeviceGetName(handle))
    return Nvml(library, handle, name if count == 1 else f"{name} (first of {count} GPUs)")


def _shut(library: Any) -> None:
    with contextlib.suppress(library.NVMLError):
        library.nvmlShutdown()
