"""`python -m benchmarks.arm64_repack FILE`, under emulation: which kernels llama.cpp takes for a file, by its own log."""

import ctypes
import sys
from collections import Counter

from models.runtime.library import library_build, llama
from models.runtime.model import Model


def main(path: str) -> None:
    """One line for the build, one for each layout that weights were repacked into."""
    library, said = llama(), []
    callback = library.llama_log_callback(lambda _, text, __: said.append((text or b"").decode("utf-8", "replace")))
    library.llama_log_set(callback, ctypes.c_void_p(0))
    print(library_build())
    Model.load(path).close()
    layouts = Counter(text.split()[-1] for text in said if text.startswith("repack: repack tensor"))
    for layout, tensors in sorted(layouts.items()):
        print(f"repacked {tensors} tensors into {layout}")


if __name__ == "__main__":
    main(sys.argv[1])
