"""Requests as they come over the wire, in OpenAI's shapes; fields of theirs that change nothing here are ignored."""

from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    model_validator,
)
from pydantic_core import PydanticCustomError

MAX_LIBRARIES = 16
MAX_CHOICES = 8
MAX_PROMPTS = 64
MAX_INPUTS = 2048
"""Texts to embed in one request, as many as OpenAI takes: its clients send them so."""
MAX_MESSAGES = 1024
MAX_TEXT_CHARACTERS = 2**20
MAX_STOPS = 16
MAX_TOKENS = 2**18
MAX_BIASES = 300
MAX_STOP_CHARACTERS = 256
UNSUPPORTED = ("tools", "functions", "audio", "modalities", "prediction", "web_search_options")
"""Fields that change an answer and are not carried out: refused rather than passed over."""
CONSTRAINTS = (
    "grammar",
    "json_schema",
    "regex",
    "ebnf",
    "guided_json",
    "guided_regex",
    "guided_choice",
    "guided_grammar",
    "structured_outputs",
)
"""Fields by which other servers are told what an answer must keep to; an empty object is such a rule as well."""
MOST_BIAS = 100.0
_PARTS = {"image_url": "images", "input_audio": "audio", "file": "files"}


def _refusal(field: str, message: str) -> PydanticCustomError:
    """What a check over several fields raises: the field that the client is told of, and why."""
    return PydanticCustomError("refused", "{message}", {"field": field, "message": message})


def _encodable(text: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ValueError("the text holds half a UTF-16 pair, which is no character") from error
    return text


Text = Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS), AfterValidator(_encodable)]
ModelName = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_encodable)]
Passage = Annotated[str, Field(min_length=1, max_length=MAX_TEXT_CHARACTERS), AfterValidator(_encodable)]
Stop = Annotated[str, Field(min_length=1, max_length=MAX_STOP_CHARACTERS), AfterValidator(_encodable)]
TokenId = Annotated[int, Field(ge=0, lt=2**31)]
Stops = Annotated[
    Annotated[Stop, Tag("single")] | Annotated[list[Stop], Field(fail_fast=True, max_length=MAX_STOPS), Tag("texts")],
    Discriminator(lambda given: "texts" if isinstance(given, list) else "single"),
]
TokenIds = Annotated[list[TokenId], Field(fail_fast=True, min_length=1, max_length=MAX_TOKENS)]
"""One wrong entry is enough to refuse a list: a report on each of a million would take the server's breath away."""


def _form(given: Any) -> str:
    """Which of the forms of an input is meant, so that a refusal speaks of that one only."""
    if not isinstance(given, list):
        return "single"
    first = given[0] if given else ""
    return "id_lists" if isinstance(first, list) else "ids" if isinstance(first, int | float) else "texts"


