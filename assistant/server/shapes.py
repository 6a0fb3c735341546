"""Answers as they go over the wire, for the OpenAPI document: what a client may rely on, and nothing more."""

from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from assistant.knowledge.evidence import Evidence
from device.bandwidth import Bandwidth
from device.board import Board
from device.detect import Unavailable
from device.reading import Calibrated, Filter, Kind, Scope


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


Item = TypeVar("Item", bound=_Shape)
Reason = Literal["stop", "length"]


class State(_Shape):
    """`/health` and `/ready`."""

    status: Literal["ok", "ready"]


class ModelMeta(_Shape):
    """Of a loaded model."""

    description: str
    size_bytes: int
    parameters: int
    dimensions: int | None = None
    """Numbers in a vector, of an embedding model."""


class ModelEntry(_Shape):
    """A model; `max_model_len` (tokens of prompt and answer) and `meta` once it is loaded."""

    id: str
    object: Literal["model"]
    created: int
    owned_by: str
    max_model_len: int | None = None
    meta: ModelMeta | None = None


class Listed(_Shape, Generic[Item]):
    """A list."""

    object: Literal["list"]
    data: list[Item]


class Tokenized(_Shape):
    """`/tokenize`."""

    tokens: list[int]
    count: int
    max_model_len: int


class Detokenized(_Shape):
    """`/detokenize`."""

    prompt: str


class TokenizerInfo(_Shape):
    """`/tokenizer_info`."""

    model_config = ConfigDict(extra="forbid", protected_namespaces=())

    tokenizer_class: str
    bos_token: str | None
    eos_token: str | None
    eot_token: str | None
    add_bos_token: bool
    vocab_size: int
    model_max_length: int
    chat_template: str | None


class Source(_Shape):
    """A passage with the number that the answer cites it by."""

    n: int
    id: str
    title: str
    section: str
    date: str
    licence: str
    text: str
    follows: str
    source: str
    position: str


class Found(Source):
    """A passage with how well it fits."""

    score: float


class SearchResults(_Shape):
    """`/v1/knowledge/search`."""

    query: str
    results: list[Found]
    left_out: dict[str, str]
    """Libraries that cannot be read, and why."""


class PromptDetails(_Shape):
    """Of `prompt_tokens`."""

    cached_tokens: int


class UsageExtras(_Shape):
    """Ours: tokens a second, seconds; null is not measured."""

    prompt_tokens_per_s: float | None
    decode_tokens_per_s: float | None
    time_to_first_token_s: float | None
    load_s: float | None
    queued_s: float | None
    cached_tokens: int
    drafted_tokens: int
    accepted_tokens: int
    finish_reason: str | None
    joules: float | None
    watts: float | None
    tokens_per_joule: float | None
    sensor: str | None
    scope: Scope | None
    kind: Kind | None


class UsageBlock(_Shape):
    """What an answer took."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: PromptDetails
    bedside: UsageExtras


class TokenProbability(_Shape):
    """A token's natural log probability."""

    token: str
    logprob: float
    bytes: list[int]


class ChosenToken(TokenProbability):
    """A chosen one, with the likeliest."""

    top_logprobs: list[TokenProbability]


class ChatLogprobs(_Shape):
    """Of an answer's tokens."""

    content: list[ChosenToken]
    refusal: None


class ChatMessage(_Shape):
    """An answer."""

    role: Literal["assistant"]
    content: str
    refusal: None


class ChatChoice(_Shape):
    """One of `n` answers."""

    index: int
    message: ChatMessage
    logprobs: ChatLogprobs | None
    finish_reason: Reason | Literal["content_filter"]
    """`content_filter` where the host refused and no model was asked."""


class FlagPlace(_Shape):
    """Words of a user's message: its index in the request, and code points of its content."""

    message: int
    start: int
    end: int


class CrisisContact(_Shape):
    """A number that the operator has set."""

    name: str
    number: str
    hours: str


