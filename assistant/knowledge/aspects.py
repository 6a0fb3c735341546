"""Which part of a question asks for which kind of section: `how urgent is it` asks for Urgency or Danger signs."""

import re
from collections.abc import Sequence

# Words of a section's heading, then patterns, by `;`, of what a question says when it asks for such a section.
_ASPECTS = (
    (
        "recognition symptoms features assessment look scoring interpretation presentation",
        r"""\b(could|can|might|(?<!what )is) (this|it|that|he|she)\b; \bsigns?\b; (?<!alarm )(?<!warning )symptom; recogni[sz];
        diagnos; suspect; look like; \bpresent; assess; examin; \bfeatures?\b; \btell\b(?! (me|us) about);
        \bscor; \bcalculate\b; \bmean\b; investigat; \bcriteria\b; manifest; complain; \b(to|would i|will i) see\b;
        \bpicture\b; \bfindings?\b""",
    ),
    (
        "danger urgency escalation emergency",
        r"""urgen; emergenc; danger; serious; severe; worr; \bred flags?\b; warning; alarm; refer(ral|red)?\b;
        \badmi(t|ssion); hospital; ambulance; escalat; life.threatening; \bcall\b; \bcritical; \bsafe to\b; same.day""",
    ),
    (
        "treatment treatments therapy management actions aid advanced cardiac unresponsive decisions",
        r"""\btreat; therap; manag; \bgive\b; \bgiven\b; first.line; antibiotic; antidote; revers; \bdrugs?\b;
        \bstart\b; \bmedic(ine|ation)s?\b; \bdos(e|es|age)\b; \bwhat (should|do|can|must) (i|we) (do|give|use|start)\b;
        \bneeds?\b; \bwhat to do\b; \bsteps?\b; \bactions?\b; \bhow much\b; \bbe done\b; \bcur(e|es|ed|able)\b;
        surg; operat; \bhandle; \bdeal(t|ing)? with\b; \bagainst\b; \boptions?\b; \bremed; \boverdos; \bpoison; anticoagulat""",
    ),
    (
        "questions",
        r"\b(to|should i|do i|can i|must i|i|we) ask\b; \bquestions?\b; appointment; consultation; \bhistory\b",
    ),
    (
        "follow-up aftercare discharge afterwards after further carers",
        r"""follow.?up; afterwards; \bafter (the|an|discharge|recovery|treatment)\b; \breview\b; discharg; prevent;
        recurren; long.term; \bhome\b; safety.net; \bparents?\b; \bcarers?\b; \badvice\b; \brecover""",
    ),
    ("monitoring targets", r"monitor; blood tests?; \bcheck; \blevels?\b; \btargets?\b; how often; \binr\b; \bgoal\b"),
    ("adverse", r"side.effects?; adverse; \bharm; toxic; \brisks?\b; \boverdos; \bpoison"),
    (
        "interactions",
        r"""interact; combin; \btogether\b; \bmix; \bwith\b; \bw/; \bwhile (on|taking)\b; alongside; \bco-?prescri;
        \b(someone|patients?|pts?|person|man|woman|already|is|are) on\b""",
    ),
    (
        "contraindications cautions",
        r"""avoid; contra.?indicat; \b(un)?safe\b; \bstop; \bnot (use|take|give|be)\b; pregnan; allerg; \bcaution;
        \bwithh(o|e)ld""",
    ),
    ("uses", r"\bused?\b.*\bfor\b; \bwhat is\b; \bwhat are\b; indicat; prescrib; \bwhy\b"),
    ("ranges rate breathing circulation", r"\bnormal\b; \branges?\b; \brates?\b; \bvalues?\b"),
    ("dosing prescribing", r"\bdos(e|es|ing|age)\b; how much; calculat; \bweight\b; prescrib"),
    ("causes cause", r"\bcaus; \bwhy\b; \bdue to\b; (a)?etiolog; \borigin; pathogen; \bleads? to\b; \btrigger"),
    ("devices", r"\bmasks?\b; \bdevices?\b; \bcannula; \bdeliver; \bflow\b"),
    ("limitations", r"limit; reliab; accura"),
    (
        "exams tests diagnosis investigations",
        r"""diagnos; investigat; \btests?\b; \btesting\b; work.?up; confirm; screen; \bdetect; \bexam; \bscans?\b;
        imaging; biops; laborator; \bis \S+( \S+){0,5} found\b; \brule (it )?out\b""",
    ),
    (
        "inheritance",
        r"""inherit; heredit; passed (on|down); \bpass (it|this) on\b; famil(y|ies|ial)\b; dominant; recessive; \bcarriers?\b;
        genetic; transmi(t|ssion); \boffspring\b; siblings?; run in""",
    ),
    ("genetic changes", r"\bgen(e|es|etic|etics)\b; mutat; molecular; chromosom; \bdna\b; \bvariants?\b; \blocus\b"),
    (
        "frequency epidemiology",
        r"how (common|rare|frequent|many|often)\b; prevalen; inciden; epidemiolog; \bnumber of (cases|people)\b; \bfrequen",
    ),
    (
        "outlook prognosis",
        r"""prognos; outlook; outcome; life expectanc; surviv; mortality; \bfatal\b; long.term; \bcourse of\b;
        get better; \bexpect\b; \bdie\b; \bdeath""",
    ),
    (
        "susceptibility risk",
        r"""at risk; risk factors?;
        \b(who|which people|which patients) (gets?|has|have|develops?|(is|are) affected)\b; predispos; susceptib; more likely;
        likelihood; \bchances?\b; prone""",
    ),
    (
        "prevention",
        r"""prevent; \bavoid; prophyla; protect; \bnot (to )?(get|catch)\b; vaccin;
        (lower|reduc)\w* (the |my |your )?(risk|chance)""",
    ),
    (
        "research trials",
        r"""research; \btrials?\b; \bstud(y|ies)\b; experiment; being (investigated|studied|tested);
        \bnew (drugs?|therap|treatment)""",
    ),
    ("stages staging", r"\bstag(e|es|ing)\b; \bgrad(e|es|ing)\b; spread; advanced; \bextent\b; classif"),
    ("complications", r"complicat; sequela; \bdo to\b; consequence; go wrong; \bproblems?\b; lead to"),
    (
        "considerations diet lifestyle nutrition living",
        r"""\bdiet; \beat(ing)?\b; \bfoods?\b; nutrit; lifestyle; living with; exercis; \badvi(c|s)e\b; \bcope\b;
        support""",
    ),
    ("support", r"support; charit; \bpatient groups?\b"),
)


