"""What the routes share: the loaded model, its name, its measures."""

import asyncio
import time
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from assistant.ask.model_choice import ChosenModel
from assistant.engine.loaded import LoadedEmbedder, LoadedModel
from assistant.engine.request import Finished, Request
from assistant.engine.usage import Usage
from assistant.errors import LOADING, EngineClosedError, PromptTooLongError
from assistant.safety.contacts import Contact
from assistant.server.errors import ApiError
from assistant.server.gate import Gate
from assistant.server.grounding import Libraries
from assistant.server.metrics import Metrics
from assistant.server.power import LivePower
from assistant.server.preparing import Preparing
from assistant.server.wire import Sampled
from models.runtime.errors import UnknownTokenError
from models.runtime.sampler import SamplingOptions
from models.runtime.schema import SchemaMatcher

_COLDEST = 1e-4
"""Logits divided by less overflow; the likeliest token is chosen then, as at 0."""
_SEEDS = 2**32 - 1
DEFAULT_ANSWER_TOKENS = 1024
"""Where a client does not say: cells are set aside for so many, so that other requests find room as well."""
_CHARACTERS_PER_TOKEN = 32
"""More than any text has on average (English has 4 to 5): a longer one is not tokenized to find out that it is too long."""


@dataclass
class Activity:
    """What a server that ends when nobody needs it goes by; questions about its health do not count."""

    open_requests: int = 0
    last_at: float = field(default_factory=time.monotonic)


@dataclass
class Service:
    """One server's state; no text of any request is part of it."""

    chosen: ChosenModel
    """Which model is served."""
    follows_choice: bool
    """Whether it is the one that was chosen last, and may be changed; else it was named at the start."""
    metrics: Metrics
    power: LivePower
    activity: Activity = field(default_factory=Activity)
    libraries: Libraries = field(default_factory=Libraries)
    preparing: Preparing = field(default_factory=Preparing)
    gate: Gate = field(default_factory=Gate)
    contacts: tuple[Contact, ...] = ()
    """The operator's numbers for a patient at risk of self-harm."""
    loaded: LoadedModel | LoadedEmbedder | None = None
    is_loaded: asyncio.Event = field(default_factory=asyncio.Event)
    """Set in the event loop."""
    started_at: float = 0.0
    draining: bool = False

    @property
    def name(self) -> str:
        """The model's, as clients call it."""
        return self.chosen.name

    def ready(self) -> LoadedModel | LoadedEmbedder:
        """The model of either kind, once it is loaded. Raises EngineClosedError before."""
        if self.loaded is None or self.draining:
            raise EngineClosedError("the server is shutting down; try again later" if self.draining else LOADING)
        self.loaded.check_alive()
        return self.loaded

    def text_model(self) -> LoadedModel:
        """The model, which has to be one that answers. Raises EngineClosedError before it is loaded, else ApiError."""
        loaded = self.ready()
        if not isinstance(loaded, LoadedModel):
            raise self._of_the_other_kind("an embedding model; serve a text model for answers")
        return loaded

    def embedding_model(self) -> LoadedEmbedder:
        """The model, which has to be one for embeddings. Raises EngineClosedError before it is loaded, else ApiError."""
        loaded = self.ready()
        if not isinstance(loaded, LoadedEmbedder):
            raise self._of_the_other_kind("a text model; serve an embedding model for embeddings")
        return loaded

    def _of_the_other_kind(self, what: str) -> ApiError:
        return ApiError(400, f"{self.name} is {what}", "model_kind", "model")

    def check_model(self, name: str | None) -> None:
        """One server has one model; a client may leave its name out. Raises ApiError for another."""
        if name is not None and name not in (self.name, "default"):
            raise ApiError(
                404, f"no model {name[:80]!r} here; this server has {self.name!r}", "model_not_found", "model"
            )

    def requests(
        self,
        body: Sampled,
        prompt: Sequence[int],
        *,
        most: int | None,
        schema: dict[str, Any] | None = None,
        logprobs: int | None = None,
        scores_prompt: bool = False,
        ends_repetition: bool = False,
    ) -> list[Request]:
        """The engine's requests of one prompt: `n` of them, seeds counted up."""
        loaded = self.text_model()
        try:
            loaded.model.check_tokens(tuple(body.logit_bias or {}))
        except UnknownTokenError as error:
            raise ApiError(400, f"logit_bias: {error}", "invalid_value", "logit_bias") from error
        left = max(loaded.most_tokens - len(prompt), 1)
        wanted = DEFAULT_ANSWER_TOKENS if most is None else most
        return [
            Request(
                tuple(prompt),
                min(wanted, left),
                _options(body, place),
                stop=body.stops,
                schema=self._matcher(schema),
                logprobs=logprobs,
                scores_prompt=scores_prompt,
                ends_repetition=ends_repetition or body.end_repetition,
                drafting=body.drafting,
                deadline_s=body.deadline_s,
            )
            for place in range(body.n)
        ]

    def _matcher(self, schema: dict[str, Any] | None) -> SchemaMatcher | None:
        return None if schema is None else self.text_model().schemas.compile(schema)


def check_length(loaded: LoadedModel, texts: Iterable[str]) -> None:
    """Raise PromptTooLongError where so much text cannot fit into the context, which takes no tokenizer to see."""
    characters, room = sum(map(len, texts)), loaded.most_tokens
    if characters > _CHARACTERS_PER_TOKEN * room:
        raise PromptTooLongError(f"the prompt has {characters} characters, too many for {room} tokens; shorten it")


def text_ids(loaded: LoadedModel, text: str, *, add_special: bool = True) -> list[int]:
    """Ids of a client's text: control tokens as they are spelled, and the BOS that the file asks for, unless it is spelled.

    Raises PromptTooLongError for a text that the context cannot hold.
    """
    check_length(loaded, (text,))
    model, room = loaded.model, loaded.most_tokens
    # llama.cpp takes time that grows with their square.
    if loaded.template.spelled_controls(text) > room:
        raise PromptTooLongError(
            f"the prompt spells more control tokens than the {room} tokens of the context; shorten it"
        )
    ids = model.tokenize(text, add_bos=add_special and model.add_bos, parse_special=True)
    doubled = add_special and model.add_bos and ids[1:2] == [model.bos]
    return ids[1:] if doubled else ids


def new_id(kind: str) -> str:
    """A response's id, which tells nothing."""
    return f"{kind}-{uuid.uuid4().hex}"


def now() -> int:
    """Unix seconds."""
    return int(time.time())


def finish_reason(finished: Finished) -> str:
    """OpenAI's two words: it ended by itself, or it was cut."""
    return "stop" if finished.reason in ("stop", "repetition") else "length"


async def usage(service: Service, ended: Sequence[Finished], answers_per_prompt: int) -> dict[str, object]:
    """The usage block of all choices, which stand in the order of their prompts. Comes once it is known what they cost."""
    load_s, spent = service.text_model().load_s, await service.power.spent(ended)
    return Usage.of(ended, answers_per_prompt=answers_per_prompt, load_s=load_s, spent=spent).as_json()


def _options(body: Sampled, place: int) -> SamplingOptions:
    return SamplingOptions(
        temperature=body.temperature if body.temperature >= _COLDEST else 0.0,
        top_k=body.top_k,
        top_p=body.top_p,
        min_p=body.min_p,
        repeat_penalty=body.repeat_penalty,
        presence_penalty=body.presence_penalty,
        frequency_penalty=body.frequency_penalty,
        logit_bias=tuple((body.logit_bias or {}).items()),
        seed=None if body.seed is None else (body.seed + place) % _SEEDS,
    )
