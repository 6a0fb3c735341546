"""Whether the service could read what it is to run: its sandbox hides homes and temporary folders, and it is nobody's user."""

import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from assistant.errors import ServiceError
from assistant.service.plan import Machine
from assistant.service.units import DATA_FOLDER
from models.builtin import REFERENCE_ID
from models.resolve import resolve_gguf
from models.store import Store

_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp", "/dev")
_PLAIN = re.compile(r"/[A-Za-z0-9/._+@:=,-]*")
_ELSEWHERE = "install Bedside as root in /opt/bedside, and run /opt/bedside/bin/bedside service install"
_ORIGINS = (
    "import importlib.util as u, sys; "
    "print(sys.base_prefix, *(u.find_spec(n).origin for n in ('assistant', 'llama_cpp')), sep='\\n')"
)
"""Where an interpreter lies, and from where it takes us and the engine."""
_START_S = 60.0


def service_python(machine: Machine, environment: Path | None) -> str:
    """The interpreter that the service runs: of `environment` as the installed system sees it, else of this one.

    Raises ServiceError where the service could not run it.
    """
    python = Path(sys.executable) if environment is None else environment / "bin" / "python"
    _check_plain(python)
    if not machine.path(str(python)).exists() and not machine.path(str(python)).is_symlink():
        raise ServiceError(f"there is no {python} in {machine.root}; name an environment with --environment")
    if machine.is_image:
        _check_visible(python, _ELSEWHERE)
    else:
        for path in (python, *_origins(python)):
            _check_readable(path, _ELSEWHERE)
    return str(python)


def service_model(machine: Machine, model: str | None) -> str | None:
    """The model as `bedside serve --model` takes it there: `reference`, an id of the service's store, or a file; None as it is.

    Raises ServiceError where the service has none of that name or could not read it, and ModelFileError.
    """
    store = Store(machine.path(DATA_FOLDER) / "models")
    if model is None or model == REFERENCE_ID:
        return model
    bring = f"bring it there: BEDSIDE_HOME={DATA_FOLDER} bedside models import FILE, as root"
    if store.find(model) is not None:
        _check_modes(resolve_gguf(model, store), bring)
        return model
    path = Path(model).absolute()
    if not machine.path(str(path)).is_file():
        raise ServiceError(f"the service has no model {model!r} in {DATA_FOLDER}/models; {bring}")
    _check_plain(path)
    _check_visible(path, bring)
    if not machine.is_image:
        _check_readable(path, bring)
    return str(path)


def _origins(python: Path) -> list[Path]:
    """Raises ServiceError where it has no Bedside of its own."""
    try:
        done = subprocess.run(
            [str(python), "-I", "-c", _ORIGINS], cwd="/", capture_output=True, text=True, timeout=_START_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServiceError(f"{python} does not run ({type(error).__name__}); {_ELSEWHERE}") from error
    if done.returncode:
        raise ServiceError(f"{python} has no Bedside of its own to import; {_ELSEWHERE}")
    return [Path(line) for line in done.stdout.splitlines()]


def _check_plain(path: Path) -> None:
    if not _PLAIN.fullmatch(str(path)):
        raise ServiceError(f"{path} has characters that a unit file would need quoted; use a path without")


def _check_readable(path: Path, remedy: str) -> None:
    """For the service's user, in its sandbox; also where links lead."""
    for each in dict.fromkeys((path, path.resolve())):
        _check_visible(each, remedy)
        _check_modes(each, remedy)


def _check_visible(path: Path, remedy: str) -> None:
    for folder in _HIDDEN:
        if path.is_relative_to(folder):
            raise ServiceError(f"{path} lies in {folder}, which the service cannot see; {remedy}")


def _check_modes(path: Path, remedy: str) -> None:
    for each, needed in _needed(path):
        if not each.stat().st_mode & needed:
            raise ServiceError(f"the service's user may not read {each}; run chmod -R a+rX on it, or {remedy}")


def _needed(path: Path) -> Iterator[tuple[Path, int]]:
    yield path, stat.S_IXOTH if path.is_dir() else stat.S_IROTH
    yield from ((folder, stat.S_IXOTH) for folder in path.parents)
