"""`/tokenize`, `/detokenize`, `/tokenizer_info`: the model's own tokenizer, for clients that count or score."""

from functools import partial
from typing import Any

from fastapi import APIRouter
from fastapi import Request as HttpRequest
from fastapi.concurrency import run_in_threadpool

from assistant.engine.loaded import LoadedEmbedder, LoadedModel
from assistant.errors import PromptTooLongError
from assistant.server.errors import ApiError
from assistant.server.preparing import GoOn
from assistant.server.service import Service, check_length, text_ids
from assistant.server.shapes import Detokenized, Tokenized, TokenizerInfo
from assistant.server.wire import DetokenizeRequest, TokenizeRequest


def tokens_router(service: Service) -> APIRouter:
    """The routes, over one service."""
    router = APIRouter()

    @router.post("/tokenize", response_model=Tokenized)
    async def tokenize(body: TokenizeRequest, http: HttpRequest) -> dict[str, Any]:
        """Token ids of a text, or of messages as the model is asked with them."""
        ids = await service.preparing.run(http, partial(_ids, service, body))
        return {"tokens": ids, "count": len(ids), "max_model_len": service.ready().most_tokens}

    @router.post("/detokenize", response_model=Detokenized)
    async def detokenize(body: DetokenizeRequest) -> dict[str, str]:
        """The text of token ids, control tokens spelled out."""
        model = service.ready().model
        return {"prompt": await run_in_threadpool(model.detokenize, body.tokens, special=True)}

    @router.get("/tokenizer_info", response_model=TokenizerInfo)
    async def tokenizer_info() -> dict[str, Any]:
        """What a client must know to count tokens as the model does."""
        return _describe(service.ready())

    return router


def _ids(service: Service, body: TokenizeRequest, go_on: GoOn) -> list[int]:
    go_on()
    if body.messages is None:
        try:
            return _text_ids(service.ready(), body.prompt or "", body.add_special_tokens)
        except PromptTooLongError as error:
            raise ApiError(400, str(error), "context_length_exceeded", "prompt") from error
    asked, turns = service.text_model(), [message.turn for message in body.messages]
    check_length(asked, (turn["content"] for turn in turns))
    return asked.template.prompt_ids(asked.model, turns)


def _text_ids(loaded: LoadedModel | LoadedEmbedder, text: str, special: bool) -> list[int]:
    """As the routes read a text: a completion's control tokens as they are spelled, and none in a text to embed."""
    if isinstance(loaded, LoadedModel):
        return text_ids(loaded, text, add_special=special)
    model = loaded.model
    return model.tokenize_whole(text) if special else model.tokenize(text, add_bos=False, parse_special=False)


def _describe(loaded: LoadedModel | LoadedEmbedder) -> dict[str, Any]:
    model = loaded.model

    def spelled(token: int | None) -> str | None:
        return None if token is None else model.token_bytes(token, special=True).decode("utf-8", "replace")

    return {
        "tokenizer_class": model.metadata.get("tokenizer.ggml.model", ""),
        "bos_token": spelled(model.bos),
        "eos_token": spelled(model.eos),
        "eot_token": spelled(model.eot),
        "add_bos_token": model.add_bos,
        "vocab_size": model.n_vocab,
        "model_max_length": loaded.most_tokens,
        "chat_template": model.metadata.get("tokenizer.chat_template"),
    }
