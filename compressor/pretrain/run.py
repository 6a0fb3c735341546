"""One pretraining run from corpora to a trained model: what `bedside pretrain` does, step by step."""

import json
import random
from itertools import chain
from pathlib import Path

from tokenizers import Tokenizer
from transformers import LlamaForCausalLM

from compressor.pretrain.batches import BatchBuilder, encode_sections
from compressor.pretrain.config import PretrainConfig
from compressor.pretrain.corpora import CORPORA, Section, read_sections
from compressor.pretrain.grounded import ExampleBuilder
from compressor.pretrain.loop import Trainer
from compressor.pretrain.tokenizer import save_tokenizer, train_tokenizer

_TOKENIZER_CHARS = 24_000_000


def train(config: PretrainConfig, data: Path, folder: Path) -> LlamaForCausalLM:
    """Train (or resume) in `folder`: tokenizer, token streams, checkpoint and log are kept there."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config.to_json(), indent=1), encoding="utf-8")
    sections = {corpus: read_sections(data, corpus, "train") for corpus in CORPORA}
    tokenizer = load_tokenizer(config, sections, folder)
    streams = {
        corpus: encode_sections(tokenizer, found, folder / f"tokens-{corpus}.npy")
        for corpus, found in sections.items()
    }
    builders = [ExampleBuilder(sections[corpus]) for corpus in CORPORA]
    return Trainer(config, BatchBuilder(config, tokenizer, streams, builders), folder).run()


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
