"""What a Markdown file says of itself before its text: TOML between `+++` lines, or `name: value` lines between `---`."""

import re
import sys
from typing import Any

from assistant.errors import DocumentError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_BLOCK = re.compile(r"(\+\+\+|---)[ \t]*\n(.*?)^\1[ \t]*(?:\n|\Z)", re.DOTALL | re.MULTILINE)
_LINE = re.compile(r"([A-Za-z][\w-]*)[ \t]*:[ \t]*(.*)")


def split_front_matter(name: str, text: str) -> tuple[dict[str, Any], str, int]:
    """The fields, the text behind them, and how many lines stand before it. Raises DocumentError for damaged TOML.

    Of YAML only lines of a name and a plain value or a list in brackets are read: no more is needed here, and all of
    YAML is a language that can do harm.
    """
    match = _BLOCK.match(text)
    if match is None:
        return {}, text, 0
    block = match[2]
    if match[1] == "+++":
        try:
            fields = tomllib.loads(block)
        except (ValueError, RecursionError) as error:  # besides TOML's own, of numbers and lists without end
            raise DocumentError(f"{name} has a damaged front matter ({error}); correct it") from None
    else:
        fields = {line[1].lower(): _value(line[2]) for line in map(_LINE.fullmatch, block.split("\n")) if line}
        if not fields:
            return {}, text, 0  # a rule at the top of a page without front matter
    return fields, text[match.end() :], match[0].count("\n")


def _value(written: str) -> str | list[str]:
    value = written.strip()
    if value.startswith("[") and value.endswith("]"):
        return [_unquoted(item.strip()) for item in value[1:-1].split(",") if item.strip()]
    return _unquoted(value)


def _unquoted(value: str) -> str:
    quoted = len(value) > 1 and value[0] in "'\"" and value[-1] == value[0]
    return value[1:-1] if quoted else value
