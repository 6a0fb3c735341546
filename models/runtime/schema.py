"""Answers that keep to a JSON schema: before each choice, tokens that would break it get a logit of minus infinity.

llguidance works out which those are, within limits on the size of the grammar and the work of a step. Only schemas are
taken, never grammars as such. The door to llguidance.
"""

import ctypes
import json
import math
import re
import threading
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import numpy as np
from llguidance import LLMatcher, LLParserLimits, LLTokenizer
from numpy.typing import NDArray

from models.runtime.errors import SchemaError
from models.runtime.library import llama
from models.runtime.model import Model

MAX_SCHEMA_BYTES = 64 * 2**10
MAX_SCHEMA_DEPTH = 100
"""Lists and objects in one another; llguidance's own reader stops at 128."""
_MOST_STEPS = 10_000
"""For the least common multiple of all `multipleOf`. llguidance makes a state for each remainder, before any of its limits count:
at 9,009 to 10,000 that took up to 0.35 s, at 99,991 2.6 s, and 97 * 89 * 83 more than 15 s (one x86 core)."""
_MOST_REPEATS = 20_000
"""For the product of a pattern's counts. A first token took 0.03 s at 10,000, 0.9 s at 100,000, 2.7 s at 1,000,000 (the same)."""
_COUNT = re.compile(r"\{0*([1-9]\d{0,8})")
_LIMITS = LLParserLimits(
    initial_lexer_fuel=1_000_000,
    step_lexer_fuel=200_000,
    step_max_items=50_000,
    max_lexer_states=50_000,
    max_grammar_size=100_000,
    verbose_errors=False,
)
_STYLE: Any = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""As json.dumps writes. Where any white space may stand, a small model writes nothing else."""
_OWN_LEXER = "x-guidance"
"""llguidance's extension: it is read at the root of a schema, and may allow anything for white space."""
_SHOWN_CHARACTERS = 200


class SchemaMatcher:
    """One answer on its way through a schema."""

    def __init__(self, matcher: LLMatcher, n_vocab: int) -> None:
        self._matcher, self._n_vocab = matcher, n_vocab

    def mask(self, logits: NDArray[np.float32]) -> None:
        """Rule out, in place, the tokens that cannot come next; `logits` is (n_vocab,). Raises SchemaError."""
        bits = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        self._check()
        logits[np.unpackbits(bits, count=self._n_vocab, bitorder="little") == 0] = -np.inf

    def accept(self, token: int) -> None:
        """The token was chosen. Raises SchemaError."""
        self._matcher.consume_token(token)
        self._check()

    def _check(self) -> None:
        if self._matcher.is_error():
            raise SchemaError("the answer cannot be kept to the JSON schema within its limits; simplify the schema")


