"""The stream of samples in the server's loop: bounded, and nothing is left behind when its reader leaves."""

import asyncio
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

from assistant.server.power import MOST_WAITING, SETTLING_S, LivePower, settling_s
from device.monitor import Monitor
from device.system import System
from tests.device.meters import PMIC
from tests.device.test_monitor import ONLY_POWER, Heard, is_sample, monitor_of


def test_a_reader_who_leaves_leaves_nothing_behind(tmp_path: Path) -> None:
    async def leave() -> int:
        power = LivePower(Monitor(System(tmp_path)))  # never started
        async with aclosing(power.events()) as contents:
            assert await anext(contents) is None  # the board says nothing of itself either
            during = len(asyncio.all_tasks())
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1
        return during

    assert asyncio.run(leave()) == 2


def test_a_slow_reader_loses_the_oldest(tmp_path: Path) -> None:
    async def read(monitor: Monitor, heard: Heard) -> int:
        power = LivePower(monitor)
        async with aclosing(power.events()) as contents:
            await anext(contents)
            for _ in range(3 * MOST_WAITING):
                await asyncio.to_thread(heard.wait, is_sample)
            await asyncio.to_thread(monitor.stop)
            power.end_events()
            return len([each async for each in contents])

    monitor = monitor_of(tmp_path, ONLY_POWER)
    heard = Heard(monitor)
    with monitor:
        assert asyncio.run(read(monitor, heard)) == MOST_WAITING - 1  # the place of the last is taken by the end


def test_after_the_end_a_stream_ends_at_once(tmp_path: Path) -> None:
    async def read() -> int:
        power = LivePower(Monitor(System(tmp_path)))
        power.end_events()
        return len([each async for each in power.events()])

    assert asyncio.run(read()) == 0


def test_a_slow_meters_next_sample_is_waited_for() -> None:
    """One at 1 Hz needs up to a second, and a little more where it is late."""
    assert settling_s([replace(PMIC, period_s=0.1)]) == SETTLING_S
    assert settling_s([replace(PMIC, period_s=0.1), replace(PMIC, period_s=1.0)]) >= 1.3
