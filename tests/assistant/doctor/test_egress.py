"""Nothing leaves: in a real network of its own, with a counter that is shown to count."""

import errno
import json
import os
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assistant.doctor.egress.frames import asked_name, describe
from assistant.doctor.egress.namespace import refusal
from assistant.doctor.egress.result import Packet, Proof, Work
from assistant.doctor.egress.wording import proof_lines
from tests.assistant.conftest import Bedside
from tests.assistant.doctor.alone import alone

QUERY = struct.pack("!6H", 7, 0x0100, 1, 0, 0, 0) + b"\x03hub\x07example\x00" + struct.pack("!2H", 1, 1)
LEAKS = """
with Counter() as counter:
    _settle(counter.so_far)
    quiet = len(counter.so_far())
    sent, missing = control.send_control(counter)
    before = len(counter.so_far())
    for family, address in ((socket.AF_INET, "198.51.100.7"), (socket.AF_INET6, "2001:db8:5::7")):
        with socket.socket(family, socket.SOCK_DGRAM) as leak:
            leak.sendto(b"a question", (address, 4000))
        with socket.socket(family, socket.SOCK_STREAM) as leak:
            leak.setblocking(False)
            leak.connect_ex((address, 443))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as leak:
        leak.sendto(bytes.fromhex(sys.argv[1]), ("127.0.0.53", 53))
    _settle(counter.so_far)
    print(json.dumps([quiet, sent, missing, [each.to for each in counter.so_far()[before:]], counter.unseen()]))
"""
BLIND = """
control._WAIT_S = 0.3
with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel, Counter() as counter:
    way_out._ask(kernel, 16, 0, __import__("struct").pack("=BxHiII", 0, 0, socket.if_nametoindex(way_out.OUT), 0, 1))
    print(json.dumps(control.send_control(counter)))
"""
WORK = """
from assistant.doctor.egress.work import serve_and_ask
with Counter() as counter:
    _settle(counter.so_far)
    before = len(counter.so_far())
    work = [[each.what, each.trouble] for each in serve_and_ask(sys.argv[1], Path(sys.argv[2]), lambda what: None)]
    _settle(counter.so_far)
    left = [each.to for each in counter.so_far()[before:]]
    print(json.dumps([left, counter.unseen(), control.send_control(counter), work]))
"""


WITHOUT_ROOT = ["setpriv", "--bounding-set", "-all,+setfcap", "--inh-caps", "-all"]
"""As an ordinary user, who has to make a namespace of users first; `setfcap` lets root keep its number, as users do."""


@pytest.mark.parametrize("before", [[], WITHOUT_ROOT], ids=["as this user", "without root's rights"])
def test_whatever_leaves_is_counted_and_named(before: list[str]) -> None:
    if before and (os.getuid() != 0 or shutil.which(before[0]) is None):
        pytest.skip("takes rights from root, by setpriv")
    quiet, sent, missing, left, unseen = alone(LEAKS, QUERY.hex(), before=before)
    assert (quiet, missing, unseen) == (0, [], 0)
    assert sent >= 2
    assert sorted(left) == [
        "a name server on this machine (asks for hub.example)",
        "tcp 198.51.100.7:443",
        "tcp [2001:db8:5::7]:443",
        "udp 198.51.100.7:4000",
        "udp [2001:db8:5::7]:4000",
    ]


def test_a_control_that_nobody_counts_is_told() -> None:
    _, missing = alone(BLIND)
    assert "a connection" in missing


def test_nothing_leaves_while_the_service_answers(tmp_path: Path, environment: dict[str, str]) -> None:
    """All of `--egress` but the bench, which the slow test runs."""
    left, unseen, (sent, missing), work = alone(WORK, "reference", str(tmp_path), environment=environment)
    assert (left, unseen, missing) == ([], 0, [])
    assert sent >= 2
    assert [trouble for _, trouble in work] == [None] * 11


@pytest.mark.slow
def test_the_command_proves_it(bedside_slow: Bedside) -> None:
    done = bedside_slow("doctor", "--egress", "--json")
    proof = json.loads(done.stdout)
    assert (done.returncode, proof["verdict"], proof["packets"]) == (0, "proven", [])
    assert proof["work"][-1] == {"what": "device bench", "trouble": None}


@pytest.fixture
def bedside_slow(environment: dict[str, str]) -> Bedside:
    def run(*arguments: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "assistant", *arguments]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
        if "no network namespace" in done.stderr:
            pytest.skip(done.stderr.strip())
        return done

    return run


