"""`python -m tests.assistant.server.metered SOCKET ROOT PERIOD_S`: a server whose meter is in the tree ROOT."""

import sys
from pathlib import Path

from assistant.ask.model_choice import choose_model
from assistant.engine.loaded import EngineSettings
from assistant.server.app import create_app
from assistant.server.door import DoorRules
from assistant.server.listening import run_server, unix_socket
from device.monitor import Monitor
from device.system import System


def main(socket: str, root: str, period_s: str) -> None:
    monitor = Monitor(System(Path(root)), period_s=float(period_s), look_again_s=0.05)
    chosen = choose_model("reference")
    app = create_app(
        chosen,
        EngineSettings(threads=1),
        DoorRules(),
        monitor,
    )
    run_server(app, [unix_socket(Path(socket))])


if __name__ == "__main__":
    main(*sys.argv[1:])
