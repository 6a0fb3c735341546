"""Whole runs of the pipeline on a tiny model, in this process or in one that may be killed."""

import hashlib
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from compressor.job import open_job
from compressor.pipeline import run_job
from compressor.recipe.load import load_recipe
from compressor.walk import Advance

RECIPE = """
[calibrate]
samples = 8
tokens_per_sample = 64
[mask]
method = "{method}"
multiple = 32
[budget]
{budget}
[reconstruct]
[evaluate]
documents = 2
context_tokens = 64
"""


class Silent:
    """Remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def step(self, label: str, total: int) -> Advance:
        self.lines.append(label)
        return lambda: None

    def say(self, line: str) -> None:
        self.lines.append(line)


def compress(folder: Path, work: Path, out: Path, budget: str = "ffn_share = 0.5", method: str = "uniform") -> Any:
    """Run the pipeline; returns the manifest and what was said."""
    (work / "small.toml").write_text(RECIPE.format(budget=budget, method=method), "utf-8")
    silent = Silent()
    job = open_job("reference", folder, load_recipe(str(work / "small.toml")), out=out, data=None, reporter=silent)
    return run_job(job), silent.lines


def hashes(out: Path) -> dict[str, str]:
    files = [path for path in out.glob("**/*") if path.suffix in {".gguf", ".safetensors"}]
    return {path.relative_to(out).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    """Stands for a full disk: the kernel refuses the write in the same way."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


COMMAND = """
import sys
from pathlib import Path
from compressor.job import open_job
from compressor.pipeline import run_job
from compressor.recipe.load import load_recipe
from compressor.tokens import ChatTokenizer
from tests.compressor.runs import Silent
folder, recipe, out = sys.argv[1:]
run_job(open_job("reference", Path(folder), load_recipe(recipe), out=Path(out), data=None, reporter=Silent()))
"""


def start(folder: Path, work: Path, out: Path) -> subprocess.Popen[bytes]:
    (work / "small.toml").write_text(RECIPE.format(budget="ffn_share = 0.5", method="uniform"), "utf-8")
    arguments = [str(folder), str(work / "small.toml"), str(out)]
    return subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], stderr=subprocess.PIPE)


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline_s
        assert process.poll() is None or condition()
        time.sleep(0.001)
