"""Installing into an image, changing it, taking it away: file by file."""

import os
import re
import stat
from pathlib import Path

import pytest

from assistant.errors import ServiceError
from assistant.service.carrying_out import carry_out
from assistant.service.plan import Change, Plan, machine_at
from assistant.service.units import Entry
from tests.assistant.conftest import Bedside
from tests.assistant.service.conftest import ENVIRONMENT, Image, make_board

UNIT = "/etc/systemd/system/bedside.service"
FILES = {
    "/etc/bedside/api-key": 0o600,
    "/etc/sysusers.d/bedside.conf": 0o644,
    "/etc/tmpfiles.d/bedside.conf": 0o644,
    "/etc/udev/rules.d/70-bedside.rules": 0o644,
    UNIT: 0o644,
    "/etc/systemd/system/bedside.socket": 0o644,
}
LINKS = {
    "/etc/systemd/system/multi-user.target.wants/bedside.service": UNIT,
    "/etc/systemd/system/sockets.target.wants/bedside.socket": "/etc/systemd/system/bedside.socket",
}


def test_what_is_installed_and_taken_away_again(image: Image) -> None:
    before = image.tree()
    shown = image.install("--dry-run")
    assert image.tree() == before
    image.install()
    tree = image.tree()
    new = {path: entry for path, entry in tree.items() if path not in before and not stat.S_ISDIR(entry[0])}
    assert {path for path in new if path not in LINKS} == set(FILES)
    assert {path: stat.S_IMODE(new[path][0]) for path in FILES} == FILES
    assert {path: new[path][1].decode() for path in LINKS} == LINKS
    for path, mode in FILES.items():
        assert f"write   {path} ({mode:04o})\n" in shown
        lines = [] if path.endswith("api-key") else new[path][1].decode().splitlines()
        assert all(f"        | {line}".rstrip() in shown for line in lines)
    assert new["/etc/bedside/api-key"][1].decode().strip() not in shown
    assert not any(b"@python@" in content or b"@port@" in content for _, content in new.values())

    assert image.install() == "the service is installed, and nothing has changed\n"
    assert image.tree() == tree

    assert "remove  /etc/bedside/api-key\n" in image.uninstall("--dry-run")
    assert image.tree() == tree
    image.uninstall()
    assert image.tree() == before
    assert image.uninstall() == "the service is not installed\n"


def test_a_change_leaves_the_key_and_what_the_operator_has_written(image: Image) -> None:
    image.install()
    (image.root / "etc/bedside/api-key").chmod(0o644)
    key = (image.root / "etc/bedside/api-key").read_bytes()
    assert re.fullmatch(rb"[A-Za-z0-9_-]{43}\n", key)
    own = image.root / f"{UNIT[1:]}.d/override.conf"
    own.parent.mkdir()
    own.write_text("[Service]\nMemoryMax=4G\n")
    shown = image.install("--dry-run", "--port", "9000")
    assert "change  /etc/systemd/system/bedside.socket\n" in shown
    assert "+ListenStream=127.0.0.1:9000\n" in shown
    assert "change  /etc/bedside/api-key (0644 to 0600)\n" in shown
    assert f"keep    {UNIT}\n" in shown
    image.install("--port", "9000")
    tree = image.tree()
    assert tree["/etc/bedside/api-key"] == (stat.S_IFREG | 0o600, key)
    assert b"\nListenStream=127.0.0.1:9000\n" in tree["/etc/systemd/system/bedside.socket"][1]
    library = image.root / "var/lib/bedside/libraries/own.sqlite3"
    library.parent.mkdir(parents=True)
    library.write_bytes(b"x")
    written = [image.root / "var/lib/bedside" / name for name in ("states/1.state", "served/model.json")]
    for path in written:
        path.parent.mkdir(parents=True)
        path.write_bytes(b"x")
    assert "is left, which --purge removes as well" in image.uninstall()
    assert own.exists()
    assert library.exists()
    assert not any(path.parent.exists() for path in written)
    image.uninstall("--purge", "--yes")
    assert not own.parent.exists()
    assert not (image.root / "var/lib/bedside").exists()