class Finding(FlagPlace):
    """A red flag, by the rule that found it, at those of its words that came last in the conversation.

    `contacts` is null for rules that are shown without, and empty where the operator has set none.
    """

    rule: str
    severity: Literal["emergency", "urgent"]
    meaning: str
    source: str
    places: list[FlagPlace]
    contacts: list[CrisisContact] | None


class RedFlags(_Shape):
    """Where `screened` is false, `reason` says why rules were left out. Silence is no all-clear."""

    screened: bool
    reason: str | None
    rules: str
    findings: list[Finding]


class SentenceCheck(_Shape):
    """A sentence of the answer, in code points, against the passages that it cites."""

    start: int
    end: int
    cites: list[int]
    by: Literal["model", "host"]
    status: Literal["supported", "unsupported", "uncited"]
    reasons: list[str]


class Versions(_Shape):
    """What an answer was made with: the libraries that were searched, each with its version, and those that cannot be read."""

    bedside: str
    model_sha256: str
    libraries: dict[str, str]
    left_out: dict[str, str]


class ChatFields(_Shape):
    """Ours."""

    red_flags: RedFlags
    evidence: Evidence
    sources: list[Source]
    notice: str | None
    versions: Versions
    dropped_messages: int
    checks: list[SentenceCheck] | None = None


class ChatCompletion(_Shape):
    """`/v1/chat/completions` without `stream`."""

    id: str
    object: Literal["chat.completion"]
    created: int
    model: str
    choices: list[ChatChoice]
    usage: UsageBlock
    bedside: ChatFields


class CompletionLogprobs(_Shape):
    """Of a completion's tokens, and of the prompt's before them with `echo`; the first token of all has none."""

    tokens: list[str]
    token_logprobs: list[float | None]
    top_logprobs: list[dict[str, float] | None]
    text_offset: list[int]


class CompletionChoice(_Shape):
    """One of the completions: `n` for each prompt, in the prompts' order."""

    index: int
    text: str
    logprobs: CompletionLogprobs | None
    finish_reason: Reason


class Completion(_Shape):
    """`/v1/completions` without `stream`."""

    id: str
    object: Literal["text_completion"]
    created: int
    model: str
    choices: list[CompletionChoice]
    usage: UsageBlock


class Embedding(_Shape):
    """The vector of a text: numbers, or with `base64` their bytes, little-endian float32."""

    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class EmbeddingUsage(_Shape):
    """Tokens of all texts."""

    prompt_tokens: int
    total_tokens: int


class Embeddings(Listed[Embedding]):
    """`/v1/embeddings`."""

    model: str
    usage: EmbeddingUsage


class MeterFacts(_Shape):
    """A meter and one look at it."""

    source: str
    rail: str
    power_w: float | None
    energy_j: float | None
    rails_w: dict[str, float]
    scope: Scope
    kind: Kind
    correction: str | None
    calibrated: Calibrated | None
    shunt_ohm: float | None
    filter: Filter | None


@dataclass(frozen=True)
class BoardFacts(Board):
    """A board; the bandwidth of its memory is measured for `bedside device --bandwidth` alone."""

    bandwidth: Bandwidth | None = None


class DeviceFacts(_Shape):
    """`/v1/device`; null, never 0, where nothing was read."""

    board: BoardFacts
    selected: str | None
    sources: list[MeterFacts]
    unavailable: list[Unavailable]


def answer_or_stream(model: type[BaseModel]) -> dict[int | str, dict[str, Any]]:
    """What the document says of a route that answers whole, or with `stream` in server-sent events."""
    return {200: {"model": model, "content": _event_stream("A chunk as JSON; in the end [DONE].")}}


def events_of(data: str) -> dict[int | str, dict[str, Any]]:
    """What the document says of a route that answers in server-sent events only; `data` is what each holds."""
    return {200: {"description": "Server-sent events", "content": _event_stream(data)}}


def _event_stream(data: str) -> dict[str, Any]:
    held = {"type": "string", "description": data}
    return {"text/event-stream": {"schema": {"type": "object", "required": ["data"], "properties": {"data": held}}}}
