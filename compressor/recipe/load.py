"""Recipes as TOML, packaged or the user's own, checked whole before any work starts."""

import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from compressor.errors import RecipeError
from compressor.recipe.tables import Recipe

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


def load_recipe(name_or_path: str) -> tuple[str, Recipe]:
    """The recipe's name (its file's stem) and content. Raises RecipeError naming every fault at once."""
    if name_or_path in packaged_recipes():
        packaged = files("compressor").joinpath("recipes", f"{name_or_path}.toml")
        return name_or_path, parse_recipe(packaged.read_text("utf-8"), name_or_path)
    path = Path(name_or_path)
    try:
        source = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise RecipeError(f"recipe {path} cannot be read ({error}); give a UTF-8 TOML file") from error
    except (OSError, ValueError) as error:
        known = ", ".join(packaged_recipes())
        raise RecipeError(
            f"no recipe {name_or_path[:200]} ({_reason(error)}): give a TOML file or one of {known}"
        ) from error
    return path.stem, parse_recipe(source, str(path))


def packaged_recipes() -> list[str]:
    """Names of the recipes that ship with the package."""
    folder = files("compressor").joinpath("recipes")
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def parse_recipe(source: str, name: str) -> Recipe:
    """Check TOML text. Raises RecipeError with all faults in one line."""
    try:
        return Recipe.model_validate(tomllib.loads(source))
    except ValidationError as error:
        faults = "; ".join(_fault(dict(item)) for item in error.errors())
        raise RecipeError(f"recipe {name}: {faults}") from error
    except (ValueError, RecursionError) as error:  # besides TOML's own, of numbers and lists without end
        raise RecipeError(f"recipe {name} is not TOML ({error}); correct it") from error


def _fault(item: dict[str, Any]) -> str:
    where = ".".join(str(part) for part in item["loc"])
    if item["type"] == "extra_forbidden":
        return f"unknown key {where}; remove or correct it"
    if item["type"] == "missing":
        return f"{where} is missing; add it"
    message = str(item["msg"]).removeprefix("Value error, ")
    if item["type"] == "value_error":
        return f"{where}: {message}" if where else message
    return f"{where} = {item['input']!r}: {message[0].lower()}{message[1:]}; correct it"


def _reason(error: Exception) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