def test_purging_is_asked_for(image: Image) -> None:
    image.install()
    (image.root / "var/lib/bedside").mkdir(parents=True)
    tree = image.tree()
    done = image.run("uninstall", "--purge", typed="n\n")
    assert done.exit_code != 0
    assert f"Remove all of {image.root}/var/lib/bedside, models and libraries included?" in done.output
    assert image.tree() == tree
    image.run("uninstall", "--purge", typed="y\n")
    assert not (image.root / "var/lib/bedside").exists()


@pytest.mark.parametrize(
    ("model", "drop_in"),
    [
        ("Raspberry Pi 5 Model B Rev 1.0", "50-pi.conf"),
        ("NVIDIA Jetson Orin Nano Developer Kit", "50-jetson.conf"),
        ("Raspberry Pi 4 Model B Rev 1.5", None),
    ],
)
def test_a_board_gets_its_drop_in(image: Image, model: str, drop_in: str | None) -> None:
    make_board(image, model)
    image.install()
    placed = {Path(path).name for path in image.tree() if path.startswith(f"{UNIT}.d/")}
    assert placed == ({drop_in} if drop_in else set())
    (image.root / "proc/device-tree/model").write_text("another board\0")
    image.install()
    assert not [path for path in image.tree() if path.startswith(f"{UNIT}.d/")]


def test_only_a_model_that_the_service_has_is_served(image: Image) -> None:
    gguf = image.root / "srv/x.gguf"
    gguf.parent.mkdir()
    gguf.write_bytes(b"GGUF")
    image.install("--model", "/srv/x.gguf")
    assert b" serve --model /srv/x.gguf " in image.tree()[UNIT][1]
    for model, said in (
        ("/srv/y.gguf", "the service has no model '/srv/y.gguf' in /var/lib/bedside/models; bring it there: "),
        ("some-id", "bedside models import FILE, as root"),
        ("", "the service has no model ''"),
    ):
        assert said in image.refusal("--environment", ENVIRONMENT, "--model", model)


@pytest.mark.parametrize(
    ("folder", "said"),
    [
        ("/home/x/bedside", "lies in /home, which the service cannot see; install Bedside as root in /opt/bedside"),
        ("/opt/other", "there is no /opt/other/bin/python in "),
        ("/opt/be side", "has characters that a unit file would need quoted"),
    ],
)
def test_an_environment_that_the_sandbox_hides_is_refused(image: Image, folder: str, said: str) -> None:
    python = image.root / "home/x/bedside/bin/python"
    python.parent.mkdir(parents=True)
    python.symlink_to("/usr/bin/python3")
    before = image.tree()
    assert said in image.refusal("--environment", folder)
    assert image.tree() == before


@pytest.mark.parametrize("is_new", [True, False])
def test_a_step_that_fails_leaves_everything_as_it_was(image: Image, is_new: bool) -> None:
    """The last of the changes cannot be made: where its folder should be a file lies."""
    if not is_new:
        image.install("--port", "9000")
    wanted = image.root / "etc/systemd/system/multi-user.target.wants"
    if wanted.exists():
        (wanted / "bedside.service").unlink()
        wanted.rmdir()
    wanted.touch()
    before = image.tree()
    assert str(wanted) in image.refusal("--environment", ENVIRONMENT)
    assert image.tree() == before


def test_a_command_that_fails_undoes_the_files_and_runs_what_undoes_it(tmp_path: Path) -> None:
    machine, left = machine_at(tmp_path), tmp_path / "undone"
    change = Change("/etc/bedside/x", None, Entry(b"x"))
    plan = Plan(
        before=(("true",),),
        changes=(change,),
        after=(("sh", "-c", "echo no such thing >&2; exit 3"),),
        undo=(("false",), ("touch", str(left))),
    )
    with pytest.raises(ServiceError, match="failed: no such thing"):
        carry_out(plan, machine)
    assert list(tmp_path.iterdir()) == [left]


def test_a_refusal_is_one_line(image: Image, bedside: Bedside) -> None:
    done = bedside("service", "install", "--root", str(image.root), "--environment", "/home/x")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("error: there is no /home/x/bin/python in ")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may")
def test_this_machine_is_changed_by_root_only(bedside: Bedside) -> None:
    done = bedside("service", "uninstall")
    assert done.returncode == 1
    assert "this needs root; run sudo " in done.stderr or "systemd does not run here" in done.stderr
