"""The state that a board is in, in words."""

from collections.abc import Iterator, Sequence

from device.board import Board
from device.clocks import CpuClock
from device.thermals import Fan
from device.throttling import Throttling


def state_lines(board: Board) -> list[str]:
    """Fans, clocks, and what slowed the board down, as far as it says: no line is not the same as no."""
    clocks = ", ".join(_clock_texts(board.cpu_clocks))
    fans = ", ".join(_fan_text(fan) for fan in board.fans)
    return [line for line in (fans, clocks) if line] + _throttling_lines(board.throttling)


def _fan_text(fan: Fan) -> str:
    drive = "" if fan.pwm is None else f"driven at {fan.pwm / 255:.0%}"
    turns = "" if fan.rpm is None else f"{fan.rpm} turns a minute"
    return f"fan {turns or drive}"


def _clock_texts(clocks: Sequence[CpuClock]) -> Iterator[str]:
    """The clocks now and their limits, as far as they are known; cores with the same limits together."""
    alike: dict[tuple[float | None, float | None, str | None], list[float]] = {}
    for clock in clocks:
        now = alike.setdefault((clock.min_mhz, clock.max_mhz, clock.governor), [])
        now += [] if clock.now_mhz is None else [clock.now_mhz]
    for (lowest, highest, governor), now in alike.items():
        rule = f", {governor}" if governor else ""
        yield f"cores at {_span(now)} MHz (limits {_span([mhz for mhz in (lowest, highest) if mhz is not None])}{rule})"


def _span(mhz: Sequence[float]) -> str:
    """From the lowest to the highest."""
    shown = [f"{each:.0f}" for each in sorted({min(mhz), max(mhz)})] if mhz else ["unknown"]
    return " to ".join(dict.fromkeys(shown))


def _throttling_lines(throttling: Throttling) -> list[str]:
    lines = []
    if throttling.flags:
        now, before = (" ".join(names) or "nothing" for names in (throttling.flags.now, throttling.flags.since_boot))
        lines.append(f"throttling now: {now}; since boot: {before}")
    events = {name: count for name, count in (throttling.over_current_events or {}).items() if count}
    if throttling.over_current_events is not None:
        counted = ", ".join(f"{name.removesuffix('_event_cnt')} {count}" for name, count in events.items())
        lines.append(f"over-current events since boot: {counted or 'none'}")
    if throttling.supply_too_low is not None:
        lines.append(f"supply voltage now: {'too low' if throttling.supply_too_low else 'not too low'}")
    return lines
