"""A decoding context: the KV cache of several sequences, one decode at a time, stoppable from another thread."""

import ctypes
import weakref
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.errors import RuntimeFailure
from models.pooling import Pooling, pooling_number
from models.runtime.batch import Batch
from models.runtime.errors import ContextFull, DecodeAborted
from models.runtime.library import LOG, c_flag_reader, default_threads, keeping_interrupts, llama, raise_interrupt
from models.runtime.model import Model

_MAX_THREADS = 512
_MAX_CONTEXT_TOKENS = 2**22  # llama.cpp works for minutes and fills the memory before it refuses 2**31
_DECODED, _NO_ROOM, _ABORTED = 0, 1, 2


class Context:
    """Sequences 0 to `n_seq_max` - 1 over one unified KV cache of `n_ctx` cells.

    `flash_attention` None lets llama.cpp choose. `kv_type` "f32" with `flash_attention=False` is what comes within 1e-3
    of another implementation's logits. Only `abort` may be called while another thread decodes.
    With `embeddings`, a `pooling` other than "none" makes one vector of each sequence, and a batch has `n_ubatch` tokens
    at most: no sequence is pooled in parts.
    """

    def __init__(
        self,
        model: Model,
        n_ctx: int,
        n_seq_max: int = 1,
        n_batch: int = 512,
        *,
        n_ubatch: int = 512,
        threads: int | None = None,
        kv_type: str = "f16",
        flash_attention: bool | None = None,
        embeddings: bool = False,
        pooling: Pooling = "none",
    ) -> None:
        library = llama()
        self.model = model
        self.threads = default_threads() if threads is None else _checked_threads(threads)
        if not model.has_weights:
            raise RuntimeFailure(f"{model.path} was opened without its weights; load it without vocab_only")
        _check_sizes(n_ctx, n_seq_max, min(n_batch, n_ubatch))
        self.pooling: Pooling = pooling if embeddings else "none"
        self._flag = ctypes.create_string_buffer(2)
        self._views: dict[tuple[int, int], NDArray[np.float32]] = {}
        """Of rows, by address and length."""
        params = library.llama_context_default_params()
        params.n_ctx = n_ctx
        params.n_seq_max = n_seq_max
        params.n_batch = n_batch
        params.n_ubatch = min(n_ubatch, n_batch)
        params.n_threads = params.n_threads_batch = self.threads
        params.type_k = params.type_v = _kv_type_number(kv_type)
        params.flash_attn_type = -1 if flash_attention is None else int(flash_attention)
        params.embeddings = embeddings
        if embeddings:
            params.pooling_type = pooling_number(pooling)
        params.kv_unified = True
        params.no_perf = True
        params.abort_callback = library.ggml_abort_callback(c_flag_reader())
        params.abort_callback_data = ctypes.addressof(self._flag)
        self._open(params)

    def _open(self, params: Any) -> None:
        library, model = llama(), self.model
        mark = LOG.mark()
        with keeping_interrupts():
            pointer = library.llama_init_from_model(model.pointer, params)
        if not pointer:
            raise_interrupt()
            reason = LOG.complaints(mark) or "no reason given"
            raise RuntimeFailure(
                f"llama.cpp cannot make a context of {params.n_ctx} tokens: {reason}; ask for fewer tokens"
            )
        self._pointer = pointer
        # The flag's buffer is an argument of the finalizer so that it outlives the C context, which reads it.
        self._free = weakref.finalize(self, _free_context, pointer, self._flag)
        self._memory = library.llama_get_memory(pointer)
        self.n_ctx = int(library.llama_n_ctx(pointer))
        self.n_batch = int(library.llama_n_batch(pointer))
        self.n_ubatch = int(library.llama_n_ubatch(pointer))
        self.n_seq_max = int(library.llama_n_seq_max(pointer))
        model.contexts.add(self)
        raise_interrupt()

    @property
    def pointer(self) -> Any:
        """The C pointer, for the other modules of this package; raises RuntimeFailure once closed."""
        if not self._free.alive:
            raise RuntimeFailure("the context is closed; make a new one")
        return self._pointer

    def decode(self, batch: Batch) -> None:
        """Compute one batch.

        Raises DecodeAborted after `abort`, ContextFull where the cache has no room (nothing changed then), and
        RuntimeFailure otherwise. After an abort the micro-batches already finished stay: ask `seq_pos_max`.
        Raises ModelFileError where the model's file was written to meanwhile: what was computed is worth nothing.
        """
        if self._flag.raw[0]:
            self.reset_abort()
            raise DecodeAborted("decoding was stopped before it began")
        if self.pooling != "none" and len(batch) > self.n_ubatch:  # llama.cpp asserts on it
            raise ContextFull(
                f"{len(batch)} tokens cannot be pooled in micro-batches of {self.n_ubatch}; shorten the text"
            )
        mark = LOG.mark()
        status = llama().llama_decode(self.pointer, batch.struct)
        raise_interrupt()
        if status == _DECODED:
            self.model.file.check()
            return
        if status == _ABORTED:
            self.reset_abort()
            raise DecodeAborted("decoding was stopped")
        if status == _NO_ROOM:
            raise ContextFull(f"no room for {len(batch)} tokens in the context of {self.n_ctx}; shorten the text")
        reason = LOG.complaints(mark) or "no reason given"
        raise RuntimeFailure(
            f"llama.cpp cannot decode {len(batch)} tokens (status {status}): {reason}; send them again"
        )

    def abort(self) -> None:
        """Stop the running decode within milliseconds, else the next one before it begins; from any thread.

        On a GPU the decode that runs is finished first, so keep `n_batch` small there.
        """
        self._flag[0] = b"\x01"

    def reset_abort(self) -> None:
        """Forget an `abort` that no decode has met yet, so that it cannot hit the next request."""
        self._flag[0] = b"\x00"

    def logits(self, row: int) -> NDArray[np.float32]:
        """A copy of the logits (n_vocab,) of batch row `row`, which must have been added with `logits=True`."""
        return self.logits_in_place(row).copy()

    def logits_in_place(self, row: int) -> NDArray[np.float32]:
        """The logits (n_vocab,) of batch row `row` where llama.cpp's samplers read them, until the next decode."""
        pointer = llama().llama_get_logits_ith(self.pointer, row)
        return self._vector(pointer, self.model.n_vocab, "logits", row)

    def embedding(self, row: int) -> NDArray[np.float32]:
        """A copy of the last hidden state (n_embd,) of batch row `row`; the context needs `embeddings` without pooling."""
        if self.pooling != "none":  # llama.cpp would answer with memory that nothing was written to
            raise RuntimeFailure(f"this context pools its rows ({self.pooling}); ask `pooled_embedding` for a sequence")
        pointer = llama().llama_get_embeddings_ith(self.pointer, row)
        return self._vector(pointer, self.model.n_embd, "embedding", row).copy()

    def pooled_embedding(self, seq: int) -> NDArray[np.float32]:
        """A copy of the vector (n_embd_out,) that the last batch's rows of sequence `seq` were pooled to."""
        pointer = None if self.pooling == "none" else llama().llama_get_embeddings_seq(self.pointer, seq)
        if not pointer:
            raise RuntimeFailure(f"the last batch has no pooled embedding of sequence {seq}; decode it with pooling")
        return np.ctypeslib.as_array(pointer, shape=(self.model.n_embd_out,)).copy()

    def check_row(self, row: int) -> None:
        """Raise RuntimeFailure unless the last batch has logits for `row`; llama.cpp's samplers assert on it."""
        if not llama().llama_get_logits_ith(self.pointer, row):
            raise RuntimeFailure(f"the last batch has no logits for row {row}; ask for them when adding the token")

    def _vector(self, pointer: Any, length: int, what: str, row: int) -> NDArray[np.float32]:
        if not pointer:
            raise RuntimeFailure(f"the last batch has no {what} for row {row}; ask for them when adding the token")
        # A view takes 0.07 ms to make after a decode, and a row lies where it lay in the last one.
        key = (ctypes.addressof(pointer.contents), length)
        if key not in self._views:
            self._views[key] = np.ctypeslib.as_array(pointer, shape=(length,))
        return self._views[key]

    def set_threads(self, threads: int) -> None:
        """Use `threads` threads from the next decode on."""
        if threads == self.threads:
            return
        self.threads = _checked_threads(threads)
        llama().llama_set_n_threads(self.pointer, threads, threads)

    def seq_pos_max(self, seq: int) -> int:
        """The last position that sequence `seq` holds, -1 where it is empty."""
        return int(llama().llama_memory_seq_pos_max(self._live_memory(seq), seq))

    def seq_rm(self, seq: int, start: int = 0, end: int = -1) -> None:
        """Drop positions `start` to `end` - 1 of sequence `seq`; `end` -1 means to the last."""
        if not llama().llama_memory_seq_rm(self._live_memory(seq), seq, start, end):
            raise RuntimeFailure(f"this model's memory cannot drop positions {start} to {end}; clear the sequence")

    def seq_cp(self, source: int, target: int, start: int = 0, end: int = -1) -> None:
        """Let `target` share the cells `start` to `end` - 1 of `source`: no copy, no computation."""
        self._live_memory(target)
        llama().llama_memory_seq_cp(self._live_memory(source), source, target, start, end)

    def clear(self) -> None:
        """Forget every sequence. Nothing reads what the cells hold: to zero them takes longer than to embed a short text."""
        llama().llama_memory_clear(self._live_memory(0), False)

    def state_bytes(self, seq: int) -> int:
        """How large `save_state` would be."""
        self._live_memory(seq)
        return int(llama().llama_state_seq_get_size_ext(self.pointer, seq, 0))

    def save_state(self, seq: int) -> NDArray[np.uint8]:
        """The cache of sequence `seq` as bytes, for `load_state` of a context of the same model and KV type."""
        size = self.state_bytes(seq)
        data = np.empty(size, np.uint8)  # nothing is copied twice: a thousand tokens of an 8B model are 131 MB
        target = data.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        written = int(llama().llama_state_seq_get_data_ext(self.pointer, target, size, seq, 0))
        if not written:
            raise RuntimeFailure(f"llama.cpp cannot save the state of sequence {seq}; decode the text again instead")
        return data[:written]

    def load_state(self, seq: int, data: NDArray[np.uint8]) -> None:
        """Replace sequence `seq` by what `save_state` gave; the sequence is empty after a failure (RuntimeFailure)."""
        self._live_memory(seq)
        source = data.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        mark = LOG.mark()
        if not llama().llama_state_seq_set_data_ext(self.pointer, source, len(data), seq, 0):
            reason = LOG.complaints(mark) or "no reason given"
            raise RuntimeFailure(
                f"a state of {len(data)} bytes does not fit this context: {reason}; decode the text again"
            )

    def _live_memory(self, seq: int) -> Any:
        # llama.cpp asserts on a sequence id out of range, and an assertion ends the process.
        if not 0 <= seq < self.n_seq_max:
            raise RuntimeFailure(
                f"sequence {seq} is outside 0 to {self.n_seq_max - 1}; make the context with more sequences"
            )
        return self._memory if self.pointer else None

    def close(self) -> None:
        """Free the context; safe to call twice. No thread may be decoding."""
        self._free()

    def __enter__(self) -> "Context":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _check_sizes(n_ctx: int, n_seq_max: int, batch_tokens: int) -> None:
    if min(n_ctx, n_seq_max, batch_tokens) < 1 or n_ctx > _MAX_CONTEXT_TOKENS:
        raise RuntimeFailure(
            f"a context of {n_ctx} tokens and {n_seq_max} sequences in batches of {batch_tokens} is"
            f" impossible; use 1 or more of each, at most {_MAX_CONTEXT_TOKENS} tokens"
        )


def _checked_threads(threads: int) -> int:
    # llama.cpp asserts on more threads than it can hold, and an assertion ends the process.
    if not 1 <= threads <= _MAX_THREADS:
        raise RuntimeFailure(f"{threads} threads are not possible; use 1 to {_MAX_THREADS}")
    return threads


def _kv_type_number(kv_type: str) -> int:
    library = llama()
    numbers = {"f16": library.GGML_TYPE_F16, "f32": library.GGML_TYPE_F32}
    if kv_type not in numbers:
        raise RuntimeFailure(f"KV type {kv_type!r} is unknown; use one of {', '.join(numbers)}")
    return int(numbers[kv_type])


def _free_context(pointer: int, _flag: object) -> None:
    llama().llama_free(pointer)