class SchemaCompiler:
    """Schemas for answers of one model. May be used from any thread."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._lock = threading.Lock()
        self._tokenizer: LLTokenizer | None = None

    def compile(self, schema: dict[str, Any]) -> SchemaMatcher:
        """A matcher at its start. Raises SchemaError for one that is too large or not supported."""
        if _OWN_LEXER in schema:
            raise SchemaError(f"the JSON schema has {_OWN_LEXER}, which is not supported; leave it out")
        if _is_deeper(schema, MAX_SCHEMA_DEPTH):
            raise SchemaError(f"the JSON schema is nested more than {MAX_SCHEMA_DEPTH} deep; flatten it")
        text = json.dumps(schema)
        if len(text.encode()) > MAX_SCHEMA_BYTES:
            raise SchemaError(f"the JSON schema has {len(text.encode())} bytes; at most {MAX_SCHEMA_BYTES} are taken")
        if '"pattern' in text and _patterns_to_meet(schema) > 1:
            raise SchemaError(
                "the JSON schema wants several patterns met at once (allOf), which can take for ever; write one"
            )
        if any(_repeats(pattern) > _MOST_REPEATS for pattern in _all_patterns(schema)):
            raise SchemaError(
                f"a pattern of the JSON schema has counts whose product is above {_MOST_REPEATS}; repeat less often"
            )
        if math.lcm(*map(_digits, _all_multiples(schema))) > _MOST_STEPS:
            raise SchemaError(
                "the least common multiple of all multipleOf of the JSON schema, without decimal points, is above"
                f" {_MOST_STEPS}; leave some out"
            )
        try:
            grammar = LLMatcher.grammar_from_json_schema(text, overrides=_STYLE)
        except ValueError as error:
            raise SchemaError(f"the JSON schema cannot be used: {_short(error)}; correct it") from error
        matcher = LLMatcher(self._known_tokens(), grammar, log_level=0, limits=_LIMITS)
        if matcher.is_error():
            raise SchemaError(f"the JSON schema cannot be used: {_short(matcher.get_error())}; correct it")
        return SchemaMatcher(matcher, self._model.n_vocab)

    def _known_tokens(self) -> LLTokenizer:
        """Made once: it takes a second for a large vocabulary."""
        with self._lock:
            if self._tokenizer is None:
                self._tokenizer = _token_trie(self._model)
            return self._tokenizer


def _token_trie(model: Model) -> LLTokenizer:
    # A byte that is never in UTF-8 keeps control tokens out of every text.
    texts = [
        (b"\xff" if model.is_control(token) else b"") + model.token_bytes(token, special=True)
        for token in range(model.n_vocab)
    ]
    ends = [token for token in range(model.n_vocab) if model.is_end(token)]
    function = ctypes.cast(llama()._lib.llama_tokenize, ctypes.c_void_p).value
    from_llamacpp: Any = LLTokenizer.from_llamacpp  # type: ignore[attr-defined]  # its stub leaves it out
    trie: LLTokenizer = from_llamacpp(
        tokens=texts, vocab_ptr=model.vocab, tokenize_fptr=function, eos_token=ends, slices=None
    )
    return trie


def _is_deeper(schema: Any, most: int) -> bool:
    """Whether more than `most` lists and objects lie in one another; by levels, as recursion would itself run out of stack."""
    level = [schema]
    for _ in range(most):
        level = [
            inner
            for each in level
            for inner in (each.values() if isinstance(each, dict) else each)
            if isinstance(inner, dict | list)
        ]
    return bool(level)


def _patterns_to_meet(schema: Any) -> int:
    """The most patterns that one `allOf` or `patternProperties` sets side by side.

    llguidance intersects them, and its limits do not cover that: a schema of 1,257 bytes kept it busy for more than 25 s.
    """
    if isinstance(schema, list):
        return max((_patterns_to_meet(each) for each in schema), default=0)
    if not isinstance(schema, dict):
        return 0
    beside = _patterns_in(schema["allOf"]) + ("pattern" in schema) if "allOf" in schema else 0
    properties = schema.get("patternProperties")
    if isinstance(properties, dict):
        beside = max(beside, len(properties))
    return max(beside, *(_patterns_to_meet(each) for each in schema.values()), 0)


def _patterns_in(schema: Any) -> int:
    if isinstance(schema, list):
        return sum(map(_patterns_in, schema))
    if not isinstance(schema, dict):
        return 0
    return ("pattern" in schema) + ("format" in schema) + ("$ref" in schema) + sum(map(_patterns_in, schema.values()))


def _objects_in(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, dict):
        yield schema
    for each in schema.values() if isinstance(schema, dict) else schema:
        if isinstance(each, dict | list):
            yield from _objects_in(each)


def _all_multiples(schema: Any) -> Iterator[int | float]:
    """Every `multipleOf`, wherever it stands: through allOf, anyOf and $ref any may meet any other."""
    for each in _objects_in(schema):
        found = each.get("multipleOf")
        # No float holds an integer of 400 digits.
        if isinstance(found, int) or (isinstance(found, float) and math.isfinite(found)):
            yield found or 1


def _all_patterns(schema: Any) -> Iterator[str]:
    for each in _objects_in(schema):
        own, of_properties = each.get("pattern"), each.get("patternProperties")
        if isinstance(own, str):
            yield own
        if isinstance(of_properties, dict):
            yield from of_properties


def _repeats(pattern: str) -> int:
    """How often its smallest part must come, at most: `(a{2}b){3,}` asks for six a."""
    return math.prod(map(int, _COUNT.findall(pattern)))


def _digits(number: float) -> int:
    """The whole number that is left without the decimal point: 5 of 0.5, 1000 of 1000."""
    exact = Decimal(repr(number)).normalize()
    return abs(int(exact.scaleb(-min(int(exact.as_tuple().exponent), 0))))


def _short(reason: object) -> str:
    return " ".join(str(reason).split())[:_SHOWN_CHARACTERS]
