"""Whether a text is English, which the rules are written in: by its script and its function words, without a model."""

import re
from collections.abc import Callable, Iterable

_ENGLISH = frozenset(
    """the of and to is was with for on at in has had have he she his her this that no not from by what how should be are it
    i my after without when which who does do can an patient pain""".split()
)
_OTHERS = frozenset(
    """el los las del una un con sin por para desde tiene está esta paciente años dolor que y su pero muy
    le les des du une et est avec sans depuis pour dans patiente ans douleur au aux il elle qui pas sur
    der das und ist mit ohne seit nicht ein eine einen patientin schmerzen jahre wie für bei auf dem den im zur
    di il lo gli della con senza da anni paziente dolore che per non è sono nel
    o os as um uma com sem há anos dor não em
    de het een van met zonder sinds jaar pijn niet en voor op bij
    w z na się jest nie od bez lat ból i do
    ve bir ile için var yok yaşında ağrısı
    dan yang dengan tidak di nyeri tahun sejak ada
    och med utan sedan är inte en ett på för har og uden siden år ikke til
    na ya wa kwa ni mgonjwa maumivu hana ana
    ja ei että joka mutta kun hän oli ovat kipu vuotta potilas
    és az egy nem hogy van volt fáj évek óta beteg
    je se že má od pacient bolest roků și cu este fără durere ani
    hace pecho fiebre horas peito febre duas febbre heures fièvre poitrine stunden brust fieber borst uur koorts feber ateş
    demam homa ang ng mga sa ay sakit hindi waa iyo ka ku""".split()
) - {"on", "as", "a", "i", "do", "no", "is", "and", "in", "an", "to", "not", "he", "has", "me"}  # fmt: skip
_AMBIGUOUS = frozenset(
    """y na w o ve os em um die van per para ana ani lat sono di z du med et al dem om sa ka ku az ay od ei ni ya wa il de la si
    con des dan den sin cu das ist pas une les au""".split()
)
"""Words that English notes have as well, most as abbreviations: Na, w/, OS, ANA, para 2, ET, OD. No sign by themselves."""
_WORD = re.compile(r"[^\W\d_]+")
_FEW_WORDS = 8
_MANY_WORDS = 12
_LOOKED_AT = 4000
"""Characters from the beginning: enough to tell a language by."""
_OTHER_LETTER = re.compile(r"[^\W\d_\x00-ɏμα-δ]")


def not_english(lower: str, knows: Callable[[str], bool]) -> str | None:
    """Why the text does not read as English, or None. Only signs of another language count: values and abbreviations pass.

    `knows` tells whether a word begins a phrase of the rules: notes in abbreviations have hardly a function word.
    """
    words = _WORD.findall(lower[:_LOOKED_AT])
    if not words:
        return None
    if not lower.isascii() and 3 * len(_OTHER_LETTER.findall(lower[:_LOOKED_AT])) > sum(map(len, words)):
        return "the text is in another script than English"
    others, english = [word for word in words if word in _OTHERS], sum(word in _ENGLISH for word in words)
    signs = sum(word not in _AMBIGUOUS for word in others)
    enough = signs >= 2 or (signs and (len(others) >= 2 or len(words) < _FEW_WORDS))
    if enough and len(others) > 2 * english and 5 * len(others) >= len(words):
        return "the text does not read as English"
    accents = sum(not word.isascii() for word in words) >= 2
    prose = len(words) >= _MANY_WORDS and not any(map(str.isdigit, lower[:_LOOKED_AT]))
    if len(words) >= _FEW_WORDS and (accents or prose) and not english and not _any_known(words, knows):
        return "the text does not read as English"
    return None


def _any_known(words: Iterable[str], knows: Callable[[str], bool]) -> bool:
    return any(len(word) > 1 and knows(word) for word in words)
