"""An answer of the Raspberry Pi's processor: llama.cpp cross-compiled for it, Bedside run on an emulated Cortex-A76.

Neither a board nor root is needed: the emulator runs the Python of an unpacked Debian for arm64, and the native
`bedside ask` asks the server in it. It proves that the aarch64 build, its dependencies and the repacked Q4_0 kernels work; it
says nothing about speed. Run it with `make arm64-check`; what is built already stays in `build/arm64`.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import distribution, requires, version
from pathlib import Path

from assistant.client.connection import Connection
from models.builtin import reference_gguf

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "build" / "arm64"
DEBIAN, PACKAGES, LIBRARIES = FOLDER / "debian", FOLDER / "packages", FOLDER / "llama"
TOOLS = ("cmake", "ninja", "aarch64-linux-gnu-g++", "qemu-aarch64-static", "mmdebstrap")
INSTALL = "apt-get install cmake ninja-build g++-aarch64-linux-gnu qemu-user-static mmdebstrap"
CPU = "cortex-a76"
"""The Pi 5's: dotprod, no i8mm."""
_IN_DEBIAN = ("python3-minimal", "libpython3.11-stdlib", "libstdc++6", "libgomp1", "libsqlite3-0", "libffi8", "libssl3")
_PYTHON = "3.11"
_QUESTION = "How is DVT treated?"
_WITHOUT = "llama-cpp-python"


class Arm64Error(Exception):
    """A tool is missing, or what the emulated board does is not what it should."""


def main() -> None:
    """Build what is not built, look at the kernels, ask."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        raise Arm64Error(f"{', '.join(missing)} not found; {INSTALL}")
    FOLDER.mkdir(parents=True, exist_ok=True)
    unpack_debian()
    install_packages()
    cross_compile()
    check_kernels()
    ask()


def unpack_debian() -> None:
    """Files of Debian's arm64 packages; nothing of them is run to set them up."""
    if not DEBIAN.exists():
        wanted = ",".join(_IN_DEBIAN)
        run("mmdebstrap", "--arch=arm64", "--variant=extract", f"--include={wanted}", "bookworm", str(DEBIAN))


def install_packages() -> None:
    """Wheels for aarch64 of what Bedside asks for; llama-cpp-python has none, so its Python part is taken from here."""
    if PACKAGES.exists():
        return
    # What markers choose holds for Python 3.11 as well as for the one that runs this.
    names = [each.partition(";")[0].strip() for each in requires("bedside") or () if "extra ==" not in each]
    wanted = [each for each in names if not each.startswith((_WITHOUT, "tomli"))]
    platforms = [f"--platform=manylinux_2_{glibc}_aarch64" for glibc in (28, 17)]
    only = ("--only-binary=:all:", f"--python-version={_PYTHON}", "--implementation=cp")
    making = PACKAGES.with_name("packages.partial")
    shutil.rmtree(making, ignore_errors=True)
    pip = (sys.executable, "-m", "pip", "install", "--quiet", "--progress-bar", "off")
    run(*pip, *platforms, *only, f"--target={making}", *wanted, "diskcache")
    bindings = distribution(_WITHOUT)
    for file in bindings.files or ():
        if file.suffix != ".so" and ".so." not in file.name and ".." not in file.parts:
            target = making / file
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(file.locate()), target)
    _declare_bedside(making)
    making.rename(PACKAGES)


def _declare_bedside(site: Path) -> None:
    """The program itself is run from its sources; answers tell its version."""
    folder = site / f"bedside-{version('bedside')}.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: bedside\nVersion: {version('bedside')}\n")


