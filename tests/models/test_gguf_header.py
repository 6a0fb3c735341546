import struct
import time
from pathlib import Path

import gguf
import pytest
from gguf import GGMLQuantizationType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.errors import ModelFileError
from models.gguf_header import read_header
from models.gguf_metadata import LongArray
from models.gguf_types import TENSOR_TYPES
from tests.models.gguf_files import tensor_shapes, write_llama

MAGIC = b"GGUF"
U32, U64 = struct.Struct("<I"), struct.Struct("<Q")
STRINGS = U32.pack(9) + U32.pack(8) + U64.pack(2000)


def text(value: str) -> bytes:
    return U64.pack(len(value.encode())) + value.encode()


def string_pair(key: str, value: str) -> bytes:
    return text(key) + U32.pack(8) + text(value)


def number_pair(key: str, value: int) -> bytes:
    return text(key) + U32.pack(4) + U32.pack(value)


def start(n_tensors: int, n_keys: int, version: int = 3) -> bytes:
    return MAGIC + U32.pack(version) + U64.pack(n_tensors) + U64.pack(n_keys)


def refused(tmp_path: Path, data: bytes) -> str:
    """The message with which a file of these bytes is refused, quickly and in one line."""
    path = tmp_path / "attack.gguf"
    path.write_bytes(data)
    began = time.process_time()
    with pytest.raises(ModelFileError) as caught:
        read_header(path)
    assert time.process_time() - began < 5
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_llama(tmp_path_factory.mktemp("gguf") / "tiny.gguf", widths=(96, 96), vocab=300)


def test_type_sizes_are_those_of_the_gguf_package() -> None:
    for number, kind in TENSOR_TYPES.items():
        theirs = GGMLQuantizationType(number)
        assert kind.name == theirs.name
        assert (kind.block_elements, kind.block_bytes) == gguf.GGML_QUANT_SIZES[theirs]


def test_a_header_says_what_the_writer_wrote(tiny: Path) -> None:
    header = read_header(tiny)
    assert (header.architecture, header.name, header.n_layers, header.n_embd) == ("llama", "Tiny", 2, 64)
    assert (header.n_vocab, header.n_ctx_train) == (300, 512)
    assert header.ffn_widths == (96, 96)
    assert (header.head_counts, header.kv_head_counts, header.key_length) == ((4, 4), (2, 2), 16)
    shapes = tensor_shapes(64, (96, 96), 4, 2, 300)
    assert {tensor.name: tensor.shape[::-1] for tensor in header.tensors} == shapes
    elements = sum(rows * (shape[0] if shape else 1) for rows, *shape in shapes.values())
    assert header.n_params == elements
    assert header.tensor_bytes == 4 * elements
    assert not header.has_chat_template


def test_offsets_are_those_that_the_gguf_reader_finds(tiny: Path) -> None:
    reader = gguf.GGUFReader(tiny)
    ours = {tensor.name: (tensor.offset, tensor.n_bytes) for tensor in read_header(tiny).tensors}
    assert ours == {tensor.name: (int(tensor.data_offset), int(tensor.n_bytes)) for tensor in reader.tensors}


def test_widths_per_layer_and_the_quantization_mix(tmp_path: Path) -> None:
    path = write_llama(
        tmp_path / "deci.gguf", architecture="deci", widths=(64, 96, 32), quantization=GGMLQuantizationType.Q4_0
    )
    header = read_header(path)
    assert header.ffn_widths == (64, 96, 32)
    mix = header.quantization_mix
    assert list(mix) == ["Q4_0", "F32"]
    assert (mix["Q4_0"].tensors, mix["F32"].tensors) == (1 + 3 * 7, 1 + 3 * 2)
    assert mix["F32"].n_bytes == 7 * 64 * 4


def test_long_arrays_are_counted_and_not_kept(tmp_path: Path) -> None:
    header = read_header(write_llama(tmp_path / "many.gguf", vocab=50_000, hidden=32, heads=2))
    assert header.n_vocab == 50_000
    assert header.metadata["tokenizer.ggml.tokens"] == LongArray("string", 50_000)


