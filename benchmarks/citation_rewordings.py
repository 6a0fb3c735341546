"""Rewordings that leave the meaning of a sentence, and changes that do not, by rule and with tables of their own.

Nothing here is taken from the tables of the check: what they share is English. Every function gives None where it does not
apply. Easier than reality: a rule changes a sentence at one to three places, where a model writes it anew.
"""

import random
import re
from collections.abc import Callable, Sequence, Set
from itertools import combinations

Rewrite = Callable[[random.Random, str], "str | None"]

# What a copy editor would let pass; the second stands for the first.
SYNONYMS = """
doctor=physician; doctors=physicians; doctor=clinician; symptoms=manifestations; signs and symptoms=clinical features
usually=generally; often=frequently; often=commonly; may=might; approximately=about; about=around; people=individuals
people=patients; children=youngsters; begins=starts; begin=start; causes=leads to; caused by=due to; helps=assists
help=assist; used=employed; treat=manage; treatment=therapy; treatments=therapies; medicines=medications
medicine=medication; drugs=medicines; disease=illness; disorder=condition; condition=disorder; kidney=renal
heart attack=myocardial infarction; high blood pressure=hypertension; severe=serious; rapidly=quickly; rare=uncommon
many=numerous; several=a number of; large=big; small=little; shows=demonstrates; show=demonstrate; found=identified
identify=recognize; such as=for example; including=among them; become=grow; gets worse=worsens
reduce=lower; reduces=lowers; increases=raises; increase=raise; prevent=avert; occurs=happens; occur=happen
develop=appear; tumor=neoplasm; tumors=neoplasms; cancer=malignancy; bleeding=hemorrhage; swelling=edema; itching=pruritus
trouble breathing=dyspnea; tiredness=fatigue; shortness of breath=breathlessness; infants=babies; women=females; men=males
elderly=older people; surgery=an operation; inherited=passed on in families; mutations=variants; typically=as a rule
depends on=varies with; result in=bring about; results from=arises from; affects=involves; known as=called; called=termed
also known as=or; diagnosed=detected; diagnosis=identification; recommended=advised; recommend=advise; important=essential
characterized by=marked by; contains=holds; need=require; needs=requires; throughout=all over; because=since
difficult=hard; abnormal=atypical; necessary=needed; enlarged=swollen; life-threatening=potentially fatal
""".replace("\n", ";")
_PAIRS = [tuple(pair.strip().split("=")) for pair in SYNONYMS.split(";") if pair.strip()]
_ADVERBIALS = re.compile(
    r"(?:^|(?<=[\s,]))(?:also|however,?|in general,?|generally|in addition,?|for example,?|therefore,?|in fact,?|as a result,?"
    r"|typically|very|especially|particularly|additionally,?|furthermore,?|clearly|in particular,?|at present|currently)\s",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"\s\([^()\d]{3,60}\)")
_FRONT = re.compile(
    r"^(If|When|Although|Because|After|While|In|During|Unlike|Over time|With) ([^,.;]{8,90}), ([^;]{20,})\.$"
)
_BACK = re.compile(r"^([^;]{20,}?),? (if|when|although|because|after|while|during) ([^,.;]{8,90})\.$")
_PASSIVE = re.compile(
    r"^(.{4,60}?) (is|are) (caused|affected|produced|controlled|followed|triggered) by ([^,.;]{4,80})\.$"
)
_ACTIVE = re.compile(
    r"^(.{4,60}?) (cause|causes|affect|affects|produce|produces|control|controls|trigger|triggers) ([^,.;]{4,80})\.$"
)
_PARTICIPLE = {
    "cause": "caused",
    "affect": "affected",
    "produce": "produced",
    "control": "controlled",
    "trigger": "triggered",
}
_WORDED = "zero one two three four five six seven eight nine ten eleven twelve".split()
_FORMS: tuple[tuple[str, str], ...] = (
    (r"(\d) percent\b", r"\1%"), (r"(\d)%", r"\1 percent"), (r"(\d) to (\d)", r"\1-\2"), (r"(\d)-(\d)", r"\1 to \2"),
    (r"(\d) mg\b", r"\1 milligrams"), (r"(\d) milligrams\b", r"\1 mg"), (r"\bmore than (\d)", r"over \1"),
    (r"\bat least (\d+)(?! to|-|,\d|\.\d)\b", r"\1 or more"), (r"\bless than (\d)", r"under \1"),
    (r"\bbetween (\d+) and (\d)", r"\1 to \2"), (r"(\d),(\d{3})\b", r"\1\2"), (r"\bup to (\d)", r"no more than \1"),
    (r"(\d) hours\b", r"\1 h"), (r"\btwice a day\b", "two times a day"), (r"\bonce a day\b", "daily"),
)  # fmt: skip
_NEGATION_FORMS = (
    (r"\bis not\b", "isn't"), (r"\bare not\b", "aren't"), (r"\bdo not\b", "don't"), (r"\bdoes not\b", "doesn't"),
    (r"\bcannot\b", "can not"), (r"\bcannot\b", "is not able to"), (r"\bhas not been\b", "hasn't been"),
    (r"\bshould not\b", "must not"), (r"[Tt]here is no\b", "There is not any"), (r"\bno known\b", "not any known"),
    (r"\bis unknown\b", "is not known"), (r"\bis not known\b", "is unknown"), (r"\bwithout any\b", "with no"),
    (r"\bdid not\b", "didn't"), (r"\bwithout\b", "with no"), (r"\bmay not\b", "might not"),
)  # fmt: skip


