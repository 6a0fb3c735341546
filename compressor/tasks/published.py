"""The papers' own accuracies, to be printed beside ours for the recipes named after their models."""

import sys
from dataclasses import dataclass
from importlib.resources import files

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

COLUMNS = ("medqa", "medqa_5_options", "medmcqa", "pubmedqa")


@dataclass(frozen=True)
class PublishedRow:
    """One row of a paper's table."""

    label: str
    accuracy: dict[str, float]
    """Percent, by the names in `COLUMNS`; MedQA with five options is never compared with four."""
    note: str | None = None


def published_rows(recipe_name: str) -> list[PublishedRow]:
    """What the papers print for the model and method of a recipe; empty for recipes that are not theirs."""
    rows = tomllib.loads(files("compressor.tasks").joinpath("published.toml").read_text("utf-8"))["row"]
    return [
        PublishedRow(row["label"], {name: row[name] for name in COLUMNS if name in row}, row.get("note"))
        for row in rows
        if _belongs(recipe_name, row["recipe"])
    ]


def _belongs(recipe_name: str, named: str) -> bool:
    """A recipe, or a form of it: `llama-3-8b-67-meadow` belongs to `llama-3-8b-67`."""
    return recipe_name == named or recipe_name.startswith(f"{named}-")
