"""A model file opened by llama.cpp: its weights, its vocabulary, its metadata."""

import ctypes
import os
import weakref
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from models.errors import ModelFileError, RuntimeFailure
from models.runtime.errors import UnknownTokenError
from models.runtime.library import LOG, keeping_interrupts, llama, raise_interrupt, supports_gpu
from models.runtime.mapped_file import MappedFile

if TYPE_CHECKING:
    from models.runtime.context import Context

_MAGIC = b"GGUF"


class Model:
    """A loaded GGUF file. Close it (or use `with`) to free its memory; closing closes its contexts first."""

    def __init__(self, file: MappedFile, path: Path, pointer: int, *, has_weights: bool = True) -> None:
        library = llama()
        self.path, self.file = path, file
        self.has_weights = has_weights
        self.contexts: weakref.WeakSet[Context] = weakref.WeakSet()
        self._pointer = pointer
        self._vocab = library.llama_model_get_vocab(pointer)
        self._free = weakref.finalize(self, library.llama_model_free, pointer)
        self.n_vocab = int(library.llama_vocab_n_tokens(self._vocab))
        self.n_ctx_train = int(library.llama_model_n_ctx_train(pointer))
        self.n_embd = int(library.llama_model_n_embd(pointer))
        self.n_embd_out = int(library.llama_model_n_embd_out(pointer))
        self.is_recurrent = bool(library.llama_model_is_recurrent(pointer) or library.llama_model_is_hybrid(pointer))
        self.n_layer = int(library.llama_model_n_layer(pointer))
        self.metadata = _metadata(pointer)
        # Where a file names none, llama.cpp offers id 11 of GPT-2 or 1 of Llama: Qwen's have no BOS at all.
        named = "tokenizer.ggml.bos_token_id" in self.metadata
        self.bos = _token(library.llama_vocab_bos(self._vocab)) if named else None
        self.eos = _token(library.llama_vocab_eos(self._vocab))
        self.eot = _token(library.llama_vocab_eot(self._vocab))
        self.add_bos = bool(library.llama_vocab_get_add_bos(self._vocab))
        self.size_bytes = int(library.llama_model_size(pointer))
        self.n_params = int(library.llama_model_n_params(pointer))
        self.description = _text(library.llama_model_desc, pointer)

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        gpu_layers: int | None = None,
        check_tensors: bool = False,
        vocab_only: bool = False,
        repack: bool = True,
    ) -> "Model":
        """Open `path`.

        `gpu_layers`: None offloads all layers where the library can, none elsewhere. `repack=False` keeps the weights
        as they are mapped: no second, faster copy in memory. Raises ModelFileError where there is no GGUF file at
        `path`, RuntimeFailure where llama.cpp refuses it.
        """
        file = Path(path)
        check_is_gguf(file)
        mapped, library = MappedFile(file), llama()
        params = library.llama_model_default_params()
        params.n_gpu_layers = (-1 if supports_gpu() else 0) if gpu_layers is None else gpu_layers
        params.check_tensors = check_tensors
        params.vocab_only = vocab_only
        params.use_extra_bufts = repack
        mark = LOG.mark()
        with keeping_interrupts():
            pointer = library.llama_model_load_from_file(os.fsencode(file), params)
        if pointer:
            model = cls(mapped, file, pointer, has_weights=not vocab_only)
            raise_interrupt()
            return model
        raise_interrupt()
        reason = LOG.complaints(mark) or "no reason given"
        raise RuntimeFailure(f"llama.cpp cannot load {file}: {reason}; fetch or export the file again")

    @property
    def pointer(self) -> int:
        """The C pointer, for the other modules of this package; raises RuntimeFailure once closed."""
        if not self._free.alive:
            raise RuntimeFailure(f"the model {self.path} is closed; load it again")
        return self._pointer

    @property
    def vocab(self) -> Any:
        """The C pointer to the vocabulary; raises RuntimeFailure once closed."""
        return self._vocab if self.pointer else None

    def close(self) -> None:
        """Free the contexts made from this model, then the model; safe to call twice."""
        for context in list(self.contexts):
            context.close()
        self._free()
        self.file.close()

    def __enter__(self) -> "Model":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def tokenize(self, text: str, *, add_bos: bool, parse_special: bool) -> list[int]:
        """Token ids of `text`.

        `add_bos` puts the BOS token first (pass `model.add_bos` to do as the file asks). `parse_special` turns the
        spelling of a control token into that token: only for text that we wrote ourselves.
        """
        ids = self._tokenize(text, False, parse_special)
        if not add_bos:
            return ids
        if self.bos is None:
            raise RuntimeFailure(f"{self.path} has no BOS token to add; pass add_bos=model.add_bos")
        return [self.bos, *ids]

    def tokenize_whole(self, text: str) -> list[int]:
        """Token ids of a text to embed, between those that the file puts around one: BOS or CLS, EOS or SEP."""
        return self._tokenize(text, True, False)

    def _tokenize(self, text: str, add_special: bool, parse_special: bool) -> list[int]:
        data = text.encode("utf-8", "replace")
        capacity = len(data) + 4
        tokens = (ctypes.c_int32 * capacity)()
        count = llama().llama_tokenize(self.vocab, data, len(data), tokens, capacity, add_special, parse_special)
        if count < 0:
            raise RuntimeFailure(f"llama.cpp cannot tokenize a text of {len(data)} bytes; shorten it")
        return list(tokens[:count])

    def token_bytes(self, token: int, *, special: bool = False) -> bytes:
        """The bytes of `token`, perhaps part of a code point; control tokens are empty unless `special`."""
        self.check_tokens((token,))
        buffer = ctypes.create_string_buffer(64)
        length = llama().llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, special)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = llama().llama_token_to_piece(self.vocab, token, buffer, len(buffer), 0, special)
        return buffer.raw[:length]

    def detokenize(self, ids: Sequence[int], *, special: bool = False) -> str:
        """The text of `ids`, control tokens spelled out where `special`; bytes that are not UTF-8 become U+FFFD."""
        for token in ids:
            self.check_tokens((token,))
        tokens = (ctypes.c_int32 * len(ids))(*ids)
        buffer = ctypes.create_string_buffer(8 * len(ids) + 16)
        length = llama().llama_detokenize(self.vocab, tokens, len(ids), buffer, len(buffer), False, special)
        if length < 0:
            buffer = ctypes.create_string_buffer(-length)
            length = llama().llama_detokenize(self.vocab, tokens, len(ids), buffer, len(buffer), False, special)
        return buffer.raw[:length].decode("utf-8", "replace")

    def is_end(self, token: int) -> bool:
        """Whether `token` ends a generation (end of text, end of turn)."""
        self.check_tokens((token,))
        return bool(llama().llama_vocab_is_eog(self.vocab, token))

    def is_control(self, token: int) -> bool:
        """Whether `token` steers the model and stands for no text."""
        self.check_tokens((token,))
        library = llama()
        attributes = library.LLAMA_TOKEN_ATTR_CONTROL | library.LLAMA_TOKEN_ATTR_UNKNOWN
        return bool(library.llama_vocab_get_attr(self.vocab, token) & attributes)

    def check_tokens(self, ids: Sequence[int]) -> None:
        """Raise UnknownTokenError for an id outside the vocabulary."""
        # llama.cpp indexes its vocabulary without a check in several of these calls.
        for token in (min(ids, default=0), max(ids, default=0)):
            if not 0 <= token < self.n_vocab:
                raise UnknownTokenError(
                    f"token id {token} is outside the vocabulary of {self.n_vocab}; pass ids of this model"
                )


