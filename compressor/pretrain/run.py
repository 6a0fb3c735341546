"""One pretraining run from corpora to shipped files: what `bedside pretrain` does, step by step."""

import random
from itertools import chain
from pathlib import Path

from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

import models
from compressor.examples.corpora import CORPORA, Section, read_sections
from compressor.examples.grounded import ExampleBuilder
from compressor.job import open_job
from compressor.pipeline import run_job
from compressor.pretrain.batches import BatchBuilder, encode_sections
from compressor.pretrain.config import PretrainConfig
from compressor.pretrain.evaluate import evaluate
from compressor.pretrain.loop import Trainer
from compressor.pretrain.package import install, write_package
from compressor.pretrain.tokenizer import save_tokenizer, train_tokenizer
from compressor.progress import bars
from compressor.recipe.load import load_recipe
from models.builtin import REFERENCE_ID

INSTALLED_RECIPE = "reference-50"
_TOKENIZER_CHARS = 24_000_000


def train(config: PretrainConfig, data: Path, folder: Path) -> LlamaForCausalLM:
    """Train (or resume) in `folder`: tokenizer, token streams, checkpoint and log are kept there."""
    folder.mkdir(parents=True, exist_ok=True)
    sections = {corpus: read_sections(data, corpus, "train") for corpus in CORPORA}
    tokenizer = load_tokenizer(config, sections, folder)
    streams = {
        corpus: encode_sections(tokenizer, found, folder / f"tokens-{corpus}.npy") for corpus, found in sections.items()
    }
    builders = [ExampleBuilder(sections[corpus]) for corpus in CORPORA]
    return Trainer(config, BatchBuilder(config, tokenizer, streams, builders), folder).run()


def train_and_package(config: PretrainConfig, data: Path, folder: Path, questions: int) -> Path:
    """Train (or resume), evaluate on valid and write `folder/model`; returns that path."""
    model = train(config, data, folder)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer" / "tokenizer.json"))
    report = evaluate(model, tokenizer, data, questions)
    return write_package(model, tokenizer, config, report, folder)


def install_package(package: Path, folder: Path) -> Path:
    """Compress `package` by the recipe `reference-50` and replace the built-in model by both; returns its folder."""
    with bars() as reporter:
        recipe = load_recipe(INSTALLED_RECIPE)
        run_job(open_job(REFERENCE_ID, package, recipe, out=folder / "compress", data=None, reporter=reporter))
    compressed = folder / "compress" / "gguf" / f"{REFERENCE_ID}-{INSTALLED_RECIPE}-q4_0.gguf"
    target = Path(models.__file__).with_name("reference")
    install(package, compressed, target)
    return target


def load_tokenizer(config: PretrainConfig, sections: dict[str, list[Section]], folder: Path) -> Tokenizer:
    """The run's tokenizer, trained once on an even sample of the corpora."""
    path = folder / "tokenizer" / "tokenizer.json"
    if not path.exists():
        rng = random.Random(config.seed)
        share = _TOKENIZER_CHARS // len(sections)
        texts = chain.from_iterable(_sample(rng, found, share) for found in sections.values())
        save_tokenizer(train_tokenizer(texts, config.vocab_size), path.parent, config.context)
    return Tokenizer.from_file(str(path))


def _sample(rng: random.Random, sections: list[Section], characters: int) -> list[str]:
    chosen: list[str] = []
    for section in rng.sample(sections, len(sections)):
        if characters <= 0:
            break
        chosen.append(f"{section.question or section.title}\n{section.text}")
        characters -= len(section.text)
    return chosen
