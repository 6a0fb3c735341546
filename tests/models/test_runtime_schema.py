"""Answers kept to JSON schemas, whatever the model would say."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from models.resolve import resolve_gguf
from models.runtime.context import Context
from models.runtime.errors import SchemaError
from models.runtime.generate import generate
from models.runtime.model import Model
from models.runtime.sampler import Sampler, SamplingOptions
from models.runtime.schema import MAX_SCHEMA_BYTES, MAX_SCHEMA_DEPTH, SchemaCompiler

DOSE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "drug": {"type": "string", "maxLength": 12},
        "dose_mg": {"type": "integer", "minimum": 1, "maximum": 999},
        "route": {"enum": ["oral", "iv"]},
    },
    "required": ["drug", "dose_mg", "route"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    with Model.load(resolve_gguf("reference")) as opened:
        yield opened


@pytest.fixture(scope="module")
def compiler(model: Model) -> SchemaCompiler:
    return SchemaCompiler(model)


@pytest.mark.parametrize("seed", range(5))
def test_random_choices_make_an_object_of_the_schema(model: Model, compiler: SchemaCompiler, seed: int) -> None:
    matcher = compiler.compile(DOSE)
    options = SamplingOptions(temperature=2.0, top_k=0, top_p=1.0, min_p=0.0, seed=seed)
    written, pending = [], model.tokenize("Give", add_bos=True, parse_special=False)
    with Context(model, 512, threads=1) as context, Sampler(options) as sampler:
        tokens = generate(context, pending, _Masked(sampler, matcher), 200)
        written = list(tokens)
    assert tokens.finish_reason == "stop"
    found = json.loads(model.detokenize(written))
    assert set(found) == {"drug", "dose_mg", "route"}
    assert len(found["drug"]) <= 12
    assert 1 <= found["dose_mg"] <= 999
    assert found["route"] in ("oral", "iv")


class _Masked(Sampler):
    """The sampler as the engine uses it with a schema."""

    def __init__(self, inner: Sampler, matcher: Any) -> None:
        super().__init__(inner.options)
        self._matcher = matcher

    def sample(self, context: Context, row: int) -> int:
        self._matcher.mask(context.logits_in_place(row))
        token = super().sample(context, row)
        if not context.model.is_end(token):
            self._matcher.accept(token)
        return token


def test_every_token_that_is_ruled_out_would_break_the_schema(model: Model, compiler: SchemaCompiler) -> None:
    """At the start of an object only tokens that begin with white space or a brace stay."""
    logits = np.zeros(model.n_vocab, dtype=np.float32)
    compiler.compile(DOSE).mask(logits)
    allowed = [model.token_bytes(token) for token in np.flatnonzero(logits == 0).tolist()]
    assert b"{" in allowed
    assert all(text.lstrip()[:1] in (b"{", b"") for text in allowed)


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"type": "object", "properties": {"a": {"pattern": "(("}}}, "cannot be used"),
        ({"type": "nothing"}, "cannot be used"),
        ({"description": "x" * MAX_SCHEMA_BYTES}, r"has 655\d\d bytes; at most 65536 are taken"),
        ({"$ref": "#/missing"}, "cannot be used"),
        (
            {"x-guidance": {"whitespace_pattern": "x+", "whitespace_flexible": True}},
            "x-guidance, which is not supported",
        ),
        (json.loads('{"allOf":[' * 200 + '{"pattern":"a"}' + "]}" * 200), "nested more than 100 deep"),
        (json.loads('{"not":' * MAX_SCHEMA_DEPTH + "{}" + "}" * MAX_SCHEMA_DEPTH), "nested more than 100 deep"),
    ],
)
def test_what_cannot_be_kept_to_is_refused(compiler: SchemaCompiler, schema: dict[str, Any], told: str) -> None:
    with pytest.raises(SchemaError, match=told):
        compiler.compile(schema)


def test_a_schema_as_deep_as_is_taken_is_compiled(compiler: SchemaCompiler) -> None:
    pairs = MAX_SCHEMA_DEPTH // 2 - 1
    compiler.compile(json.loads('{"allOf":[' * pairs + '{"type":"integer"}' + "]}" * pairs))


def test_a_rule_for_white_space_below_the_root_is_none(model: Model, compiler: SchemaCompiler) -> None:
    """There the name is an annotation, or that of a client's own property."""
    rule = {"x-guidance": {"whitespace_pattern": "x+", "whitespace_flexible": True}}
    whole = {"type": "object", "required": ["a"], "properties": {"a": {"$ref": "#/$defs/a"}, "x-guidance": {}}}
    matcher = compiler.compile({**whole, "$defs": {"a": {"type": "array", **rule}}})
    for token in model.tokenize('{"a": [', add_bos=False, parse_special=False):
        matcher.accept(token)
    logits = np.zeros(model.n_vocab, dtype=np.float32)
    matcher.mask(logits)
    assert not any(model.token_bytes(token).startswith(b"x") for token in np.flatnonzero(logits == 0).tolist())


