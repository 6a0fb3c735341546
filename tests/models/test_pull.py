import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from models import download
from models.errors import DownloadError, ModelFileError, ModelNotFoundError, StorageError
from models.hub import ConnectionLost, Hub
from models.pull import PullRequest, plan_pull, pull, pull_request, stored_already
from models.store import Manifest, Store
from tests.models.gguf_files import files_up_to, write_llama
from tests.models.hub_server import COMMIT, MOVED_COMMIT, REPOSITORY, HubState, serve_hub, wait_for_bytes

WEIGHTS = random.Random(1).randbytes(3_000_000)
REQUEST = PullRequest("tiny", REPOSITORY)


@pytest.fixture(autouse=True)
def _own_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "home"))


@pytest.fixture
def hub() -> Iterator[HubState]:
    files = {
        "config.json": b'{"model_type": "llama"}',
        "tokenizer.json": b"{}" * 500,
        "model.safetensors": WEIGHTS,
        "consolidated.safetensors": b"a second copy of the weights",
        "original/params.json": b"{}",
        "pytorch_model.bin": b"pickle",
    }
    with serve_hub(files, {"model.safetensors", "consolidated.safetensors", "pytorch_model.bin"}) as state:
        yield state


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "models")


def fetch(store: Store, hub: HubState, request: PullRequest = REQUEST) -> Manifest:
    door = Hub(hub.url)
    return pull(store, plan_pull(store, request, door), door, trial=lambda path: None)


def test_pull_stores_the_checkpoint_pinned_and_hashed(store: Store, hub: HubState) -> None:
    manifest = fetch(store, hub)
    folder = store.folder("tiny")
    assert {file.name for file in manifest.files} == {"config.json", "tokenizer.json", "model.safetensors"}
    assert manifest.revision == COMMIT
    assert (folder / "model.safetensors").read_bytes() == WEIGHTS
    assert store.find("tiny") == manifest
    assert store.verify("tiny") == ()
    assert not list(folder.glob("*.partial"))
    assert not (folder / "pull.json").exists()


def test_the_token_goes_to_the_hub_and_not_to_the_content_network(store: Store, hub: HubState) -> None:
    fetch(store, hub)
    assert all(headers["authorization"] == "Bearer hf_secret" for headers in hub.seen("/resolve/"))
    assert len(hub.seen("/cdn/")) == 1
    assert all("authorization" not in headers for headers in hub.seen("/cdn/"))
    assert not hub.seen("agent-harness")


def test_a_lost_connection_is_resumed_at_its_byte(store: Store, hub: HubState) -> None:
    hub.cut_after["model.safetensors"] = 1_234_567
    fetch(store, hub)
    assert hub.seen("/cdn/")[-1]["range"] == "bytes=1234567-"
    assert store.verify("tiny") == ()


def test_a_connection_that_stays_lost_keeps_what_came(store: Store, hub: HubState) -> None:
    hub.cut_after["model.safetensors"] = 1_000_000
    door = Hub(hub.url)
    plan = plan_pull(store, REQUEST, door)
    weights = next(file for file in plan.files if file.name == "model.safetensors")
    folder = store.folder("tiny")
    folder.mkdir(parents=True)
    with pytest.raises(ConnectionLost, match="received 1000000 bytes"):
        download.fetch_file(door, plan.listing, weights, folder, retry_delays_s=())
    assert (folder / "model.safetensors.partial").read_bytes() == WEIGHTS[:1_000_000]


PULL_SCRIPT = """
import sys
from pathlib import Path
from models.hub import Hub
from models.pull import PullRequest, plan_pull, pull
from models.store import Store
store, door = Store(Path(sys.argv[1])), Hub(sys.argv[2])
pull(store, plan_pull(store, PullRequest("tiny", "clinic/tiny"), door), door)
"""


