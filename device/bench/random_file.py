"""A file of random weights in the shape of a published model: its speed and memory are those of the real one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from device.errors import BenchError
from models.disk import free_space, require_space
from models.synthetic.gguf import tensor_bytes, write_gguf
from models.synthetic.shapes import SHAPES, Shape

_WIDTH_STEP = 256
_HEADER_BYTES = 16 << 20  # of a vocabulary of 128,256 tokens: 8 MB


def pruned_shape(name: str, share: float) -> Shape:
    """A published shape with `share` of its FFN neurons removed, to the next multiple of 256 as compression does.

    Raises:
        BenchError: no shape has that name.
    """
    shape = SHAPES.get(name)
    if shape is None:
        raise BenchError(f"no shape {name!r}; use one of {', '.join(SHAPES)}")
    width = round(shape.ffn_size * (1 - share) / _WIDTH_STEP) * _WIDTH_STEP
    return replace(shape, ffn_size=max(width, _WIDTH_STEP))


def file_name(name: str, share: float) -> str:
    """`llama-3-8b-67-random-q4_0.gguf`."""
    pruned = f"-{share * 100:.0f}" if share else ""
    return f"{name}{pruned}-random-q4_0.gguf"


@contextmanager
def random_file(folder: Path, name: str, share: float, *, keep: bool = False) -> Iterator[Path]:
    """The Q4_0 file in `folder`, removed in the end unless `keep`.

    Raises:
        StorageError: the disk has no room for it.
        BenchError: no shape has that name.
    """
    shape, path = pruned_shape(name, share), folder / file_name(name, share)
    require_space(folder, tensor_bytes(shape, "q4_0") + _HEADER_BYTES, free_space)
    try:
        yield write_gguf(path, shape, "q4_0")
    finally:
        if not keep:
            path.unlink(missing_ok=True)
