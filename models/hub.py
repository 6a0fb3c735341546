"""The door to the Hugging Face Hub: what a repository holds at a commit, and a file's bytes from an offset on.

`huggingface_hub` (1.x on httpx, 2.x on httpx2) supplies the endpoint, the saved token, proxies and offline mode.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from huggingface_hub import HfApi, constants, get_session, hf_hub_url, hf_raise_for_status
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from huggingface_hub.hf_api import RepoSibling
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

from models.errors import DownloadError

# The base of every error of the HTTP library, whichever huggingface_hub uses.
HttpError: type[Exception] = HfHubHTTPError.__bases__[0]
COMMIT = re.compile(r"[0-9a-f]{40}")
TIMEOUT_S = 30.0
_NETWORK_REMEDY = "check the network, or copy the files here and use `bedside models import`"


class ConnectionLost(DownloadError):  # noqa: N818  (an outcome that the download retries)
    """The Hub could not be reached or stopped sending; asking again may help."""


@dataclass(frozen=True)
class RemoteFile:
    """A file of a repository. Large ones have a sha256; small ones only git's sha1 of the blob."""

    name: str
    size_bytes: int
    sha256: str
    git_sha1: str


@dataclass(frozen=True)
class Listing:
    """A repository at one commit (40 hex digits): its top-level files."""

    repository: str
    revision: str
    files: tuple[RemoteFile, ...]


@dataclass(frozen=True)
class ByteStream:
    """Bytes of a file from `start` on; 0 where the server ignored the offset asked for."""

    start: int
    chunks: Iterator[bytes]


def offline_by_environment() -> bool:
    """Whether `HF_HUB_OFFLINE` forbids the network."""
    return bool(constants.HF_HUB_OFFLINE)


class Hub:
    """The Hub at `endpoint` (default: `HF_ENDPOINT`, else huggingface.co), with this user's saved token."""

    def __init__(self, endpoint: str | None = None) -> None:
        self.endpoint = (endpoint or constants.ENDPOINT).rstrip("/")
        # Otherwise every request may first fetch a list of agents from the Hub and report versions.
        constants.HF_HUB_DISABLE_TELEMETRY = True

    def listing(self, repository: str, revision: str = "main") -> Listing:
        """The top-level files of a repository and the commit that `revision` names now.

        Raises:
            DownloadError: gated, unknown, unreachable, or an answer that cannot be used.
        """
        with self._errors(repository):
            info = HfApi(endpoint=self.endpoint).model_info(
                repository, revision=revision, files_metadata=True, timeout=TIMEOUT_S
            )
        if info.sha is None or not COMMIT.fullmatch(info.sha):
            raise DownloadError(f"the Hub named no commit for {repository}: check HF_ENDPOINT ({self.endpoint})")
        siblings = [sibling for sibling in info.siblings or [] if "/" not in sibling.rfilename]
        return Listing(repository, info.sha, tuple(_remote_file(sibling, repository) for sibling in siblings))

    @contextmanager
    def open_from(self, listing: Listing, name: str, offset: int) -> Iterator[ByteStream]:
        """The bytes of a file from `offset` on.

        Raises:
            ConnectionLost: no connection, or a passing fault of the Hub.
            DownloadError: the Hub refuses, or serves another commit.
        """
        headers = build_hf_headers() | {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        url = hf_hub_url(listing.repository, name, revision=listing.revision, endpoint=self.endpoint)
        with (
            self._errors(listing.repository),
            get_session().stream("GET", url, headers=headers, timeout=TIMEOUT_S) as response,
        ):
            if response.status_code >= 400:
                response.read()
                hf_raise_for_status(response)
            first = response.history[0] if response.history else response
            served = first.headers.get("X-Repo-Commit", listing.revision)
            if served != listing.revision:
                raise DownloadError(f"the Hub served commit {served[:40]} of {name}, not {listing.revision}: try again")
            start = _range_start(response.headers.get("Content-Range", "")) if response.status_code == 206 else 0
            yield ByteStream(start, response.iter_raw())

    @contextmanager
    def _errors(self, repository: str) -> Iterator[None]:
        """Say in one line what the library's errors mean for `repository`."""
        page = f"{self.endpoint}/{repository}"
        try:
            yield
        except OfflineModeIsEnabled:
            raise DownloadError(f"HF_HUB_OFFLINE is set, so {repository} cannot be fetched: unset it") from None
        except GatedRepoError as error:
            raise DownloadError(_gated(repository, page, error.response.status_code)) from None
        except RevisionNotFoundError:
            raise DownloadError(f"{repository} has no such revision: see {page}/commits/main") from None
        except RepositoryNotFoundError:
            raise DownloadError(
                f"the Hub shows no {repository}: check the name, or log in with `hf auth login` if it is private"
            ) from None
        except HFValidationError:
            raise DownloadError(f"{repository!r} is not a repository of the Hub: it reads OWNER/NAME") from None
        except HfHubHTTPError as error:
            raise _refused(repository, error) from None
        except (HttpError, ConnectionError, TimeoutError) as error:
            raise ConnectionLost(
                f"no connection to {self.endpoint} ({_first_line(error)}): {_NETWORK_REMEDY}"
            ) from None


def _gated(repository: str, page: str, status: int) -> str:
    if status == 401:
        return f"{repository} is gated: accept its licence at {page}, then log in with `hf auth login` or set HF_TOKEN"
    return (
        f"{repository} is gated and this account has no access yet: accept its licence at {page}, then run this again"
    )


def _refused(repository: str, error: HfHubHTTPError) -> DownloadError:
    status = error.response.status_code
    if status in (401, 403):
        return DownloadError(f"the Hub refused {repository} (HTTP {status}): log in again with `hf auth login`")
    if status == 429 or status >= 500:
        return ConnectionLost(f"the Hub cannot serve {repository} now (HTTP {status}): run the command again later")
    return DownloadError(f"the Hub answered HTTP {status} for {repository}: check the name and HF_ENDPOINT")


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [""])[0] or type(error).__name__


def _range_start(content_range: str) -> int:
    match = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", content_range)
    if match is None:
        raise DownloadError(f"the server sent the Content-Range {content_range!r}, which cannot be used: try again")
    return int(match[1])


def _remote_file(sibling: RepoSibling, repository: str) -> RemoteFile:
    sha256 = sibling.lfs.sha256 if sibling.lfs else ""
    size, git_sha1 = sibling.size, sibling.blob_id or ""
    if size is None or not (re.fullmatch(r"[0-9a-f]{64}", sha256) or COMMIT.fullmatch(git_sha1)):
        raise DownloadError(f"the Hub gave no checksum for {sibling.rfilename} of {repository}: check HF_ENDPOINT")
    return RemoteFile(sibling.rfilename, size, sha256, git_sha1)
