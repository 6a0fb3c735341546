"""MedQuAD from its source: the archive of one commit of github.com/abachaa/MedQuAD, CC BY 4.0.

The archive is made when it is asked for: it comes without a length and cannot be resumed, so that a broken transfer begins
again, and what was written of it goes.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO

import httpx2 as httpx

from models.disk import Progress, no_progress, storage_errors
from models.errors import DownloadError

NAME = "medquad"
COMMIT = "577bd37b96c02d1833b2c9eed2de9f96964e96cb"
ARCHIVE_URL = f"https://github.com/abachaa/MedQuAD/archive/{COMMIT}.zip"
MAX_ARCHIVE_BYTES = 200 << 20
_TIMEOUT_S = 30.0
_REMEDY = "check the network, or fetch the archive elsewhere and use: bedside knowledge add FILE --library medquad"


@contextmanager
def fetched_archive(folder: Path, url: str = ARCHIVE_URL, on_progress: Progress = no_progress) -> Iterator[Path]:
    """The archive as a file in `folder` for as long as the block lasts.

    Raises:
        DownloadError: no connection, a refusal, or more bytes than the set can have. StorageError: the disk refuses.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with NamedTemporaryFile(dir=folder, prefix=f".{NAME}-", suffix=".zip") as stream:
            _fetch(url, stream, on_progress)
            stream.flush()
            yield Path(stream.name)


def _fetch(url: str, stream: IO[bytes], on_progress: Progress) -> None:
    received = 0
    try:
        with httpx.stream("GET", url, follow_redirects=True, timeout=_TIMEOUT_S) as response:
            if response.status_code != 200:
                raise DownloadError(f"{url} answered HTTP {response.status_code}; {_REMEDY}")
            for chunk in response.iter_bytes():
                received += len(chunk)
                if received > MAX_ARCHIVE_BYTES:
                    raise DownloadError(f"{url} sent over {MAX_ARCHIVE_BYTES >> 20} MiB; {_REMEDY}")
                stream.write(chunk)
                on_progress(f"{NAME}.zip", len(chunk))
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        reason = (str(error).splitlines() or [""])[0] or type(error).__name__
        raise DownloadError(f"no connection to {url} ({reason}); {_REMEDY}") from None
