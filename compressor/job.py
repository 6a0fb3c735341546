"""One compression job: the model, the recipe, and where things go. Opening it checks all that can be checked early."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compressor.checkpoint import Checkpoint, Overlay, TensorSource
from compressor.device_memory import FittingBatches
from compressor.distributed import ALONE, Group
from compressor.errors import CheckpointError, FamilyError
from compressor.export_gguf import GgufModel
from compressor.export_hf import COPIED, ffn_widths
from compressor.families import find_family
from compressor.families.contract import Family, ModelShape
from compressor.gguf_vocabulary import Vocabulary, read_vocabulary
from compressor.layers import ModelView
from compressor.progress import Reporter
from compressor.prune import replaced_tensors
from compressor.recipe.tables import Recipe
from compressor.tokens import ChatTokenizer

REFERENCE = "reference"


@dataclass(frozen=True)
class Job:
    """What every stage may read."""

    name: str
    """The model's name in file names."""
    recipe_name: str
    recipe: Recipe
    out: Path
    data: Path | None
    checkpoint: Checkpoint
    family: Family
    shape: ModelShape
    tokenizer: ChatTokenizer
    vocabulary: Vocabulary
    reporter: Reporter
    group: Group = ALONE
    """This process among those that torchrun started, and its device."""
    round_folder: str = ""
    """Under stages/, what an earlier round of prune and heal has to itself; empty in the last or only one."""
    before_rounds: Checkpoint | None = None
    """The model as it came, where `checkpoint` is what an earlier round made of it."""

    def stage_folder(self, stage: str) -> Path:
        """`RUN/stages/NN-name`."""
        return self.out / "stages" / self.round_folder / stage

    def view(self, source: TensorSource) -> ModelView:
        """A model of this family over `source`, for the layer stream."""
        frequencies = self.family.rope_frequencies(self.checkpoint.config)
        return ModelView(
            source, self.family, self.shape, frequencies, self.group.device, FittingBatches(self.reporter.say)
        )

    def dense(self) -> ModelView:
        """The model to prune: as it came, or as an earlier round left it."""
        return self.view(self.checkpoint)

    def teacher(self) -> ModelView:
        """The model as it came, which healing may imitate."""
        return self.view(self.before_rounds or self.checkpoint)

    def overlaid(self, stages: Sequence[str]) -> TensorSource:
        """The checkpoint with what `stages` replaced laid over it, later ones on top."""
        source: TensorSource = self.checkpoint
        for stage in stages:
            source = Overlay(source, replaced_tensors(self.stage_folder(stage)))
        return source

    def gguf_model(self, source: TensorSource, name: str) -> GgufModel:
        """What an exported file of `source` holds."""
        return GgufModel(
            name=name,
            source=source,
            family=self.family,
            shape=self.shape,
            widths=ffn_widths(source, self.family, self.shape),
            rope_factors=self.family.rope_factors(self.checkpoint.config),
            vocabulary=self.vocabulary,
        )

    @property
    def wants_dense(self) -> bool:
        """Whether gguf/dense-f16.gguf is written."""
        return self.recipe.export.dense or self.name == REFERENCE

    def gguf_path(self, file_type: str) -> Path:
        """`RUN/gguf/<model>-<recipe>-<type>.gguf`."""
        return self.out / "gguf" / f"{self.name}-{self.recipe_name}-{file_type}.gguf"

    @property
    def dense_path(self) -> Path:
        """`RUN/gguf/dense-f16.gguf`."""
        return self.out / "gguf" / "dense-f16.gguf"


