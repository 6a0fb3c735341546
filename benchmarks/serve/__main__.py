"""`make bench-serve`, or some parts of it: `python -m benchmarks.serve [--parts one,four] [--models 1b,8b] [--pairs 5]`."""

import argparse
import json
import os
import platform
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benchmarks.serve.aborting import abort
from benchmarks.serve.crowd import crowd
from benchmarks.serve.drafting import drafting
from benchmarks.serve.files import FOLDER, NAMES, model_file
from benchmarks.serve.findings import Finding
from benchmarks.serve.memory import memory
from benchmarks.serve.neighbour import busy_neighbour
from benchmarks.serve.prefixes import restarted, shared_beginning
from benchmarks.serve.streams import arriving_prompt, engine_loop, four_streams, one_stream

RESULT = FOLDER / "serve.json"
Part = Callable[[str, Path], Iterator[Finding]]


def parts(pairs: int) -> Mapping[str, tuple[Part, tuple[str, ...]]]:
    """Each part with the models that it is measured on."""
    return {
        "one": (partial(_with_pairs, one_stream, pairs), NAMES),
        "loop": (partial(_with_pairs, engine_loop, pairs), NAMES),
        "four": (partial(_with_pairs, four_streams, pairs), ("1b", "8b")),
        "arriving": (arriving_prompt, ("8b",)),
        "prefix": (partial(_with_pairs, shared_beginning, pairs), ("1b", "8b")),
        "restart": (partial(_with_pairs, restarted, 2), ("1b", "8b")),
        "neighbour": (partial(_with_pairs, busy_neighbour, pairs), ("1b",)),
        "drafting": (partial(_with_pairs, drafting, 8), ("8b",)),
        "abort": (partial(_with_pairs, abort, 8), ("8b",)),
        "memory": (memory, NAMES),
        "crowd": (crowd, ("1b",)),
    }


def _with_pairs(
    part: Callable[[str, Path, int], Iterator[Finding]], pairs: int, name: str, path: Path
) -> Iterator[Finding]:
    return part(name, path, pairs)


def main() -> None:
    """Measure, print each line as it is known, and keep all in a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", help="names, with commas between", default=",".join(parts(1)))
    parser.add_argument("--models", help="names, with commas between", default=",".join(NAMES))
    parser.add_argument("--pairs", type=int, default=5)
    chosen = parser.parse_args()
    console = Console()
    findings: list[Finding] = []
    for part in chosen.parts.split(","):
        measure, names = parts(chosen.pairs)[part]
        for name in (name for name in names if name in chosen.models.split(",")):
            for finding in measure(name, model_file(name)):
                findings.append(finding)
                ratio = "" if finding.ratio is None else f"{finding.ratio:.2f}"
                console.print(
                    f"{finding.what}: {finding.ours} | {finding.peer} | {ratio} {finding.verdict}", soft_wrap=True
                )
    table = Table(title=f"{platform.machine()}, {os.cpu_count()} CPUs, {chosen.pairs} pairs")
    for column in ("", "Bedside", "peer", "ratio", "goal", ""):
        table.add_column(column, justify="left" if not column else "right")
    for each in findings:
        numbers = ["" if value is None else f"{value:.2f}" for value in (each.ratio, each.goal)]
        table.add_row(each.what, each.ours, each.peer, *numbers, each.verdict)
    console.print(table)
    FOLDER.mkdir(parents=True, exist_ok=True)
    RESULT.write_text(json.dumps([{**asdict(each), "verdict": each.verdict} for each in findings], indent=1))


if __name__ == "__main__":
    main()
