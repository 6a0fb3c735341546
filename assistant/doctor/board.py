"""The board: what it is, whether it is slowed down, what measures its power, whether its clock can be believed."""

from assistant.doctor.line import Line, fault, ok, warning
from assistant.doctor.machine import Machine
from assistant.history.clock import clock_state
from device.board import Board, look_at_board
from device.detect import Survey, board_kind, survey

_SUPPLY = "use the supply that was made for this board, and a short cable; then look again\nbedside device"
_HEAT = "clear the vents and let the fan turn; then look again\nbedside device"
_HOT_C = 90.0


def check_board(machine: Machine) -> list[Line]:
    """Its name, and whether it slows itself down now."""
    board = look_at_board(machine.system)
    return [ok("Board", _board_text(board)), _throttling(board)]


def _board_text(board: Board) -> str:
    memory = f"{board.memory_bytes / 2**30:.1f} GiB" if board.memory_bytes else ""
    mode = f"power mode {board.power_mode.name or board.power_mode.id}" if board.power_mode else ""
    l4t = f"L4T {board.l4t}" if board.l4t else ""
    return ", ".join(filter(None, (board.model or "says no model of itself", l4t, memory, mode)))


def _throttling(board: Board) -> Line:
    name, throttling = "Throttling", board.throttling
    now = throttling.flags.now if throttling.flags else ()
    hottest_c = max(board.temperatures_c.values(), default=None)
    heat = "" if hottest_c is None else f", {hottest_c:.0f} C at most"
    if throttling.supply_too_low or "under_voltage" in now:
        return warning(name, f"the supply voltage is too low now{heat}: the board slows itself down", _SUPPLY)
    if now:
        return warning(name, f"slowed down now ({', '.join(now)}){heat}", _HEAT)
    if hottest_c is not None and hottest_c >= _HOT_C:
        return warning(name, f"nothing says so yet, but {hottest_c:.0f} C is near to it", _HEAT)
    events = sum((throttling.over_current_events or {}).values())
    if events:
        return warning(name, f"{events} over-current events since boot{heat}", _SUPPLY)
    if throttling.flags is None and throttling.supply_too_low is None and throttling.over_current_events is None:
        return ok(name, f"the board has nothing that would say{heat}")
    before = " ".join(throttling.flags.since_boot) if throttling.flags else ""
    return ok(name, f"none now{f', since boot {before}' if before else ''}{heat}")


def check_power_meter(machine: Machine) -> list[Line]:
    """Which meter watts and joules come from, or why there is none."""
    name, found = "Power meter", survey(machine.system)
    read = [look for look in found.looks if look.reading is not None]
    if read:
        meter, reading = read[0].meter, read[0].reading
        watts = f", {reading.power_w:.2f} W" if reading and reading.power_w is not None else ""
        return [ok(name, f"{meter.source}: {meter.rail}, {meter.kind}{watts}")]
    reason, remedy = _missing(machine, found)
    return [warning(name, f"power is not measured: {reason}", remedy)]


def _missing(machine: Machine, found: Survey) -> tuple[str, str]:
    """The board's own meter comes first in the order of precedence; elsewhere what could be mended."""
    own = found.unavailable[:1] if board_kind(machine.system) != "other" else ()
    denied = [missing for missing in found.unavailable if "permission" in missing.reason or "may not" in missing.reason]
    for missing in (*own, *denied):
        return f"{missing.source}: {missing.reason}", missing.remedy
    return "no meter here", "see what each kind of meter needs, or name your own at the supply\nbedside device"


def check_clock(machine: Machine) -> list[Line]:
    """Whether the time can be believed: while it cannot, no conversation is removed by its age."""
    name, state = "Clock", clock_state(machine.root)
    if state == "synchronised":
        return [ok(name, "synchronised")]
    effect = "conversations are not removed by age meanwhile"
    remedy = "have the time set from the network, or from a clock with a battery\nsudo timedatectl set-ntp true"
    told = "is not synchronised" if state == "unsynchronised" else "nothing says whether it is synchronised"
    return [warning(name, f"{told}: {effect}", remedy)]


def check_readable(machine: Machine) -> list[Line]:
    """Under a root of another machine: whether there is a machine at all."""
    if any(machine.system.path(name).is_dir() for name in ("/sys", "/proc", "/etc")):
        return []
    return [
        fault("Files", f"{machine.root} holds no sys, proc or etc", "name the folder that a machine's files lie below")
    ]
