"""A disk that is full or can only be read: one line, what was kept is whole, and what needs no disk goes on.

The history's own full disk is in tests/assistant/history/test_full_disk.py, a download's in tests/models/test_pull.py.
"""

import hashlib
import shutil
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from tempfile import mkdtemp

import pytest

from assistant.history.store import History
from assistant.history.vault import Vault
from device.bench.output import write_files
from models.errors import StorageError
from tests.assistant.conftest import IGNORED
from tests.assistant.history.conftest import PASSPHRASE, QUICK, talk
from tests.device.bench.test_output import simulated
from tests.models.gguf_files import files_up_to

BEDSIDE = " ".join([sys.executable, *IGNORED, "-m", "assistant"])
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c"]
KEEP = """
bedside() { {command} "$@"; }
mount -t tmpfs -o size={size} none "{disk}" && cp -r "{before}/." "{disk}" || exit 77
"""
FULL = 'dd if=/dev/zero of="{disk}/filler" bs=64k 2>/dev/null; sync\n'
READ_ONLY = 'mount -o remount,ro "{disk}"\n'
AFTER = '\ncd "{disk}" && find . -type f ! -name filler | sort | xargs sha256sum > "{after}"\n'


class Disk:
    """What lies on it before, and a shell in which it is mounted."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.before, self.disk, self.after = folder / "before", folder / "disk", folder / "after"
        self.folder = folder
        for each in (self.before, self.disk):
            each.mkdir(mode=0o700)
        self.here = {
            **environment,
            "BEDSIDE_HOME": str(self.disk / "home"),
            "BEDSIDE_HISTORY": str(self.disk / "history"),
            "XDG_RUNTIME_DIR": mkdtemp(dir=environment["XDG_RUNTIME_DIR"]),  # what is started there ends with the tests
        }

    def run(self, size: str, state: str, script: str) -> list[str]:
        """What the commands said, with `$?` after each; the disk is looked at afterwards."""
        names = {"disk": self.disk, "before": self.before, "after": self.after, "size": size, "command": BEDSIDE}
        text = KEEP + state + script + AFTER
        for name, value in names.items():
            text = text.replace(f"{{{name}}}", str(value))
        done = subprocess.run(
            [*NAMESPACE, text], env=self.here, capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode == 77:
            pytest.skip("no disk can be mounted here")
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        return [line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("rc ", "error: "))]

    def kept(self) -> dict[str, str]:
        """Files on the disk after the commands, and what they hold."""
        pairs = (line.split(maxsplit=1) for line in self.after.read_text().splitlines())
        return {name.removeprefix("./"): digest for digest, name in pairs}


@pytest.fixture
def disk(tmp_path: Path, environment: dict[str, str], tiny_model: Path) -> Disk:
    """A library, a history, and files to bring in, which lie elsewhere."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare here")
    made = Disk(tmp_path, environment)
    (tmp_path / "gout.md").write_text("# Gout\nColchicine.\n")
    (tmp_path / "croup.md").write_text("# Croup\nDexamethasone.\n")
    shutil.copy(tiny_model, tmp_path / "tiny.gguf")
    (tmp_path / "passphrase").write_text(PASSPHRASE + "\n")
    home = {**environment, "BEDSIDE_HOME": str(made.before / "home")}
    subprocess.run([*BEDSIDE.split(), "knowledge", "add", str(tmp_path / "gout.md")], env=home, check=True, stdout=-3)
    key, _ = (vault := Vault(made.before / "history", QUICK)).create(PASSPHRASE)
    with closing(History.open(vault.folder, key)) as history:
        for number in range(4):  # more than is set aside for removing
            talk(history, f"question {number}", "an answer " * 90_000)
    return made


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


COMMANDS = """
bedside knowledge add "$OLDPWD/croup.md"; echo "rc $?"
bedside knowledge add "$OLDPWD/croup.md" --library new; echo "rc $?"
bedside models import "$OLDPWD/tiny.gguf"; echo "rc $?"
bedside history export --all --out "{disk}/out.json" --format json --passphrase-file "$OLDPWD/passphrase"; echo "rc $?"
bedside knowledge search colchicine --json | grep -q own/gout; echo "rc $?"
"""


def commands(folder: Path) -> str:
    return COMMANDS.replace("$OLDPWD", str(folder))


def test_a_full_disk(disk: Disk) -> None:
    told = disk.run("20m", FULL, commands(disk.folder))
    assert [line for line in told if line.startswith("rc ")] == ["rc 1"] * 4 + ["rc 0"]
    faults = [line for line in told if line.startswith("error: ")]
    assert len(faults) == 4
    assert "not enough room in" in faults[0]
    assert "free some" in faults[1]
    assert "not enough room in" in faults[2]
    assert "is full" in faults[3] or "not saved" in faults[3]
    kept = disk.kept()
    assert kept["home/libraries/own.sqlite3"] == digest(disk.before / "home/libraries/own.sqlite3")
    assert kept["history/key.json"] == digest(disk.before / "history/key.json")
    assert not [name for name in kept if "partial" in name or "new" in name or "tiny" in name or "out.json" in name]


def test_a_disk_that_can_only_be_read(disk: Disk) -> None:
    asked = 'bedside ask --knowledge own --json "Colchicine?" | grep -q own/gout; echo "rc $?"\n'
    told = disk.run("120m", READ_ONLY, commands(disk.folder) + asked)
    assert [line for line in told if line.startswith("rc ")] == ["rc 1"] * 4 + ["rc 0"] * 2
    faults = [line for line in told if line.startswith("error: ")]
    assert all("can only be read: mount it for writing" in line for line in faults[:3])
    assert "Read-only file system" in faults[3]
    assert disk.kept() == {
        str(path.relative_to(disk.before)): digest(path) for path in sorted(disk.before.rglob("*")) if path.is_file()
    }


def test_files_of_a_bench_on_a_full_disk(tmp_path: Path) -> None:
    """The table has been shown by then; what did not fit is left out whole."""
    report = simulated()
    with files_up_to(4096), pytest.raises(StorageError, match=r"is full .*: free some, then run the command again"):
        write_files(report, tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert "bench.json" in write_files(report, tmp_path)
