"""Words of a question: spelling and lay words folded, function words dropped, the question cut into parts."""

import re
import unicodedata

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

_MICRO = re.compile(r"μ(?=(g|l|m|mol)\b)")
_GREEK = str.maketrans(
    {
        "α": "alpha", "β": "beta", "γ": "gamma", "δ": "delta", "ε": "epsilon", "ζ": "zeta", "η": "eta", "θ": "theta",
        "κ": "kappa", "λ": "lambda", "μ": "mu", "π": "pi", "σ": "sigma", "τ": "tau", "φ": "phi", "χ": "chi",
        "ψ": "psi", "ω": "omega",
    }
)  # fmt: skip
# Written in one piece or two, in full or short, a unit is one word: `5mg`, `5 milligrams`, `200 µg`, `90 mm Hg`.
_UNIT_WORDS = {
    r"milligram(me)?s?": "mg", r"microgram(me)?s?|ug": "mcg", r"millilit(re|er)s?": "ml", r"mm hg": "mmhg",
    r"millimoles?": "mmol",
}  # fmt: skip
_UNITS = {re.compile(rf"\b({words})\b"): word for words, word in _UNIT_WORDS.items()}
_UNIT_ATTACHED = re.compile(r"(?<=\d)(?=(?:mg|mcg|ug|g|kg|ml|l|mmol|umol|mmhg|iu|cm|mm|h)\b)")
# Of words only: `AED` and `EoE` keep their letters, and `gastroesophageal` its `o`.
_DIGRAPH = re.compile(r"(?<![^\Wo])oe(?=soph)|(?:(?<=\w\w)[ao]e(?=\w)|[ao]e(?=\w\w))(?!soph)")
# British endings made American, after `ae` and `oe` have become `e`.
_AMERICAN = [
    (re.compile(r"(?<=\w{3})our(?=(?:s|ed|ing)?\b)"), "or"),
    (re.compile(r"(?<=\w{2})([tb])re\b"), r"\1er"),
    (re.compile(r"(?<=\w{3})(i|y)s(?=(?:e|ed|es|ing|ation|ations)\b)"), r"\1z"),
    (re.compile(r"\b(counsel|label|travel|model|cancel|dial)l(?=(?:ed|ing|ers?|or)\b)"), r"\1"),
]


