"""What a loaded model takes at its peak, against what is worked out from its header. `python -m benchmarks.serve.memory FILE`."""

import queue
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from assistant.engine.budget import memory_need
from assistant.engine.loaded import MICRO_BATCH_TOKENS, EngineSettings, LoadedModel
from assistant.engine.request import Event, Failed, Finished, Request, Ticket
from benchmarks.serve.findings import Finding
from benchmarks.serve.servers import SPAN
from models.gguf_header import read_header
from models.runtime.library import llama

_PROMPT, _ANSWER = 1000, 16
_GIB = 2**30


def memory(name: str, path: Path) -> Iterator[Finding]:
    """The file's resident pages count: loading reads them all."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.serve.memory", str(path)], check=True, capture_output=True, text=True
    )
    measured = int(done.stdout)
    settings = EngineSettings()
    need = memory_need(
        read_header(path), SPAN, n_ubatch=MICRO_BATCH_TOKENS, n_seq_max=settings.sequences + 1, kept_bytes=0
    )
    ratio = min(measured / need.peak_bytes, need.peak_bytes / measured)
    yield Finding(
        f"{name}: peak memory, estimated before loading (measured)",
        f"{need.peak_bytes / _GIB:.2f} GiB",
        f"{measured / _GIB:.2f} GiB",
        ratio,
        0.9,
    )


def _measure(path: Path) -> int:
    llama()
    before = _peak_bytes()
    with LoadedModel.open(path, EngineSettings(context_tokens=SPAN, cache_bytes=0)) as loaded:
        events: queue.Queue[Event] = queue.Queue()
        prompt = tuple(range(10, 10 + _PROMPT))
        loaded.scheduler.submit(Ticket(Request(prompt, _ANSWER, drafting=False), events.put))
        while not isinstance(event := events.get(), Finished):
            assert not isinstance(event, Failed), event
    return _peak_bytes() - before


def _peak_bytes() -> int:
    lines = Path("/proc/self/status").read_text("utf-8").splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024


if __name__ == "__main__":
    print(_measure(Path(sys.argv[1])))
