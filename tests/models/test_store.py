import dataclasses
import json
import os
from pathlib import Path

import pytest

from models import builtin
from models.disk import FreeSpace, free_space, hash_file, require_space, show_bytes, storage_errors, write_atomically
from models.errors import ModelFileError, ModelNotFoundError, StorageError
from models.imports import Trial, first_load
from models.imports import import_model as import_with_trial
from models.resolve import gguf_sha256, resolve_checkpoint, resolve_gguf
from models.store import Manifest, Store, StoredFile, data_folder
from tests.models.gguf_files import files_up_to, write_llama


def untried(path: Path) -> None:
    """A trial that passes without the second that a process takes; one test below does the real one."""


def import_model(
    store: Store, source: Path, model_id: str | None = None, *, free: FreeSpace = free_space, trial: Trial = untried
) -> Manifest:
    return import_with_trial(store, source, model_id, free=free, trial=trial)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


@pytest.fixture
def gguf_file(tmp_path: Path) -> Path:
    return write_llama(tmp_path / "My Model.gguf")


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    folder = tmp_path / "Tiny Checkpoint"
    folder.mkdir()
    for name in ("config.json", "tokenizer.json", "model-00001-of-00001.safetensors", "weights.bin", "train.py"):
        (folder / name).write_bytes(name.encode())
    index = {"weight_map": {"a": "model-00001-of-00001.safetensors"}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    return folder


def test_the_data_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BEDSIDE_HOME", str(tmp_path / "here"))
    assert data_folder() == tmp_path / "here"
    monkeypatch.delenv("BEDSIDE_HOME")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "xdg"))
    assert data_folder() == tmp_path / "xdg" / "bedside"


def test_an_imported_file_is_copied_hashed_and_found(store: Store, gguf_file: Path) -> None:
    manifest = import_model(store, gguf_file)
    assert (manifest.id, manifest.kind, manifest.origin) == ("my-model", "gguf", "file:My Model.gguf")
    copy = resolve_gguf("my-model", store)
    assert copy.read_bytes() == gguf_file.read_bytes()
    assert manifest.files == (StoredFile("My-Model.gguf", gguf_file.stat().st_size, hash_file(gguf_file)),)
    assert store.entries() == (manifest,)
    assert store.verify("my-model") == ()


def test_an_imported_checkpoint_leaves_pickles_and_code_behind(store: Store, checkpoint: Path) -> None:
    manifest = import_model(store, checkpoint, "llama-3.2-1b")
    assert {file.name for file in manifest.files} == {
        "config.json",
        "tokenizer.json",
        "model-00001-of-00001.safetensors",
        "model.safetensors.index.json",
    }
    assert resolve_checkpoint("llama-3.2-1b", store) == store.folder("llama-3.2-1b")


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("config.json", "no config.json"),
        ("model-00001-of-00001.safetensors", r"no \.safetensors weights"),
    ],
)
def test_incomplete_checkpoints_are_refused(store: Store, checkpoint: Path, lost: str, message: str) -> None:
    (checkpoint / lost).unlink()
    with pytest.raises(ModelFileError, match=message):
        import_model(store, checkpoint)
    assert store.entries() == ()


def test_a_missing_shard_is_named(store: Store, checkpoint: Path) -> None:
    index = {"weight_map": {"a": "model-00001-of-00001.safetensors", "b": "model-00002-of-00002.safetensors"}}
    (checkpoint / "model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(ModelFileError, match="lacks model-00002-of-00002"):
        import_model(store, checkpoint)
    (checkpoint / "model.safetensors.index.json").write_text("[]")
    with pytest.raises(ModelFileError, match="not a shard index"):
        import_model(store, checkpoint)


def test_refused_imports_leave_nothing(store: Store, gguf_file: Path, tmp_path: Path) -> None:
    truncated = tmp_path / "cut.gguf"
    truncated.write_bytes(gguf_file.read_bytes()[:-1])
    with pytest.raises(ModelFileError, match="truncated"):
        import_model(store, truncated)
    with pytest.raises(ModelFileError, match="does not exist"):
        import_model(store, tmp_path / "none.gguf")
    with pytest.raises(StorageError, match="not enough room"):
        import_model(store, gguf_file, free=lambda folder: 1 << 20)
    with pytest.raises(StorageError, match="catalogue's name"):
        import_model(store, gguf_file, "gemma-7b")
    with pytest.raises(StorageError, match="catalogue's name"):
        import_model(store, gguf_file, "reference")
    assert not store.root.exists()


def test_a_full_disk_in_the_middle_of_a_copy_leaves_nothing(store: Store, tmp_path: Path) -> None:
    big = write_llama(tmp_path / "big.gguf", vocab=20_000)
    with files_up_to(1 << 20), pytest.raises(StorageError, match="File too large"):
        import_model(store, big)
    assert list(store.root.iterdir()) == []
    assert import_model(store, big).size_bytes == big.stat().st_size


def test_a_file_is_opened_once_in_another_process_before_it_is_stored(store: Store, tmp_path: Path) -> None:
    whole = write_llama(tmp_path / "whole.gguf")
    assert import_model(store, whole, trial=first_load).id == "whole"
    odd = write_llama(tmp_path / "odd.gguf", architecture="unheard-of")
    with pytest.raises(ModelFileError, match=r"odd\.gguf"):
        import_model(store, odd, trial=first_load)
    assert [manifest.id for manifest in store.entries()] == ["whole"]


def test_an_id_is_taken_once(store: Store, gguf_file: Path) -> None:
    import_model(store, gguf_file)
    with pytest.raises(StorageError, match="already in the store"):
        import_model(store, gguf_file)
    assert import_model(store, gguf_file, "second").id == "second"


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "/etc", "", ".hidden", "A", "a" * 65, "a\n", "a\x00b", "-a"])
def test_no_id_leads_out_of_the_store(store: Store, name: str) -> None:
    with pytest.raises(ModelNotFoundError, match="is not a model id"):
        store.folder(name)
    assert store.find(name) is None


