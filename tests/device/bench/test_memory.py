"""The process's memory: the kernel's text, and what really grows."""

import mmap
from pathlib import Path

from device.bench.memory import read_memory, resident_bytes

MAPS = """\
55d0c8a00000-55d0c8a21000 r--p 00000000 fe:00 1 /models/m.gguf.old
Size:                132 kB
Rss:                  88 kB
7f10a0000000-7f10b0000000 r--s 00000000 fe:00 2                          /models/m.gguf
Size:             262144 kB
Rss:                1000 kB
Pss:                 500 kB
7f10b0000000-7f10b0100000 r--s 10000000 fe:00 2                          /models/m.gguf
Rss:                  24 kB
7f10c0000000-7f10c0100000 rw-p 00000000 00:00 0
Rss:                 999 kB
"""


def test_only_the_models_mappings_count() -> None:
    assert resident_bytes(MAPS, "/models/m.gguf") == 1024 * 1024
    assert resident_bytes(MAPS, "/models/other.gguf") == 0


def test_what_is_touched_shows(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(bytes(8 << 20))
    before = read_memory(path)
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert sum(mapped[:: mmap.PAGESIZE]) == 0
        own = mmap.mmap(-1, 32 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)  # of no memory freed before
        own.write(b"1" * len(own))
        after = read_memory(path)
    own.close()
    assert before is not None
    assert after is not None
    assert before.file_bytes == 0
    assert after.file_bytes == 8 << 20
    assert after.anonymous_bytes - before.anonymous_bytes > 0.9 * (32 << 20)
    assert after.peak_bytes >= after.anonymous_bytes + after.file_bytes
