"""Small files through the real library: timed, removed, and their costs are those of what they hold."""

import tempfile
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from device import speed_probe
from device.errors import MemoryShortError
from device.speed_probe import PROBES, Probe, measure_unit_costs, time_probe
from device.workload import workload_of_header
from models.gguf_header import read_header
from models.synthetic.gguf import write_gguf
from models.synthetic.shapes import Shape

TINY = Shape(vocab_size=264, hidden_size=64, layers=1, ffn_size=128, heads=4, kv_heads=2, head_dim=16, context=1024)
TINY_PROBES = (
    Probe("wide", replace(TINY, ffn_size=512), prompt=True),
    Probe("narrow", replace(TINY, layers=3), prompt=True),
    Probe("output", replace(TINY, vocab_size=2048)),
    Probe("heads of 32", replace(TINY, head_dim=32), prompt=True, deep=True),
    Probe("heads of 16", replace(TINY, layers=2), prompt=True, deep=True),
)


def test_tiny_files_give_costs_and_leave_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_probe, "PROBES", TINY_PROBES)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    said = list[str]()
    costs = measure_unit_costs(1, said.append)
    assert said == [f"measuring {probe.name}" for probe in TINY_PROBES]
    assert list(tmp_path.iterdir()) == []
    assert all(seconds >= 0 for seconds in asdict(costs).values())
    assert sum(asdict(costs).values()) > 0


def test_a_probe_times_what_it_says(tmp_path: Path) -> None:
    probe = TINY_PROBES[3]
    path = write_gguf(tmp_path / "probe.gguf", probe.shape, "q4_0")
    timed = time_probe(path, probe, 1)
    assert timed.work == workload_of_header(read_header(path))
    assert (timed.prompt_tokens, timed.deep_tokens) == (512, 896)
    assert timed.prompt_s is not None
    assert timed.deep_prompt_s is not None
    assert timed.deep_answer_token_s is not None
    assert 0 < timed.answer_token_s < timed.prompt_s  # 512 tokens at once take longer than one
    shallow = time_probe(path, replace(probe, prompt=False, deep=False), 1)
    assert (shallow.prompt_s, shallow.deep_prompt_s) == (None, None)


def test_the_probes_are_as_small_as_they_say() -> None:
    """None takes more than an eighth of a GiB: a board that has little memory can run them."""
    for probe in PROBES:
        shape = probe.shape
        queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
        layer = shape.hidden_size * (2 * queries + 2 * keys + 3 * shape.ffn_size)
        output_bytes = shape.vocab_size * shape.hidden_size * 210 / 256
        assert shape.layers * layer * 18 / 32 + output_bytes < 2**27 * 1.1


def test_short_memory_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speed_probe, "free_memory_bytes", lambda: 100 << 20)
    with pytest.raises(MemoryShortError, match=r"100.0 MiB of memory are free and measuring speed needs 512.0 MiB"):
        measure_unit_costs(1, lambda _: None)