def test_a_link_out_of_the_store_is_refused(store: Store, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    store.root.mkdir()
    (store.root / "linked").symlink_to(tmp_path / "precious")
    with pytest.raises(ModelNotFoundError, match="leads out of"):
        store.remove("linked")
    assert (tmp_path / "precious").is_dir()


def test_verify_says_which_file_differs(store: Store, checkpoint: Path) -> None:
    import_model(store, checkpoint, "tiny")
    folder = store.folder("tiny")
    (folder / "config.json").write_bytes(b"changed")
    (folder / "tokenizer.json").unlink()
    faults = {fault.file: fault.problem for fault in store.verify("tiny")}
    assert set(faults) == {"config.json", "tokenizer.json"}
    assert faults["tokenizer.json"] == "is missing"
    assert "expected" in faults["config.json"]
    with pytest.raises(ModelNotFoundError, match="nothing complete"):
        store.verify("other")


def test_remove_frees_and_forgets(store: Store, gguf_file: Path) -> None:
    manifest = import_model(store, gguf_file)
    assert store.remove("my-model") >= manifest.size_bytes
    assert store.entries() == ()
    with pytest.raises(ModelNotFoundError, match="nothing is stored"):
        store.remove("my-model")
    with pytest.raises(StorageError, match="cannot be removed"):
        store.remove("reference")


@pytest.mark.parametrize(
    "change",
    [
        {"id": "other"},
        {"kind": "pickle"},
        {"files": []},
        {"files": [{"name": "../../etc/passwd", "size_bytes": 1, "sha256": "0" * 64}]},
        {"files": [{"name": "a.gguf", "size_bytes": 1, "sha256": "0"}]},
        {"files": [{"name": "a.gguf"}]},
        {"origin": None, "files": "none"},
    ],
)
def test_a_damaged_manifest_is_refused_with_the_remedy(
    store: Store, gguf_file: Path, change: dict[str, object]
) -> None:
    manifest = import_model(store, gguf_file)
    path = store.folder("my-model") / "manifest.json"
    path.write_text(json.dumps(dataclasses.asdict(manifest) | change))
    with pytest.raises(ModelFileError, match="bedside models remove my-model"):
        store.find("my-model")
    path.write_text("{")
    with pytest.raises(ModelFileError, match="bedside models remove my-model"):
        store.find("my-model")
    assert (store.entries(), store.unfinished()) == ((), ("my-model",))
    store.remove("my-model")


def test_a_manifest_reads_back_as_written(store: Store) -> None:
    manifest = Manifest("m", "checkpoint", "hub:a/b", "0" * 40, "2026-01-01", (StoredFile("f", 3, "a" * 64),))
    store.folder("m").mkdir(parents=True)
    store.save(manifest)
    assert store.find("m") == manifest


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_no_permission_is_one_line(store: Store, gguf_file: Path) -> None:
    store.root.mkdir()
    store.root.chmod(0o500)
    with pytest.raises(StorageError, match="no permission"):
        import_model(store, gguf_file)


def test_the_systems_refusals_have_a_remedy(tmp_path: Path) -> None:
    for code, message in (
        (28, "is full .*: free some"),
        (30, "can only be read: mount it for writing"),
        (5, "Input/output error"),
    ):
        with pytest.raises(StorageError, match=message), storage_errors(tmp_path):
            raise OSError(code, os.strerror(code))


def test_a_failed_replacement_leaves_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "target").mkdir()
    with pytest.raises(StorageError):
        write_atomically(tmp_path / "target", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


def test_room_is_measured_where_the_folder_will_be(tmp_path: Path) -> None:
    assert free_space(tmp_path / "not" / "yet") > 0
    require_space(tmp_path, 0, lambda folder: 0)
    with pytest.raises(StorageError, match=r"1\.06 GiB needed, 1\.00 GiB free; .*BEDSIDE_HOME"):
        require_space(tmp_path, 1 << 30, lambda folder: 1 << 30)
    assert [show_bytes(size) for size in (5, 2048, 3 << 20, 5 << 30)] == ["5 bytes", "2.0 KiB", "3.0 MiB", "5.00 GiB"]


def test_resolving_says_what_to_run(store: Store, gguf_file: Path, checkpoint: Path, tmp_path: Path) -> None:
    import_model(store, checkpoint, "llama-3.2-1b")
    import_model(store, gguf_file)
    assert resolve_gguf(gguf_file, store) == gguf_file
    assert resolve_checkpoint(str(checkpoint), store) == checkpoint
    for name, message in {
        "llama-3.2-1b": "`bedside compress llama-3.2-1b --recipe llama-3.2-1b-20 --out RUN` makes",
        "gemma-7b": "`bedside models pull gemma-7b` fetches its checkpoint",
        "gema-7b": "did you mean gemma-7b.*`bedside models list`",
        "zzz": "no model 'zzz': `bedside models list`",
        str(checkpoint): "is a checkpoint, which cannot be run",
    }.items():
        with pytest.raises(ModelNotFoundError, match=message):
            resolve_gguf(name, store)
    with pytest.raises(ModelFileError, match="does not exist"):
        resolve_gguf(tmp_path / "none.gguf", store)
    with pytest.raises(ModelNotFoundError, match="a single file"):
        resolve_checkpoint("my-model", store)
    with pytest.raises(ModelFileError, match=r"no config\.json"):
        resolve_checkpoint(tmp_path, store)
    with pytest.raises(ModelNotFoundError, match="models pull gemma-7b"):
        resolve_checkpoint("gemma-7b", store)
    (tmp_path / "bare").mkdir()
    with pytest.raises(ModelFileError, match="bare is a folder without a model: give a GGUF file"):
        resolve_gguf(tmp_path / "bare", store)
    for path in ("./none", "../none", "~/none", str(tmp_path / "none")):
        for resolve in (resolve_gguf, resolve_checkpoint):
            with pytest.raises(ModelFileError, match=f"{path} does not exist: check the path"):
                resolve(path, store)


def test_a_fetched_repository_is_found_by_its_hub_name(store: Store) -> None:
    store.folder("m").mkdir(parents=True)
    store.save(Manifest("m", "checkpoint", "hub:a/b", "0" * 40, "2026-01-01", (StoredFile("f", 3, "a" * 64),)))
    assert resolve_checkpoint("a/b", store) == store.folder("m")


def test_the_built_in_model_is_checked_against_its_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = tmp_path / "reference"
    reference.mkdir()
    monkeypatch.setattr(builtin, "__file__", str(tmp_path / "builtin.py"))
    with pytest.raises(ModelFileError, match="install Bedside again"):
        resolve_checkpoint("reference")
    (reference / "config.json").write_bytes(b"{}")
    with pytest.raises(ModelFileError, match=r"holds 0 files \*-q4_0\.gguf"):
        resolve_gguf("reference")
    with pytest.raises(ModelFileError, match="SHA256SUMS is missing"):
        Store(tmp_path).verify("reference")
    write_llama(reference / "tiny-q4_0.gguf")
    names = ("config.json", "tiny-q4_0.gguf")
    (reference / "SHA256SUMS").write_text("".join(f"{hash_file(reference / name)}  {name}\n" for name in names))
    assert Store(tmp_path).verify("reference") == ()
    assert resolve_gguf("reference") == reference / "tiny-q4_0.gguf"
    assert resolve_checkpoint("reference") == reference
    (reference / "config.json").write_bytes(b"[]")
    assert [fault.file for fault in Store(tmp_path).verify("reference")] == ["config.json"]
    (reference / "SHA256SUMS").write_text("abc config.json\n")
    with pytest.raises(ModelFileError, match="is not `<sha256>  <name>`"):
        Store(tmp_path).verify("reference")


def test_the_digest_of_a_model_is_that_of_its_file_or_of_its_storing(store: Store, gguf_file: Path) -> None:
    digest = hash_file(gguf_file)
    assert gguf_sha256(gguf_file, store) == digest
    manifest = import_model(store, gguf_file)
    assert gguf_sha256(manifest.id, store) == digest
    assert gguf_sha256("reference", store) == hash_file(resolve_gguf("reference", store))
    with gguf_file.open("ab") as stream:
        stream.write(b"x")
    assert gguf_sha256(gguf_file, store) == hash_file(gguf_file) != digest
