"""What lies in an encrypted database, page by page: also what no table refers to any more, and the write-ahead log.

Follows SQLCipher's design page: AES-256-CBC, each page of 4,096 bytes ends with 16 bytes of initialisation vector and a
64-byte HMAC; the first page begins with 16 bytes of salt; of the log each frame is a page after a header of 24 bytes.
"""

from collections.abc import Iterator
from pathlib import Path

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

PAGE, RESERVED, SALT = 4096, 80, 16
LOG_HEADER, FRAME_HEADER = 32, 24


def decrypted(path: Path, key: bytes) -> Iterator[bytes]:
    """The content of each page of a database or a log."""
    data = path.read_bytes()
    if path.name.endswith("-wal"):
        for start in range(LOG_HEADER, len(data), FRAME_HEADER + PAGE):
            number = int.from_bytes(data[start : start + 4], "big")
            yield _page(data[start + FRAME_HEADER : start + FRAME_HEADER + PAGE], key, number == 1)
    else:
        for start in range(0, len(data), PAGE):
            yield _page(data[start : start + PAGE], key, start == 0)


def _page(page: bytes, key: bytes, is_first: bool) -> bytes:
    content = page[SALT if is_first else 0 : PAGE - RESERVED]
    vector = page[PAGE - RESERVED : PAGE - RESERVED + 16]
    decryptor = Cipher(algorithms.AES(key), modes.CBC(vector)).decryptor()
    return decryptor.update(content) + decryptor.finalize()


def holds(folder: Path, key: bytes, text: str) -> list[str]:
    """The files of a folder in which a text is, as it is or under the key."""
    sought = text.encode()
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        is_database = path.name.endswith((".sqlite3", "-wal"))
        if sought in path.read_bytes() or (is_database and any(sought in page for page in decrypted(path, key))):
            found.append(path.name)
    return found