def test_a_killed_pull_is_resumed_by_another_process_at_the_same_commit(store: Store, hub: HubState) -> None:
    hub.hold_after["model.safetensors"] = 2_000_000
    command = [sys.executable, "-c", PULL_SCRIPT, str(store.root), hub.url]
    first = subprocess.Popen(command, cwd=Path(__file__).parents[2])
    assert hub.holding.wait(30)
    partial = store.folder("tiny") / "model.safetensors.partial"
    wait_for_bytes(partial, 1_000_000)
    os.kill(first.pid, signal.SIGKILL)
    first.wait()
    have = partial.stat().st_size
    assert have >= 1_000_000
    assert store.find("tiny") is None
    hub.release.set()
    hub.requests.clear()
    subprocess.run(command, check=True, cwd=Path(__file__).parents[2], timeout=60)
    assert [headers.get("range") for headers in hub.seen("/cdn/")] == [f"bytes={have}-"]
    assert not hub.seen("/resolve/" + COMMIT + "/config.json"), "what was complete is not fetched again"
    assert store.verify("tiny") == ()


def test_an_unfinished_pull_stays_at_its_commit_when_the_branch_moves(store: Store, hub: HubState) -> None:
    hub.served_instead["model.safetensors"] = b"x" * len(WEIGHTS)
    with pytest.raises(DownloadError, match="wrong checksum"):
        fetch(store, hub)
    hub.commit = MOVED_COMMIT
    with pytest.raises(DownloadError, match=f"held to {COMMIT}"):
        fetch(store, hub)


def test_wrong_bytes_of_the_right_size_are_refused_and_deleted(store: Store, hub: HubState) -> None:
    hub.served_instead["model.safetensors"] = bytes(len(WEIGHTS))
    with pytest.raises(DownloadError, match="wrong checksum"):
        fetch(store, hub)
    assert not list(store.folder("tiny").glob("model.safetensors*"))
    assert store.find("tiny") is None
    hub.served_instead.clear()
    assert fetch(store, hub).size_bytes > len(WEIGHTS)


def test_wrong_bytes_of_a_small_file_are_caught_by_gits_sha1(store: Store, hub: HubState) -> None:
    hub.served_instead["config.json"] = hub.files["config.json"].replace(b"llama", b"evil!")
    with pytest.raises(DownloadError, match=r"config\.json arrived with the wrong checksum"):
        fetch(store, hub)


def test_more_bytes_than_stated_are_refused(store: Store, hub: HubState) -> None:
    hub.served_instead["model.safetensors"] = WEIGHTS + b"more"
    with pytest.raises(DownloadError, match="more than the 3000000 bytes"):
        fetch(store, hub)


def test_a_server_that_ignores_ranges_makes_it_begin_again(store: Store, hub: HubState) -> None:
    hub.cut_after["model.safetensors"] = 1_000_000
    hub.ignore_range = True
    fetch(store, hub)
    assert store.verify("tiny") == ()


def test_a_file_of_another_commit_is_refused(store: Store, hub: HubState) -> None:
    hub.commit_header = MOVED_COMMIT
    with pytest.raises(DownloadError, match="served commit ffff"):
        fetch(store, hub)


@pytest.mark.parametrize(
    ("status", "code", "message"),
    [
        (401, "GatedRepo", "accept its licence at .* then log in with `hf auth login`"),
        (403, "GatedRepo", "this account has no access yet"),
        (404, "RepoNotFound", "the Hub shows no clinic/tiny"),
        (404, "RevisionNotFound", "no such revision"),
        (503, "", "run the command again later"),
        (429, "", "HTTP 429"),
        (418, "", "HTTP 418"),
    ],
)
def test_refusals_are_one_line_with_the_remedy(
    store: Store, hub: HubState, status: int, code: str, message: str
) -> None:
    hub.refuse = (status, code)
    with pytest.raises(DownloadError, match=message) as caught:
        fetch(store, hub)
    assert "\n" not in str(caught.value)
    assert not store.root.exists()


def test_no_network_is_one_line_with_the_remedy(store: Store) -> None:
    with pytest.raises(
        ConnectionLost, match=r"no connection to http://127\.0\.0\.1:9 .*bedside models import"
    ) as caught:
        plan_pull(store, REQUEST, Hub("http://127.0.0.1:9"))
    assert "\n" not in str(caught.value)


def test_too_small_a_disk_is_found_before_a_byte_is_fetched(store: Store, hub: HubState) -> None:
    door = Hub(hub.url)
    plan = plan_pull(store, REQUEST, door)
    with pytest.raises(StorageError, match=r"66\.9 MiB needed, 1\.0 MiB free"):
        pull(store, plan, door, free=lambda folder: 1 << 20)
    assert not hub.seen("/resolve/")


