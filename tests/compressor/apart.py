"""Whole runs in processes of their own that die by SIGKILL at a chosen file; forked from one that has imported all, so cheap."""

import multiprocessing
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor.heal.heal import heal
from compressor.job import open_job
from compressor.pipeline import run_job
from compressor.recipe.load import load_recipe
from compressor.stages import saliency
from compressor.walk import StreamCheckpoint
from tests.compressor.runs import Silent

PATIENCE_S = 120
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload([__name__, "peft", "transformers.models.llama.modeling_llama"])


@dataclass(frozen=True)
class Death:
    """SIGKILL inside `stage`, when it is about to put its `files`-th file in its place."""

    stage: str
    files: int


def run_apart(folder: Path, recipe: Path, out: Path, death: Death | None = None) -> int:
    """The exit code of a run of the pipeline, which saves its state whenever it can; -9 where it was killed."""
    process = _CONTEXT.Process(target=_run, args=(folder, recipe, out, death))
    process.start()
    process.join(PATIENCE_S)
    assert process.exitcode is not None
    return process.exitcode


def _run(folder: Path, recipe: Path, out: Path, death: Death | None) -> None:
    StreamCheckpoint.__init__.__defaults__ = (0.0,)
    assert heal.__kwdefaults__ is not None
    heal.__kwdefaults__["checkpoint_every_s"] = 0.0
    saliency.GRADIENTS_EVERY_S = 0.0
    if death is not None:
        sys.addaudithook(_Killer(out, death))
    run_job(open_job("reference", folder, load_recipe(str(recipe)), out=out, data=None, reporter=Silent()))


class _Killer:
    """Counts the files that are put in place once the stage has begun, the run's own manifest left aside."""

    def __init__(self, out: Path, death: Death) -> None:
        self._record, self._key, self._left = out / "manifest.json", out / "stages" / death.stage / "key", death.files

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event == "os.rename" and Path(arguments[1]) != self._record and self._key.is_file():
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)