def _any_of(patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(pattern.strip() for pattern in patterns.split(";")), re.IGNORECASE)


_COMPILED = tuple((frozenset(headings.split()), _any_of(patterns)) for headings, patterns in _ASPECTS)


_OVERVIEW = frozenset("information overview introduction background definition description summary about".split())
"""What a question asks for that asks for nothing in particular."""
_IN_PASSING = frozenset({"interactions", "uses"})
"""What the words of many questions seem to ask for: `a patient with`, `what are the`."""


def kinds_asked(part: str) -> frozenset[str]:
    """Words of the headings that this part of a question asks for; none where it does not say."""
    return frozenset[str]().union(*(headings for headings, pattern in _COMPILED if pattern.search(part)))


def kinds_wanted(parts: Sequence[str]) -> list[frozenset[str]]:
    """`kinds_asked` of each part, an overview too where none of them asks for anything in particular."""
    asked = [kinds_asked(part) for part in parts]
    return [kinds | _OVERVIEW for kinds in asked] if all(kinds <= _IN_PASSING for kinds in asked) else asked


def kinds_of(heading: str, title: str) -> frozenset[str]:
    """The words of a section's heading; where it has none, what its document's title asks for, as a question would."""
    if heading:
        return frozenset(re.findall(r"[a-z-]+", heading.casefold()))
    return kinds_wanted([title])[0] - _IN_PASSING
