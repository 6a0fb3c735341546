"""`bedside serve` in a process of its own, and how lm-evaluation-harness is told to ask it."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2 as httpx

_LOADING_S = 600


@dataclass(frozen=True)
class Asking:
    """One way in which the harness's `local-completions` asks a server."""

    name: str
    arguments: str
    """`{tokenizer}` stands for the checkpoint's folder."""
    bos: bool
    """Whether the model sees a BOS."""
    precise: bool = True
    """Whether the server computes in float32 throughout."""


_LOCAL = "tokenizer={tokenizer},tokenizer_backend=huggingface,add_bos_token=True"
ASKING = (
    Asking("ids", f"{_LOCAL},tokenized_requests=True", bos=True),
    Asking("strings", f"{_LOCAL},tokenized_requests=False", bos=True),
    Asking("four at once", f"{_LOCAL},tokenized_requests=True,num_concurrent=4", bos=True),
    # The harness asks a remote tokenizer for no BOS, whatever add_bos_token says. So remote strings cannot be compared: a text
    # gets a BOS here, as with vLLM, and the harness reads the entries by places counted without it.
    Asking("remote ids", "tokenizer_backend=remote", bos=False),
    Asking("as installed", f"{_LOCAL},tokenized_requests=True", bos=True, precise=False),
)


@contextmanager
def serving(model: Path, *, precise: bool) -> Iterator[str]:
    """The address of a server of `model` on the loopback, once it is loaded; it ends with the block."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "assistant", "serve", "--model", str(model), "--port", "0"]
        command += ["--socket", f"{folder}/b.sock", *(["--precise"] if precise else [])]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        assert process.stderr is not None
        try:
            said = [process.stderr.readline(), process.stderr.readline()]
            if not said[1].startswith("and on http://"):
                raise RuntimeError(f"the server did not start: {' '.join(said)}")
            url = said[1].split()[2].rstrip(",")
            _wait_until_loaded(url, process)
            yield url
        finally:
            process.terminate()
            process.communicate(timeout=60)


def _wait_until_loaded(url: str, process: "subprocess.Popen[str]") -> None:
    until = time.monotonic() + _LOADING_S
    while httpx.get(f"{url}/ready").status_code != 200:
        if process.poll() is not None or time.monotonic() > until:
            raise RuntimeError(f"the server at {url} did not load its model")
        time.sleep(0.2)


def api_arguments(asking: Asking, url: str, checkpoint: Path) -> str:
    """The harness's `--model_args`; as long prompts as the server takes, of which one token is for the answer."""
    most_tokens = httpx.get(f"{url}/tokenizer_info").json()["model_max_length"]
    where = f"model=default,base_url={url}/v1/completions,max_length={most_tokens}"
    return f"{where},{asking.arguments.format(tokenizer=checkpoint)}"
