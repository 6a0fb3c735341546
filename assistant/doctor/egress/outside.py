"""Starts the proof in a process of its own, which leaves the network, and brings back what it found."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assistant.errors import ProofError
from models.resolve import resolve_gguf

_PROJECT = Path(__file__).parents[3]
Say = Callable[[str], None]


def prove_no_egress(model: str, say: Say) -> dict[str, Any]:
    """The proof as plain values. `say` hears what is done meanwhile.

    Raises ProofError where there is no network of one's own to be had, and what finding the model raises.
    """
    path = resolve_gguf(model)
    named = str(path.absolute()) if path == Path(model) else model
    # The child starts in our own folder: `-m` puts the working directory first in its import path.
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "assistant.doctor.egress.inside", named],
        cwd=_PROJECT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as child:  # fmt: skip
        assert child.stdout is not None
        assert child.stderr is not None
        last = "it said nothing"
        try:
            for line in child.stderr:
                last = line.strip() or last
                say(last)
            told = child.stdout.read()
        except BaseException:
            child.terminate()  # it ends its server first
            raise
    if not told:
        raise ProofError(f"not proven: the proof itself ended too early ({last}); report it")
    found: dict[str, Any] = json.loads(told)
    if "error" in found:
        raise ProofError(found["error"])
    return found