class _Wire(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class StreamOptions(_Wire):
    """What a stream carries besides text."""

    include_usage: bool = False
    include_progress: bool = False
    """Ours: chunks that tell how many requests wait before this one, and how many prompt tokens have been read."""


class Sampled(_Wire):
    """What chat and completions have in common."""

    model: str | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] = 0.0
    """0, the likeliest token each time, is the default here."""
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(ge=0, le=2**31 - 1)] = 0
    min_p: Annotated[float, Field(ge=0, le=1)] = 0.0
    repeat_penalty: Annotated[float, Field(ge=0.01, le=10)] = 1.0
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] = 0.0
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    logit_bias: (
        Annotated[dict[int, Annotated[float, Field(ge=-MOST_BIAS, le=MOST_BIAS)]], Field(max_length=MAX_BIASES)] | None
    ) = None
    stop: Stops | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] = 1
    end_repetition: bool = False
    """Ours: an answer that turns in a circle is ended."""
    drafting: bool = True
    """Ours: whether words that repeat earlier ones may be guessed; it changes speed only, so it is off for measuring."""
    deadline_s: Annotated[float, Field(gt=0, le=86400)] | None = None
    """Ours: seconds after which an answer ends with what it has."""

    @property
    def stops(self) -> tuple[str, ...]:
        """The stop strings."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @model_validator(mode="before")
    @classmethod
    def _prepare(cls, data: Any) -> Any:
        """Refuse what is not carried out; a field that is null is one that was left out."""
        if not isinstance(data, dict):
            return data
        unsupported = [name for name in UNSUPPORTED if data.get(name)]
        unsupported += [name for name in CONSTRAINTS if data.get(name) not in (None, "", [], False)]
        unsupported += [
            name for name in ("tool_choice", "function_call") if data.get(name) not in (None, "none", "auto")
        ]
        if unsupported:
            raise _refusal(unsupported[0], f"{unsupported[0]} is not supported; leave it out")
        biases = data.get("logit_bias")
        if isinstance(biases, dict) and len(biases) > MAX_BIASES:  # before each of them is looked at
            raise _refusal("logit_bias", f"logit_bias names {len(biases)} tokens; give {MAX_BIASES} at most")
        return {name: value for name, value in data.items() if value is not None}


def _of_text(part: Any) -> Any:
    kind = part.get("type", "text") if isinstance(part, dict) else "text"
    if kind != "text":
        what = _PARTS.get(str(kind), "parts of this type")
        raise PydanticCustomError("part", "{what} are not supported; send text only", {"what": what})
    return part


class TextPart(_Wire):
    """A part of a message."""

    type: Literal["text"]
    text: Text


Content = Annotated[
    Annotated[Text, Tag("single")]
    | Annotated[
        list[Annotated[TextPart, BeforeValidator(_of_text)]],
        Field(fail_fast=True, min_length=1, max_length=64),
        Tag("parts"),
    ],
    Discriminator(lambda given: "parts" if isinstance(given, list) else "single"),
]


class MessageExtras(_Wire):
    """Ours, on a user's message."""

    passages: Annotated[list[Annotated[str, Field(max_length=256)]], Field(fail_fast=True, max_length=64)] = []
    """Ids of the passages that this message was given when it was asked."""


class Message(_Wire):
    """One turn."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Content
    bedside: MessageExtras | None = None

    @property
    def passages(self) -> list[str]:
        """The ids of `bedside.passages`."""
        return [] if self.bedside is None else self.bedside.passages

    @property
    def turn(self) -> dict[str, str]:
        """As the chat template takes it."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class JsonSchema(_Wire):
    """A named schema."""

    name: str = "answer"
    schema_: Annotated[dict[str, Any], Field(alias="schema")]


