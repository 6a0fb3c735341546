"""A model at work: file, context and engine, opened and closed together. Text models answer, embedding models measure texts."""

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TypeVar

from assistant.engine.budget import check_embedding_memory, check_memory, memory_need
from assistant.engine.embedder import Embedder
from assistant.engine.kept import KeptPrompts
from assistant.engine.neighbours import NeighbourMeter, threads_beside
from assistant.engine.rows import measure_rows
from assistant.engine.scheduler import Scheduler
from assistant.engine.states import StateCache, common_prefix
from assistant.engine.stats import EngineStats
from device.monitor import Monitor
from models.disk import hash_file
from models.errors import ModelFileError, StorageError
from models.gguf_header import read_header
from models.runtime.chat import ChatTemplate
from models.runtime.context import Context
from models.runtime.library import default_threads, library_build
from models.runtime.model import Model
from models.runtime.schema import SchemaCompiler
from models.store import data_folder

MICRO_BATCH_TOKENS = 128
"""As fast as 512, and an aborted prompt keeps what was finished. Below 64 other attention kernels read a prompt more slowly: at
48 in 42% of the speed with the reference model, in 83% with a 1B shape (one x86 core)."""
EMBEDDING_SEQUENCES = 64
"""Texts that are embedded in one decode, where they are short."""


@dataclass(frozen=True)
class EngineSettings:
    """How much a loaded model may take."""

    sequences: int = 4
    """Requests that are worked on at once."""
    context_tokens: int = 8192
    """Cells of the cache that they share; never more than the model was trained for times `sequences`. For an
    embedding model the longest text."""
    batch_tokens: int = 512
    cache_bytes: int = 256 * 2**20
    """Main memory for sequences that made room for others."""
    queue_limit: int = 32
    threads: int | None = None
    """None: as many as there are cores, fewer beside busy neighbours."""
    kept_prompts: tuple[str, ...] = ()
    """System messages whose states are kept on disk; never what a client has sent."""
    precise: bool = False
    """Attention and cache in float32. llama.cpp's flash attention computes with keys and values of 16 bits whatever the cache
    holds: the F32 reference model's scores lay up to 0.05 nats from transformers', and without it within 1e-4."""


_Kind = TypeVar("_Kind", bound="_Loaded")


class _Loaded:
    """What both kinds of model have: an engine over them, closed before them."""

    load_s = 0.0
    _ended = False

    def __init__(self, model: Model, engine: Scheduler | Embedder) -> None:
        self.model, self._engine = model, engine

    def check_alive(self) -> None:
        """Raise EngineClosedError where it takes no request any more, with the reason."""
        self._engine.check_alive()

    def wait(self) -> None:
        """Until the engine has failed, or is closed; all that ran has then been told."""
        self._engine.wait()

    def stalled_s(self) -> float:
        """How long the engine has been at one piece of work, as `Progress` counts it; 0 while it has none."""
        return self._engine.progress.stalled_s()

    def stats(self) -> EngineStats:
        """What the engine does now, and has done so far."""
        return self._engine.stats()

    @property
    def most_tokens(self) -> int:
        """Prompt and answer together, for one request; of an embedding model, one text."""
        return self._engine.room

    def end(self) -> None:
        """End the engine; what waits and runs is told."""
        if not self._ended:
            self._ended = True
            self._engine.close()

    def close(self) -> None:
        """End the engine, then free context and model."""
        self.end()
        self.model.close()

    def __enter__(self: _Kind) -> _Kind:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class LoadedModel(_Loaded):
    """A text model. Submit and cancel through `scheduler`."""

    def __init__(
        self,
        model: Model,
        template: ChatTemplate,
        context: Context,
        settings: EngineSettings,
        *,
        key: str | None,
        monitor: Monitor | None,
    ) -> None:
        self.template, self.context = template, context
        self.schemas = SchemaCompiler(model)
        # In a thread that ends: OpenMP's workers belong to the thread that decodes. Beside those of another that lives on it
        # believes the cores taken, waits asleep, not spinning, and a 1B shape decodes 31 tokens a second in place of 41.
        with ThreadPoolExecutor(1) as passing:
            self.costs = passing.submit(measure_rows, context).result()
        states = StateCache(settings.cache_bytes)
        beginnings = [_beginning(template, model, text) for text in settings.kept_prompts]
        kept = None if key is None else KeptPrompts(data_folder() / "states", key, beginnings, states)
        self.scheduler = Scheduler(
            context,
            self.costs,
            states=states,
            queue_limit=settings.queue_limit,
            kept=kept,
            most_threads=settings.threads or default_threads(),
            monitor=monitor,
        )
        super().__init__(model, self.scheduler)

    @classmethod
    def open(cls, path: Path, settings: EngineSettings, monitor: Monitor | None = None) -> "LoadedModel":
        """Load a GGUF file; `monitor` is told what each step computes.

        Nothing stays open where it raises ModelFileError, MemoryBudgetError, TemplateError or RuntimeFailure.
        """
        started, neighbours = time.monotonic(), NeighbourMeter()
        n_ctx = _check_memory(path, settings)
        model = Model.load(path)
        try:
            # A recurrent state cannot be cut: what would be kept of a system message held the words behind it, too.
            keeps = bool(settings.kept_prompts) and not model.is_recurrent
            with ThreadPoolExecutor(1) as beside:
                hashing = beside.submit(_hash, path) if keeps else None
                template = ChatTemplate.from_model(model)
                context = _context(model, n_ctx, settings, neighbours)
            digest = None if hashing is None else hashing.result()
            key = None if digest is None else _state_key(digest, context, precise=settings.precise)
            loaded = cls(model, template, context, settings, key=key, monitor=monitor)
        except BaseException:
            model.close()
            raise
        loaded.load_s = time.monotonic() - started
        return loaded


