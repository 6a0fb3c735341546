"""States of system prompts on disk: what conversations begin with is not read again after a restart.

Only prompts that the host writes itself or that its operator names are kept. What clients send may hold a patient's words.
"""

import hashlib
import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from assistant.engine.states import SHORTEST_TOKENS, StateCache, common_prefix
from models.disk import free_space, replacing, require_space, show_bytes
from models.errors import StorageError

MOST_BYTES = 2**30
"""On disk, over all models; files unused longest go first."""
_DIGEST_BYTES = hashlib.sha256().digest_size
_SUFFIX = ".state"
_LEFT_BEHIND_S = 3600.0
"""A half-written file as old as this is nobody's any more."""
_LOG = logging.getLogger(__name__)


class KeptPrompts:
    """Prompts whose states are kept, in memory for as long as the engine runs and on disk for the next one.

    `key` tells apart what must not be mixed up: the model's weights, the context's parameters, the library's version.
    """

    def __init__(self, folder: Path, key: str, prompts: Iterable[Sequence[int]], states: StateCache) -> None:
        self._folder, self._key, self._states = folder, key, states
        self._missing: list[tuple[int, ...]] = []
        self._writers: list[threading.Thread] = []
        self._untold = threading.Lock()
        for prompt in dict.fromkeys(tuple(prompt) for prompt in prompts if len(prompt) >= SHORTEST_TOKENS):
            data = self._read(prompt)
            if data is None:
                self._missing.append(prompt)
            else:
                states.pin(prompt, data)

    def beginnings(self, tokens: Sequence[int]) -> list[tuple[int, ...]]:
        """The prompts that `tokens` begins with and whose states are not kept yet."""
        return [prompt for prompt in self._missing if common_prefix(prompt, tokens) == len(prompt)]

    def keep(self, prompt: tuple[int, ...], data: NDArray[np.uint8]) -> None:
        """Keep the state of a prompt, in memory at once, on disk soon; where there is no room that is told."""
        self._missing.remove(prompt)
        if not self._states.pin(prompt, data):
            _LOG.warning(
                "a system message of %d tokens takes %s of memory and is not kept; give more --cache-mib",
                len(prompt),
                show_bytes(len(data)),
            )
            return
        writer = threading.Thread(target=self._write, args=(self._path(prompt), data), name="bedside-kept-prompt")
        writer.start()
        self._writers.append(writer)

    def close(self) -> None:
        """Wait until all is written."""
        for writer in self._writers:
            writer.join()

    def _path(self, prompt: Sequence[int]) -> Path:
        digest = hashlib.sha256(self._key.encode() + b"\0" + np.asarray(prompt, dtype="<i4").tobytes())
        return self._folder / f"{digest.hexdigest()}{_SUFFIX}"

    def _read(self, prompt: Sequence[int]) -> NDArray[np.uint8] | None:
        path = self._path(prompt)
        try:
            content = np.fromfile(path, np.uint8)
            os.utime(path)
        except OSError:
            return None
        digest, data = content[:_DIGEST_BYTES], content[_DIGEST_BYTES:]
        return data if hashlib.sha256(data.data).digest() == digest.tobytes() else None

    def _write(self, path: Path, data: NDArray[np.uint8]) -> None:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._make_room(len(data))
            require_space(self._folder, len(data), free_space)
            with replacing(path) as temporary:
                temporary.chmod(0o600)
                with temporary.open("wb") as stream:
                    stream.write(hashlib.sha256(data.data).digest())
                    stream.write(data.data)
        except (StorageError, OSError) as error:
            if self._untold.acquire(blocking=False):  # once: each further prompt would fail alike
                _LOG.warning("system messages are read again after a restart: their states cannot be kept (%s)", error)

    def _make_room(self, needed_bytes: int) -> None:
        found = sorted(self._files(), key=lambda file: file[1].st_mtime)
        used = sum(stat.st_size for _, stat in found)
        for path, stat in found:
            whole = path.suffix == _SUFFIX
            left_behind = not whole and time.time() - stat.st_mtime > _LEFT_BEHIND_S
            if left_behind or (whole and used + needed_bytes > MOST_BYTES):
                used -= stat.st_size
                path.unlink(missing_ok=True)

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        """States, and what is being written, or was when its writer was killed."""
        for path in self._folder.iterdir():
            with suppress(FileNotFoundError):  # another server has removed it
                yield path, path.stat()
