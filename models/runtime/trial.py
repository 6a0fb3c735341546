"""The first load of a file nobody has vouched for: in a child process that may crash instead of us.

llama.cpp ends the process on some absurd hyper-parameters, and its parser has had memory errors; neither is an
exception that could be caught.
"""

import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

from models.errors import BedsideError, ModelFileError
from models.runtime.context import Context
from models.runtime.generate import generate
from models.runtime.model import Model
from models.runtime.sampler import Sampler

_PROJECT = Path(__file__).parents[2]
# The weights are mapped from the file and do not count; a header that asks for more than this is hostile.
_CHILD_MEMORY_BYTES = 4 * 2**30
_CONTEXT_TOKENS = 256


def trial_load(path: str | Path, timeout_s: float = 120.0, *, tokens: int = 0) -> None:
    """Open the model at `path` once in a disposable process, its weights mapped and not copied; let it write `tokens`.

    Raises ModelFileError where that process is refused the file, crashes or does not end within `timeout_s`.
    """
    file = Path(path).absolute()
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "GGML_NO_BACKTRACE": "1"}
    command = [sys.executable, "-m", "models.runtime.trial", str(file), str(tokens)]
    try:
        # The child starts in our own folder: `-m` puts the working directory first in its import path.
        done = subprocess.run(
            command, env=environment, cwd=_PROJECT, capture_output=True, text=True, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise ModelFileError(f"{file} did not open within {timeout_s:g} s; do not use it, fetch it again") from error
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        raise ModelFileError(f"{file} makes llama.cpp crash ({name}); do not use it, fetch it again")
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"{file} could not be opened (status {done.returncode})"]
        raise ModelFileError(lines[-1])


def _main(path: str, tokens: int) -> int:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_DATA, (_CHILD_MEMORY_BYTES, _CHILD_MEMORY_BYTES))
    try:
        with Model.load(path, gpu_layers=0, repack=False) as model:
            if tokens:
                _write(model, tokens)
    except (BedsideError, MemoryError) as error:
        sys.stderr.write(f"{error or 'the file asks for more memory than a model header may'}\n")
        return 1
    return 0


def _write(model: Model, tokens: int) -> None:
    """What it writes does not matter here, only that it can."""
    prompt = model.tokenize("1", add_bos=model.add_bos, parse_special=False)
    with Context(model, _CONTEXT_TOKENS) as context, Sampler() as sampler:
        for _ in generate(context, prompt, sampler, tokens):
            pass


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1], int(sys.argv[2])))
