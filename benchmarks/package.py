"""Is what is shipped whole? Wheel and sdist built, looked into, and the wheel alone installed and asked a question.

Run it with `make package-check`: two minutes where pip has llama-cpp-python's wheel in its cache, else as long as that takes
to compile. Everything is in `build/package`.
"""

import json
import os
import shutil
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import psutil

from benchmarks.licences import licences, page

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "build" / "package"
PACKAGES = ("models", "device", "compressor", "assistant")
QUESTION = "How is DVT treated?"
_NEVER = ("torch", "transformers", "tests", "benchmarks", "jtop")


class PackageError(Exception):
    """Something is missing, or there that should not be."""


def main() -> None:
    """Build, look, install, ask."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    wheel, sdist = build()
    check_contents(wheel, sdist)
    print(
        f"{wheel.name}: {wheel.stat().st_size / 1e6:.1f} MB, {sdist.name}: {sdist.stat().st_size / 1e6:.1f} MB: whole"
    )
    python = install(wheel)
    check_absent(python)
    answer = ask(python)
    print(f"in an environment of its own it answers: {answer!r}")
    (site_packages,) = (FOLDER / "installed").glob("lib/python*/site-packages")
    found = licences(site_packages)
    (ROOT / "docs" / "licences.md").write_text(page(found), "utf-8")
    print(f"{len(found)} packages, each with a licence that fits Apache-2.0: docs/licences.md")


def build() -> tuple[Path, Path]:
    """The wheel, made from the sdist as an installer would, and the sdist."""
    subprocess.run([sys.executable, "-m", "build", "--outdir", str(FOLDER), str(ROOT)], check=True, capture_output=True)
    (wheel,), (sdist,) = FOLDER.glob("*.whl"), FOLDER.glob("*.tar.gz")
    return wheel, sdist


def check_contents(wheel: Path, sdist: Path) -> None:
    """The four packages' files as they are in git, no more and no less; in the sdist what the wheel is made of as well."""
    listed = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, check=True, capture_output=True, text=True)
    ours = set(listed.stdout.splitlines()) - {f"{package}/README.md" for package in PACKAGES}  # for who changes them
    with zipfile.ZipFile(wheel) as opened:
        shipped = {name for name in opened.namelist() if ".dist-info/" not in name}
    if shipped != ours:
        raise PackageError(f"the wheel lacks {sorted(ours - shipped)} and has {sorted(shipped - ours)} too much")
    with tarfile.open(sdist) as opened_sdist:
        held = {member.name.partition("/")[2] for member in opened_sdist.getmembers() if member.isfile()}
    made = {name for name in held if name.startswith("bedside.egg-info/")} | {"PKG-INFO", "setup.cfg"}
    needed = ours | {"pyproject.toml", "README.md", "LICENSE", "MANIFEST.in"}
    if held - made != needed:
        raise PackageError(f"the sdist lacks {sorted(needed - held)} and has {sorted(held - made - needed)} too much")


def install(wheel: Path) -> Path:
    """The Python of a new environment that holds the wheel and what it asks for."""
    folder = FOLDER / "installed"
    venv.create(folder, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run(
        [str(python), "-I", "-m", "pip", "install", "--quiet", "--progress-bar", "off", str(wheel)], check=True
    )
    return python


def check_absent(python: Path) -> None:
    """What a device does not need is not there."""
    look = "import importlib.util, sys; print(*(name for name in sys.argv[1:] if importlib.util.find_spec(name)))"
    found = subprocess.run([str(python), "-I", "-c", look, *_NEVER], check=True, capture_output=True, text=True).stdout
    if found.strip():
        raise PackageError(f"the environment has {found.strip()}, which a device does not need")


def ask(python: Path) -> str:
    """The answer of the reference model, which has to cite a source."""
    home = FOLDER / "home"
    home.mkdir()
    own = {"PATH": os.defpath, "HOME": str(home), "XDG_RUNTIME_DIR": str(home), "LANG": "C.UTF-8"}
    home.chmod(0o700)
    try:
        done = subprocess.run(
            [str(python.with_name("bedside")), "ask", "--json", QUESTION],
            cwd=home,
            env=own,
            check=True,
            stdout=subprocess.PIPE,
            timeout=300,
        )
    finally:
        end_private_server(home)
    answer = str(json.loads(done.stdout)["answer"])
    if "[1]" not in answer:
        raise PackageError(f"it answers {answer!r}, which cites nothing")
    return answer


def end_private_server(home: Path) -> None:
    """The one that the question has started."""
    for process in psutil.process_iter(["cmdline"]):
        if any(str(home) in argument for argument in process.info["cmdline"] or ()):
            process.terminate()
            process.wait(30)


if __name__ == "__main__":
    main()
