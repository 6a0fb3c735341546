"""`/tokenize`, `/detokenize`, `/tokenizer_info`: the model's own tokenizer, for clients that count or score."""

from typing import Any

from fastapi import APIRouter
from fastapi.concurrency import run_in_threadpool

from assistant.engine.loaded import LoadedEmbedder, LoadedModel
from assistant.server.service import Service, text_ids
from assistant.server.shapes import Detokenized, Tokenized, TokenizerInfo
from assistant.server.wire import DetokenizeRequest, TokenizeRequest


def tokens_router(service: Service) -> APIRouter:
    """The routes, over one service."""
    router = APIRouter()

    @router.post("/tokenize", response_model=Tokenized)
    async def tokenize(body: TokenizeRequest) -> dict[str, Any]:
        """Token ids of a text, or of messages as the model is asked with them."""
        loaded = service.ready()
        if body.messages is not None:
            turns = [message.turn for message in body.messages]
            asked = service.text_model()
            ids = await run_in_threadpool(asked.template.prompt_ids, asked.model, turns)
        else:
            ids = await run_in_threadpool(_text_ids, loaded, body.prompt or "", body.add_special_tokens)
        return {"tokens": ids, "count": len(ids), "max_model_len": loaded.most_tokens}

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


def _text_ids(loaded: LoadedModel | LoadedEmbedder, text: str, special: bool) -> list[int]:
    """As the routes read a text: a completion's control tokens as they are spelled, and none in a text to embed."""
    model = loaded.model
    if isinstance(loaded, LoadedModel):
        return text_ids(model, text, add_special=special)
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
