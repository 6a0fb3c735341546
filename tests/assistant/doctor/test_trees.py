"""What is read off a machine's files: boards, swap, file systems, what llama.cpp was compiled for."""

import json
from pathlib import Path

import pytest

from assistant.doctor.board import check_board, check_power_meter
from assistant.doctor.engine_library import build_command, judge_build, read_build
from assistant.doctor.examine import examine
from assistant.doctor.line import Line
from assistant.doctor.machine import Machine
from assistant.doctor.swap import check_swap
from assistant.doctor.views import report_facts
from device.system import System
from tests.assistant.conftest import Bedside
from tests.device.machines import JETSON, Files, write

PI: Files = {
    "sys/firmware/devicetree/base/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "sys/class/hwmon/hwmon1/name": "rpi_volt",
    "sys/class/hwmon/hwmon1/in0_lcrit_alarm": 1,
}
CPU_ONLY = "0.3.36 CPU : NEON = 1 | ARM_FMA = 1 | MATMUL_INT8 = 1 | DOTPROD = 1 | OPENMP = 1 | REPACK = 1 | "
WITH_CUDA = "0.3.36 CUDA : ARCHS = 870 | USE_GRAPHS = 1 | CPU : NEON = 1 | DOTPROD = 1 | OPENMP = 1 | REPACK = 1 | "
A76 = "processor\t: 0\nFeatures\t: fp asimd evtstrm aes crc32 atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp\n"
SWAPS = "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"


def machine(root: Path, *trees: Files) -> Machine:
    return Machine(System(write(root, *trees)))


def only(lines: list[Line]) -> Line:
    (line,) = lines
    return line


def test_a_board_that_gets_too_little_voltage_is_told_with_the_remedy(tmp_path: Path) -> None:
    board, throttling = check_board(machine(tmp_path, PI))
    assert (board.state, board.found) == ("ok", "Raspberry Pi 5 Model B Rev 1.0")
    assert throttling.state == "warning"
    assert "voltage is too low" in throttling.found
    assert throttling.remedy is not None
    assert "supply" in throttling.remedy


def test_a_jetson_s_meter(tmp_path: Path) -> None:
    line = only(check_power_meter(machine(tmp_path, JETSON)))
    assert (line.state, line.found) == ("ok", "ina3221-sysfs: VDD_IN, measured, 6.00 W")


def test_a_jetson_with_a_library_for_its_processor_only_is_a_fault_with_the_command(tmp_path: Path) -> None:
    line = judge_build(machine(tmp_path, JETSON), read_build(CPU_ONLY, sees_gpu=False), A76)
    assert line.state == "fault"
    assert "without CUDA" in line.found
    assert line.remedy is not None
    assert 'CMAKE_ARGS="-DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES=87"' in line.remedy
    assert "--no-binary llama-cpp-python llama-cpp-python==" in line.remedy


def test_a_jetson_s_library_that_sees_no_gpu_is_a_fault_too(tmp_path: Path) -> None:
    jetson = machine(tmp_path, JETSON)
    assert "sees no GPU" in judge_build(jetson, read_build(WITH_CUDA, sees_gpu=False), A76).found
    line = judge_build(jetson, read_build(WITH_CUDA, sees_gpu=True), A76)
    assert (line.state, line.found) == ("ok", "0.3.36, uses CUDA 870 DOTPROD REPACK")


def test_kernels_that_the_processor_has_and_the_library_lacks(tmp_path: Path) -> None:
    plain_arm = read_build("0.3.36 CPU : NEON = 1 | ARM_FMA = 1 | REPACK = 1 | ", sees_gpu=False)
    line = judge_build(machine(tmp_path, PI), plain_arm, A76)
    assert line.state == "warning"
    assert "compiled without DOTPROD:" in line.found
    assert line.remedy is not None
    assert build_command("native") in line.remedy
    assert judge_build(machine(tmp_path, PI), read_build(CPU_ONLY, sees_gpu=False), A76).state == "ok"


@pytest.mark.parametrize(
    ("tree", "state", "words"),
    [
        ({"proc/swaps": SWAPS.rstrip("\n")}, "ok", "none"),
        ({"proc/swaps": f"{SWAPS}/dev/zram0 partition\t2097148\t0\t100"}, "ok", "2.0 GiB on /dev/zram0, in memory"),
        (
            {"proc/swaps": f"{SWAPS}/dev/sda2 partition\t1048576\t0\t-2", "sys/class/block/sda2/size": 1},
            "warning",
            "1.0 GiB on /dev/sda2, not known to be encrypted",
        ),
        (
            {
                "proc/swaps": f"{SWAPS}/dev/dm-1 partition\t1048576\t0\t-2",
                "sys/class/block/dm-1/dm/uuid": "LVM-x",
                "sys/class/block/dm-1/slaves/dm-0/dm/uuid": "CRYPT-LUKS2-x",
            },
            "ok",
            "1.0 GiB on /dev/dm-1, encrypted",
        ),
        (
            {
                "proc/swaps": f"{SWAPS}/var/swap file\t102400\t0\t-2",
                "proc/self/mountinfo": "1 0 8:1 / / rw - ext4 /dev/sda1 rw\n2 1 253:0 / /var rw - ext4 /dev/dm-0 rw",
                "sys/dev/block/253:0/dm/uuid": "CRYPT-LUKS2-x",
                "sys/dev/block/8:1/size": 1,
            },
            "ok",
            "0.1 GiB on /var/swap, encrypted",
        ),
    ],
)
def test_swap(tmp_path: Path, tree: Files, state: str, words: str) -> None:
    line = only(check_swap(machine(tmp_path, tree)))
    assert line.state == state
    assert words in line.found


def test_of_another_machine_only_files_are_looked_at(tmp_path: Path, bedside: Bedside) -> None:
    done = bedside("doctor", "--json", "--sysroot", str(write(tmp_path, JETSON, {"proc/swaps": SWAPS})))
    told = json.loads(done.stdout)
    assert [line["name"] for line in told["lines"]] == ["Board", "Throttling", "Clock", "Power meter", "Swap"]
    assert done.returncode == 0
    empty = tmp_path / "empty"
    empty.mkdir()
    assert bedside("doctor", "--sysroot", str(empty)).returncode == 1


def test_the_json_object_is_closed(tmp_path: Path) -> None:
    facts = report_facts(examine(machine(tmp_path, PI)))
    assert set(facts) == {"version", "state", "counts", "lines"}
    assert set(facts["counts"]) == {"ok", "warning", "fault"}
    assert all(set(line) == {"group", "name", "state", "found", "remedy"} for line in facts["lines"])
    assert all((line["remedy"] is None) == (line["state"] == "ok") for line in facts["lines"])