class LoadedEmbedder(_Loaded):
    """An embedding model. Submit and cancel through `embedder`."""

    def __init__(self, model: Model, context: Context, settings: EngineSettings, monitor: Monitor | None) -> None:
        self.context = context
        self.embedder = Embedder(context, queue_limit=settings.queue_limit, monitor=monitor)
        super().__init__(model, self.embedder)

    @classmethod
    def open(cls, path: Path, settings: EngineSettings, monitor: Monitor | None = None) -> "LoadedEmbedder":
        """Load a GGUF file that names a pooling; `monitor` is told what each step computes.

        Nothing stays open where it raises ModelFileError, MemoryBudgetError or RuntimeFailure.
        """
        started, neighbours = time.monotonic(), NeighbourMeter()
        header = read_header(path)
        n_ctx = min(settings.context_tokens, header.n_ctx_train)
        sequences = min(EMBEDDING_SEQUENCES, n_ctx)
        check_embedding_memory(path, n_ctx, n_seq_max=sequences)
        model = Model.load(path)
        try:
            threads = settings.threads or threads_beside(neighbours.busy_cores(), default_threads())
            context = Context(
                model,
                n_ctx,
                sequences,
                n_batch=n_ctx,
                n_ubatch=n_ctx,
                threads=threads,
                embeddings=True,
                pooling=header.pooling,
            )
            loaded = cls(model, context, settings, monitor)
        except BaseException:
            model.close()
            raise
        loaded.load_s = time.monotonic() - started
        return loaded

    @property
    def width(self) -> int:
        """Numbers in a vector."""
        return self.model.n_embd_out


def open_model(path: Path, settings: EngineSettings, monitor: Monitor | None = None) -> LoadedModel | LoadedEmbedder:
    """Load a GGUF file as what it is. Raises what the two kinds raise, and ModelFileError for a reranker."""
    pooling = read_header(path).pooling
    if pooling == "rank":
        raise ModelFileError(f"{path} is a reranker, which is not served; use a text model or an embedding model")
    kind = LoadedModel if pooling == "none" else LoadedEmbedder
    return kind.open(path, settings, monitor)


def check_takes_place(path: Path, settings: EngineSettings, served: Path) -> None:
    """Raise MemoryBudgetError where the text model at `path` does not fit once the one at `served` is gone.

    What that one frees is estimated, and rather too high: loading looks again at what is free then.
    """
    header = read_header(served)
    freed = memory_need(
        header,
        _cells(header.n_ctx_train, settings),
        n_ubatch=MICRO_BATCH_TOKENS,
        n_seq_max=settings.sequences + 1,
        kept_bytes=settings.cache_bytes,
        precise=settings.precise,
    )
    _check_memory(path, settings, freed.total_bytes)


def _check_memory(path: Path, settings: EngineSettings, freed_bytes: int = 0) -> int:
    """The cells of the cache, for which there is room."""
    n_ctx = _cells(read_header(path).n_ctx_train, settings)
    check_memory(
        path,
        n_ctx,
        n_ubatch=MICRO_BATCH_TOKENS,
        n_seq_max=settings.sequences + 1,
        kept_bytes=settings.cache_bytes,
        precise=settings.precise,
        freed_bytes=freed_bytes,
    )
    return n_ctx


def _cells(n_ctx_train: int, settings: EngineSettings) -> int:
    return min(settings.context_tokens, n_ctx_train * settings.sequences)


def _context(model: Model, n_ctx: int, settings: EngineSettings, neighbours: NeighbourMeter) -> Context:
    return Context(
        model,
        n_ctx,
        settings.sequences + 1,
        min(settings.batch_tokens, n_ctx),
        n_ubatch=MICRO_BATCH_TOKENS,
        threads=settings.threads or threads_beside(neighbours.busy_cores(), default_threads()),
        kv_type="f32" if settings.precise else "f16",
        flash_attention=False if settings.precise else None,
    )


def _beginning(template: ChatTemplate, model: Model, system: str) -> list[int]:
    """Tokens that every conversation with this system message begins with."""
    prompts = [
        template.prompt_ids(model, [{"role": "system", "content": system}, {"role": "user", "content": text}])
        for text in ("a", "1")
    ]
    return prompts[0][: common_prefix(*prompts)]


def _hash(path: Path) -> str | None:
    """None where the file cannot be read again: then nothing is kept, and what is loaded works without."""
    try:
        return hash_file(path)
    except StorageError:
        return None


def _state_key(model_hash: str, context: Context, *, precise: bool) -> str:
    """What a saved state depends on besides its tokens."""
    sizes = f"{context.n_ctx} {context.n_seq_max} {context.n_batch} {context.n_ubatch} {precise}"
    return f"{model_hash} {sizes} {library_build()}"
