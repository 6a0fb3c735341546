"""A Raspberry Pi 5's power chip: its text, the program, the ioctl, and the estimate that is made of it."""

import errno
import os
import stat
import struct
from pathlib import Path
from types import SimpleNamespace

import pytest

from device.errors import ReadingError, SourceUnavailableError
from device.sources.pmic_ioctl import (
    BUFFER_BYTES,
    REQUEST,
    PmicIoctl,
    access_remedy,
    decode_answer,
    encode_command,
    open_pmic_ioctl,
)
from device.sources.pmic_text import estimate_meter, estimate_reading, parse_rails, pmic_meter
from device.sources.vcgencmd import open_vcgencmd
from device.system import System
from tests.device.fixtures import POWER, expected, names, shared

TEXT = """\
 3V7_WL_SW_A current(0)=0.50000000A
  VDD_CORE_A current(7)=2.00000000A
 3V7_WL_SW_V volt(8)=4.00000000V
  VDD_CORE_V volt(15)=0.75000000V
     EXT5V_V volt(24)=5.11000000V
      BATT_V volt(25)=0.00000000V
"""
SUM_W = 0.5 * 4 + 2 * 0.75
UNREGISTERED = 'error=1 error_msg="Command not registered"'


def test_current_and_voltage_are_paired_by_name() -> None:
    rails = parse_rails(TEXT)
    assert rails.rails_w == {"3V7_WL_SW": 2.0, "VDD_CORE": 1.5}
    assert rails.sum_w == SUM_W
    assert rails.volts_only == {"EXT5V": 5.11, "BATT": 0.0}


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("  VDD_CORE_V volt(15)=0.75000000V\n", "", "only current or only voltage of VDD_CORE"),
        ("  VDD_CORE_A current(7)=2.00000000A\n", "", "only current or only voltage of VDD_CORE"),
        ("EXT5V_V", "USB_V", "only current or only voltage of USB"),
        ("0.75000000V", "0.7500", "no channel"),
        ("0.75000000V", "nanV", "no channel"),
        ("0.75000000V", "-0.75V", "no channel"),
        ("VDD_CORE_V volt", "VDD_CORE_V current", "no channel"),
        ("3V7_WL_SW_V", "VDD_CORE_V", "VDD_CORE_V twice"),
    ],
)
def test_a_text_that_is_not_whole_gives_no_sum(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(ReadingError, match=message):
        parse_rails(TEXT.replace(old, new, 1))


def test_a_text_cut_off_anywhere_in_its_rails_gives_no_sum() -> None:
    for end in range(TEXT.index("  VDD_CORE_V") + len("  VDD_CORE_V volt(15)=0.75000000")):
        with pytest.raises(ReadingError):
            parse_rails(TEXT[:end])


@pytest.mark.parametrize("zeros", [TEXT.replace("0.50000000A", "0.0A").replace("2.00000000A", "0.0A"), ""])
def test_nothing_is_not_zero_watts(zeros: str) -> None:
    with pytest.raises(ReadingError, match=r"no power on any rail|gave no values"):
        parse_rails(zeros)


@pytest.mark.parametrize(
    ("text", "remedy"),
    [
        ("Can't open device file: /dev/vcio_gencmd\n", "usermod -aG video"),
        ("Can't open device file: /dev/vcio\nTry creating a device file with: sudo mknod", "usermod -aG video"),
        ("VCHI initialization failed", "usermod -aG video"),
        (UNREGISTERED, "only a Raspberry Pi 5 has one"),
    ],
)
def test_messages_in_place_of_the_answer_say_what_to_do(text: str, remedy: str) -> None:
    with pytest.raises(SourceUnavailableError, match=remedy):
        parse_rails(text)


@pytest.mark.parametrize("text", ["ioctl_set_msg failed:-1\n" + TEXT, 'error=2 error_msg="Invalid arguments"'])
def test_a_failed_look_is_a_failed_look(text: str) -> None:
    with pytest.raises(ReadingError, match="gave no values"):
        parse_rails(text)


@shared
@pytest.mark.parametrize("name", [name for name in names("pi5/pmic_read_adc_") if "missing" not in name])
def test_recorded_sums(name: str) -> None:
    text, told = (POWER / name).read_text("utf-8"), expected()[name]
    rails = parse_rails(text)
    assert rails.sum_w == pytest.approx(told["sum_W"], abs=5e-7)
    assert len(rails.rails_w) == told["rails"]
    assert list(rails.volts_only) == told["voltage_only"]
    assert rails.volts_only["EXT5V"] == told["ext5v_V"]
    assert estimate_reading(rails.sum_w).power_w == pytest.approx(told["wall_estimate_W_jfikar"], abs=1e-6)


@shared
def test_recorded_refusals() -> None:
    assert expected()["pi5/pmic_read_adc_missing_pair.txt"]["sum_W"] is None
    with pytest.raises(ReadingError, match="VDD_CORE: no sum"):
        parse_rails((POWER / "pi5/pmic_read_adc_missing_pair.txt").read_text("utf-8"))
    silent = ["pi5/pmic_unsupported_pi4.txt", "pi5/vcgencmd_no_device_old.txt", "pi5/vcgencmd_no_permission.txt"]
    for name in silent:
        assert expected()[name] == {"reading": None}
        with pytest.raises(SourceUnavailableError):
            parse_rails((POWER / name).read_text("utf-8"))
    with pytest.raises(ReadingError, match="no power on any rail"):
        parse_rails((POWER / "pi5/pmic_read_adc_ext5v.txt").read_text("utf-8"))


@shared
def test_a_real_board_under_load() -> None:
    """One sample with 10.9 A in the cores, as its author published it."""
    rails = parse_rails((POWER / "reference/pmic_read_adc_jfikar_load.txt").read_text("utf-8"))
    assert rails.rails_w["VDD_CORE"] == pytest.approx(10.87674 * 0.8974594)
    assert len(rails.rails_w) == 12


def test_the_estimate_is_a_figure_of_its_own() -> None:
    rails = pmic_meter("pmic-ioctl")
    estimate = estimate_meter(rails)
    assert (estimate.source, estimate.rail) == ("pmic-ioctl", "board estimate")
    assert (estimate.scope, estimate.kind) == ("supply", "estimated")
    assert "jfikar/RPi5-power: one person, one board, one USB-C meter" in (estimate.correction or "")
    assert estimate_reading(2.0).power_w == pytest.approx(1.1451 * 2 + 0.5879)
    assert (rails.scope, rails.kind, rails.correction) == ("pmic-rails", "measured", None)


# The program


class Shell(System):
    """A machine whose only program prints a given text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.commands = text, list[list[str]]()

    def run(self, command: object, timeout_s: float = 2.0) -> str:
        assert isinstance(command, list)
        self.commands.append(command)
        return self.text


def test_the_program_is_asked_for_each_look() -> None:
    shell = Shell(TEXT)
    source = open_vcgencmd(shell)
    assert (source.meter.source, source.meter.scope, source.meter.kind) == ("vcgencmd", "pmic-rails", "measured")
    shell.text = TEXT.replace("2.00000000A", "4.00000000A")
    reading = source.read()
    assert reading.power_w == SUM_W + 1.5
    assert reading.rails_w == {"3V7_WL_SW": 2.0, "VDD_CORE": 3.0}
    assert shell.commands == [["vcgencmd", "pmic_read_adc"]] * 2
    source.close()


def test_a_program_that_gives_no_sum_is_no_source() -> None:
    for text in (UNREGISTERED, "Can't open device file: /dev/vcio_gencmd", TEXT[:60], ""):
        with pytest.raises(SourceUnavailableError):
            open_vcgencmd(Shell(text))


def test_no_program_and_another_root_are_no_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SourceUnavailableError, match="without --sysroot"):
        open_vcgencmd(System(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SourceUnavailableError, match="vcgencmd is not installed"):
        open_vcgencmd(System())


# The ioctl


class Firmware:
    """Answers as the kernel does: the status in the second word, the error in the sixth, the text in the buffer."""

    def __init__(self, text: str, status: int = 0x80000000, error: int = 0) -> None:
        self.text, self.status, self.error = text, status, error
        self.asked = list[tuple[int, bytes]]()

    def __call__(self, descriptor: int, request: int, message: bytearray) -> int:
        os.fstat(descriptor)
        self.asked.append((request, bytes(message)))
        struct.pack_into("=I", message, 4, self.status)
        struct.pack_into("=I", message, 20, self.error)
        message[24 : 24 + BUFFER_BYTES] = self.text.encode().ljust(BUFFER_BYTES, b"\0")[:BUFFER_BYTES]
        return 0


@pytest.fixture
def node(tmp_path: Path) -> Path:
    path = tmp_path / "vcio"
    path.touch()
    return path


def test_the_question_has_the_bytes_of_the_firmwares_protocol(node: Path) -> None:
    """Size, request, tag, buffer size, length and error, then the command, zeros and an end tag of zero."""
    firmware = Firmware(TEXT)
    source = open_pmic_ioctl(System(), (node,), firmware)
    assert source.read().power_w == SUM_W
    request, message = firmware.asked[-1]
    assert request == (0xC0086400 if struct.calcsize("P") == 8 else 0xC0046400) == REQUEST
    head = struct.pack("=6I", 4124, 0, 0x00030080, 4096, 0, 0)
    assert message == head + b"pmic_read_adc" + bytes(4096 - 13) + bytes(4)
    assert (source.meter.source, source.meter.scope, source.meter.kind) == ("pmic-ioctl", "pmic-rails", "measured")
    source.close()
    source.close()
    with pytest.raises(SourceUnavailableError, match="closed"):
        source.read()


def test_answers_that_are_none() -> None:
    def answered(firmware: Firmware) -> bytearray:
        message = encode_command("pmic_read_adc")
        firmware(0, 0, message)
        return message

    assert decode_answer(answered(Firmware("volt"))) == "volt"
    assert decode_answer(answered(Firmware(UNREGISTERED, error=1))) == UNREGISTERED
    for firmware, message in [
        (Firmware(TEXT, status=0), "did not answer"),
        (Firmware(TEXT, status=0x80000001), "did not answer"),
        (Firmware(TEXT, error=5), "error 5"),
        (Firmware("x" * 5000), "longer than the buffer"),
    ]:
        with pytest.raises(ReadingError, match=message):
            decode_answer(answered(firmware))
    with pytest.raises(ValueError, match="at most 4095 bytes"):
        encode_command("x" * BUFFER_BYTES)


def test_a_refused_ioctl_is_a_failed_look(node: Path) -> None:
    def refuse(descriptor: int, request: int, message: bytearray) -> object:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    descriptor = os.open(node, os.O_RDONLY)
    source = PmicIoctl(descriptor, refuse)
    with pytest.raises(ReadingError, match="refused the question"):
        source.read()
    source.close()
    with pytest.raises(SourceUnavailableError, match="refused the question"):
        open_pmic_ioctl(System(), (node,), refuse)


def test_the_real_ioctl_on_what_is_no_mailbox(node: Path) -> None:
    with pytest.raises(SourceUnavailableError, match="refused the question"):
        open_pmic_ioctl(System(), (node,))


def test_a_source_that_does_not_open_leaves_nothing_open(node: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    for text in (UNREGISTERED, TEXT[:60]):
        with pytest.raises(SourceUnavailableError):
            open_pmic_ioctl(System(), (node,), Firmware(text))
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_first_device_that_may_be_opened_is_asked(tmp_path: Path, node: Path) -> None:
    source = open_pmic_ioctl(System(), (tmp_path / "absent", node), Firmware(TEXT))
    source.close()
    with pytest.raises(SourceUnavailableError, match="is here; nothing to do"):
        open_pmic_ioctl(System(), (tmp_path / "absent",), Firmware(TEXT))


def test_a_forbidden_device_names_the_group(monkeypatch: pytest.MonkeyPatch, node: Path) -> None:
    def forbid(path: Path, flags: int) -> int:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("device.sources.pmic_ioctl.os.open", forbid)
    with pytest.raises(
        SourceUnavailableError, match=r"vcio may not be opened \(Permission denied\).*usermod -aG video"
    ):
        open_pmic_ioctl(System(), (node,), Firmware(TEXT))


def test_the_way_to_a_device_is_the_one_that_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its group where that may read it, as on Raspberry Pi OS; else only a rule helps."""

    def status(mode: int, group: int) -> os.stat_result:
        return os.stat_result((stat.S_IFCHR | mode, 1, 1, 1, 0, group, 0, 0, 0, 0))

    names = {44: "video"}
    monkeypatch.setattr("device.sources.pmic_ioctl.grp.getgrgid", lambda number: SimpleNamespace(gr_name=names[number]))
    assert access_remedy("vcio_gencmd", status(0o660, 44)) == "sudo usermod -aG video $USER, then log in again"
    for mode, group in [(0o600, 44), (0o660, 0), (0o660, 4242)]:
        sentence, rule, command = access_remedy("vcio", status(mode, group)).splitlines()
        assert sentence.startswith(
            "be a user of the group video (usermod -aG video NAME); then as root, write this line"
        )
        assert rule == 'KERNEL=="vcio", GROUP="video", MODE="0660"'
        assert command == "udevadm control --reload && udevadm trigger --name-match=vcio"


def test_no_device_is_asked_for_another_root(tmp_path: Path, node: Path) -> None:
    firmware = Firmware(TEXT)
    with pytest.raises(SourceUnavailableError, match="without --sysroot"):
        open_pmic_ioctl(System(tmp_path), (node,), firmware)
    assert firmware.asked == []