class ResponseFormat(_Wire):
    """What the answer must be."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None

    @property
    def schema_of_answer(self) -> dict[str, Any] | None:
        """The JSON schema to keep to, if any."""
        if self.type == "json_object":
            return {"type": "object"}
        return self.json_schema.schema_ if self.json_schema is not None else None

    @model_validator(mode="before")
    @classmethod
    def _no_bare_schema(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("schema") is not None:
            raise ValueError("give the schema as json_schema.schema, with the type json_schema")
        return data

    @model_validator(mode="after")
    def _has_schema(self) -> "ResponseFormat":
        if (self.type == "json_schema") != (self.json_schema is not None):
            raise ValueError("the type json_schema and the field json_schema go together; give both or neither")
        return self


def _is_knowledge(given: Any) -> Any:
    if not isinstance(given, list) and given not in ("on", "off"):
        raise PydanticCustomError("knowledge", 'give "on", "off" or a list of library ids, such as ["starter"]')
    return given


LibraryIds = Annotated[
    list[Annotated[str, Field(max_length=64)]], Field(fail_fast=True, min_length=1, max_length=MAX_LIBRARIES)
]
Knowledge = Annotated[
    Annotated[Literal["on", "off"], Tag("single")] | Annotated[LibraryIds, Tag("ids")],
    Discriminator(lambda given: "ids" if isinstance(given, list) else "single"),
    BeforeValidator(_is_knowledge),
]


class ChatExtras(_Wire):
    """Ours, on a conversation."""

    # Clients may send an answer's fields back with a message; these are none but ours, and a misspelled one is not passed over.
    model_config = ConfigDict(extra="forbid")

    knowledge: Knowledge = "off"
    """Whether to answer from passages, or the libraries to take them from."""
    overflow: Literal["refuse", "drop_oldest"] = "refuse"
    """What is done where the conversation leaves no room for an answer; how many messages were dropped is told."""


class ChatRequest(Sampled):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Field(fail_fast=True, min_length=1, max_length=MAX_MESSAGES)]
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    logprobs: bool = False
    top_logprobs: Annotated[int, Field(ge=0, le=20)] = 0
    response_format: ResponseFormat | None = None
    bedside: ChatExtras | None = None

    @property
    def knowledge(self) -> str | list[str]:
        """`on`, `off` or library ids."""
        return "off" if self.bedside is None else self.bedside.knowledge

    @property
    def is_grounded(self) -> bool:
        """Whether it is answered from passages."""
        return self.knowledge != "off"

    @property
    def schema_of_answer(self) -> dict[str, Any] | None:
        """The JSON schema to keep to, if any."""
        return None if self.response_format is None else self.response_format.schema_of_answer

    @property
    def drops_oldest(self) -> bool:
        """Whether the oldest turns give way to an answer."""
        return self.bedside is not None and self.bedside.overflow == "drop_oldest"

    @model_validator(mode="after")
    def _one_grounded_answer(self) -> "ChatRequest":
        if self.is_grounded and (self.n > 1 or self.schema_of_answer is not None):
            field = "n" if self.n > 1 else "response_format"
            raise _refusal(field, f"{field} cannot be had with knowledge; leave one of them out")
        return self

    @property
    def logprob_count(self) -> int | None:
        """How many alternatives are told, None where no probabilities are."""
        return self.top_logprobs if self.logprobs else None


Prompt = Annotated[
    Annotated[Text, Tag("single")]
    | Annotated[TokenIds, Tag("ids")]
    | Annotated[list[Text], Field(fail_fast=True, min_length=1, max_length=MAX_PROMPTS), Tag("texts")]
    | Annotated[list[TokenIds], Field(fail_fast=True, min_length=1, max_length=MAX_PROMPTS), Tag("id_lists")],
    Discriminator(_form),
]


class PlainFormat(_Wire):
    """A completion is text; a schema is kept to in a conversation only."""

    type: Literal["text"]


class CompletionRequest(Sampled):
    """`POST /v1/completions`."""

    prompt: Prompt
    response_format: PlainFormat | None = None
    max_tokens: Annotated[int, Field(ge=0)] | None = 16
    echo: bool = False
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    best_of: int | None = None
    suffix: str | None = None

    @model_validator(mode="after")
    def _check_combination(self) -> "CompletionRequest":
        if self.suffix:
            raise _refusal("suffix", "suffix is not supported; leave it out")
        if self.best_of is not None and self.best_of != self.n:
            raise _refusal("best_of", "best_of is not supported; leave it out")
        if self.max_tokens == 0 and not self.echo:
            raise _refusal("max_tokens", "max_tokens 0 gives nothing without echo; give one of them")
        return self


EmbeddingInput = Annotated[
    Annotated[Passage, Tag("single")]
    | Annotated[TokenIds, Tag("ids")]
    | Annotated[list[Passage], Field(fail_fast=True, min_length=1, max_length=MAX_INPUTS), Tag("texts")]
    | Annotated[list[TokenIds], Field(fail_fast=True, min_length=1, max_length=MAX_INPUTS), Tag("id_lists")],
    Discriminator(_form),
]


class EmbeddingRequest(_Wire):
    """`POST /v1/embeddings`."""

    model: str | None = None
    input: EmbeddingInput
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1)] | None = None

    @property
    def is_base64(self) -> bool:
        """Whether vectors are sent as their bytes."""
        return self.encoding_format == "base64"


class SearchRequest(_Wire):
    """`POST /v1/knowledge/search`."""

    query: Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_encodable)]
    k: Annotated[int, Field(ge=1, le=50)] = 4
    libraries: LibraryIds | None = None


class TokenizeRequest(_Wire):
    """`POST /tokenize`: a text, or messages through the chat template."""

    prompt: Text | None = None
    messages: Annotated[list[Message], Field(fail_fast=True, min_length=1, max_length=MAX_MESSAGES)] | None = None
    add_special_tokens: bool = True

    @model_validator(mode="after")
    def _one_of_both(self) -> "TokenizeRequest":
        if (self.prompt is None) == (self.messages is None):
            raise _refusal("prompt", "prompt or messages must be there, one of them; give it")
        return self


class DetokenizeRequest(_Wire):
    """`POST /detokenize`."""

    tokens: Annotated[list[TokenId], Field(fail_fast=True, max_length=MAX_TOKENS)]


class SwitchRequest(BaseModel):
    """`bedside switch`."""

    model_config = ConfigDict(extra="forbid")

    model: ModelName | None
    """None goes back to the one before."""
