"""A model that does not fit is refused with numbers, before it is loaded; and the numbers are right."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from assistant.engine.budget import check_memory, memory_need
from assistant.errors import MemoryBudgetError
from models.gguf_header import read_header
from models.synthetic.gguf import write_gguf
from models.synthetic.shapes import Shape
from tests.assistant.conftest import IGNORED
from tests.models.control_groups import control_group

MIDDLE = Shape(
    vocab_size=8192, hidden_size=1024, layers=12, ffn_size=4096, heads=16, kv_heads=4, head_dim=64, context=4096
)
SIZES: dict[str, Any] = {"n_ubatch": 128, "n_seq_max": 5, "kept_bytes": 0}

LOAD = """
import sys
from pathlib import Path
from assistant.engine.loaded import EngineSettings, LoadedModel
from assistant.engine.request import Request, Ticket
from models.runtime.library import llama
import queue
def resident():
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssFile"))) * 1024
llama()
before = resident()
with LoadedModel.open(Path(sys.argv[1]), EngineSettings(context_tokens=4096, threads=1, precise=sys.argv[2] == 'True')) as loaded:
    events = queue.Queue()
    loaded.scheduler.submit(Ticket(Request(tuple(range(5, 2005)), 40), events.put))
    while type(events.get()).__name__ not in ("Finished", "Failed"):
        pass
    print(resident() - before)
"""


@pytest.fixture(scope="module")
def middle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gguf(tmp_path_factory.mktemp("budget") / "middle.gguf", MIDDLE, "q4_0")


@pytest.mark.parametrize("precise", [False, True])
def test_the_need_is_what_a_loaded_model_holds(middle: Path, precise: bool) -> None:
    command = [sys.executable, *IGNORED, "-c", LOAD, str(middle), str(precise)]
    measured = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    need = memory_need(read_header(middle), 4096, **SIZES, precise=precise)
    assert need.peak_bytes == pytest.approx(measured, rel=0.1)


def test_what_does_not_fit_is_refused_with_the_largest_context_that_does(middle: Path, tmp_path: Path) -> None:
    header = read_header(middle)
    limit = memory_need(header, 2048, **SIZES).total_bytes
    root = control_group(tmp_path, str(limit), 0)
    check_memory(middle, 2048, **SIZES, root=root)
    with pytest.raises(
        MemoryBudgetError, match=r"middle.gguf with a context of 8192 tokens takes .* GiB are free"
    ) as caught:
        check_memory(middle, 8192, **SIZES, root=root)
    told = re.search(r"use --context (\d+) or less", str(caught.value))
    assert told is not None
    assert int(told[1]) == 2048


def test_where_no_context_fits_a_smaller_model_is_advised(middle: Path, tmp_path: Path) -> None:
    with pytest.raises(MemoryBudgetError, match="use a smaller model, or end other programs"):
        check_memory(middle, 8192, **SIZES, root=control_group(tmp_path, str(2**20), 0))