def check_is_gguf(file: Path) -> None:
    """Raise ModelFileError unless a readable file with GGUF's magic number stands at `file`."""
    try:
        with file.open("rb") as stream:
            magic = stream.read(len(_MAGIC))
    except FileNotFoundError as error:
        raise ModelFileError(f"no model file at {file}; check the path or run `bedside models list`") from error
    except OSError as error:
        raise ModelFileError(f"cannot read {file}: {error.strerror}; check that it is a readable file") from error
    if magic != _MAGIC:
        raise ModelFileError(f"{file} is not a GGUF file (it starts with {magic!r}); export or fetch it as GGUF")


def _token(token: int) -> int | None:
    return int(token) if token >= 0 else None


def _text(function: Any, *arguments: Any) -> str:
    # These C functions answer like snprintf: the full length, however small the buffer.
    length = function(*arguments, None, 0)
    buffer = ctypes.create_string_buffer(max(length, 0) + 1)
    function(*arguments, buffer, len(buffer))
    return buffer.value.decode("utf-8", "replace")


def _metadata(pointer: int) -> dict[str, str]:
    library = llama()
    return {
        _text(library.llama_model_meta_key_by_index, pointer, index): _text(
            library.llama_model_meta_val_str_by_index, pointer, index
        )
        for index in range(library.llama_model_meta_count(pointer))
    }
