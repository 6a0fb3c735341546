"""The process that holds jetson-stats' client: a line of JSON per look, for `device.sources.jtop`.

The client's start() blocks for ever on a mute service, it starts programs of its own, and it changes how this process
makes others: so it lives apart, and is ended when its parent's end of the input closes.

Lines: `{"interval_s": 0.5, "power": {...}}` a look; `{"error": "NAME", "message": "..."}` at the end.
"""

import argparse
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

_PATIENCE = 3  # the client's own: it waits three intervals for news, then takes the old figures once more


def main() -> None:
    """Print looks until the service or the parent ends."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--socket")
    parser.add_argument("--interval", type=float, required=True)
    arguments = parser.parse_args()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        follow(arguments.interval, arguments.socket, _say)
    except Exception as error:  # whatever it is, the parent has to hear of it
        _say({"error": type(error).__name__, "message": " ".join(str(error).split())})
    os._exit(0)  # the client's threads may hang


def follow(interval_s: float, socket: str | None, say: Callable[[dict[str, Any]], None]) -> None:
    """Say each look of the service's own pace. Raises whatever the client does, and TimeoutError when news stop."""
    import jtop
    import jtop.service

    if socket:
        jtop.service.JTOP_PIPE = socket
    client = jtop.jtop(interval=interval_s)
    client.start()
    if client.interval > interval_s:  # another client came first: at our own interval we would lose patience
        client.close()
        client = jtop.jtop(interval=client.interval)
        client.start()
    last = time.monotonic()
    while client.ok():
        # Figures have no time in them: those that come after the client's patience are the old ones again.
        if time.monotonic() - last > 0.9 * _PATIENCE * client.interval_user:
            break
        last = time.monotonic()
        say({"interval_s": client.interval, "power": client.power})
    raise TimeoutError("jtop.service sends nothing new")


def _say(news: dict[str, Any]) -> None:
    print(json.dumps(news), flush=True)


def _end_with_parent() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
