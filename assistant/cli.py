"""The front door: the `bedside` command mounts what the packages offer and imports it only when it is used."""

import importlib
import importlib.metadata
import importlib.util
from dataclasses import dataclass
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from assistant.errors import MissingExtraError
from assistant.surroundings import stay_offline


@dataclass(frozen=True)
class Mount:
    """A command of another module: a function, or a Typer application with commands of its own."""

    module: str
    attribute: str
    summary: str
    extra: str | None = None
    needs: tuple[str, ...] = ()
    """Modules that only the extra installs."""
    fetches: bool = False
    """Whether it asks the Hub; every other command sets the variables that keep its libraries from doing so."""


_COMPRESS_MODULES = ("torch", "transformers", "safetensors", "tokenizers", "pydantic", "matplotlib")

MOUNTS = {
    "ask": Mount("assistant.ask.command", "ask", "Answer a question from the library, with numbered sources."),
    "chat": Mount("assistant.tui.command", "chat", "Ask in a full-screen terminal, with history and passages."),
    "serve": Mount("assistant.server.command", "serve", "Serve a model to local applications: OpenAI's API."),
    "service": Mount("assistant.service.command", "app", "Install, watch and remove Bedside as a system service."),
    "switch": Mount("assistant.switch.command", "switch", "Change the model of the running service, or go back."),
    "knowledge": Mount(
        "assistant.knowledge.command", "app", "Add documents to libraries; list, search and check them."
    ),
    "history": Mount(
        "assistant.history.command", "app", "Read, search, export and remove your encrypted conversations."
    ),
    "redflags": Mount("assistant.safety.command", "redflags", "Show the red flags of a note, by fixed rules."),
    "models": Mount("models.cli", "app", "List, inspect, fetch, import, verify and remove models.", fetches=True),
    "device": Mount("device.command", "app", "Show the board and its power meters, and what mends a missing one."),
    "doctor": Mount("assistant.doctor.command", "doctor", "Check this machine; prove that nothing leaves it."),
    "compress": Mount(
        "compressor.cli", "compress", "Prune, heal and quantize a model by a recipe.", "compress", _COMPRESS_MODULES
    ),
    "compare": Mount(
        "compressor.cli", "compare", "Measure pruning criteria side by side.", "compress", _COMPRESS_MODULES
    ),
    "evaluate": Mount(
        "compressor.tasks.command", "evaluate", "Measure a model on text and benchmarks.", "compress", _COMPRESS_MODULES
    ),
    "report": Mount("compressor.cli", "report", "Show the report of a compression run.", "compress", _COMPRESS_MODULES),
    "pretrain": Mount(
        "compressor.pretrain.cli", "pretrain", "Train the built-in reference model.", "compress", _COMPRESS_MODULES
    ),
}


class _LazyGroup(TyperGroup):
    """Shows stand-ins with a summary in its help, and imports a command only to run it."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, (_load(name, MOUNTS[name]) if name in MOUNTS else command), rest


def _load(name: str, mount: Mount) -> Any:
    missing = [module for module in mount.needs if importlib.util.find_spec(module) is None]
    if missing:
        raise MissingExtraError(
            f"bedside {name} needs {', '.join(missing)}; install it with: pip install 'bedside[{mount.extra}]'"
        )
    if not mount.fetches:
        stay_offline()
    target = getattr(importlib.import_module(mount.module), mount.attribute)
    if not isinstance(target, typer.Typer):
        function, target = target, typer.Typer(add_completion=False, rich_markup_mode=None)
        target.command(name)(function)
    command = typer.main.get_command(target)
    command.name = name
    return command


def _stand_in() -> None:
    """Never runs: the group loads the real command instead."""


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"bedside {importlib.metadata.version('bedside')}")
        raise typer.Exit


app = typer.Typer(
    cls=_LazyGroup,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.callback()
def bedside(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A private medical assistant on this device, and the compressor that makes its models. For clinicians."""


for _name, _mount in MOUNTS.items():
    app.command(_name, help=_mount.summary)(_stand_in)
