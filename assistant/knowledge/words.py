"""Words of a question: spelling and lay words folded, function words dropped, the question cut into parts."""

import re

_WORD = re.compile(r"[^\W_]+(?:\.\d+)?")
_PART = re.compile(
    r"[?;!\n]+|[.,](?!\d)|\b(?:and|or|but)\b(?=\s+(?:what|how|when|which|who|why|should|is|are|can|could|do|does)\b)",
    re.IGNORECASE,
)

# Lay words that no keyword list should have to repeat; applied to index and query alike.
_LAY_WORDS = {
    r"pee(ing)?|wee(ing)?": "urine", r"poo(p|ing)?": "stool", r"tummy|belly": "abdominal", r"kids?|children": "child",
    r"men": "man", r"women": "woman", r"(throwing|threw|throws?) up|puk(e|ing)": "vomiting",
}  # fmt: skip
_LAY = {re.compile(rf"\b({words})\b"): word for words, word in _LAY_WORDS.items()}


def fold(text: str) -> str:
    """Lower case, British spelling made American (`anaemia` = `anemia`), lay words made clinical ones."""
    text = text.casefold().replace("’", "'").replace("'s", "")
    text = re.sub(r"ae|æ", "e", re.sub(r"oe|œ", "e", text))
    text = re.sub(r"sulph", "sulf", text)
    text = re.sub(r"(?<=\w{3})our\b", "or", text)
    for pattern, word in _LAY.items():
        text = pattern.sub(word, text)
    return re.sub(r"(?<=\w{3})is(e|ed|es|ing|ation|ations)\b", r"iz\1", text)


# Words that carry the question, not its subject. What could name a condition, drug or finding stays out.
_FUNCTION_WORDS = frozenset(
    fold("""
    a about above after again all also am an and any anyone are as at be because been before being between both but by
    can cannot could did do does doing don down during each few for from further get gets getting give given got had has
    have having he her here hers him his how i if in into is it its itself just kind let like ll may me might mine more
    most much must my myself need needs no nor not now of off on once one only or other our ours out over own please
    himself herself themselves yourself
    possible re s same shall she should so some someone something still such t than that the their theirs them then
    there these they thing things this those through to too under until up us use used using ve very want was we were
    what when where which while who whom whose why will with without would yes you your yours
    zero one two three four five six seven eight nine ten go going gone time times long new old
    last lasting minute minutes hour hours day days week weeks month months year years old
    advice advise best choose consider considered explain help know mean means patient patients people person say tell
    think way work works happen happens
    """).split()
)


def words(text: str) -> list[str]:
    """Folded words and numbers of `text`, in order."""
    return _WORD.findall(fold(text))


def is_content(word: str) -> bool:
    """Whether a folded word says something about the subject."""
    return word not in _FUNCTION_WORDS and len(word) > 1 and not word.replace(".", "").isdigit()


def content_words(text: str) -> list[str]:
    """The words of `text` that say something about its subject, each once, in order."""
    return list(dict.fromkeys(word for word in words(text) if is_content(word)))


def phrases(text: str) -> list[str]:
    """Runs of two and three words that begin and end with a content word: `heart attack`, `shortness of breath`."""
    found: dict[str, None] = {}
    for part in _PART.split(text):
        run = words(part)
        for size in (2, 3):
            for start in range(len(run) - size + 1):
                if is_content(run[start]) and is_content(run[start + size - 1]):
                    found[" ".join(run[start : start + size])] = None
    return list(found)


def question_parts(question: str) -> list[str]:
    """The parts of a question that ask for different things: cut at punctuation and before `and what`, `or should`."""
    return [part.strip() for part in _PART.split(question) if part.strip()]
