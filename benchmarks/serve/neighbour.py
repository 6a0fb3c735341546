"""One core kept busy by another process: against llama-server with one thread fewer, which is what is left."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.serve.client import complete
from benchmarks.serve.files import Prompts
from benchmarks.serve.findings import Finding
from benchmarks.serve.servers import bedside, cores, llama_server

_PROMPT, _ANSWER = 16, 96


def busy_neighbour(name: str, path: Path, runs: int) -> Iterator[Finding]:
    """The neighbour wakes up once all servers are loaded, so nothing could be chosen for it at the start."""
    prompts = Prompts(path)
    speeds: dict[str, list[float]] = {"ours": [], "fewer": [], "all": []}
    with (
        bedside(path) as ours,
        llama_server(path, threads=max(cores() - 1, 1)) as fewer,
        llama_server(path) as whole,
        subprocess.Popen([sys.executable, "-c", "while True: pass"]) as spinning,
    ):
        try:
            for _ in range(runs):
                for key, url in (("ours", ours.url), ("fewer", fewer.url)):
                    body = prompts.body(_PROMPT, _ANSWER)
                    asked = prompts.ours(body) if key == "ours" else body
                    speeds[key].append(complete(url, asked).decode_tokens_per_s)
            speeds["all"].append(complete(whole.url, prompts.body(_PROMPT, 8)).decode_tokens_per_s)
        finally:
            spinning.kill()
    mine, theirs = (sorted(speeds[key])[runs // 2] for key in ("ours", "fewer"))
    yield Finding(
        f"{name}: decode beside a busy process (llama-server, one thread fewer)",
        f"{mine:.1f} tok/s",
        f"{theirs:.1f} tok/s",
        mine / theirs,
        0.9,
    )
    yield Finding(f"{name}: the same (llama-server, all threads)", f"{mine:.1f} tok/s", f"{speeds['all'][0]:.1f} tok/s")