def test_patterns_to_be_met_at_once_are_refused_before_they_are_compiled(compiler: SchemaCompiler) -> None:
    endless = {"allOf": [{"type": "string", "pattern": f"^.*a.{{{count}}}$"} for count in range(15, 40)]}
    overlapping: dict[str, Any] = {"patternProperties": {f"^.*a.{{{count}}}$": {} for count in range(15, 40)}}
    for schema in (endless, {"properties": {"x": endless}}, overlapping, {"anyOf": [overlapping]}):
        with pytest.raises(SchemaError, match="several patterns met at once"):
            compiler.compile(schema)
    for pair in ({"pattern": "^b"}, {"format": "date"}, {"$ref": "#/$defs/a"}):
        with pytest.raises(SchemaError, match="several patterns met at once"):
            compiler.compile({"$defs": {"a": {"type": "string"}}, "allOf": [{"pattern": "^a"}, pair]})
    inherited = {"$defs": {"a": {"type": "object"}, "b": {"properties": {"x": {"type": "string"}}}}}
    compiler.compile({**inherited, "allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}]})
    compiler.compile({"type": "string", "pattern": "^[a-z]{1,9}$"})


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "integer", "multipleOf": 99_999_989},
        {"type": "integer", "multipleOf": 10**400},
        {"type": "number", "multipleOf": 9.9991},
        {"type": "integer", "allOf": [{"multipleOf": 97}, {"multipleOf": 89}, {"multipleOf": 83}]},
        {"anyOf": [{"multipleOf": each} for each in (997, 991, 983, 977)]},
        {"$defs": {"a": {"multipleOf": 97}, "b": {"multipleOf": 0.89}}, "items": {"multipleOf": 8.3}},
    ],
)
def test_multiples_that_would_take_long_are_refused_before_they_are_compiled(
    compiler: SchemaCompiler, schema: dict[str, Any]
) -> None:
    with pytest.raises(SchemaError, match=r"least common multiple of all multipleOf .* is above 10000; leave some out"):
        compiler.compile(schema)


@pytest.mark.parametrize(("written", "may_end"), [("36", True), ("37", False)])
def test_multiples_are_kept_to(model: Model, compiler: SchemaCompiler, written: str, may_end: bool) -> None:
    """All of these have 3000 in common."""
    others = {"anyOf": [{"multipleOf": each} for each in (0.25, 10, 60, 1000, 0)]}
    matcher = compiler.compile({"$defs": {"others": others}, "type": "integer", "multipleOf": 12})
    texts = [model.token_bytes(token) for token in range(model.n_vocab)]
    for digit in written:
        matcher.accept(texts.index(digit.encode()))
    logits = np.zeros(model.n_vocab, dtype=np.float32)
    matcher.mask(logits)
    ends = [token for token in range(model.n_vocab) if model.is_end(token)]
    assert (logits[ends] == 0).any() == may_end


@pytest.mark.parametrize("pattern", ["^a{1000000}$", "^((ab){1000,}){1000}$", "^a{00" + "9" * 5000 + "}$"])
def test_a_pattern_that_repeats_too_often_is_refused(compiler: SchemaCompiler, pattern: str) -> None:
    refused: list[dict[str, Any]] = [{"type": "string", "pattern": pattern}, {"patternProperties": {pattern: {}}}]
    for schema in refused:
        with pytest.raises(SchemaError, match="counts whose product is above 20000"):
            compiler.compile(schema)
    compiler.compile({"type": "string", "pattern": "^[a-z]{0,30000}-[0-9]{4}-[0-9]{2}$"})


def test_a_token_outside_the_schema_is_an_error(model: Model, compiler: SchemaCompiler) -> None:
    (token,) = model.tokenize("z", add_bos=False, parse_special=False)[-1:]
    matcher = compiler.compile(DOSE)
    with pytest.raises(SchemaError, match="cannot be kept to the JSON schema"):
        matcher.accept(token)


def test_a_schema_that_holds_itself_is_followed(compiler: SchemaCompiler) -> None:
    tree = {"$defs": {"n": {"type": "object", "properties": {"c": {"type": "array", "items": {"$ref": "#/$defs/n"}}}}}}
    compiler.compile({**tree, "$ref": "#/$defs/n"})