def _kept_case(old: str, new: str) -> str:
    return new[0].upper() + new[1:] if old[0].isupper() else new


def _lower_first(text: str) -> str:
    """The first letter small, except in abbreviations and names with inner capitals."""
    word = text.split(" ", 1)[0]
    return text if sum(map(str.isupper, word)) > 1 or word == "I" else text[0].lower() + text[1:]


def _upper_first(text: str) -> str:
    return text[0].upper() + text[1:]


def synonym(rng: random.Random, text: str) -> str | None:
    """One or two words by others that mean the same here."""
    fitting = [(old, new) for old, new in _PAIRS if re.search(rf"\b{old}\b", text, re.IGNORECASE)]
    if not fitting:
        return None
    for old, new in rng.sample(fitting, min(len(fitting), rng.randint(1, 2))):
        if match := re.search(rf"\b{old}\b", text, re.IGNORECASE):
            text = text[: match.start()] + _kept_case(match.group(), new) + text[match.end() :]
    return text


def shorten(rng: random.Random, text: str) -> str | None:
    """Without an adverb that joins sentences or stresses a word, or a bracket without numbers."""
    pattern = rng.choice([_ADVERBIALS, _BRACKETS])
    shorter = pattern.sub("", text, count=1)
    return _upper_first(shorter) if shorter != text else None


def reorder(_: random.Random, text: str) -> str | None:
    """The clause in front moved behind, or the one behind to the front."""
    if match := _FRONT.match(text):
        return f"{_upper_first(match[3])} {match[1].lower()} {match[2]}."
    if match := _BACK.match(text):
        return f"{_upper_first(match[2])} {match[3]}, {_lower_first(match[1])}."
    return None


def voice(_: random.Random, text: str) -> str | None:
    """Active made passive and back, for verbs whose two sides cannot be mistaken."""
    if match := _PASSIVE.match(text):
        verb = match[3].removesuffix("led").removesuffix("ed") if match[3] == "controlled" else match[3][:-2]
        verb = {"caus": "cause", "produc": "produce"}.get(verb, verb)
        return f"{_upper_first(match[4])} can {verb} {_lower_first(match[1])}."
    if match := _ACTIVE.match(text):
        return f"{_upper_first(match[3])} can be {_PARTICIPLE[match[2].removesuffix('s')]} by {_lower_first(match[1])}."
    return None


def number_form(rng: random.Random, text: str) -> str | None:
    """A number or its unit written another way."""
    fitting = [form for form in _FORMS if re.search(form[0], text)]
    spelled = [word for word in _WORDED[2:] if re.search(rf"\b{word}\b(?!-)", text)]
    if spelled and (not fitting or rng.random() < 0.5):
        word = rng.choice(spelled)
        return re.sub(rf"\b{word}\b", str(_WORDED.index(word)), text, count=1)
    if not fitting:
        return None
    old, new = rng.choice(fitting)
    return re.sub(old, new, text, count=1)


