"""One compression job: the model, the recipe, and where things go. Opening it checks all that can be checked early."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from compressor.checkpoint import Checkpoint, Overlay, TensorSource
from compressor.export_gguf import GgufModel
from compressor.export_hf import ffn_widths
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

    def stage_folder(self, stage: str) -> Path:
        """`RUN/stages/NN-name`."""
        return self.out / "stages" / stage

    def view(self, source: TensorSource) -> ModelView:
        """A model of this family over `source`, for the layer stream."""
        return ModelView(source, self.family, self.shape, self.family.rope_frequencies(self.checkpoint.config))

    def dense(self) -> ModelView:
        """The model as it came."""
        return self.view(self.checkpoint)

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
    name: str, folder: Path, recipe: tuple[str, Recipe], *, out: Path, data: Path | None, reporter: Reporter
) -> Job:
    """Open and check a checkpoint. Raises CheckpointError, FamilyError before any work starts."""
    checkpoint = Checkpoint(folder)
    family = find_family(checkpoint.config)
    shape = family.shape(checkpoint.config)
    checkpoint.weight_files()
    tokenizer = ChatTokenizer(folder)
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
    )


def file_name(name: str) -> str:
    """The last part of a model id or path as it may stand in a file name."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", Path(name).name) or "model"


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
