"""llama.cpp: what the library itself says that it was compiled for, against what this machine's processor can do.

It is asked in a process of its own: one that was compiled for another processor ends the process that calls it.
"""

import json
import platform
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from assistant.doctor.line import Line, fault, ok, warning
from assistant.doctor.machine import Machine
from device.board import look_at_board
from device.detect import board_kind

_PROJECT = Path(__file__).parents[2]
_ASK = (
    "import json; from models.runtime.library import library_build, supports_gpu; "
    "print(json.dumps({'build': library_build(), 'gpu': supports_gpu()}))"
)
_ASK_S = 15.0
_NAME = "llama.cpp"
_FAST = {
    # What the processor says in /proc/cpuinfo, and what the library calls the kernels that use it.
    "avx2": "AVX2",
    "fma": "FMA",
    "f16c": "F16C",
    "avx512f": "AVX512",
    "avx512_vnni": "AVX512_VNNI",
    "asimddp": "DOTPROD",
    "i8mm": "MATMUL_INT8",
    "sve": "SVE",
}
_CUDA_ARCHITECTURES = (("Thor", 110), ("Orin", 87), ("Xavier", 72), ("TX2", 62), ("Nano", 53))
"""By a word of the board's name; an Orin Nano is an Orin."""


@dataclass(frozen=True)
class Build:
    """What the library says of itself."""

    version: str
    parts: dict[str, dict[str, str]]
    """By backend (`CPU`, `CUDA`): its flags."""
    sees_gpu: bool

    def has(self, flag: str) -> bool:
        """Whether the part for the processor was compiled with it."""
        return self.parts.get("CPU", {}).get(flag, "0") != "0"


def read_build(text: str, *, sees_gpu: bool) -> Build:
    """From `0.3.36 CPU : SSE3 = 1 | AVX2 = 1 | CUDA : ARCHS = 870 | ...`."""
    version, _, told = text.partition(" ")
    parts: dict[str, dict[str, str]] = {}
    flags: dict[str, str] = {}
    for piece in filter(None, (piece.strip() for piece in told.split("|"))):
        backend, colon, rest = piece.partition(" : ")
        if colon:
            flags = parts.setdefault(backend.strip(), {})
        key, equals, value = (rest if colon else piece).partition("=")
        if equals:
            flags[key.strip()] = value.strip()
    return Build(version, parts, sees_gpu)


def check_engine_library(machine: Machine) -> list[Line]:
    """Whether llama.cpp can be loaded, and uses what the processor or the board offers."""
    try:
        # `-c` puts the working directory first in the import path: it is our own folder.
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", _ASK],
            cwd=_PROJECT, capture_output=True, text=True, timeout=_ASK_S, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return [fault(_NAME, f"did not load within {_ASK_S:g} s", f"build it again\n{build_command('native')}")]
    if done.returncode:
        return [fault(_NAME, _why(done), f"build it on this machine\n{build_command('native')}")]
    told = json.loads(done.stdout.splitlines()[-1])
    return [judge_build(machine, read_build(told["build"], sees_gpu=told["gpu"]), machine.read("/proc/cpuinfo") or "")]


def _why(done: "subprocess.CompletedProcess[str]") -> str:
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        hint = ", as one does that was compiled for another processor" if name == "SIGILL" else ""
        return f"ends the process that loads it ({name}{hint})"
    return f"cannot be loaded: {(done.stderr.strip().splitlines() or ['no reason given'])[-1]}"


def judge_build(machine: Machine, build: Build, cpuinfo: str) -> Line:
    """What a build is worth on this machine: `cpuinfo` is the text of /proc/cpuinfo."""
    board = look_at_board(machine.system)
    has_cuda = "CUDA" in build.parts and build.sees_gpu
    shown = f"{build.version}, {_uses(build)}"
    if board_kind(machine.system) != "other" and "Jetson" in (board.model or "Jetson") and not has_cuda:
        why = "sees no GPU" if "CUDA" in build.parts else "was compiled without CUDA"
        found = f"{shown}; it {why}: a Jetson's processor alone answers several times more slowly"
        return fault(_NAME, found, f"build it with CUDA\n{build_command(cuda_architecture(board.model or ''))}")
    offered = {
        word for words in re.findall(r"^(?:flags|Features)\s*:(.*)$", cpuinfo, re.MULTILINE) for word in words.split()
    }
    unused = [kernels for word, kernels in _FAST.items() if word in offered and not build.has(kernels)]
    if unused or not build.has("REPACK"):
        lacks = ", ".join([*unused, *([] if build.has("REPACK") else ["REPACK"])])
        return warning(
            _NAME, f"{shown}; compiled without {lacks}: answers are slower than they could be",
            f"build it on this machine\n{build_command('native')}",
        )  # fmt: skip
    if board.cuda and not has_cuda:
        return warning(
            _NAME, f"{shown}; NVIDIA's driver is here and is not used", f"build it with CUDA\n{build_command('cuda')}"
        )
    return ok(_NAME, shown)


def _uses(build: Build) -> str:
    used = [flag for flag in (*dict.fromkeys(_FAST.values()), "REPACK") if build.has(flag)]
    if "CUDA" in build.parts:
        used = [f"CUDA {build.parts['CUDA'].get('ARCHS', '')}".strip(), *used]
    amx = " (its AMX kernels are left out, since they end the process)" if build.has("AMX_INT8") else ""
    return f"uses {' '.join(used) or 'no fast kernels'}{amx}"


def cuda_architecture(model: str) -> str:
    """What nvcc calls the GPU of a board of that name; `native` asks the GPU itself."""
    return next((str(number) for word, number in _CUDA_ARCHITECTURES if word in model), "native")


def build_command(target: str) -> str:
    """The command that compiles the library here: `native`, `cuda`, or the number of a CUDA architecture."""
    from importlib.metadata import version

    arguments = "-DGGML_NATIVE=on"
    if target != "native":
        architecture = "native" if target == "cuda" else target
        arguments = f"-DGGML_CUDA=on -DCMAKE_CUDA_ARCHITECTURES={architecture}"
    return (
        f'CMAKE_ARGS="{arguments}" {sys.executable} -m pip install --force-reinstall --no-deps --no-cache-dir '
        f"--no-binary llama-cpp-python llama-cpp-python=={version('llama-cpp-python')}"
    )


def check_python(machine: Machine) -> list[Line]:
    """The interpreter that runs this."""
    version, architecture = platform.python_version(), platform.machine()
    found = f"{version} on {architecture}, {platform.architecture()[0].replace('bit', ' bits')}"
    if sys.maxsize < 2**32:
        return [fault("Python", f"{found}: models need 64", "install a 64-bit system and Python")]
    return [ok("Python", found)]