def test_files_that_are_no_gguf(tmp_path: Path) -> None:
    assert "not a GGUF file" in refused(tmp_path, b"")
    assert "not a GGUF file" in refused(tmp_path, b"PK\x03\x04" + bytes(100))
    assert "big-endian" in refused(tmp_path, MAGIC + struct.pack(">I", 3) + bytes(100))
    assert "version 1" in refused(tmp_path, start(0, 0, version=1) + bytes(100))
    with pytest.raises(ModelFileError, match="is a folder"):
        read_header(tmp_path)
    with pytest.raises(ModelFileError, match=r"cannot read .*No such file"):
        read_header(tmp_path / "none.gguf")


@pytest.mark.parametrize(
    ("name", "body", "message"),
    [
        ("51 bytes: an array of 2**60 numbers", text("a.b") + U32.pack(9) + U32.pack(4) + U64.pack(1 << 60), "claims"),
        ("an array of 2**62 strings", text("a.b") + U32.pack(9) + U32.pack(8) + U64.pack(1 << 62), "claims"),
        ("a string of 2**63 bytes", text("a.b") + U32.pack(8) + U64.pack(1 << 63), "claims"),
        ("a key of 2**40 bytes", U64.pack(1 << 40), "claims"),
        ("a string of 2**50 bytes in a long array", text("a.b") + STRINGS + U64.pack(1 << 50) + bytes(8), "claims"),
        ("a long array that ends early", text("a.b") + STRINGS + bytes(8) * 3, "the file ends inside"),
        ("an array of arrays", text("a.b") + U32.pack(9) + U32.pack(9) + U64.pack(1), "unknown type 9"),
        ("an unknown type", text("a.b") + U32.pack(13) + bytes(8), "unknown type 13"),
        ("a boolean of 2", text("a.b") + U32.pack(7) + b"\x02", "boolean 2"),
        ("a number that is none", text("a.b") + U32.pack(6) + struct.pack("<f", float("nan")), "is nan"),
        ("bytes that are no text", text("a.b") + U32.pack(8) + U64.pack(2) + b"\xff\xfe", "not UTF-8"),
        ("an empty key", text("") + U32.pack(4) + U32.pack(1), "empty or not printable"),
        ("an escape in a key", text("a\x1b[2J") + U32.pack(4) + U32.pack(1), "empty or not printable"),
        ("an end inside a value", text("a.b") + U32.pack(10) + b"\0", "the file ends inside"),
    ],
)
def test_hostile_metadata(tmp_path: Path, name: str, body: bytes, message: str) -> None:
    assert message in refused(tmp_path, start(0, 1) + body), name


def test_hostile_counts(tmp_path: Path) -> None:
    assert "number of tensors claims" in refused(tmp_path, start(1 << 63, 0))
    assert "metadata keys claims" in refused(tmp_path, start(0, 1 << 32))
    twice = string_pair("general.architecture", "llama")
    assert "occurs twice" in refused(tmp_path, start(0, 2) + twice + twice)


def test_many_small_arrays_cannot_cost_more_than_one_large_one(tmp_path: Path) -> None:
    array = U32.pack(9) + U32.pack(8) + U64.pack(40_000) + bytes(8) * 40_000
    body = b"".join(text(f"a.{index}") + array for index in range(150))
    assert "claims 40000, more than" in refused(tmp_path, start(0, 150) + body)


HEAD = string_pair("general.architecture", "other") + number_pair("other.block_count", 1)


