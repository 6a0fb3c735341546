"""Which part of a question asks for which kind of section: `how urgent is it` asks for Urgency or Danger signs."""

import re

# Words of a section's heading, then patterns, by `;`, of what a question says when it asks for such a section.
_ASPECTS = (
    (
        "recognition symptoms assessment look scoring interpretation",
        r"""\b(could|can|might|is) (this|it|that|he|she)\b; \bsigns?\b; (?<!alarm )(?<!warning )symptom; recogni[sz];
        diagnos; suspect; look like; present; assess; examin; \bfeatures?\b; \btell\b; \bscor; \bcalculate\b; \bmean\b;
        investigat; \bcriteria\b""",
    ),
    (
        "danger urgency escalation emergency",
        r"""urgen; emergenc; danger; serious; severe; worr; \bred flags?\b; warning; alarm; refer(ral|red)?\b;
        \badmi(t|ssion); hospital; ambulance; escalat; life.threatening; \bcall\b; \bcritical; \bsafe to\b; same.day""",
    ),
    (
        "treatment actions aid advanced cardiac unresponsive decisions",
        r"""\btreat; therap; manag; \bgive\b; \bgiven\b; first.line; antibiotic; antidote; revers; \bdrugs?\b;
        \bstart\b; \bmedic(ine|ation)s?\b; \bdos(e|es|age)\b; \bwhat (should|do|can|must) (i|we) (do|give|use|start)\b;
        \bneeds?\b; \bwhat to do\b; \bsteps?\b; \bactions?\b; \bhow much\b""",
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
    ("adverse", r"side.effects?; adverse; \bharm; toxic; \brisks?\b"),
    ("interactions", r"interact; combin; \btogether\b; \bmix; \bwith\b; \bwhile (on|taking)\b"),
    (
        "contraindications cautions",
        r"""avoid; contra.?indicat; \b(un)?safe\b; \bstop; \bnot (use|take|give|be)\b; pregnan; allerg; \bcaution;
        \bwithh(o|e)ld""",
    ),
    ("uses", r"\bused?\b.*\bfor\b; \bwhat is\b; \bwhat are\b; indicat; prescrib; \bwhy\b"),
    ("ranges rate breathing circulation", r"\bnormal\b; \branges?\b; \brates?\b; \bvalues?\b"),
    ("dosing prescribing", r"\bdos(e|es|ing|age)\b; how much; calculat; \bweight\b; prescrib"),
    ("causes", r"\bcaus; \bwhy\b; \bdue to\b"),
    ("devices", r"\bmasks?\b; \bdevices?\b; \bcannula; \bdeliver; \bflow\b"),
    ("limitations", r"limit; reliab; accura"),
)


def _any_of(patterns: str) -> re.Pattern[str]:
    return re.compile("|".join(pattern.strip() for pattern in patterns.split(";")), re.IGNORECASE)


_COMPILED = tuple((frozenset(headings.split()), _any_of(patterns)) for headings, patterns in _ASPECTS)


def asks_for(part: str, heading: str) -> bool:
    """Whether this part of a question asks for a section with this heading."""
    kinds = set(re.findall(r"[a-z-]+", heading.casefold()))
    return any(headings & kinds and pattern.search(part) for headings, pattern in _COMPILED)
