"""The prompts, letter for letter as the published evaluations build them.

`lm-eval`: lm-evaluation-harness, tasks medqa_4options, medmcqa and pubmedqa; the choice follows after one space.
`context`: the second paper's `Context: … Question: … Answer:`. It does not say what stands as context where a question has
no passage; here the lettered options do.
`generate`: LightEval's med.py and pubmedqa.py, where the model writes its answer.
"""

from collections.abc import Mapping, Sequence

from compressor.tasks.items import Template

LETTERS = ("A", "B", "C", "D")


def choice_prompt(question: str, options: Mapping[str, str], template: Template, *, heading: bool) -> str:
    """A question with lettered options; `heading` puts `Choices:` above them, as medmcqa does and medqa does not."""
    lines = _lettered(options)
    if template == "context":
        return f"Context: {' '.join(lines)} Question: {question} Answer:"
    shown = ["Choices:", *lines] if heading else lines
    return "\n".join([f"Question: {question}", *shown, "Answer:"])


def abstract_prompt(question: str, contexts: Sequence[str], template: Template) -> str:
    """A question on an abstract, answered by yes, no or maybe."""
    if template == "context":
        return f"Context: {' '.join(contexts)} Question: {question} Answer:"
    return "Abstract: {}\nQuestion: {}\nAnswer:".format("\n".join(contexts), question)


def written_choice_prompt(question: str, options: Mapping[str, str]) -> str:
    """LightEval's med_qa and med_mcqa: a letter is asked for."""
    shown = "\n".join(_lettered(options))
    return f"Give a letter answer among A, B, C or D.\nQuestion: {question}\n{shown}\nAnswer:"


def written_abstract_prompt(question: str, contexts: Sequence[str]) -> str:
    """LightEval's pubmedqa; its field of contexts is written one to a line."""
    return "{}\n{}\nAnswer: ".format(question, "\n".join(contexts))


def _lettered(options: Mapping[str, str]) -> list[str]:
    return [f"{letter}. {options[letter]}" for letter in LETTERS]