def open_job(
    name: str,
    folder: Path,
    recipe: tuple[str, Recipe],
    *,
    out: Path,
    data: Path | None,
    reporter: Reporter,
    group: Group = ALONE,
) -> Job:
    """Open and check a checkpoint. Raises CheckpointError, FamilyError before any work starts."""
    checkpoint = Checkpoint(folder)
    family = find_family(checkpoint.config)
    shape = family.shape(checkpoint.config)
    checkpoint.weight_files()
    check_tensors(checkpoint, family, shape)
    tokenizer = ChatTokenizer(folder, plain_chat=recipe[1].export.chat_template == "plain")
    _check_start(checkpoint.config, tokenizer)
    return Job(
        name=file_name(folder.resolve().name if Path(name).is_dir() else name),
        recipe_name=file_name(recipe[0]),
        recipe=recipe[1],
        out=out,
        data=data,
        checkpoint=checkpoint,
        family=family,
        shape=shape,
        tokenizer=tokenizer,
        vocabulary=read_vocabulary(folder, shape.vocab, tokenizer),
        reporter=reporter,
        group=group,
    )


def check_tensors(checkpoint: TensorSource, family: Family, shape: ModelShape) -> None:
    """Raises CheckpointError where a tensor that the config asks for is missing or has other sizes."""
    head = {} if shape.tied else {family.head: (shape.vocab, shape.hidden)}
    wanted: dict[str, tuple[int, ...]] = {
        family.embedding: (shape.vocab, shape.hidden),
        family.final_norm: (shape.hidden,),
        **head,
    }
    sizes = _layer_shapes(shape)
    for layer in range(shape.layers):
        names = vars(family.layer_names(layer))
        wanted |= {name: sizes[part] for part, name in names.items() if name is not None and part in sizes}
    for name, size in wanted.items():
        if checkpoint.shape(name) != size:
            raise CheckpointError(
                f"{name} has shape {checkpoint.shape(name)} and config.json asks for {size}; fetch both again"
            )
    checkpoint.tensor(family.final_norm)  # nothing before the export reads it, so its NaN would be found late


def _layer_shapes(shape: ModelShape) -> dict[str, tuple[int, ...]]:
    """Shape of each tensor of a layer by its field in LayerNames; a bias of down is nobody's but the pipeline's own."""
    hidden, ffn = shape.hidden, shape.ffn
    queries, keys = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    norms = ("attention_norm", "ffn_norm", "attention_post_norm", "ffn_post_norm")
    return {
        **dict.fromkeys(norms, (hidden,)),
        **dict.fromkeys(("q_norm", "k_norm"), (shape.head_dim,)),
        "q": (queries, hidden),
        "q_bias": (queries,),
        **dict.fromkeys(("k", "v"), (keys, hidden)),
        **dict.fromkeys(("k_bias", "v_bias"), (keys,)),
        "o": (hidden, queries),
        **dict.fromkeys(("gate", "up"), (ffn, hidden)),
        "down": (hidden, ffn),
    }


def _check_start(config: dict[str, Any], tokenizer: ChatTokenizer) -> None:
    """Raises FamilyError where model and tokenizer disagree on the first token: then ids mean other words."""
    wanted = config.get("bos_token_id")
    if isinstance(wanted, int) and tokenizer.bos is not None and tokenizer.bos != wanted:
        raise FamilyError(
            f"the tokenizer begins text with id {tokenizer.bos} and the model with {wanted}: it belongs to another model;"
            " copy the model's own"
        )


def file_name(name: str) -> str:
    """The last part of a model id or path as it may stand in a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(name).name) or "model"


def model_files(checkpoint: Checkpoint) -> list[Path]:
    """The files that decide what a run makes: configuration, weights, tokenizer, and what goes into hf/ as it is. Raises
    CheckpointError."""
    folder = checkpoint.folder
    beside = {path for pattern in ("*token*", *COPIED) for path in folder.glob(pattern) if path.is_file()}
    return [folder / "config.json", *checkpoint.weight_files(), *sorted(beside)]


def unique_parameters(source: TensorSource, family: Family, shape: ModelShape) -> int:
    """Parameters of the model, a tied head counted once."""
    total = 0
    for name in source.names():
        if not (shape.tied and name == family.head):
            count = 1
            for size in source.shape(name):
                count *= size
            total += count
    return total
