"""The honest control: a wide model with half of its FFN removed, against a narrow one of the same bytes, same training.

Both are trained from scratch by `bedside pretrain`'s own code with the same settings, seed and text; only the FFN width
differs. The wide one is compressed to the narrow one's width, the narrow one only quantized, both with the importance
matrix of the same rows. Run it with `make control-check`; an interrupted run continues.
"""

import argparse
from dataclasses import replace
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from compressor.job import open_job
from compressor.pipeline import run_job
from compressor.pretrain.config import PretrainConfig
from compressor.pretrain.run import train_and_package
from compressor.progress import bars
from compressor.recipe.load import parse_recipe

FULL = PretrainConfig()
TEXTS = ("medquad", "medical_meadow", "trials")
RECIPE = """
[calibrate]
text = {{ medquad = 2.0, nursing = 1.0, anatomy = 1.0 }}
samples = 128
grounded_share = 0.25
[saliency]
criterion = "jacobian"
[mask]
multiple = 32
[budget]
ffn_share = {share}
{reconstruct}
[export]
dense = true
[evaluate]
text = ["medquad", "medical_meadow", "trials"]
documents = 100
"""


def control_config(tokens: int, width: int) -> PretrainConfig:
    """The reference settings with every phase scaled to `tokens` in all."""
    scale = tokens / FULL.total_tokens
    return replace(
        FULL,
        intermediate_size=width,
        total_tokens=tokens,
        text_tokens=int(FULL.text_tokens * scale),
        copy_tokens=int(FULL.copy_tokens * scale),
        warmup_tokens=int(FULL.warmup_tokens * scale),
        dtype="bfloat16",  # not measured: both must train alike
    )


def trained(out: Path, data: Path, tokens: int, width: int) -> Path:
    """The package of one model, trained or found finished."""
    package = out / "model"
    return package if package.is_dir() else train_and_package(control_config(tokens, width), data, out, questions=20)


def compressed(package: Path, out: Path, data: Path, share: float) -> list[dict[str, Any]]:
    """The evaluated rows of one model with `share` of its FFN removed; 0 only quantizes."""
    source = RECIPE.format(share=share, reconstruct="[reconstruct]" if share else "")
    with bars() as reporter:
        recipe = ("control", parse_recipe(source, "control"))
        manifest = run_job(open_job(str(package), package, recipe, out=out, data=data, reporter=reporter))
    rows: list[dict[str, Any]] = manifest["stages"]["09-evaluate"]["facts"]["rows"]
    return rows


def main() -> None:
    """Train, compress, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("build/control"))
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--tokens", type=int, default=4_250_000, help="for each of the two models")
    given = parser.parse_args()
    wide = trained(given.out / "wide", given.data, given.tokens, FULL.intermediate_size)
    narrow = trained(given.out / "narrow", given.data, given.tokens, FULL.intermediate_size // 2)
    table = Table("model", "file", "bytes", *TEXTS, title=f"Perplexity, {given.tokens:,} training tokens each")
    for name, package, share in (("wide, half removed", wide, 0.5), ("narrow, dense", narrow, 0.0)):
        for row in compressed(package, given.out / f"{package.parent.name}-run", given.data, share):
            scores = (f"{row['texts'][text]['hf_stride']:.2f}" for text in TEXTS)
            table.add_row(name, row["label"], f"{row['bytes']:,}", *scores)
    Console().print(table)


if __name__ == "__main__":
    main()
