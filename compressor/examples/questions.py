"""Questions about a section, worded in many ways, so that the model learns which words ask for which heading."""

import random
from collections.abc import Mapping, Sequence

# {t} stands for the title. The wordings are ours; keys are headings in lower case.
_BY_HEADING: Mapping[str, Sequence[str]] = {
    "overview": ("What is {t}?", "Explain {t}.", "Tell me about {t}.", "What does {t} mean?", "Define {t}."),
    "symptoms": (
        "What are the symptoms of {t}?",
        "How does {t} present?",
        "How do I recognise {t}?",
        "What signs point to {t}?",
        "What does a patient with {t} complain of?",
        "Could this be {t}?",
    ),
    "treatment": (
        "How is {t} treated?",
        "What helps against {t}?",
        "How do I manage {t}?",
        "What is the treatment for {t}?",
        "What can be done for {t}?",
        "Which therapy is used in {t}?",
    ),
    "causes": ("What causes {t}?", "Why does {t} happen?", "What is the cause of {t}?", "What leads to {t}?"),
    "inheritance": ("Is {t} inherited?", "Does {t} run in families?", "How is {t} passed on?"),
    "genetic changes": (
        "Which genes are involved in {t}?",
        "What mutations cause {t}?",
        "Which gene is linked to {t}?",
    ),
    "frequency": ("How common is {t}?", "How many people have {t}?", "Is {t} rare?", "How often does {t} occur?"),
    "exams and tests": ("How is {t} diagnosed?", "Which tests are needed for {t}?", "How do I confirm {t}?"),
    "outlook": ("What is the prognosis of {t}?", "What is the outlook for {t}?", "How does {t} end?"),
    "prevention": ("How can {t} be prevented?", "How do I avoid {t}?", "Can {t} be prevented?"),
    "complications": ("What are the complications of {t}?", "What can go wrong in {t}?"),
    "who is at risk": ("Who is at risk for {t}?", "Who gets {t}?", "What are the risk factors of {t}?"),
    "stages": ("What are the stages of {t}?", "How is {t} staged?"),
    "research": ("What research is done on {t}?", "Which trials study {t}?"),
    "what to do": ("What to do for {t}?", "What should a patient with {t} do?", "What should be considered in {t}?"),
    "results": ("What did the study of {t} find?", "What were the results of {t}?"),
    "methods": ("How was {t} studied?", "What methods were used in {t}?"),
    "conclusions": ("What do the authors of {t} conclude?", "What is the conclusion of {t}?"),
    "background": ("Why was {t} studied?", "What is the background of {t}?"),
}
_ANY = (
    "{t}: {h}?",
    "What about {h} in {t}?",
    "{t} {h}",
    "What is said about {h} in {t}?",
    "Tell me about {h} of {t}.",
    "What should I know about {h} in {t}?",
)
_LOOKUP = (
    "What is said about {p}?",
    "{p}?",
    "What do the passages say about {p}?",
    "Where is {p} mentioned?",
    "Tell me about {p}.",
    "What about {p}?",
)


def section_question(rng: random.Random, title: str, heading: str, original: str | None) -> str:
    """A question that the section `heading` of `title` answers: the source's own wording in half of the cases."""
    if original is not None and rng.random() < 0.5:
        return original
    templates = _BY_HEADING.get(heading.lower(), ())
    template = rng.choice(templates) if templates and rng.random() < 0.65 else rng.choice(_ANY)
    if not heading:
        template = "What is {t}?"
    return _vary(rng, template.format(t=_vary_title(rng, title), h=heading.lower()))


def lookup_question(rng: random.Random, words: Sequence[str]) -> str:
    """A question for the one sentence that holds `words`, as a phrase or as scattered keywords."""
    joined = " ".join(words)
    if len(words) > 1 and rng.random() < 0.7:
        joined = ", ".join(words[:-1]) + rng.choice((" and ", ", ")) + words[-1]
    return _vary(rng, rng.choice(_LOOKUP).format(p=joined))


def joined_question(first: str, second: str) -> str:
    """Two questions in one sentence."""
    return f"{first.rstrip('?. ')} and {second[0].lower()}{second[1:]}"


def _vary_title(rng: random.Random, title: str) -> str:
    roll = rng.random()
    words = title.split()
    if roll < 0.3:
        return title.lower()
    if roll < 0.4 and len(words) > 2:
        dropped = rng.randrange(len(words))
        return " ".join(word for index, word in enumerate(words) if index != dropped)
    return title


def _vary(rng: random.Random, question: str) -> str:
    roll = rng.random()
    if roll < 0.1:
        return question.rstrip("?.")
    if roll < 0.2:
        return question[0].lower() + question[1:]
    return question
