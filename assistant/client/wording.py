"""What an answer's fields say, in words; nothing by colour alone."""

import textwrap
from collections.abc import Iterator, Sequence

from assistant.client.answer import MAX_ANSWER_TOKENS, Answer
from assistant.client.answering import Told
from assistant.knowledge.citations import Check
from assistant.knowledge.claims.marks import cited_numbers, without_marks
from assistant.knowledge.evidence import declines
from assistant.knowledge.library import LibraryPassage
from assistant.plaintext import plain_line

_SHOWN_DIGITS = 12  # of a file's sha256
_MAX_QUOTE = 160  # characters of a sentence that a warning repeats
_REASONS = {
    "number": "number not in the source for this",
    "unit": "another unit in the source",
    "drug": "drug not in the source for this",
    "negation": "the source says the opposite",
    "overlap": "the source does not say this",
}
_EVIDENCE = {
    "out_of_scope": "out of scope - the library holds no passage on this; --knowledge off asks the model alone",
    "off": "off - answered without passages; nothing here was checked",
}


def progress(told: Told) -> str:
    """What is waited for before the answer begins; empty where nothing is known yet."""
    if told.waiting:
        return f"waiting for {told.waiting} other questions"
    if told.read is None:
        return ""
    done, total = told.read
    return f"reading {total} tokens, {done / total:.0%} done"


def origin(source: LibraryPassage) -> str:
    """Where a passage comes from, in one line."""
    if source.follows:
        return f"Follows {plain_line(source.follows)}"
    return f"From {plain_line(source.source) or 'a document of the library'}, {plain_line(source.licence) or 'no licence given'}"


def warnings(answer: Answer) -> Iterator[str]:
    """One line for each sentence that its source does not support, for an unreadable library, and for an answer cut short."""
    for check in answer.checks:
        if check.status != "supported":
            yield f"{fault(check)}: {_quoted(answer, check)}"
    yield from of_whole(answer)


def of_whole(answer: Answer) -> Iterator[str]:
    """One line for a library that could not be read, and for an answer that was cut short."""
    for name, why in answer.versions.left_out.items():
        yield f"library {plain_line(name)} was left out: {plain_line(why)}"
    reason = answer.usage["bedside"]["finish_reason"]
    if reason == "repetition":
        yield "the model began to repeat itself and was stopped"
    if reason in ("length", "context"):
        yield f"the answer was cut off at its limit (at most {MAX_ANSWER_TOKENS} tokens)"


def found_sources(answer: Answer) -> Iterator[str]:
    """One line for each sentence whose source the check found: the text itself has no mark, or a wrong one."""
    for check in answer.checks:
        if check.by == "host":
            said = cited_numbers(answer.text[check.start : check.end])
            instead = f", not {_marks(said)}" if said else ""
            yield f"{_marks(check.cites)}{instead} is the source of {_quoted(answer, check)}"


def _quoted(answer: Answer, check: Check) -> str:
    sentence = plain_line(without_marks(answer.text[check.start : check.end]))
    return f"“{textwrap.shorten(sentence, _MAX_QUOTE, placeholder=' …')}”"


def _marks(numbers: Sequence[int]) -> str:
    return "".join(f"[{number}]" for number in numbers)


def fault(check: Check) -> str:
    """What is wrong with a sentence that is not supported."""
    if check.status == "uncited":
        return "no source given"
    return f"not supported by {_marks(check.cites)} ({'; '.join(_REASONS[reason] for reason in check.reasons)})"


def evidence(answer: Answer) -> str:
    """The evidence status in words."""
    if answer.refused:
        return "none - refused, no model was asked"
    if answer.evidence in _EVIDENCE:
        return _EVIDENCE[answer.evidence]
    if declines(answer.text):
        return "insufficient - the passages above are the nearest that the library holds; read them yourself"
    supported = sum(check.status == "supported" for check in answer.checks)
    told = f"{supported} of {len(answer.checks)} sentences supported by the source they cite"
    if answer.evidence == "sufficient":
        return f"sufficient - {told}"
    if answer.checks and supported == len(answer.checks):
        told = "what it says is supported, but not all that was asked is in it"
    return f"insufficient - {told}; do not rely on the answer, read the passages themselves"


def summary(answer: Answer) -> str:
    """Speed, time to first token, energy where it was measured, and the model's notice in one line."""
    usage = answer.usage["bedside"]
    if usage["time_to_first_token_s"] is None:
        parts = ["no text generated"]
    else:
        speed = usage["decode_tokens_per_s"]
        parts = [f"{speed:.1f} tok/s"] if speed is not None else ["speed not measured (one token)"]
        parts.append(f"first token {usage['time_to_first_token_s']:.2f} s")
    if usage["joules"] is not None:
        estimated = ", estimated" if usage["kind"] == "estimated" else ""
        parts.append(f"{usage['joules']:.1f} J at {usage['watts']:.1f} W ({plain_line(usage['scope'])}{estimated})")
        parts.append(f"{usage['tokens_per_joule']:.2f} tok/J")
    if answer.notice:
        parts.append(plain_line(answer.notice))
    return " · ".join(parts)


def made_with(answer: Answer) -> str:
    """Model, libraries and program with their versions, in one line."""
    made = answer.versions
    libraries = [f"library {plain_line(name)} {plain_line(version)}" for name, version in made.libraries.items()]
    model = f"model {plain_line(answer.model)} {plain_line(made.model_sha256)[:_SHOWN_DIGITS]}"
    return f"Made with: {' · '.join([model, *libraries, f'bedside {plain_line(made.bedside)}'])}"
