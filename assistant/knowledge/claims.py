"""What a sentence claims, as far as words show it: content, numbers with units, drug names, negation."""

import re
from dataclasses import dataclass

_MARK = re.compile(r"\s*\[(\d{1,3})\]")
_NUMBER = re.compile(
    r"(?<![\w.])(\d[\d,]*(?:\.\d+)?)(?:\s*(?:-|–|to)\s*(\d[\d,]*(?:\.\d+)?))?\s*([^\W\d_]+(?:/[^\W\d_]+)?|%|°)?",
    re.UNICODE,
)
_WORD = re.compile(r"[^\W\d_]+(?:'t)?")
_NEGATION = re.compile(
    r"\b(no|not|never|none|neither|nor|without|avoid(s|ed|ing)?|cannot|contra-?indicat\w*|unsafe|unlikely|absent|absence"
    r"|stop(s|ped|ping)?|withhold|\w+n['’]t)\b",
    re.IGNORECASE,
)
# Each line of names stands for one unit, the first of them; lower case.
_UNIT_NAMES = """
    mg milligram milligrams; mcg microgram micrograms µg μg ug; g gram grams; kg kilogram kilograms
    ml millilitre millilitres milliliter milliliters; l litre litres liter liters; percent %; unit units iu
    second seconds sec; minute minutes min mins; hour hours hrs h; day days; week weeks; month months; year years
    mmol/l; mg/kg; mcg/kg; mg/dl; ml/kg; mg/ml; g/l; mmhg; degree degrees °; beat beats; breath breaths
"""
_UNITS = {name: names.split()[0] for names in re.split(r"[;\n]", _UNIT_NAMES) for name in names.split()}
# Endings of international non-proprietary names (WHO stem book), long enough not to catch ordinary words.
_DRUG_STEM = re.compile(
    r"(?:cillin|mycin|floxacin|cycline|azole|vir|statin|pril|sartan|olol|dipine|gliptin|gliflozin|glitazone|xaban|gatran"
    r"|parin|prazole|tidine|setron|triptan|zepam|zolam|caine|profen|fenac|coxib|oxetine|pram|semide|thiazide|lukast"
    r"|terol|toin|sone|solone|sonide|mab|tinib|platin|glutide|formin|curium|barbital|bactam|penem|prost|vudine)s?$"
)
_DRUG_NAMES = frozenset(
    """
    acetaminophen acetylcysteine acyclovir adenosine adrenaline epinephrine albuterol salbutamol alteplase amiodarone
    amiloride aspirin atropine bendroflumethiazide carbamazepine cefalexin cefotaxime ceftriaxone chlorphenamine
    cetirizine loratadine clopidogrel ticagrelor codeine colchicine digoxin diltiazem verapamil ergometrine fentanyl
    flumazenil fosfomycin gentamicin glucagon glucose heparin hydralazine ibuprofen indapamide insulin ipratropium
    ketamine labetalol levetiracetam lithium magnesium mannitol melatonin metformin methadone methotrexate
    metoclopramide metronidazole morphine naloxone naproxen nitrofurantoin noradrenaline norepinephrine ondansetron
    oxycodone oxytocin paracetamol phenytoin pivmecillinam potassium pregabalin gabapentin quinine rifampicin sertraline
    spironolactone tramadol trimethoprim valproate vancomycin warfarin
    """.split()
)
_SAME_DRUG = {"acetaminophen": "paracetamol", "epinephrine": "adrenaline", "albuterol": "salbutamol",
              "norepinephrine": "noradrenaline"}  # fmt: skip
_FUNCTION_WORDS = frozenset(
    """
    a an and any are as at be been being but by can could do does for from had has have if in into is it its may might
    must of on or should so such than that the their them then there these they this those to was were when where
    which who will with would
    """.split()
)


@dataclass(frozen=True)
class Claim:
    """A sentence (or a whole passage) as sets that can be compared.

    `numbers` are values written canonically; `quantities` are those with a unit, as (value, unit).
    """

    words: frozenset[str]
    numbers: frozenset[str]
    quantities: frozenset[tuple[str, str]]
    drugs: frozenset[str]
    negates: bool


def without_marks(sentence: str) -> str:
    """The sentence without its citation marks."""
    return _MARK.sub("", sentence).strip()


def cited_numbers(sentence: str) -> tuple[int, ...]:
    """The numbers of the passages that the sentence cites, each once, in order."""
    return tuple(dict.fromkeys(int(number) for number in _MARK.findall(sentence)))


def normalized(sentence: str) -> str:
    """For comparison word by word: no marks, case, white space or final punctuation."""
    return " ".join(without_marks(sentence).casefold().split()).rstrip(".!?: ")


def claim(text: str) -> Claim:
    """Read the claim of a sentence or passage."""
    bare = without_marks(text)
    tokens = [_SAME_DRUG.get(token, token) for token in map(str.casefold, _WORD.findall(bare))]
    numbers, quantities = _quantities(bare)
    return Claim(
        words=frozenset(_stem(token) for token in tokens if _is_content(token)),
        numbers=numbers,
        quantities=quantities,
        drugs=frozenset(token for token in tokens if _is_drug(token)),
        negates=bool(_NEGATION.search(bare)),
    )


def _quantities(text: str) -> tuple[frozenset[str], frozenset[tuple[str, str]]]:
    numbers: set[str] = set()
    quantities: set[tuple[str, str]] = set()
    for first, second, unit in _NUMBER.findall(text):
        values = [_canonical(value) for value in (first, second) if value]
        numbers.update(values)
        if (name := _UNITS.get(unit.casefold())) is not None:
            quantities.update((value, name) for value in values)
    return frozenset(numbers), frozenset(quantities)


def _canonical(number: str) -> str:
    plain = number.replace(",", "")
    return plain.rstrip("0").rstrip(".") if "." in plain else plain


def _is_content(token: str) -> bool:
    return len(token) > 1 and token not in _FUNCTION_WORDS and token not in _UNITS


def _is_drug(token: str) -> bool:
    return token in _DRUG_NAMES or (len(token) > 6 and _DRUG_STEM.search(token) is not None)


def _stem(word: str) -> str:
    """Plural and common verb endings off, enough to match a sentence with its source."""
    for ending in ("ies", "ing", "ed", "es", "s", "ly"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word
