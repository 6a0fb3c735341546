"""An image of a machine in a folder, with an environment that has Bedside."""

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from assistant.service.command import app
from models.errors import BedsideError

# As `systemd-analyze` and an image see it.
ENVIRONMENT = "/opt/bedside"


@dataclass(frozen=True)
class Image:
    """The files of a machine that is not running."""

    root: Path

    def install(self, *arguments: str) -> str:
        """What it printed; it has to succeed."""
        return self._done("install", "--environment", ENVIRONMENT, *arguments)

    def uninstall(self, *arguments: str) -> str:
        return self._done("uninstall", *arguments)

    def refusal(self, *arguments: str) -> str:
        """Why it would not install."""
        error = self.run("install", *arguments).exception
        assert isinstance(error, BedsideError)
        return str(error)

    def run(self, command: str, *arguments: str, typed: str = "") -> Result:
        """`bedside service`, in this process."""
        return CliRunner().invoke(app, [command, "--root", str(self.root), *arguments], input=typed)

    def _done(self, command: str, *arguments: str) -> str:
        done = self.run(command, *arguments)
        assert done.exit_code == 0, done
        return done.stdout

    def tree(self) -> dict[str, tuple[int, bytes]]:
        """Mode and content of everything below the root; a link's content is its target."""
        found = {}
        for path in sorted(self.root.rglob("*")):
            mode = path.lstat().st_mode
            data = path.readlink().as_posix().encode() if path.is_symlink() else b""
            found[f"/{path.relative_to(self.root)}"] = (
                mode,
                path.read_bytes() if path.is_file() and not data else data,
            )
        return found


@pytest.fixture
def image(tmp_path: Path) -> Image:
    root = tmp_path / "image"
    for folder in ("etc/systemd/system", "etc/sysusers.d", "etc/tmpfiles.d", "etc/udev/rules.d", "opt/bedside/bin"):
        (root / folder).mkdir(parents=True)
    (root / "opt/bedside/bin/python").symlink_to(sys.executable)
    return Image(root)


def make_board(image: Image, model: str) -> None:
    """The device tree says which board it is."""
    path = image.root / "proc/device-tree/model"
    path.parent.mkdir(parents=True)
    path.write_text(f"{model}\0")