def negation_form(rng: random.Random, text: str) -> str | None:
    """A negation said another way."""
    fitting = [form for form in _NEGATION_FORMS if re.search(form[0], text)]
    if not fitting:
        return None
    old, new = rng.choice(fitting)
    return _upper_first(re.sub(old, new, text, count=1))


def merge(rng: random.Random, first: str, second: str) -> str:
    """Two neighbouring sentences as one."""
    return f"{first.rstrip('.')}{rng.choice([', and ', '; ', ', while '])}{_lower_first(second)}"


REWRITES: dict[str, Rewrite] = {
    "synonym": synonym, "shorter": shorten, "reordered": reorder, "voice": voice, "number form": number_form,
    "negation form": negation_form,
}  # fmt: skip


def change_number(rng: random.Random, text: str, others: Sequence[str]) -> str | None:
    """One number by a wrong one: half the time one of `others`, which stand elsewhere in the passage."""
    found = list(re.finditer(r"(?<![\w.,-])\d+(?:\.\d+)?(?![\w,]|\.\d)", text))
    worded = list(re.finditer(r"\b(?:" + "|".join(_WORDED[2:]) + r")\b(?!-)", text))
    if not found and not worded:
        return None
    match = rng.choice(found or worded)
    if match.group() in _WORDED:
        new = rng.choice([word for word in _WORDED[2:] if word != match.group()])
    else:
        new = _wrong(rng, match.group(), [other for other in others if other not in text])
    return text[: match.start()] + new + text[match.end() :]


def _wrong(rng: random.Random, digits: str, others: Sequence[str]) -> str:
    if others and rng.random() < 0.5:
        return rng.choice(others)
    value = float(digits)
    choices = {value * 2, value * 10, value / 10, value + rng.randint(1, 9), value / 2, value * 5}
    return f"{rng.choice(sorted(choices - {value, 0.0}) or [value + 1]):g}"


def exchange(rng: random.Random, text: str) -> str | None:
    """Two numbers of one sentence in each other's place."""
    found = list(re.finditer(r"(?<![\w.,-])\d+(?:\.\d+)?(?![\w,-]|\.\d| to )", text))
    pairs = [
        (one, two) for one, two in combinations(found, 2) if one.group() != two.group() and two.start() - one.end() > 12
    ]
    if not pairs:
        return None
    one, two = rng.choice(pairs)
    return text[: one.start()] + two.group() + text[one.end() : two.start()] + one.group() + text[two.end() :]


_UNIT_SWAPS = """
mg=g mcg mL; milligrams=grams micrograms; g=mg kg; grams=milligrams kilograms; mcg=mg; micrograms=milligrams; mL=L mg
milliliters=liters; hours=days minutes weeks; hour=day minute; minutes=hours seconds; minute=hour; days=weeks hours months
day=week month; weeks=days months; week=day month; months=weeks years; month=week year; years=months weeks; year=month week
percent=milligrams degrees; %= mg; pounds=kilograms; inches=feet centimeters; mmHg=kPa; cm=mm; mm=cm; calories=grams
""".replace("\n", ";")
_SWAPS = {
    old.strip(): new.split()
    for old, _, new in (entry.partition("=") for entry in _UNIT_SWAPS.split(";"))
    if old.strip()
}


def change_unit(rng: random.Random, text: str) -> str | None:
    """The unit behind a number by one of another size or kind."""
    units = "|".join(sorted(map(re.escape, _SWAPS), key=len, reverse=True))
    found = list(re.finditer(rf"(?<=\d)(?P<gap>[\s-]?)(?P<unit>{units})(?![\w])", text))
    if not found:
        return None
    match = rng.choice(found)
    return f"{text[: match.start()]}{match['gap'] or ' '}{rng.choice(_SWAPS[match['unit']])}{text[match.end() :]}"


