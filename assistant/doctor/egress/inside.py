"""What runs in the network of its own: counter, control, work, control. Started by `outside` as a fresh process.

It prints one JSON object: the proof, or `{"error"}`; what it does now goes to standard error.
"""

import json
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from assistant.doctor.egress.namespace import leave_the_network, refusal
from assistant.doctor.egress.result import Packet, Proof, Work
from assistant.errors import ProofError
from models.disk import ended_by_sigterm_too
from models.errors import BedsideError

_QUIET_S, _SETTLE_S = 0.5, 5.0


def prove(model: str) -> Proof:
    """Leave the network, then count what the service sends while it works. Raises ProofError, before anything is imported
    that would start a thread."""
    leave_the_network()
    from assistant.doctor.egress.control import send_control
    from assistant.doctor.egress.counter import Counter
    from assistant.doctor.egress.way_out import make_way_out

    with ExitStack() as held:
        try:
            make_way_out()
            counter = held.enter_context(Counter())
        except OSError as error:
            raise refusal(error) from None
        name = held.enter_context(tempfile.TemporaryDirectory(prefix="bedside-", ignore_cleanup_errors=True))
        _settle(counter.so_far)
        first, missing_first = send_control(counter)
        _settle(counter.so_far)  # what was sent on purpose may be sent once more
        started, before = time.monotonic(), len(counter.so_far())
        work = _work(model, Path(name))
        _settle(counter.so_far)
        elapsed_s, packets = time.monotonic() - started, counter.so_far()[before:]
        second, missing_second = send_control(counter)
        missing = tuple(dict.fromkeys((*missing_first, *missing_second)))
        return Proof(elapsed_s, packets, (first, second), missing, counter.unseen(), counter.kernel_packets, work)


def _settle(so_far: Callable[[], tuple[Packet, ...]]) -> None:
    """Until nothing has come for a while: what is on its way is counted where it belongs."""
    until, seen, quiet_since = time.monotonic() + _SETTLE_S, len(so_far()), time.monotonic()
    while time.monotonic() < min(until, quiet_since + _QUIET_S):
        time.sleep(0.02)
        if len(so_far()) != seen:
            seen, quiet_since = len(so_far()), time.monotonic()


def _work(model: str, folder: Path) -> tuple[Work, ...]:
    from assistant.doctor.egress.work import do_everything

    done: list[Work] = []
    try:
        done.extend(do_everything(model, folder, lambda what: print(what, file=sys.stderr, flush=True)))
    except BedsideError as error:
        done.append(Work("serve", str(error)))
    return tuple(done)


def _main(model: str) -> int:
    try:
        with ended_by_sigterm_too():
            print(json.dumps(prove(model).to_json()))
    except ProofError as error:
        print(json.dumps({"error": str(error)}))
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1]))
