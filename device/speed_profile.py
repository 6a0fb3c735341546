"""What was measured of this board's speed, kept in the user's cache folder: a second plan takes no time."""

import hashlib
import json
import math
import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import platformdirs
import psutil

from device.bandwidth import METHOD, Bandwidth, measure_bandwidth
from device.board import look_at_board
from device.other_processes import OtherProcesses, Others
from device.speed_probe import PROBES, measure_unit_costs
from device.system import System
from device.unit_costs import UnitCosts
from models.disk import storage_errors, write_atomically
from models.runtime.library import library_build
from models.store import now_utc


@dataclass(frozen=True)
class SpeedProfile:
    """The board's speed with one number of threads, and when it was measured."""

    costs: UnitCosts
    bandwidth: Bandwidth
    measured_at: str
    """UTC, ISO 8601."""
    others: Others
    """What other processes took of the processor meanwhile."""


def speed_profile(threads: int, *, again: bool, say: Callable[[str], None]) -> tuple[SpeedProfile, bool]:
    """The kept profile of this board, or a new one, and whether it was measured just now.

    One that other processes disturbed is not kept: the next call measures again.

    Raises:
        MemoryShortError: too little memory is free to measure.
        StorageError: the files that are timed, or the profile, cannot be written.
    """
    key = board_key(threads)
    path = profile_path(key)
    kept = None if again else read_profile(path, key)
    if kept is not None:
        return kept, False
    say("measuring memory bandwidth")
    others, bandwidth = OtherProcesses(), measure_bandwidth(threads)
    costs = measure_unit_costs(threads, say)
    profile = SpeedProfile(costs, bandwidth, now_utc(), others.so_far())
    if not profile.others.disturb:
        _keep(profile, path, key)
    return profile, True


def _keep(profile: SpeedProfile, path: Path, key: dict[str, Any]) -> None:
    with storage_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, json.dumps({"key": key, **asdict(profile)}, indent=2).encode())


def board_key(threads: int) -> dict[str, Any]:
    """All that makes an old measurement another board's: hardware, power mode, clock limits, llama.cpp, what is timed."""
    board = look_at_board(System())
    return {
        "board": board.model,
        "machine": platform.machine(),
        "cores": psutil.cpu_count(),
        "memory_bytes": board.memory_bytes,
        "power_mode": None if board.power_mode is None else board.power_mode.id,
        "clock_limits_mhz": [clock.max_mhz for clock in board.cpu_clocks],
        "llama_cpp": library_build(),
        "threads": threads,
        "measured": [METHOD, *(str(probe) for probe in PROBES)],
    }


def profile_path(key: dict[str, Any]) -> Path:
    """Where the profile of that board is kept."""
    digest = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()
    return platformdirs.user_cache_path("bedside") / f"speed-{digest[:16]}.json"


def read_profile(path: Path, key: dict[str, Any]) -> SpeedProfile | None:
    """What is kept at `path`; None where there is nothing, or not a profile of that board."""
    try:
        found = json.loads(path.read_bytes())
        if found["key"] != key:
            return None
        costs, bandwidth, others = (
            UnitCosts(**found["costs"]),
            Bandwidth(**found["bandwidth"]),
            Others(**found["others"]),
        )
        profile = SpeedProfile(costs, bandwidth, str(found["measured_at"]), others)
        seconds = [float(each) for each in asdict(costs).values()]
        speed, undisturbed = float(bandwidth.bytes_per_s), not others.disturb
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    sound = all(math.isfinite(each) and each >= 0 for each in seconds) and speed > 0 and undisturbed
    return profile if sound else None