def fold(text: str) -> str:
    """Lower case without accents, one spelling for British and American, Greek letters, units and lay words.

    `Anaemia` and `anemia`, `β` and `beta`, `5µg` and `5 micrograms`, `tummy` and `abdominal` become the same.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
        text = "".join(letter for letter in text if not unicodedata.combining(letter))
    text = text.casefold().replace("’", "'").replace("'s", "")
    if not text.isascii():
        text = _MICRO.sub("u", text).translate(_GREEK).replace("æ", "e").replace("œ", "e")
    text = _DIGRAPH.sub("e", text).replace("sulph", "sulf")
    text = _UNIT_ATTACHED.sub(" ", text)
    for pattern, ending in _AMERICAN:
        text = pattern.sub(ending, text)
    for pattern, word in (*_UNITS.items(), *_LAY.items()):
        text = pattern.sub(word, text)
    return text


# Words that carry the question, not its subject. What could name a condition, drug or finding stays out.
_FUNCTION_WORDS = frozenset(
    fold("""
    a about above after again all also am an and any anyone are as at be because been before being between both but by
    can cannot could did do does doing don done down during each few for from further get gets getting give given got had has
    have having he her here hers him his how i if in into is it its itself just kind let like ll may me might mine more
    most much must my myself need needs never no nor not now of off on once one only or other our ours out over own please
    himself herself themselves yourself
    possible re s same see seen shall she should so some someone something still such t than that the their theirs them then
    there these they thing things this those through to too under until up us use used using ve very want was we were
    what when where which while who whom whose why will with without would yes you your yours
    zero one two three four five six seven eight nine ten go going gone time times long new old
    last lasting minute minutes hour hours day days week weeks month months year years old
    mg mcg ml kg mmol
    advice advise best choose consider considered explain help know mean means patient patients people person say tell
    think way work works happen happens overview summary doctor doctors nurse nurses clinician physician junior
    thanks thank thx cheers ok okay hi hello hey sorry helps helped helpful
    """).split()
)


# What may be asked of any subject: kinds of answers, groups of people, circumstances.
_OF_ANY_SUBJECT = frozenset(
    fold("""
    treat treatment treated therapy manage management managed medication medicine medicines drug drugs dose doses
    dosage dosing max maximum minimum daily start started stop stopped stopping give first line second option options
    alternative alternatives surgery symptom symptoms sign signs feature features present presentation diagnose
    diagnosed diagnosis diagnostic differential test tests testing investigation investigations investigate scan
    imaging exam examination monitor monitoring check cause causes caused causing reason risk risks factor factors
    prevent prevention prevented prognosis outlook outcome survival mortality course complication complications side
    effect effects adverse interaction interactions contraindication contraindications contraindicated caution
    cautions safe safety dangerous danger serious severe mild moderate urgent urgency emergency refer referral admit
    admission hospital red flag flags warning follow review discharge inherited inheritance genetic hereditary gene
    genes common rare frequency incidence prevalence contagious infectious stage stages type types criteria score
    definition define mechanism work duration child children infant infants baby babies newborn neonate neonates
    bp hr rr sats spo2
    toddler adolescent adolescents teenager adult adults elderly older old young age man men woman women male female
    pregnancy pregnant breastfeeding lactation diet exercise lifestyle home research trial trials normal range
    transmission transmit transmitted passed family families familial mode molecular basis mutation mutations mutated
    chromosome chromosomes dna expectancy life living predispose predisposing susceptibility onset progression confirm
    confirmed suspect suspected population acute chronic recurrent use used uses different difference affected affect
    evidence guideline guidelines question questions summary detail details example examples information worse better
    fail fails failed route oral iv im history conscious awake alert
    """).split()
)
# Everyday words: a question that holds some is no less about its subject.
_EVERYDAY = frozenset(
    fold("""
    make makes made making look looks looking find finds found finding come comes came call calls called bring brings
    brought keep keeps kept hold holds put puts set sets run runs turn turns move moves live lives lived believe
    include includes including continue learn learned change changes changed lead leads led understand watch follow
    follows create speak read allow allows add adds spend grow open walk win offer offers remember love appear appears
    buy wait serve send build stay stays fall reach remain remains suggest suggests raise raises require requires
    report reports decide show shows shown try ask asked seem seems feel feels felt become becomes leave left mention
    mentioned recommend recommends recommended order ordered meet meets notice notices noticed study studies studied
    studying deal deals dealt lower lowers lowering lowered develop develops developing describe describes described
    point points pointing investigated won done doing prevented avoid avoids avoided given happens good better great
    little own important big small large next early late later public bad able general specific certain sure usual
    usually typical typically main major recent recently latest available effective likely whole full half quick
    quickly brief briefly short simple simply practical practically really soon already sometimes always maybe perhaps
    rather quite almost enough ever else together especially actually problem problems fact facts case cases number
    numbers group groups part parts place places week company night room area areas money story lot right job word
    words business issue issues side sides house service friend hour game end member city community name names team
    idea ideas nothing world country state moment colleague career practice picture background round rounds ward
    clinic lines reminder illness condition conditions sort sorts pattern origin extent chance chances reasons way
    ways lab laboratory book note list table top bottom level
    """).split()
)


def words(text: str) -> list[str]:
    """Folded words and numbers of `text`, in order."""
    return _WORD.findall(fold(text))


# Ages, times and doses of a note, written in one piece: `72m`, `3yo`, `x2`, `5d`. As words they would be rarer than any other.
_SHORTHAND = re.compile(r"\d+(?:[mfydh]|yo|yrs?|mo|mths?|wks?|hrs?|mins?|kg|x)|x\d+[a-z]{0,3}")


def is_content(word: str) -> bool:
    """Whether a folded word says something about the subject."""
    if word in _FUNCTION_WORDS or len(word) < 2 or word.replace(".", "").isdigit():
        return False
    return _SHORTHAND.fullmatch(word) is None


def is_subject(word: str) -> bool:
    """Whether a folded word says what is asked about, not only which side of it."""
    return is_content(word) and word not in _OF_ANY_SUBJECT and word not in _EVERYDAY


_MEASURED = re.compile(r"\b(?:bp|hr|rr|sats?|spo2|temp)\s*[:=]?\s*\d+(?:[./]\d+)*\s*%?", re.IGNORECASE)
_ENOUGH_SUBJECT = 2  # words of it that are left


def without_measurements(text: str) -> str:
    """The text without vital signs and their values, where it says what it is about without them."""
    rest = _MEASURED.sub(" ", text)
    return rest if sum(map(is_subject, words(rest))) >= _ENOUGH_SUBJECT else text


def content_words(text: str) -> list[str]:
    """The words of `text` that say something about its subject, each once, in order."""
    return list(dict.fromkeys(word for word in words(text) if is_content(word)))


def phrases(text: str) -> list[str]:
    """Runs of two and three words that begin and end with a content word: `heart attack`, `shortness of breath`.

    A number may stand at one end: `type 2`, `21 hydroxylase`.
    """
    found: dict[str, None] = {}
    for part in _PART.split(text):
        run = words(part)
        for size in (2, 3):
            for start in range(len(run) - size + 1):
                ends = run[start], run[start + size - 1]
                if any(map(is_content, ends)) and all(is_content(end) or end.isdecimal() for end in ends):
                    found[" ".join(run[start : start + size])] = None
    return list(found)


def question_parts(question: str) -> list[str]:
    """The parts of a question that ask for different things: cut at punctuation and before `and what`, `or should`."""
    return [part.strip() for part in _PART.split(question) if part.strip()]