def one_tensor(
    *,
    name: str = "token_embd.weight",
    shape: tuple[int, ...] = (32, 4),
    kind: int = 0,
    offset: int = 0,
    keys: bytes = HEAD,
    n_keys: int = 2,
    data: int = 512,
) -> bytes:
    dims = U32.pack(len(shape)) + b"".join(U64.pack(size) for size in shape)
    header = start(1, n_keys) + keys + text(name) + dims + U32.pack(kind) + U64.pack(offset)
    return header + bytes(-len(header) % 32) + bytes(data)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"shape": (1 << 63, 1 << 63)}, "is truncated"),
        ({"shape": (32, 0)}, "cannot have the shape"),
        ({"shape": ()}, "0 dimensions"),
        ({"shape": (2, 2, 2, 2, 2)}, "5 dimensions"),
        ({"shape": (33, 4), "kind": 2}, "cannot have the shape"),
        ({"kind": 4}, "unknown type 4"),
        ({"kind": 1 << 31}, "unknown type"),
        ({"offset": 1 << 62}, "expected at 0"),
        ({"offset": 7}, "not aligned"),
        ({"data": 511}, "is truncated"),
        ({"name": ""}, "tensor 0"),
        ({"name": "x" * 64}, "claims 64"),
        ({"name": "output.weight"}, "no token embedding"),
    ],
)
def test_hostile_tensors(tmp_path: Path, change: dict[str, int], message: str) -> None:
    assert message in refused(tmp_path, one_tensor(**change))  # type: ignore[arg-type]


@pytest.mark.parametrize("alignment", [0, 3, 48, 1 << 30])
def test_hostile_alignment(tmp_path: Path, alignment: int) -> None:
    data = one_tensor(keys=HEAD + number_pair("general.alignment", alignment), n_keys=3)
    assert "not a power of two" in refused(tmp_path, data)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("block_count", 0, "outside 1 to 512"),
        ("block_count", 3, "only 2 of 3 layers"),
        ("block_count", 1, "layer 1 has tensors"),
        ("block_count", 0xFFFFFFFF, "outside 1 to 512"),
        ("context_length", 0, "outside 1"),
        ("embedding_length", 0x7FFFFFFF, "outside 1"),
        ("embedding_length", 128, "has the shape"),
        ("attention.head_count", 0, "0 heads and 2"),
        ("attention.head_count", 3, "3 heads and 2"),
        ("attention.head_count_kv", 0, "4 heads and 0"),
        ("attention.key_length", 4096, "outside 1 to 1024"),
        ("attention.key_length", 32, "has the shape"),
        ("rope.dimension_count", 64, "over the head's 16"),
    ],
)
def test_absurd_hyperparameters(tmp_path: Path, key: str, value: int, message: str) -> None:
    path = write_llama(tmp_path / "absurd.gguf", extra={key: value})
    with pytest.raises(ModelFileError, match=message):
        read_header(path)


def test_widths_that_llama_cpp_cannot_run(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="takes one FFN width"):
        read_header(write_llama(tmp_path / "uneven.gguf", widths=(64, 96)))


def test_parts_and_other_kinds_of_file(tmp_path: Path) -> None:
    split = one_tensor(keys=HEAD + number_pair("split.count", 3), n_keys=3)
    assert "join them" in refused(tmp_path, split)
    adapter = one_tensor(keys=HEAD + string_pair("general.type", "adapter"), n_keys=3)
    assert "not a model" in refused(tmp_path, adapter)


@settings(max_examples=250, deadline=3000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    edits=st.lists(st.tuples(st.integers(0, 1 << 16), st.binary(min_size=1, max_size=9)), min_size=0, max_size=6),
    keep=st.one_of(st.none(), st.integers(0, 1 << 16)),
)
def test_no_damage_raises_anything_but_model_file_error(
    tiny: Path, tmp_path: Path, edits: list[tuple[int, bytes]], keep: int | None
) -> None:
    data = bytearray(tiny.read_bytes())
    header_bytes = read_header(tiny).data_offset
    for position, new in edits:
        at = position % header_bytes
        data[at : at + len(new)] = new
    path = tmp_path / "damaged.gguf"
    path.write_bytes(data if keep is None else data[: keep % len(data)])
    try:
        header = read_header(path)
    except ModelFileError:
        return
    for tensor in header.tensors:
        assert header.data_offset <= tensor.offset <= tensor.offset + tensor.n_bytes <= len(data)
    assert len(header.ffn_widths) == header.n_layers or not header.ffn_widths


@settings(max_examples=150, deadline=3000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_model_file_error(tmp_path: Path, tail: bytes) -> None:
    refused(tmp_path, start(3, 3) + tail)