def cross_compile() -> None:
    """The very llama.cpp that is in llama-cpp-python, for dotprod and not for this machine."""
    shipped = PACKAGES / "llama_cpp" / "lib"
    if (shipped / "libllama.so").exists():
        return
    pip = (sys.executable, "-m", "pip", "download", "--quiet", "--progress-bar", "off")
    run(*pip, "--no-deps", "--no-binary=:all:", f"--dest={FOLDER}", f"{_WITHOUT}=={version(_WITHOUT)}")
    (archive,) = FOLDER.glob("llama_cpp_python-*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(FOLDER, filter="data")
    (source,) = FOLDER.glob("llama_cpp_python-*/vendor/llama.cpp")
    compiler = {"CMAKE_C_COMPILER": "aarch64-linux-gnu-gcc", "CMAKE_CXX_COMPILER": "aarch64-linux-gnu-g++"}
    settings = {
        **compiler,
        "CMAKE_SYSTEM_NAME": "Linux",
        "CMAKE_SYSTEM_PROCESSOR": "aarch64",
        "CMAKE_BUILD_TYPE": "Release",
        "CMAKE_BUILD_WITH_INSTALL_RPATH": "ON",
        "CMAKE_INSTALL_RPATH": "$ORIGIN",
        "GGML_NATIVE": "OFF",
        "GGML_CPU_ARM_ARCH": "armv8.2-a+dotprod",
        **dict.fromkeys(("COMMON", "TESTS", "EXAMPLES", "TOOLS", "SERVER", "APP"), "OFF"),
    }
    given = [f"-D{name if '_' in name else f'LLAMA_BUILD_{name}'}={value}" for name, value in settings.items()]
    run("cmake", "-G", "Ninja", "-S", str(source), "-B", str(LIBRARIES), *given)
    run("cmake", "--build", str(LIBRARIES), "--target", "llama", "--parallel", str(os.cpu_count() or 1))
    shipped.mkdir(exist_ok=True)
    for library in sorted((LIBRARIES / "bin").glob("lib*.so*")):
        shutil.copy(library, shipped / library.name)


def emulated(*arguments: str) -> list[str]:
    """The command that runs Python with these arguments on the emulated processor."""
    python = DEBIAN / "usr" / "bin" / f"python{_PYTHON}"
    paths = f"PYTHONPATH={ROOT}:{PACKAGES}"
    return ["qemu-aarch64-static", "-cpu", CPU, "-L", str(DEBIAN), "-E", paths, str(python), *arguments]


def check_kernels() -> None:
    """llama.cpp's own log says that it has dot products, and lays Q4_0 weights out for them."""
    command = emulated("-m", "benchmarks.arm64_repack", str(reference_gguf()))
    said = subprocess.run(command, check=True, capture_output=True, text=True, cwd=ROOT).stdout
    print(said, end="")
    if "DOTPROD = 1" not in said or "q4_0_4x4" not in said:
        raise Arm64Error("the library does not repack Q4_0 for dotprod")


def ask() -> None:
    """A question to `bedside serve` on the emulated processor, with all that an answer goes through."""
    home = FOLDER / "home"
    home.mkdir(mode=0o700, exist_ok=True)
    own = {**os.environ, "BEDSIDE_HOME": str(home), "XDG_RUNTIME_DIR": str(home)}
    command = emulated("-m", "assistant", "serve", "--model", "reference", "--port", "0")
    with subprocess.Popen(command, env=own, stderr=subprocess.PIPE, text=True, cwd=ROOT) as server:
        try:
            assert server.stderr is not None
            lines = (server.stderr.readline(), server.stderr.readline())
            address = re.search(r"http://[^,\s]+", lines[1])
            if address is None:
                raise Arm64Error(f"the server does not start: {' '.join(lines).strip()}")
            with Connection(address[0]) as loading:
                loading.wait_until_ready(print)
            asking = [sys.executable, "-m", "assistant", "ask", "--json", "--url", address[0], _QUESTION]
            found = json.loads(subprocess.run(asking, env=own, check=True, capture_output=True, cwd=ROOT).stdout)
        finally:
            server.terminate()
    answer = str(found["answer"])
    print(f"{CPU}: {answer}")
    if "[1]" not in answer:
        raise Arm64Error("the answer cites nothing")


def run(*command: str) -> None:
    """A command whose output matters only where it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Arm64Error(f"{command[0]} failed: {done.stderr.strip()[-2000:]}")


if __name__ == "__main__":
    main()