_DENIALS = (
    (r"\b(is|are|was|were|does|do|can|should|may|has|have|will|did|might) not ", r"\1 "), (r"\bcannot\b", "can"),
    (r"\bwithout\b", "with"), (r"\b(is|are) no ", r"\1 a "), (r"\bunable to\b", "able to"), (r"\bnever\b", "always"),
    (r"\bunlikely\b", "likely"), (r"\bunknown\b", "known"), (r"\bno (cure|evidence|treatment|specific|known)\b", r"a \1"),
    (r"\bshould be avoided\b", "should be given"), (r"\bNo\b", "A"), (r"\bis not\b", "is"),
)  # fmt: skip
_AFFIRMATIONS = (
    (r"\b(is|are|was|were|does|can|should|may|will|might) (?!not\b|no\b)", r"\1 not "), (r"\bcan ", "cannot "),
    (r"\bhas been\b", "has not been"), (r"\blikely\b", "unlikely"), (r"\bwith\b", "without"), (r"\bthere is a\b", "there is no"),
    (r"\bis known\b", "is unknown"), (r"\brecommended\b", "not recommended"),
)  # fmt: skip


def flip(rng: random.Random, text: str) -> str | None:
    """A negation taken away where there is one, else one put in."""
    for table in (_DENIALS, _AFFIRMATIONS):
        fitting = [form for form in table if re.search(form[0], text)]
        if fitting:
            old, new = rng.choice(fitting)
            return _upper_first(re.sub(old, new, text, count=1))
    return None


def swap_drug(rng: random.Random, text: str, names: Sequence[str]) -> str | None:
    """One drug of `names` by another."""
    found = re.findall(rf"\b(?:{'|'.join(names)})\b", text.lower())
    if not found:
        return None
    old = rng.choice(found)
    new = rng.choice([name for name in names if name not in found])
    return re.sub(rf"\b{old}\b", lambda match: _kept_case(match.group(), new), text, flags=re.IGNORECASE)


def swap_word(rng: random.Random, text: str, foreign: str, common: Set[str]) -> str | None:
    """One telling word by one of a foreign text: long, small, in neither text's other half and not `common`."""

    def telling(some: str) -> list[str]:
        return [word for word in re.findall(r"(?<![\w-])[a-z]{6,}(?![\w-])", some) if word not in common]

    own, others = telling(text), [word for word in telling(foreign) if word not in text]
    if not own or not others:
        return None
    old = rng.choice(own)
    return re.sub(rf"\b{old}\b", rng.choice(others), text)


_EXCEPTION = re.compile(
    r",? \b(except(?: for| in)?|unless|other than|apart from|with the exception of|excluding) ([^,.;()]{4,80})(?=[,.;])"
)
_INCLUDED = {"unless": "if"}


def drop_exception(rng: random.Random, text: str) -> str | None:
    """Without what the sentence makes an exception of, or with that taken in."""
    match = _EXCEPTION.search(text)
    if match is None:
        return None
    within = f" {_INCLUDED.get(match[1], 'including')} {match[2]}"
    return text[: match.start()] + rng.choice(["", within]) + text[match.end() :]


_CONDITION_FRONT = re.compile(r"^If [^,.;]{8,90}, ([^;]{20,})\.$")
_CONDITION_BACK = re.compile(r"^([^;,]{20,}?),? (?:if|provided that|as long as) [^,.;]{8,90}\.$")


def drop_condition(_: random.Random, text: str) -> str | None:
    """Without the condition in front or at the end."""
    match = _CONDITION_FRONT.match(text) or _CONDITION_BACK.match(text)
    return f"{_upper_first(match[1])}." if match else None


_TIMING = (
    (r"\bbefore (?=\w)", "after "), (r"\bafter (?=\w)", "before "), (r"\bwithin (?=(?:\d|a |an |one|two|three))", "after "),
    (r"\b(first|second|third) (?=trimester|dose|stage|week|month|year|day)", "fourth "),
)  # fmt: skip


def change_timing(rng: random.Random, text: str) -> str | None:
    """Before made after, after made before, within made after, or another trimester or dose."""
    fitting = [form for form in _TIMING if re.search(form[0], text)]
    if not fitting:
        return None
    old, new = rng.choice(fitting)
    return re.sub(old, new, text, count=1)


def splice(rng: random.Random, text: str, others: Sequence[str]) -> str | None:
    """The first half of the sentence with the second half of another one of `others`."""
    rest = [other.split() for other in others if other != text and len(other.split()) > 7]
    words = text.split()
    if not rest or len(words) < 8:
        return None
    tail = rng.choice(rest)
    return " ".join([*words[: len(words) // 2], *tail[len(tail) // 2 :]])
