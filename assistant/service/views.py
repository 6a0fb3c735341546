"""A plan in words, before it is carried out and after; and how the service is."""

import difflib
from collections.abc import Iterator, Mapping

from assistant.plaintext import plain_line
from assistant.service.plan import Change, Command, Plan
from assistant.service.units import KEY_FILE, Entry
from models.disk import show_bytes

_SECRET = "(a key, shown to nobody: 43 random characters)"


def plan_lines(plan: Plan) -> Iterator[str]:
    """Every command, file and folder, in the order in which they are run, written and removed."""
    yield from _commands(plan.before)
    for change in plan.changes:
        yield from _change(change)
    yield from _commands(plan.after)
    yield from (f"remove  {folder} with all that is in it" for folder in plan.folders)
    yield from (f"remove  {folder} if nothing is left in it" for folder in plan.empty_folders)
    yield from (f"keep    {path}" for path in plan.unchanged)


def _commands(commands: tuple[Command, ...]) -> Iterator[str]:
    yield from (f"run     {' '.join(command)}" for command in commands)


def _change(change: Change) -> Iterator[str]:
    before, after = change.before, change.after
    if after is None:
        yield f"remove  {change.path}"
    elif after.is_link:
        yield f"link    {change.path} to {after.data.decode()}"
    elif before is None or before.is_link:
        yield f"write   {change.path} ({after.mode:04o})"
        yield from (f"        | {line}".rstrip() for line in _text(change.path, after))
    else:
        modes = "" if before.mode == after.mode else f" ({before.mode:04o} to {after.mode:04o})"
        yield f"change  {change.path}{modes}"
        changed = difflib.unified_diff(_text(change.path, before), _text(change.path, after), n=1, lineterm="")
        yield from (f"        {plain_line(line)}" for line in list(changed)[2:])


def _text(path: str, entry: Entry) -> list[str]:
    return [_SECRET] if path == KEY_FILE else entry.data.decode("utf-8", "replace").splitlines()


def status_lines(facts: Mapping[str, str]) -> Iterator[str]:
    """How the service is, of what systemd tells of it."""
    state = f"{facts['ActiveState']} ({facts['SubState']})"
    since = facts["ActiveEnterTimestamp"] if facts["ActiveState"] == "active" else facts["InactiveEnterTimestamp"]
    yield f"service    {state}{f' since {since}' if since else ''}"
    if facts["StatusText"]:
        yield f"says       {plain_line(facts['StatusText'])}"
    if facts["Result"] != "success":
        yield f"ended by   {facts['Result']}"
    yield f"restarts   {facts['NRestarts']}"
    used, limit = facts["MemoryCurrent"], facts["MemoryMax"]
    if used.isdigit():
        yield f"memory     {show_bytes(int(used))}{f' of {show_bytes(int(limit))}' if limit.isdigit() else ''}"