@pytest.mark.skipif(not (shutil.which("unshare") and shutil.which("setpriv")), reason="needs util-linux")
def test_where_there_is_no_namespace_it_says_so_in_one_line(environment: dict[str, str]) -> None:
    """Without the right to a network and with no users of one's own to be had."""
    shut = (
        "echo 0 > /proc/sys/user/max_user_namespaces || exit 77; "
        'exec setpriv --bounding-set -sys_admin --inh-caps -sys_admin "$0" -m assistant doctor --egress'
    )
    done = subprocess.run(
        ["unshare", "-Ur", "sh", "-c", shut, sys.executable],
        env=environment, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    if done.returncode == 77 or "unshare failed" in done.stderr:
        pytest.skip(f"cannot be shut here: {done.stderr.strip()}")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: not proven: this system gives no network namespace")
    assert "sudo sysctl user.max_user_namespaces=1000" in line


def test_the_switch_that_closes_it_is_named(tmp_path: Path) -> None:
    switch = tmp_path / "sys/kernel/apparmor_restrict_unprivileged_userns"
    switch.parent.mkdir(parents=True)
    switch.write_text("1\n")
    assert "sudo sysctl kernel.apparmor_restrict_unprivileged_userns=0" in str(
        refusal(PermissionError(1, "no"), tmp_path)
    )
    switch.write_text("0\n")
    assert "run it as root (sudo)" in str(refusal(PermissionError(1, "no"), tmp_path))
    assert "sudo modprobe veth" in str(refusal(OSError(errno.EOPNOTSUPP, "no"), tmp_path))


@pytest.mark.parametrize(
    ("proof", "verdict"),
    [
        (Proof(1.0, (), (2, 2), (), 0, 0, (Work("asked"),)), "proven"),
        (Proof(1.0, (), (2, 2), (), 0, 5, (Work("asked"),)), "proven"),
        (Proof(1.0, (Packet("udp 192.0.2.9:53"),), (2, 2), (), 0, 0, (Work("asked"),)), "packets left"),
        (Proof(1.0, (), (2, 2), (), 1, 0, (Work("asked"),)), "packets left"),
        (Proof(1.0, (), (0, 0), ("a connection",), 0, 0, (Work("asked"),)), "not proven"),
        (Proof(1.0, (), (2, 2), (), 0, 0, (Work("asked", "it ended"),)), "not proven"),
        (Proof(1.0, (), (2, 2), (), 0, 0, ()), "not proven"),
    ],
)
def test_verdicts(proof: Proof, verdict: str) -> None:
    facts = proof.to_json()
    assert facts["verdict"] == verdict
    assert set(facts) == {
        "verdict", "elapsed_s", "packets", "unseen_packets", "control_packets", "control_missing", "kernel_packets", "work",
    }  # fmt: skip
    text = "\n".join(proof_lines(facts))
    assert f"{len(proof.packets) + proof.unseen_packets} packet" in text
    assert all(packet.to in text for packet in proof.packets)


@given(st.binary(max_size=200))
def test_any_frame_can_be_told(data: bytes) -> None:
    for frame in (data, bytes(12) + b"\x08\x00" + data, bytes(12) + b"\x86\xdd" + data):
        told = describe(frame)
        assert told is None or told.isprintable()
    assert asked_name(data).isprintable()


def test_what_the_kernel_sends_of_itself_is_left_out() -> None:
    neighbour = bytes(12) + b"\x86\xdd" + bytes(6) + bytes([58]) + bytes(33) + bytes([135]) + bytes(7)
    echo = bytes(12) + b"\x86\xdd" + bytes(6) + bytes([58]) + bytes(33) + bytes([128]) + bytes(7)
    assert describe(neighbour) is None
    assert describe(echo) == "icmpv6 ::"


def test_no_command_of_the_device_asks_for_a_name_or_an_address(tmp_path: Path, environment: dict[str, str]) -> None:
    """Python itself tells of each connection, in every process that a command starts, whatever the environment allows."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\n"
        "def told(event, arguments):\n"
        "    if event in ('socket.getaddrinfo', 'socket.gethostbyname', 'socket.sendto', 'socket.connect'):\n"
        "        to = arguments[0] if event.startswith('socket.get') else arguments[1]\n"
        "        if not isinstance(to, (str, bytes)) or event.startswith('socket.get'):\n"
        "            with open(os.environ['TOLD'], 'a') as log: print(event, to, file=log)\n"
        "sys.addaudithook(told)\n"
    )
    log = tmp_path / "told"
    log.touch()
    hostile = {
        **{name: value for name, value in environment.items() if not name.startswith(("HF_", "OTEL_"))},
        "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path]),
        "TOLD": str(log),
        "XDG_RUNTIME_DIR": str(tmp_path),
        "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_TELEMETRY": "0", "FASTAPI_OTEL_AUTO_CONFIGURE": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://198.51.100.7:4318", "OTEL_TRACES_EXPORTER": "otlp",
    }  # fmt: skip

    def run(*arguments: str) -> None:
        subprocess.run([sys.executable, *arguments], env=hostile, capture_output=True, timeout=60, check=True)

    run("-m", "assistant", "serve", "--socket", str(tmp_path / "s"), "--idle-exit", "1")
    run("-m", "assistant", "knowledge", "search", "croup")
    run("-c", "from assistant import cli; cli._load('ask', cli.MOUNTS['ask']); import huggingface_hub.constants as c; "
        "assert c.HF_HUB_OFFLINE")  # fmt: skip
    assert log.read_text() == ""
    run("-c", "import socket; socket.getaddrinfo('127.0.0.1', 80)")
    assert log.read_text() == "socket.getaddrinfo 127.0.0.1\n"


def test_what_left_is_told_once_with_how_often() -> None:
    packets = (Packet("udp 192.0.2.9:53"), Packet("tcp 192.0.2.9:443"), Packet("udp 192.0.2.9:53"))
    lines = list(proof_lines(Proof(1.0, packets, (2, 2), (), 0, 0, (Work("asked"),)).to_json()))
    assert lines[:3] == [
        "3 packets left in 1.0 s, in which this ran: asked",
        "left: udp 192.0.2.9:53, 2 times",
        "left: tcp 192.0.2.9:443",
    ]
