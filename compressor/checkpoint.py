"""Hugging Face checkpoints read one tensor at a time from memory-mapped safetensors, and overlays on them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from safetensors import SafetensorError, safe_open

from compressor.errors import CheckpointError
from compressor.families import architecture_of

INDEX = "model.safetensors.index.json"
CHECKED_ELEMENTS = 1 << 24
"""Values looked at once when a tensor is checked for NaN."""
TEXT_PARTS = {"Gemma3ForConditionalGeneration": "Gemma3ForCausalLM"}
"""Architectures whose text decoder is a model of its own, and that model's architecture."""
_TEXT_PREFIXES = (("model.language_model.", "model."), ("language_model.", ""))
_VISION_PARTS = ("vision_tower.", "multi_modal_projector.")


class TensorSource(Protocol):
    """Named tensors, read when asked for."""

    def names(self) -> list[str]:
        """All tensor names, sorted."""

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor without reading it."""

    def tensor(self, name: str) -> torch.Tensor:
        """The tensor in its stored dtype, every value finite."""


class TensorFiles:
    """A set of safetensors files as one source. Raises CheckpointError for a missing or damaged file."""

    def __init__(self, location: dict[str, Path], stored: dict[str, str] | None = None) -> None:
        self._location = location
        self._stored = stored or {}
        """Names in the files, where they are other ones."""
        self._open: dict[Path, Any] = {}
        self._finite: set[str] = set()

    @classmethod
    def scan(cls, paths: Sequence[Path]) -> "TensorFiles":
        """Every tensor of `paths`; a later file wins where a name repeats."""
        source = cls({})
        for path in paths:
            source._location.update(dict.fromkeys(source._file(path).keys(), path))
        return source

    def names(self) -> list[str]:
        """All tensor names, sorted."""
        return sorted(self._location)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor without reading it."""
        path = self._path(name)
        try:
            return tuple(self._file(path).get_slice(self._stored.get(name, name)).get_shape())
        except SafetensorError as error:
            raise CheckpointError(f"{path.name} does not hold {name} ({error}); fetch the checkpoint again") from error

    def tensor(self, name: str) -> torch.Tensor:
        """The tensor in its stored dtype. Raises CheckpointError where a value is not finite."""
        path = self._path(name)
        try:
            tensor: torch.Tensor = self._file(path).get_tensor(self._stored.get(name, name))
        except SafetensorError as error:
            raise CheckpointError(f"{path.name} does not hold {name} ({error}); fetch the checkpoint again") from error
        if not tensor.is_floating_point():
            kind = str(tensor.dtype).removeprefix("torch.")
            raise CheckpointError(f"{name} in {path.name} is {kind}, not floats; give the model before quantization")
        if name not in self._finite:
            if not all(bool(torch.isfinite(part).all()) for part in torch.split(tensor.flatten(), CHECKED_ELEMENTS)):
                raise CheckpointError(f"{name} in {path.name} holds NaN or infinity; fetch the checkpoint again")
            self._finite.add(name)
        return tensor

    def _path(self, name: str) -> Path:
        if name not in self._location:
            raise CheckpointError(f"the checkpoint lacks {name}; fetch it again")
        return self._location[name]

    def _file(self, path: Path) -> Any:
        if path not in self._open:
            if not path.is_file():
                raise CheckpointError(f"shard {path} is missing; fetch the checkpoint again")
            try:
                self._open[path] = safe_open(path, framework="pt")
            except (SafetensorError, OSError) as error:
                raise CheckpointError(f"shard {path} is damaged ({error}); fetch the checkpoint again") from error
        return self._open[path]


class Checkpoint(TensorFiles):
    """A Hugging Face folder: config.json and safetensors, sharded or not.

    Of a model that also sees images (TEXT_PARTS) it presents the text decoder, under that model's names and config.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config: dict[str, Any] = _read_json(folder / "config.json")
        if (folder / INDEX).is_file():
            index = _read_json(folder / INDEX).get("weight_map")
            if not isinstance(index, dict):
                raise CheckpointError(
                    f"{folder / INDEX} has no weight_map of names to files; fetch the checkpoint again"
                )
            location = {name: folder / str(shard) for name, shard in index.items()}
        elif (folder / "model.safetensors").is_file():
            location = TensorFiles.scan([folder / "model.safetensors"])._location
        else:
            raise CheckpointError(f"{folder} holds no safetensors weights; convert the model to safetensors first")
        architecture = architecture_of(self.config)
        names = {name: name for name in location}
        if architecture in TEXT_PARTS:
            self.config = _text_config(self.config, TEXT_PARTS[architecture])
            names = {_text_name(name): name for name in location if not _is_vision(name)}
        self.left_out = len(location) - len(names)
        """Tensors of other parts than the text decoder."""
        super().__init__({name: location[stored] for name, stored in names.items()}, names)

    def weight_files(self) -> list[Path]:
        """The safetensors files, sorted. Raises CheckpointError where one is missing."""
        paths = sorted(set(self._location.values()))
        for path in paths:
            self._file(path)
        return paths


class Overlay:
    """A source with some tensors replaced: pruned slices, reconstructed or healed weights."""

    def __init__(self, base: TensorSource, top: TensorSource) -> None:
        self._base, self._top = base, top
        self._replaced = frozenset(top.names())

    def names(self) -> list[str]:
        """All tensor names, sorted."""
        return sorted(self._replaced.union(self._base.names()))

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of a tensor without reading it."""
        return self._holder(name).shape(name)

    def tensor(self, name: str) -> torch.Tensor:
        """The tensor in its stored dtype, every value finite."""
        return self._holder(name).tensor(name)

    def _holder(self, name: str) -> TensorSource:
        return self._top if name in self._replaced else self._base


def _text_config(config: dict[str, Any], architecture: str) -> dict[str, Any]:
    text = config.get("text_config") or {}
    if not isinstance(text, dict):
        raise CheckpointError(f"config.json has text_config = {text!r} instead of a table; fetch the checkpoint again")
    for key in ("bos_token_id", "eos_token_id", "pad_token_id", "tie_word_embeddings", "dtype", "torch_dtype"):
        if key in config:
            text.setdefault(key, config[key])
    return {**text, "architectures": [architecture], "model_type": text.get("model_type", "gemma3_text")}


def _text_name(name: str) -> str:
    for stored, plain in _TEXT_PREFIXES:
        if name.startswith(stored):
            return plain + name.removeprefix(stored)
    return name


def _is_vision(name: str) -> bool:
    return name.removeprefix("model.").startswith(_VISION_PARTS)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise CheckpointError(f"{path} is missing; give a Hugging Face model folder") from error
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path} cannot be read ({error}); fetch the checkpoint again") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} is not a JSON object; fetch the checkpoint again")
    return value
