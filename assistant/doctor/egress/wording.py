"""A proof in words, for a screen of 80 columns."""

import textwrap
from collections import Counter
from collections.abc import Iterator
from typing import Any

from rich.console import Console
from rich.text import Text

from assistant.plaintext import plain_line

_STYLES = {"proven": "green", "not proven": "yellow", "packets left": "bold red"}
_MOST_NAMED = 20
_WIDEST = 100


def print_proof(proof: dict[str, Any]) -> None:
    """What left, what ran meanwhile, whether the counter works, and what follows."""
    console = Console(markup=False, highlight=False)
    width = min(console.width, _WIDEST)
    for line in proof_lines(proof):
        for piece in textwrap.wrap(plain_line(line), width, subsequent_indent="  "):
            console.print(Text(piece))
    console.print(Text(_verdict(proof), style=_STYLES[proof["verdict"]]))


def proof_lines(proof: dict[str, Any]) -> Iterator[str]:
    """One line for each part of it."""
    count = len(proof["packets"]) + proof["unseen_packets"]
    done = ", ".join(work["what"] for work in proof["work"] if work["trouble"] is None)
    yield f"{_packets(count)} left in {proof['elapsed_s']:.1f} s, in which this ran: {done or 'nothing'}"
    for to, times in Counter(proof["packets"]).most_common(_MOST_NAMED):
        yield f"left: {to}" if times == 1 else f"left: {to}, {times} times"
    if proof["unseen_packets"]:
        yield f"{proof['unseen_packets']} of them were counted by the kernel, and nothing more is known of them"
    for work in proof["work"]:
        if work["trouble"] is not None:
            yield f"did not run: {work['what']}: {work['trouble']}"
    control = proof["control_packets"]
    yield (
        f"control: {control['before']} packets sent on purpose were counted before, {control['after']} after "
        "(a connection, a question for a name)"
    )
    for kind in proof["control_missing"]:
        yield f"not counted: {kind}"
    if proof["kernel_packets"]:
        yield f"{_packets(proof['kernel_packets'])} of the kernel's own (neighbours and groups of IPv6) are left out"


def _packets(count: int) -> str:
    return "1 packet" if count == 1 else f"{count} packets"


def _verdict(proof: dict[str, Any]) -> str:
    if proof["verdict"] == "proven":
        return "proven: there was a way out, and nothing took it"
    if proof["verdict"] == "packets left":
        return "packets left this machine's programs: report it, with the lines above"
    return "not proven: see above what did not run or was not counted"