def test_a_disk_that_fills_up_keeps_what_came_for_the_next_run(store: Store, hub: HubState) -> None:
    with files_up_to(1_500_000), pytest.raises(StorageError, match="File too large"):
        fetch(store, hub)
    assert (store.folder("tiny") / "model.safetensors.partial").read_bytes() == WEIGHTS[:1_500_000]
    assert store.find("tiny") is None
    fetch(store, hub)
    assert hub.seen("/cdn/")[-1]["range"] == "bytes=1500000-"
    assert store.verify("tiny") == ()


def test_room_is_needed_only_for_what_is_still_to_come(store: Store, hub: HubState) -> None:
    folder = store.folder("tiny")
    folder.mkdir(parents=True)
    (folder / "model.safetensors.partial").write_bytes(WEIGHTS[:2_900_000])
    door = Hub(hub.url)
    pull(store, plan_pull(store, REQUEST, door), door, free=lambda folder: (64 << 20) + 110_000)
    assert store.verify("tiny") == ()


def test_a_damaged_file_is_repaired_by_pulling_again(store: Store, hub: HubState) -> None:
    fetch(store, hub)
    weights = store.folder("tiny") / "model.safetensors"
    weights.write_bytes(bytes(len(WEIGHTS)))
    hub.commit_header = None
    fetch(store, hub)
    assert weights.read_bytes() == WEIGHTS


def test_other_content_at_the_recorded_commit_is_refused(store: Store, hub: HubState) -> None:
    fetch(store, hub)
    hub.files["model.safetensors"] = bytes(len(WEIGHTS))
    with pytest.raises(DownloadError, match="differs from the one recorded"):
        fetch(store, hub)
    assert store.verify("tiny") == ()


def test_a_stored_model_is_held_to_its_commit(store: Store, hub: HubState) -> None:
    fetch(store, hub)
    with pytest.raises(DownloadError, match=f"is here at commit {COMMIT}"):
        plan_pull(store, PullRequest("tiny", REPOSITORY, revision=MOVED_COMMIT), Hub(hub.url))


def test_offline_uses_what_is_here_and_asks_nothing(store: Store, hub: HubState) -> None:
    with pytest.raises(DownloadError, match="not on this machine"):
        stored_already(store, REQUEST)
    manifest = fetch(store, hub)
    hub.requests.clear()
    assert stored_already(store, REQUEST) == manifest
    assert hub.requests == []


def test_one_gguf_file_is_fetched_and_its_header_checked(store: Store, hub: HubState, tmp_path: Path) -> None:
    hub.files["tiny-q8.gguf"] = write_llama(tmp_path / "tiny.gguf").read_bytes()
    hub.files["broken.gguf"] = b"GGUF" + bytes(100)
    hub.lfs |= {"tiny-q8.gguf", "broken.gguf"}
    good = fetch(store, hub, PullRequest("tiny-q8", REPOSITORY, file="tiny-q8.gguf"))
    assert [file.name for file in good.files] == ["tiny-q8.gguf"]
    assert good.kind == "gguf"
    with pytest.raises(ModelFileError, match="version 0"):
        fetch(store, hub, PullRequest("broken", REPOSITORY, file="broken.gguf"))
    with pytest.raises(DownloadError, match=r"choose one with --file: tiny-q8\.gguf, broken\.gguf"):
        fetch(store, hub, PullRequest("none", REPOSITORY, file="none.gguf"))


def test_two_pulls_of_one_model_do_not_mix(store: Store, hub: HubState) -> None:
    from models.disk import only_writer

    door = Hub(hub.url)
    plan = plan_pull(store, REQUEST, door)
    with only_writer(store.folder("tiny")), pytest.raises(StorageError, match="another process"):
        pull(store, plan, door)


def test_requests_name_catalogue_models_and_repositories() -> None:
    assert pull_request("llama-3-8b").repository == "meta-llama/Meta-Llama-3-8B"
    assert pull_request("clinic/Tiny").model_id == "clinic--tiny"
    assert pull_request("clinic/Tiny", file="Tiny-Q4_0.gguf").model_id == "tiny-q4_0"
    with pytest.raises(ModelNotFoundError, match="did you mean llama-3-8b"):
        pull_request("lama-3-8b")
    with pytest.raises(DownloadError, match="40 hex digits"):
        pull_request("llama-3-8b", revision="main")
    with pytest.raises(DownloadError, match="built in"):
        pull_request("reference")
