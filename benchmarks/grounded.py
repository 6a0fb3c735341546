"""What grounding is worth: answers of the reference model to held-out questions, with the library and without it.

Usage: `python -m benchmarks.grounded [--data DIR] [--questions N] [--model ID|FILE]`, DIR (or BEDSIDE_DATA) being the folder
of the public sets. The library is all of MedQuAD, put in by `bedside knowledge add`; the questions are those of
`benchmarks.retrieval`, on answers that the model was not trained on. With the library an answer cites right where a sentence
that the check finds supported cites a passage on the same subject and of the same kind. Without it each sentence is held
against all the passages that would answer the question.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import httpx2 as httpx
from rich.console import Console
from rich.progress import track
from rich.table import Table

from assistant.knowledge.citations import check_answer
from benchmarks.retrieval.medquad import documents, load
from benchmarks.retrieval.queries import Query, build, reworded
from benchmarks.serve.servers import bedside
from models.grounding import NO_ANSWER, Passage
from models.resolve import resolve_gguf

LIBRARY = "medquad"
_SEED = 7


@dataclass
class Tally:
    """What answers were like."""

    found: int = 0
    """Questions with an answering passage among the sources."""
    right: int = 0
    """Answers with a supported sentence that cites such a passage."""
    supported: int = 0
    """Answers with a supported sentence."""
    declined: int = 0
    sentences: Counter[str] = field(default_factory=Counter)
    """By the status of their check."""
    evidence: Counter[str] = field(default_factory=Counter)

    @property
    def unsupported(self) -> float:
        """The share of sentences that no passage supports."""
        return 1 - self.sentences["supported"] / (self.sentences.total() or 1)


def questions(data: Path, count: int) -> list[Query]:
    """Drawn from all that can be asked of the held-out answers, each kind of answer to a subject once."""
    valid = load(data, "valid")
    names = {answer.key[0]: answer.focus for answer in valid}
    keys = list(dict.fromkeys(answer.key for answer in valid))
    asked = [
        query for tuned in (True, False) for query in build(keys, lambda focus: reworded(names[focus]), tuned=tuned)
    ]
    Random(_SEED).shuffle(asked)
    once = {query.key: query for query in asked}
    return list(once.values())[:count]


def write_library(data: Path, home: Path) -> dict[tuple[str, str], list[Passage]]:
    """Install all answers as a library; gives the passages by subject and kind."""
    found: dict[tuple[str, str], list[Passage]] = {}
    lines = []
    for document in documents([*load(data, "train"), *load(data, "valid")]):
        sections = [{"heading": passage.section, "text": passage.text} for passage in document.passages]
        lines.append(json.dumps({"id": document.id, "title": document.title, "sections": sections}))
        for passage in document.passages:
            found.setdefault(_key(passage.title, passage.section), []).append(passage.grounding)
    path = home / "medquad.jsonl"
    path.write_text("\n".join(lines), "utf-8")
    command = [sys.executable, "-m", "assistant", "knowledge", "add", str(path), "--library", LIBRARY]
    subprocess.run(command, check=True, env={**os.environ, "BEDSIDE_HOME": str(home)}, stdout=subprocess.DEVNULL)
    return found


def _key(title: str, section: str) -> tuple[str, str]:
    return title.casefold(), section.casefold()


def ask(client: httpx.Client, question: str, knowledge: list[str] | str) -> tuple[str, dict[str, Any]]:
    """The answer's text, and our fields beside it."""
    body = {"messages": [{"role": "user", "content": question}], "end_repetition": True, "max_tokens": 256}
    found = client.post("/v1/chat/completions", json={**body, "bedside": {"knowledge": knowledge}}).raise_for_status()
    answer = found.json()
    return answer["choices"][0]["message"]["content"], answer["bedside"]


def with_library(client: httpx.Client, asked: Sequence[Query]) -> Tally:
    """Answers from passages."""
    tally = Tally()
    for query in track(asked, "with the library"):
        text, extras = ask(client, query.text, [LIBRARY])
        answering = {each["n"] for each in extras["sources"] if _key(each["title"], each["section"]) == query.key}
        supported = [check for check in extras["checks"] if check["status"] == "supported"]
        tally.found += bool(answering)
        tally.right += any(answering & set(check["cites"]) for check in supported)
        tally.supported += bool(supported)
        tally.declined += text.startswith(NO_ANSWER)
        tally.sentences.update(check["status"] for check in extras["checks"])
        tally.evidence[extras["evidence"]] += 1
    return tally


def without_library(
    client: httpx.Client, asked: Sequence[Query], passages: dict[tuple[str, str], list[Passage]]
) -> Tally:
    """Answers from the model alone, held against what the library has on the question."""
    tally = Tally()
    for query in track(asked, "without it"):
        text, _ = ask(client, query.text, "off")
        checks = check_answer(text, passages[query.key])
        tally.sentences.update(check.status for check in checks)
        tally.supported += any(check.status == "supported" for check in checks)
    return tally


def main() -> int:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=os.environ.get("BEDSIDE_DATA", "../shared/data"))
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--model", default="reference")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        passages, asked = write_library(options.data, Path(folder)), questions(options.data, options.questions)
        with (
            bedside(resolve_gguf(options.model), home=Path(folder)) as server,
            httpx.Client(base_url=server.url, timeout=600) as client,
        ):
            on, off = with_library(client, asked), without_library(client, asked, passages)
    table = Table(title=f"{options.model}, {len(asked)} held-out questions")
    for heading in ("", "with the library", "without it"):
        table.add_column(heading, justify="right" if heading else "left")
    share = 1 / len(asked)
    table.add_row("an answering passage among the sources", f"{on.found * share:.3f}", "")
    table.add_row("answers with a correct citation", f"{on.right * share:.3f}", "0")
    table.add_row("answers with a supported sentence", f"{on.supported * share:.3f}", f"{off.supported * share:.3f}")
    table.add_row("answers that decline", f"{on.declined * share:.3f}", "")
    table.add_row("sentences", str(on.sentences.total()), str(off.sentences.total()))
    table.add_row("share of them unsupported", f"{on.unsupported:.3f}", f"{off.unsupported:.3f}")
    for name, count in sorted(on.evidence.items()):
        table.add_row(f"evidence {name}", f"{count * share:.3f}", "")
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
