"""The llama.cpp shared library: imported on first use, initialised once, its log kept instead of printed."""

import ctypes
import functools
import itertools
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

import psutil

# ggml.h's enum: debug 1, information 2, warning 3, error 4, continued 5 (the binding's own logger has it wrong).
_LEVEL_WARNING = 3
_LEVEL_ERROR = 4
_LEVEL_CONTINUED = 5
_KEPT_LINES = 256
_QUOTED_LINES = 3
_QUOTED_CHARACTERS = 400


class LogBuffer:
    """The last lines that llama.cpp logged, with their levels; safe to write from any thread."""

    def __init__(self) -> None:
        self._lines: deque[tuple[int, int, str]] = deque(maxlen=_KEPT_LINES)
        self._count = 0
        self._partial = ""
        self._level = 0
        self._lock = threading.Lock()

    def write(self, level: int, text: str) -> None:
        """Add a piece of log text; `level` 5 continues the line before it."""
        with self._lock:
            if level not in (_LEVEL_CONTINUED, self._level):
                self._keep(self._partial)  # progress lines may be left open
                self._partial, self._level = "", level
            *lines, self._partial = (self._partial + text).split("\n")
            for line in lines:
                self._keep(line)

    def _keep(self, line: str) -> None:
        if line.strip():
            self._count += 1
            self._lines.append((self._count, self._level, " ".join(line.split())))

    def mark(self) -> int:
        """A position to hand to `complaints` after a call."""
        with self._lock:
            return self._count

    def complaints(self, mark: int) -> str:
        """The last errors since `mark`, else the last warnings, as one line; empty where there are none."""
        with self._lock:
            recent = [(level, line) for number, level, line in self._lines if number > mark]
        errors = [line for level, line in recent if level == _LEVEL_ERROR]
        chosen = errors or [line for level, line in recent if level == _LEVEL_WARNING]
        return "; ".join(chosen[-_QUOTED_LINES:])[-_QUOTED_CHARACTERS:]


LOG = LogBuffer()
_interrupted = threading.Event()


def _capture_log(level: int, text: bytes | None, _user_data: object) -> None:
    try:
        LOG.write(level, (text or b"").decode("utf-8", "replace"))
    except KeyboardInterrupt:
        # Python delivers Ctrl-C in here, and ctypes would print and drop it: keep it for `raise_interrupt`.
        _interrupted.set()


@contextmanager
def keeping_interrupts() -> Iterator[None]:
    """Around a C call that logs much: keeps a Ctrl-C for `raise_interrupt`.

    It may also come as the log callback begins or ends, where no handler of its own can catch it. A handler that raises
    nothing, as a server's, is left alone; Python calls handlers in the main thread only.
    """
    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, lambda *_: _interrupted.set())
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def raise_interrupt() -> None:
    """Raise the Ctrl-C that arrived during a C call; call after every long one."""
    if _interrupted.is_set():
        _interrupted.clear()
        raise KeyboardInterrupt


@functools.cache
def llama() -> Any:
    """The module of low-level bindings, with the log captured and the backends initialised."""
    from llama_cpp import llama_cpp as bindings

    # ctypes keeps no reference to a callback that C still holds, so it lives on the module.
    bindings.bedside_log_callback = bindings.llama_log_callback(_capture_log)
    bindings.llama_log_set(bindings.bedside_log_callback, ctypes.c_void_p(0))
    bindings.llama_backend_init()
    _leave_out_amx(bindings)
    return bindings


def _leave_out_amx(bindings: Any) -> None:
    """Take AMX off the list of what llama.cpp's loader repacks weights for, so that the next on it, AVX-512, serves.

    GCC drops most of the tiles' configuration, which as far as it can see nothing reads: on a Xeon with AMX the first
    product ends the process (llama.cpp's pull request 26954, open in llama-cpp-python 0.3.36). The list is the one that the
    loader itself asks for, an array that ends with a null pointer.
    """
    library, pointer = bindings._lib, ctypes.c_void_p
    registry = ctypes.CFUNCTYPE(pointer, ctypes.c_char_p)(("ggml_backend_reg_by_name", library))(b"CPU")
    procedure = ctypes.CFUNCTYPE(pointer, pointer, ctypes.c_char_p)(("ggml_backend_reg_get_proc_address", library))
    first_device = ctypes.CFUNCTYPE(pointer, pointer, ctypes.c_size_t)(("ggml_backend_reg_dev_get", library))
    name_of = ctypes.CFUNCTYPE(ctypes.c_char_p, pointer)(("ggml_backend_buft_name", library))
    address = procedure(registry, b"ggml_backend_dev_get_extra_bufts")
    if not address:
        return  # a build that repacks nothing
    kinds = ctypes.CFUNCTYPE(ctypes.POINTER(pointer), pointer)(address)(first_device(registry, 0))
    found = list(itertools.takewhile(bool, (kinds[place] for place in itertools.count())))
    kept = [kind for kind in found if name_of(kind) != b"AMX"]
    for place, kind in enumerate([*kept, None]):
        kinds[place] = kind


@functools.cache
def c_flag_reader() -> int:
    """Address of libc's `strlen`: over a two-byte buffer it answers 0 or 1, so C code can poll a flag without Python.

    A Python callback there fires hundreds of times per token and fights for the interpreter lock.
    """
    address = ctypes.cast(ctypes.CDLL(None).strlen, ctypes.c_void_p).value
    assert address is not None
    return address


def supports_gpu() -> bool:
    """Whether this build of llama.cpp can offload layers to a GPU and sees one."""
    return bool(llama().llama_supports_gpu_offload())


def library_build() -> str:
    """The library's version and what it was compiled for: a state that one build saved is none of another's."""
    return f"{version('llama-cpp-python')} {llama().llama_print_system_info().decode('utf-8', 'replace').strip()}"


def default_threads() -> int:
    """Physical cores that this process may run on; llama.cpp's spinning threads gain nothing from hyper-threads."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    physical = psutil.cpu_count(logical=False) or available
    return max(1, min(physical, available))
