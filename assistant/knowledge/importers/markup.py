"""Markdown's and HTML's marks inside a line made plain words, so that none changes what is said.

Struck-out text goes: it was withdrawn. Raised digits stay raised, else 10<sup>9</sup> would read 109.
"""

import html
import re

_RAISED = str.maketrans("0123456789+-−", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻")
_LONGEST = 400
"""Characters between two marks: looked for without a bound, the end of each of many would be sought through all the rest."""
_TAGS = "a abbr b blockquote br center code dd del details div dl dt em font h1 h2 h3 h4 h5 h6 hr i img ins kbd li mark ol p pre s small span strong sub summary sup table tbody td tfoot th thead tr u ul"  # noqa: E501
_RULES: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE | re.DOTALL), by)
    for pattern, by in (
        (rf"~~(?=\S).{{1,{_LONGEST}}}?(?<=\S)~~|<(del|s)\b[^<>]*>.{{0,{_LONGEST}}}?</\1>", ""),
        (r"<br\s*/?>|</?(p|div|tr|li)\b[^<>]*>", " "),
        (rf"</?({'|'.join(_TAGS.split())})(\s[^<>]*)?/?>", ""),
        (r"!\[([^\[\]\n]*)\]\([^()\n]*\)", r"\1"),
        (r"\[([^\[\]\n]+)\]\((?:[^()\n]|\([^()\n]*\))*\)", r"\1"),
        (r"\[([^\[\]\n]+)\]\[[^\[\]\n]*\]", r"\1"),
        (r"<((?:https?://|mailto:)[^<>\s]+)>", r"\1"),
        (r"\[\^[^\[\]\s]+\]:?", ""),
        (rf"(?<![\w*\\])(\*{{1,3}})(?=[^\s*])(.{{1,{_LONGEST}}}?)(?<=[^\s*\\])\1(?![\w*])", r"\2"),
        (rf"(?<![\w_\\])(_{{1,3}})(?=[^\s_])(.{{1,{_LONGEST}}}?)(?<=[^\s_\\])\1(?![\w_])", r"\2"),
        (rf"(?<!`)(`+)(?!`)(.{{1,{_LONGEST}}}?)(?<!`)\1(?!`)", r"\2"),
        (r"\\([\\`*_{}\[\]()#+.!|~<>-])", r"\1"),
    )
)
_SUP = re.compile(r"<sup>\s*([0-9+\-−]{1,6})\s*</sup>", re.IGNORECASE)


def without_markup(text: str) -> str:
    """The words of a line or paragraph of Markdown."""
    text = _SUP.sub(lambda match: match[1].translate(_RAISED), text)
    for pattern, by in _RULES:
        text = pattern.sub(by, text)
    return html.unescape(text).strip()
