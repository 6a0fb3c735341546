"""`bedside chat` as it is started in a shell: in a tmux of its own, on a private server with the reference model."""

import os
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.assistant.conftest import IGNORED


class Tmux:
    """A terminal of 80 columns and 24 lines on a tmux server of its own; what belongs to it is in the folder."""

    def __init__(self, folder: Path) -> None:
        self._socket = folder / "tmux"
        environment = {
            **os.environ, "XDG_RUNTIME_DIR": str(folder), "BEDSIDE_HISTORY": str(folder / "history"),
            "BEDSIDE_HOME": str(folder / "home"), "BEDSIDE_LIBRARIES": str(folder / "none"), "TERM": "xterm-256color",
        }  # fmt: skip
        chat = [sys.executable, *IGNORED, "-m", "assistant", "chat"]
        self.tmux("-f", os.devnull, "new-session", "-d", "-x", "80", "-y", "24", *chat, environment=environment)

    def tmux(self, *arguments: str, environment: dict[str, str] | None = None) -> str:
        command = ["tmux", "-S", str(self._socket), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, env=environment, timeout=20).stdout

    @property
    def screen(self) -> str:
        return self.tmux("capture-pane", "-p")

    def press(self, *keys: str) -> None:
        for key in keys:
            self.tmux("send-keys", key)
            time.sleep(0.05)

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-l", text)
        time.sleep(0.2)

    def until(self, words: str, timeout_s: float = 60.0, *, gone: bool = False) -> None:
        deadline = time.monotonic() + timeout_s
        while (words in " ".join(self.screen.split())) is gone:
            assert time.monotonic() < deadline, f"{words!r}: {self.screen}"
            time.sleep(0.05)

    @property
    def is_running(self) -> bool:
        command = ["tmux", "-S", str(self._socket), "has-session"]
        return subprocess.run(command, capture_output=True, check=False, timeout=20).returncode == 0

    def close(self) -> None:
        command = ["tmux", "-S", str(self._socket), "kill-server"]  # which fails where it has ended by itself
        subprocess.run(command, capture_output=True, check=False, timeout=20)

    @property
    def process(self) -> psutil.Process:
        """`bedside chat` itself."""
        return psutil.Process(int(self.tmux("list-panes", "-F", "#{pane_pid}")))


def servers(folder: Path) -> list[psutil.Process]:
    """The private servers that terminals of a folder have started."""
    told = [(each, each.info["cmdline"] or ()) for each in psutil.process_iter(["cmdline"])]
    return [each for each, words in told if "serve" in words and any(str(folder) in word for word in words)]


def end_servers(folder: Path) -> None:
    """They would wait for ten minutes."""
    for process in servers(folder):
        process.terminate()
        process.wait(30)
