"""Clinicians' shorthand written out: `mx` as treatment, `c/o` as nothing, `K+` as potassium.

Only what means one thing where it stands. What has several meanings goes to the table of abbreviations, which keeps them all:
`Ca` is calcium before a number and else calcium or carcinoma; `PT` is no patient, nor the `IX` of a factor an investigation.
"""

import re

_DOSE = r"(?<=\d)\s*(?:m?c?g|ug|µg|ml|units?|iu|puffs?|tabs?)\s+"
# Patterns by `|`, and what a question says in their place.
_ANY_CASE = {
    r"[mr]x": "treatment", r"abx": "antibiotics", r"anticoag": "anticoagulation", r"dx": "diagnosis",
    r"ddx": "differential diagnosis", r"sx": "symptoms", r"hx|h/o|pmhx?": "history", r"fhx": "family history", r"fx": "fracture",
    r"bx": "biopsy", r"infx": "infection", r"exac": "exacerbation", r"preg": "pregnancy", r"palps": "palpitations",
    r"(?<=renal |liver )tx|(?<=kidney )tx|(?<=marrow )tx": "transplant", r"tx": "treatment", r"meds": "medication",
    r"o/e": "examination", r"s/p": "after", r"f/u": "follow-up", r"r/o": "investigate",
    r"w/o": "without", r"b/g": "background", r"n/v": "nausea vomiting", r"u/s": "ultrasound",
    r"c/o|k/c/o|prn|bid|tds|tid|qds|qid|nocte|stat": "",
}  # fmt: skip
_AS_WRITTEN = {
    r"[Pp]t": "patient", r"[Pp]ts": "patients", r"[Ii]x": "investigations", r"bd": "", r"OD": "overdose",
    r"(?<!vitamin )(?<!vit )K(?=\s?[<>=:]?\s?\d\.\d)": "potassium", r"Na": "sodium", r"(?<!\d )Mg": "magnesium",
    r"Ca(?=\s?(?:levels?\b|[<>=:]?\s?\d\.\d))": "calcium", r"Ca": "CA",
}  # fmt: skip
_CHARGED = {
    r"K\+": "potassium", r"Na\+": "sodium", r"Mg(?:2\+|\+\+)": "magnesium", r"Ca(?:2\+|\+\+)": "calcium",
}  # fmt: skip
_DISTURBED = re.compile(r"\b([Hh]yper|[Hh]ypo)[ -]?(K|Na|Ca|Mg)(?:2?\+{0,2})(?![\w+])")
_TIMES_A_DAY = re.compile(rf"({_DOSE})(?:od|bd|qd)\b", re.IGNORECASE)
_WITH = re.compile(r"(?<!\S)w/(?!o\b)", re.IGNORECASE)


def _whole(patterns: str) -> str:
    return rf"(?<![\w/])(?:{patterns})(?![\w/+])"


_WRITTEN_OUT = (
    *((re.compile(rf"(?<!\w)(?:{short})(?![\w+])"), long) for short, long in _CHARGED.items()),
    *((re.compile(_whole(short), re.IGNORECASE), long) for short, long in _ANY_CASE.items()),
    *((re.compile(_whole(short)), long) for short, long in _AS_WRITTEN.items()),
)


def written_out(text: str) -> str:
    """The text with the shorthand in it written out; what is none of it stays letter by letter."""
    text = _DISTURBED.sub(r"\1\2", text)
    text = _TIMES_A_DAY.sub(r"\1", _WITH.sub("with ", text))
    for short, long in _WRITTEN_OUT:
        text = short.sub(long, text)
    return text
