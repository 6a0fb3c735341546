"""The installed service, as systemd knows it."""

from assistant.doctor.line import Line, fault, ok, warning
from assistant.doctor.machine import Machine
from device.errors import SourceUnavailableError

SERVICE, SOCKET = "bedside.service", "bedside.socket"
_PROPERTIES = "Id,LoadState,ActiveState,SubState,UnitFileState,Result,NRestarts,MainPID"
_ASK_S = 3.0
_NAME = "Service"
Unit = dict[str, str]


def check_unit(machine: Machine) -> list[Line]:
    """Whether the service is installed, and runs or waits for its first request."""
    if not machine.system.path("/run/systemd/system").is_dir():
        return [ok(_NAME, "no systemd runs here; `bedside serve` and `bedside ask` start servers of their own")]
    try:
        service, socket = read_units(machine)
    except (SourceUnavailableError, LookupError) as error:
        return [warning(_NAME, f"systemd does not tell ({error})", f"ask it yourself\nsystemctl status {SERVICE}")]
    return [judge_units(service, socket)]


def read_units(machine: Machine) -> tuple[Unit, Unit]:
    """What `systemctl show` says of service and socket. Raises SourceUnavailableError, and LookupError without an answer."""
    told = machine.system.run(
        ["systemctl", "show", "--no-pager", f"--property={_PROPERTIES}", SERVICE, SOCKET], timeout_s=_ASK_S
    )
    units = [dict(line.split("=", 1) for line in block.splitlines() if "=" in line) for block in told.split("\n\n")]
    found = {unit["Id"]: unit for unit in units if "Id" in unit}
    if SERVICE not in found or SOCKET not in found:
        raise LookupError((told.strip().splitlines() or ["no answer"])[-1])
    return found[SERVICE], found[SOCKET]


def judge_units(service: Unit, socket: Unit) -> Line:
    """One line on both."""
    state = service.get("LoadState", "not-found")
    if state == "not-found":
        return ok(_NAME, "not installed as a service; programs start servers of their own")
    if state != "loaded":
        return fault(_NAME, f"systemd cannot use {SERVICE} ({state})", f"see why\nsystemctl status {SERVICE}")
    for unit in (service, socket):
        if unit.get("ActiveState") == "failed":
            return _failed(unit["Id"], unit.get("Result", "unknown"))
    return _at_work(service, socket)


def _failed(name: str, result: str) -> Line:
    remedy = f"see why, then start it again\njournalctl -u {name} -n 50\nsudo systemctl restart {name}"
    return fault(_NAME, f"{name} has failed ({result})", remedy)


def _at_work(service: Unit, socket: Unit) -> Line:
    """Of units that are loaded and have not failed."""
    running, waiting = service.get("ActiveState") == "active", socket.get("ActiveState") == "active"
    if not running and not waiting:
        found = f"installed, and {service.get('ActiveState', 'unknown')}"
        return warning(_NAME, found, f"start it\nsudo systemctl start {SERVICE}")
    shown = "runs" if running else "starts with the first request"
    restarts = int(service.get("NRestarts") or 0)
    if restarts:
        found = f"{shown}, restarted {restarts} times by itself"
        return warning(_NAME, found, f"see why\njournalctl -u {SERVICE} -n 50")
    if "enabled" not in (service.get("UnitFileState"), socket.get("UnitFileState")):
        found = f"{shown}, but not after the next boot"
        return warning(_NAME, found, f"have it started\nsudo systemctl enable {SERVICE}")
    return ok(_NAME, shown)


def main_process(machine: Machine) -> int | None:
    """The service's process; None where there is none, or systemd does not tell."""
    try:
        service, _ = read_units(machine)
    except (SourceUnavailableError, LookupError):
        return None
    number = service.get("MainPID", "0")
    return int(number) if number.isdecimal() and number != "0" else None
